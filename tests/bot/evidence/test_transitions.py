"""Changes that series betray."""

import math
from collections.abc import Sequence

import pytest

from bot.domain.change import Change, ChangeKind
from bot.domain.series import Series
from bot.evidence.transitions import (
    appearances,
    edits,
    images,
    restarts,
    scalings,
    steps,
    versions,
    without_echoes,
)

START_S, STEP_S = 10_000, 15
NAN = math.nan


def series(values: Sequence[float], **labels: str) -> Series:
    named = {name.replace("metric", "__name__"): value for name, value in labels.items()}
    return Series(labels=named, start_s=START_S, step_s=STEP_S, values=tuple(values))


def test_a_step_is_seen_across_a_gap() -> None:
    [step] = steps(series([1, NAN, NAN, 2, 2]))

    assert (step.last_s, step.at_s, step.before, step.after) == (START_S, START_S + 45, 1, 2)


def test_a_restart_is_dated_by_the_value_itself() -> None:
    [change] = restarts([series([500, 500, 10_022.5, 10_022.5], service="cart", pod="cart-1")], "service", "prom")

    assert change.kind is ChangeKind.RESTART
    assert change.at_s == 10_022.5
    assert (change.service, change.ref, change.source) == ("cart", "cart-1", "prom")


def test_a_wobbling_start_time_is_no_restart() -> None:
    assert restarts([series([500, 501, 499.5, 500], service="cart")], "service", "prom") == ()


def test_a_machine_with_a_wrong_clock_is_dated_by_ours() -> None:
    [change] = restarts([series([500, 500, 99_000, 99_000], service="cart")], "service", "prom")

    assert change.at_s == START_S + 2 * STEP_S


def test_a_new_pod_that_started_inside_the_window_counts_and_an_old_one_that_appears_does_not() -> None:
    found = restarts(
        [
            series([NAN, NAN, 10_020, 10_020], service="cart", pod="cart-2"),
            series([NAN, NAN, 500, 500], service="checkout", pod="checkout-1"),
        ],
        "service",
        "prom",
    )

    assert [(change.service, change.at_s) for change in found] == [("cart", 10_020)]


def test_instances_that_restart_together_are_one_change() -> None:
    pods = [series([500, 10_005 + i * 2, 10_005 + i * 2], service="cart", pod=f"cart-{i}") for i in range(3)]
    other = series([500, 10_006, 10_006], service="checkout", pod="checkout-1")

    cart, checkout = restarts([*pods, other], "service", "prom")

    assert (cart.service, cart.at_s) == ("cart", 10_005)
    assert "3 starts of 3 instances" in cart.summary
    assert checkout.service == "checkout"


def test_a_version_that_replaces_another_is_a_deploy_at_its_first_point() -> None:
    old = series([1, 1, 1, NAN], metric="app_build_info", service="cart", version="1.4.1", commit="aaa111")
    new = series([NAN, NAN, 1, 1], metric="app_build_info", service="cart", version="1.4.2", commit="bbb222")

    [change] = versions([old, new], "service", "prom")

    assert change.kind is ChangeKind.DEPLOY
    assert change.at_s == START_S + 2 * STEP_S
    assert change.ref == "bbb222"
    assert change.summary == "cart runs 1.4.2 bbb222 (before: 1.4.1 aaa111)"


def test_a_roll_back_is_a_deploy_too() -> None:
    one = series([1, NAN, 1], metric="build_info", service="cart", version="1")
    two = series([NAN, 1, NAN], metric="build_info", service="cart", version="2")

    assert [change.ref for change in versions([one, two], "service", "prom")] == ["2", "1"]


@pytest.mark.parametrize("values", [[NAN, 1, 1, 1], [1, NAN, NAN, 1], [1, 1, NAN, NAN]])
def test_a_version_that_comes_first_pauses_or_ends_is_no_deploy(values: list[float]) -> None:
    assert versions([series(values, metric="build_info", service="cart", version="1")], "service", "prom") == ()


def test_the_same_container_name_in_two_namespaces_is_two_things() -> None:
    found = images(
        [
            series([1, 1], namespace="prod", container="cart", image="r:5000/shop/cart:1"),
            series([1, 1], namespace="test", container="cart", image="r:5000/shop/cart:1"),
            series([NAN, 1], namespace="test", container="cart", image="r:5000/shop/cart:2@sha256:abc"),
        ],
        "prom",
    )

    assert [(change.service, change.ref) for change in found] == [("cart", "2")]


def test_scaling_tells_from_what_to_what() -> None:
    [change] = scalings([series([3, 3, 5], deployment="cart")], "prom")

    assert (change.kind, change.service, change.at_s) == (ChangeKind.SCALE, "cart", START_S + 30)
    assert change.summary == "cart scaled from 3 to 5 replicas"


def test_an_edit_is_told_once_though_two_metrics_show_it() -> None:
    found = edits(
        [
            series([4, 5, 5], metric="kube_deployment_metadata_generation", deployment="cart"),
            series([4, 4, 5], metric="kube_deployment_status_observed_generation", deployment="cart"),
            series([1, 2, 2], metric="kube_deployment_status_observed_generation", deployment="checkout"),
        ],
        "prom",
    )

    assert [(change.service, change.ref) for change in found] == [
        ("cart", "generation 5"),
        ("checkout", "generation 2"),
    ]


def change(kind: ChangeKind, at_s: float, service: str = "cart") -> Change:
    return Change(kind=kind, at_s=at_s, service=service, ref=f"{kind.value}@{at_s:g}", summary="")


def test_the_edit_a_deploy_comes_with_is_an_echo_and_a_restart_is_not() -> None:
    told = without_echoes(
        [
            change(ChangeKind.DEPLOY, 100),
            change(ChangeKind.RESTART, 95),
            change(ChangeKind.DEPLOY, 110),  # the image of the same deploy
            change(ChangeKind.CONFIG, 90),
            change(ChangeKind.CONFIG, 90, "checkout"),
            change(ChangeKind.CONFIG, 500),
        ],
        within_s=30,
    )

    assert [(one.kind, one.at_s, one.service) for one in told] == [
        (ChangeKind.CONFIG, 90, "checkout"),
        (ChangeKind.RESTART, 95, "cart"),
        (ChangeKind.DEPLOY, 100, "cart"),
        (ChangeKind.CONFIG, 500, "cart"),
    ]


def test_nothing_comes_of_nothing() -> None:
    assert list(appearances([], lambda one: (), lambda one: "")) == []
    assert restarts([series([NAN, NAN])], "service", "prom") == ()
