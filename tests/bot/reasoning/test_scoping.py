"""From words to a scope: what was meant, and what had to be assumed."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain.alert import Alert
from bot.domain.question import Origin, Question
from bot.domain.scope import Edge, Scope, Window
from bot.errors import AskError
from bot.reasoning.scoping import (
    BASELINE_MAX_S,
    BASELINE_MIN_S,
    NEIGHBOURS_MAX,
    Surroundings,
    baseline_for,
    changes_scope,
    neighbours,
    understand,
    zone_of,
)

NOW_S = 1_795_102_800.0  # 2026-11-19 15:40 UTC
AROUND = Surroundings(
    services=("cart", "checkout", "frontend", "orders", "orders-db", "payments"),
    edges=(
        Edge(caller="frontend", callee="checkout"),
        Edge(caller="checkout", callee="payments"),
        Edge(caller="checkout", callee="orders"),
        Edge(caller="orders", callee="orders-db"),
    ),
    environments=("prod", "staging"),
    namespaces=("shop",),
    aliases={"the till": "checkout", "basket": "cart", "gone": "no-longer-there"},
)


def ask(text: str, zone: str = "UTC") -> Question:
    return Question(
        key="k",
        team_id="T1",
        channel_id="C1",
        thread=None,
        asker_id="U1",
        asker_zone=zone,
        text=text,
        asked_at_s=NOW_S,
        origin=Origin.COMMAND,
    )


def scope(text: str, around: Surroundings = AROUND, zone: str = "UTC", **more: object) -> Scope:
    return understand(ask(text, zone), around, now_s=NOW_S, **more)  # type: ignore[arg-type]  # alerts and before


@pytest.mark.parametrize(
    ("text", "service"),
    [
        ("checkout is slow since 14:00", "checkout"),
        ("why does orders-db hang?", "orders-db"),
        ("why does orders db hang?", "orders-db"),
        ("ORDERS_DB hangs", "orders-db"),
        ("orders hangs", "orders"),
        ("the till hangs", "checkout"),
        ("Basket hangs", "cart"),
        ("chekout is slow", "checkout"),
        ("payment is slow", "payments"),
        ("service=payments and checkout too", "payments"),
        ('service="orders db"', "orders-db"),
        ("is anything wrong?", None),
        ("gone is slow", None),
    ],
)
def test_the_service_is_found_in_the_words(text: str, service: str | None) -> None:
    assert scope(text).service == service


def test_what_was_read_into_a_word_is_said() -> None:
    assert "“chekout” is read as checkout." in scope("chekout is slow").assumptions
    assert "“the till” is read as checkout." in scope("the till is slow").assumptions
    assert "“chekout” is read as checkout." in scope("service=chekout").assumptions
    assert not [a for a in scope("Checkout is slow last 2h").assumptions if "is read as" in a]
    assert "No service was named, so every service is looked at." in scope("help").assumptions


def test_a_service_that_is_not_known_is_refused_with_those_that_are() -> None:
    with pytest.raises(AskError) as close:
        scope("service=order-service")
    with pytest.raises(AskError) as far:
        scope("service=zzz")

    assert (close.value.code, far.value.code) == ("ASK-010", "ASK-010")
    assert close.value.remedy.startswith("Did you mean orders")
    assert far.value.remedy == "Known: cart, checkout, frontend, orders, orders-db, payments."


def test_a_service_that_resembles_none_is_not_guessed() -> None:
    with pytest.raises(AskError) as caught:
        scope("service=nope")

    assert caught.value.remedy.startswith("Known: ")


@pytest.mark.parametrize(
    ("told", "service"),
    [
        (["orders is failing", "payments too?"], "orders"),
        (["hello", "payments too?"], "payments"),
        (["ordrs is failing", "the till hangs"], None),
        (["since 14:00 in staging"], None),
        ([], None),
    ],
)
def test_a_service_named_in_the_thread_by_its_exact_name_is_meant_and_that_is_said(
    told: list[str], service: str | None
) -> None:
    found = scope("what happened?", told=told)

    assert found.service == service
    assert (f"{service} is taken from the thread." in found.assumptions) is (service is not None)
    assert (found.environment, found.window.duration_s) == (None, 3600)


def test_words_alerts_and_the_earlier_scope_win_over_the_thread() -> None:
    told = ["orders is failing"]

    assert scope("checkout is slow", told=told).service == "checkout"
    assert scope("what is this?", told=told, alerts=[ALERT]).service == "payments"
    assert scope("last 2h", told=told, before=scope("cart is slow")).service == "cart"


def test_services_out_of_scope_are_told_of() -> None:
    apart = replace(AROUND, edges=(*AROUND.edges, Edge(caller="cart", callee="payments")))
    many = Surroundings(services=tuple(f"s{i:02}" for i in range(NEIGHBOURS_MAX + 3)))

    said = "Only orders, what it calls and who calls it are looked at; 2 other services are not."
    assert said in scope("orders is slow", apart).assumptions
    assert not [a for a in scope("checkout is slow").assumptions if a.startswith("Only")]
    assert scope("help", many).assumptions[:2] == (
        "No service was named.",
        f"Only the first {NEIGHBOURS_MAX} services are looked at, 3 are not.",
    )


def test_where_no_source_knows_services_the_askers_word_counts() -> None:
    assert scope("service=anything", Surroundings()).service == "anything"


def test_environment_and_namespace_are_taken_from_overrides_words_or_the_only_one() -> None:
    assert scope("checkout in staging").environment == "staging"
    assert scope("checkout env=prod").environment == "prod"
    assert scope("checkout").environment is None
    assert scope("checkout").namespace == "shop"
    assert scope("checkout", replace(AROUND, environments=("prod",))).environment == "prod"
    assert scope("checkout env=new", replace(AROUND, environments=())).environment == "new"


@pytest.mark.parametrize("text", ["checkout env=production", "checkout namespace=other"])
def test_a_place_that_is_not_known_is_refused_with_those_that_are(text: str) -> None:
    with pytest.raises(AskError) as caught:
        scope(text)

    assert caught.value.code == "ASK-011"
    assert caught.value.remedy.startswith("Known: ")


def test_without_a_time_the_last_hour_is_meant() -> None:
    found = scope("checkout is slow")

    assert found.window == Window(start_s=NOW_S - 3600, end_s=NOW_S)
    assert "No time was given, so the last hour is meant." in found.assumptions


def test_times_are_read_in_the_askers_zone() -> None:
    utc, berlin = scope("checkout since 14:00"), scope("checkout since 14:00", zone="Europe/Berlin")

    assert utc.window.start_s - berlin.window.start_s == 3600
    assert berlin.zone == "Europe/Berlin"
    assert scope("checkout", zone="Mars/Olympus").zone == "UTC"


ALERT = Alert(name="Slow", labels={"app": "payments", "env": "prod"}, started_at_s=NOW_S - 1200)


def test_an_alert_says_what_the_words_do_not() -> None:
    found = scope("what is this?", alerts=[ALERT])

    assert (found.service, found.environment) == ("payments", "prod")
    assert found.window == Window(start_s=NOW_S - 1800, end_s=NOW_S)
    assert any("begins 10 min before the alert" in a for a in found.assumptions)


def test_words_win_over_the_alert() -> None:
    found = scope("checkout in staging last 2h", alerts=[ALERT])

    assert (found.service, found.environment, found.window.duration_s) == ("checkout", "staging", 7200)


def test_an_alert_that_began_long_ago_or_later_does_not_stretch_the_window() -> None:
    old, future = replace(ALERT, started_at_s=NOW_S - 10 * 86_400), replace(ALERT, started_at_s=NOW_S + 60)

    assert scope("?", alerts=[old]).window.duration_s == BASELINE_MAX_S
    assert scope("?", alerts=[future]).window.duration_s == 3600


def test_a_follow_up_keeps_what_it_does_not_change() -> None:
    before = scope("checkout env=prod since 14:00")

    assert scope("service=payments", before=before).window == before.window
    later = scope("last 2h", before=before)
    assert (later.service, later.environment, later.window.duration_s) == ("checkout", "prod", 7200)


@pytest.mark.parametrize(
    ("text", "changes"),
    [
        ("and payments?", True),
        ("last 2h please", True),
        ("service=checkout", True),
        ("what about staging?", True),
        ("in prod?", False),
        ("checkout again?", False),
        ("why is that?", False),
    ],
)
def test_a_follow_up_changes_the_scope_or_needs_a_model(text: str, changes: bool) -> None:
    assert changes_scope(scope("checkout env=prod"), ask(text), AROUND, now_s=NOW_S) is changes


def test_neighbours_are_what_it_needs_then_who_needs_it_then_those_nobody_told_of() -> None:
    assert neighbours("checkout", AROUND) == ("orders", "payments", "orders-db", "frontend", "cart")
    assert neighbours("orders-db", AROUND) == ("orders", "checkout", "frontend", "cart")
    assert neighbours(None, AROUND) == AROUND.services
    assert neighbours("cart", replace(AROUND, edges=())) == tuple(s for s in AROUND.services if s != "cart")


def test_neighbours_of_a_large_system_are_cut_and_cycles_end() -> None:
    ring = tuple(Edge(caller=f"s{i}", callee=f"s{(i + 1) % 60}") for i in range(60))

    found = neighbours("s0", Surroundings(services=tuple(f"s{i}" for i in range(60)), edges=ring))

    assert len(found) == NEIGHBOURS_MAX
    assert found[:2] == ("s1", "s2")
    assert "s0" not in found


@given(st.floats(1, 7 * 86_400))
def test_the_baseline_ends_where_the_window_begins_and_is_one_to_six_hours_long(length_s: float) -> None:
    window = Window(start_s=NOW_S - length_s, end_s=NOW_S)

    baseline = baseline_for(window)

    assert baseline.end_s == window.start_s
    assert BASELINE_MIN_S - 1 <= baseline.duration_s <= BASELINE_MAX_S + 1


@given(st.text(max_size=80))
def test_any_words_make_a_scope_or_a_clear_error(text: str) -> None:
    codes = {"ASK-010", "ASK-011", "ASK-030", "ASK-031", "ASK-032", "ASK-033", "ASK-034"}
    try:
        found = scope(text)
    except AskError as error:
        assert (error.code in codes, bool(error.remedy)) == (True, True)  # noqa: PT017  # either way is fine
    else:
        assert found.service in (None, *AROUND.services)
        assert found.window.end_s <= NOW_S


@given(st.text(max_size=40))
def test_any_zone_is_one(name: str) -> None:
    assert zone_of(name).key
