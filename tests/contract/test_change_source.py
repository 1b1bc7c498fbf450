"""What every ChangeSource promises; today: metrics of a real Prometheus, and a real git repository."""

import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from bot.adapters.endpoint import Endpoint
from bot.adapters.git_changes import GitChanges, GitRepository
from bot.adapters.prometheus import PrometheusSource
from bot.adapters.prometheus_changes import PrometheusChanges
from bot.domain.change import ChangeKind
from bot.domain.scope import Window
from bot.ports import ChangeSource
from tests.servers import Server, running_prometheus

START_S = 1_750_000_200
WINDOW = Window(start_s=START_S + 600, end_s=START_S + 3000)
CART_AT_S, CHECKOUT_AT_S = START_S + 80 * 15, START_S + 1800
SOON_S = 10.0


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running_prometheus(history()) as running:
        yield running


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One repository of two services: a commit before the window, one for each service inside, one after it."""
    path = tmp_path_factory.mktemp("shop")
    git(path, "init", "--quiet", "--initial-branch=main")
    for at_s, name in ((START_S, "cart"), (CART_AT_S, "cart"), (CHECKOUT_AT_S, "checkout"), (START_S + 3000, "cart")):
        commit(path, at_s, f"Change {name}", {f"services/{name}/main.py": f"print({at_s})\n"})
    return path


@pytest.fixture(params=["prometheus", "git"])
async def source(request: pytest.FixtureRequest) -> AsyncIterator[ChangeSource]:
    if request.param == "git":
        path: Path = request.getfixturevalue("repository")
        prefixes = {"services/cart": "cart", "services/checkout": "checkout"}
        yield GitChanges("test", [GitRepository(path=path, prefixes=prefixes)], environment="prod")
        return
    running: Server = request.getfixturevalue("server")
    metrics = PrometheusSource("test", Endpoint(url=running.url), environment="prod", service_labels=("app", "service"))
    yield PrometheusChanges(metrics)
    metrics.close()


def history() -> Iterator[str]:
    """cart is deployed, restarts and is edited at CART_AT_S; checkout is scaled at CHECKOUT_AT_S."""
    ticks = range(START_S, START_S + 3600, 15)
    yield "# TYPE cart_build info"
    for version, sha, when in (("1.4.1", "aaa111", ticks[:80]), ("1.4.2", "bbb222", ticks[80:])):
        labels = f'service="cart",instance="a",version="{version}",commit="{sha}"'
        yield from (f"cart_build_info{{{labels}}} 1 {t}" for t in when)
    yield "# TYPE process_start_time_seconds gauge"
    started = 'process_start_time_seconds{service="cart",instance="a"}'
    yield from (f"{started} {CART_AT_S - 5 if t >= CART_AT_S else START_S - 9999} {t}" for t in ticks)
    yield "# TYPE kube_deployment_spec_replicas gauge"
    scaled = 'kube_deployment_spec_replicas{namespace="prod",deployment="checkout"}'
    yield from (f"{scaled} {5 if t >= CHECKOUT_AT_S else 3} {t}" for t in ticks)
    yield "# TYPE kube_deployment_metadata_generation gauge"
    for name, at_s in (("cart", CART_AT_S), ("checkout", CHECKOUT_AT_S)):
        generation = f'kube_deployment_metadata_generation{{namespace="prod",deployment="{name}"}}'
        yield from (f"{generation} {8 if t >= at_s else 7} {t}" for t in ticks)


def git(path: Path, *arguments: str, at_s: int = START_S) -> None:
    who = {"GIT_AUTHOR_NAME": "Ada", "GIT_AUTHOR_EMAIL": "ada@example.com"}
    who |= {name.replace("AUTHOR", "COMMITTER"): value for name, value in who.items()}
    when = {"GIT_AUTHOR_DATE": f"@{at_s} +0000", "GIT_COMMITTER_DATE": f"@{at_s} +0000"}
    subprocess.run(
        ["git", "-C", str(path), "-c", "commit.gpgsign=false", *arguments],
        env={"PATH": os.environ["PATH"], "HOME": str(path), **who, **when},
        check=True,
        capture_output=True,
    )


def commit(path: Path, at_s: int, message: str, files: dict[str, str]) -> None:
    for name, text in files.items():
        file = path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    git(path, "add", "--all")
    git(path, "commit", "--quiet", "--message", message, at_s=at_s)


async def test_changes_of_the_window_come_oldest_first(source: ChangeSource) -> None:
    changes = await source.changes((), WINDOW, timeout_s=SOON_S)

    assert [change.service for change in changes] == sorted(change.service or "" for change in changes)  # cart is first
    assert {change.service for change in changes} == {"cart", "checkout"}
    assert [change.at_s for change in changes] == sorted(change.at_s for change in changes)
    assert all(WINDOW.covers(change.at_s) for change in changes)
    assert all(change.summary and change.ref and change.source == source.name for change in changes)
    assert source.environment == "prod"


@pytest.mark.parametrize(("service", "at_s"), [("cart", CART_AT_S), ("checkout", CHECKOUT_AT_S)])
async def test_only_changes_of_the_services_asked_for_are_told(source: ChangeSource, service: str, at_s: int) -> None:
    changes = await source.changes([service], WINDOW, timeout_s=SOON_S)

    assert {change.service for change in changes} == {service}
    assert all(abs(change.at_s - at_s) <= 15 for change in changes)


async def test_a_service_nobody_knows_has_no_changes(source: ChangeSource) -> None:
    assert await source.changes(['x"} or vector(1) #'], WINDOW, timeout_s=SOON_S) == ()


async def test_a_quiet_window_has_no_changes(source: ChangeSource) -> None:
    assert await source.changes((), Window(start_s=START_S + 2000, end_s=START_S + 2900), timeout_s=SOON_S) == ()


async def test_each_act_is_told_once_with_its_version(server: Server) -> None:
    metrics = PrometheusSource("test", Endpoint(url=server.url), service_labels=("app", "service"))

    changes = await PrometheusChanges(metrics).changes(["checkout", "cart"], WINDOW, timeout_s=SOON_S)
    metrics.close()

    assert [(change.kind, change.summary) for change in changes] == [
        (ChangeKind.RESTART, "cart restarted (a)"),
        (ChangeKind.DEPLOY, "cart runs 1.4.2 bbb222 (before: 1.4.1 aaa111)"),
        (ChangeKind.SCALE, "checkout scaled from 3 to 5 replicas"),
    ]
