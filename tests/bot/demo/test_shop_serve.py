"""The shop served live: what a real Prometheus scrapes and what a Loki is sent."""

import asyncio
import json
import re
import subprocess
import time
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from aiohttp import ClientSession

from bot.demo.loki.server import FakeLoki, fake_loki, running_loki
from bot.demo.shop.load import loki_push_bodies
from bot.demo.shop.serve import LIFE_S, exposition, push_lines, serving, write_files
from bot.demo.shop.shop import Shop
from bot.demo.shop.topology import shop
from bot.domain.scope import Window
from tests.debian import program
from tests.servers import running_prometheus

NOW_S = 1_790_000_000.0


def open_shop(fault: str = "pool_exhaustion", *, opened_s: float = NOW_S, begins_in_s: float = 600.0) -> Shop:
    return Shop(shop(), 1, fault, now_s=opened_s + LIFE_S, onset_s=opened_s + begins_in_s)


def test_what_is_shown_is_the_moment_and_not_the_future() -> None:
    running = open_shop()

    before, after = exposition(running, NOW_S), exposition(running, NOW_S + 900)

    assert waiting(before) + 5 < waiting(after)


def test_a_shop_that_has_just_opened_has_all_its_services() -> None:
    shown = exposition(open_shop(), NOW_S)

    for service in shop().web:
        assert f'service="{service.name}"' in shown


def test_promtool_can_read_what_is_shown() -> None:
    shown = exposition(open_shop(), NOW_S)

    checked = subprocess.run(
        [str(program("promtool")), "check", "metrics"], input=shown, capture_output=True, text=True, check=False
    )

    assert checked.returncode in (0, 3), (
        checked.stderr
    )  # 3: it has opinions about names, which real programs ignore, too
    assert "error while linting" not in checked.stderr


@pytest.mark.long  # Prometheus waits 5 s before its first scrape
async def test_a_real_prometheus_scrapes_every_family() -> None:
    opened_s = time.time()
    running = open_shop(opened_s=opened_s)
    shown = set(re.findall(r"^(\w+)\{", exposition(running, opened_s), re.MULTILINE))
    async with serving(running, now=time.time) as url:
        with running_prometheus(scrape=url) as prometheus:
            names = await asyncio.to_thread(metric_names, prometheus.url, shown)

    assert len(shown) > 30
    assert shown <= names


async def test_lines_of_the_last_hour_and_of_now_reach_loki_once() -> None:
    running, clock = open_shop(), Clock(NOW_S)
    past, whole = (said(running, NOW_S - 3600, end_s) for end_s in (NOW_S, NOW_S + 60))
    loki = fake_loki(now_ns=lambda: round(clock.at_s * 1e9))
    async with running_loki(loki) as url, pushing(running, url, clock):
        await until(lambda: stored(loki) >= past)
        clock.at_s += 60
        await until(lambda: stored(loki) >= whole)

    assert past < whole == stored(loki)


async def test_lines_that_loki_refused_are_pushed_again() -> None:
    running, clock = open_shop(), Clock(NOW_S)
    loki = fake_loki(auth_enabled=True, now_ns=lambda: round(clock.at_s * 1e9))
    async with running_loki(loki) as url, pushing(running, url, clock):
        await until(lambda: pushes(loki) > 0)
        assert stored(loki) == 0
        loki.auth_enabled = False
        clock.at_s += 60
        await until(lambda: stored(loki) > 0)


async def test_a_loki_that_is_not_there_does_not_end_the_shop() -> None:
    running, clock = open_shop(), Clock(NOW_S)
    async with running_loki() as url:
        gone = url
    async with (
        serving(running, now=lambda: clock.at_s) as address,
        pushing(running, gone, clock),
        ClientSession() as asking,
    ):
        for _ in range(3):
            async with asking.get(f"{address}/healthz") as answer:
                assert answer.status == 200


async def test_the_shop_closes_when_its_life_ends() -> None:
    running, clock = open_shop(), Clock(NOW_S + LIFE_S)
    async with running_loki(fake_loki(now_ns=lambda: round(clock.at_s * 1e9))) as url:
        await asyncio.wait_for(push_lines(running, url, now=lambda: clock.at_s, every_s=0.01), timeout=30)


def test_a_restarted_shop_replaces_the_files_of_the_one_before(tmp_path: Path) -> None:
    (tmp_path / "kept.txt").write_text("not the shop's")
    write_files(open_shop(opened_s=NOW_S - 86400), tmp_path)
    running = open_shop()

    write_files(running, tmp_path)

    for service, commits in running.past.commits.items():
        newest = git(tmp_path / "git" / service, "rev-parse", "main")
        assert newest == commits[-1].sha
    assert json.loads((tmp_path / "rules.yml").read_text())["groups"]
    assert (tmp_path / "kept.txt").exists()


class Clock:
    def __init__(self, at_s: float) -> None:
        self.at_s = at_s


class pushing:  # noqa: N801  # used like a function
    """Pushes in the background for as long as the block lasts."""

    def __init__(self, running: Shop, url: str, clock: Clock) -> None:
        self._pushing = push_lines(running, url, now=lambda: clock.at_s, every_s=0.01)

    async def __aenter__(self) -> None:
        self._task = asyncio.create_task(self._pushing)

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task


async def until(holds: Callable[[], bool], *, within_s: float = 20.0) -> None:
    async with asyncio.timeout(within_s):
        while not holds():  # noqa: ASYNC110  # what is awaited is the state of a server
            await asyncio.sleep(0.01)


def pushes(loki: FakeLoki) -> int:
    return sum(received.path.endswith("/push") for received in loki.received)


def stored(loki: FakeLoki) -> int:
    streams = [stream for tenant in loki.storage.tenants.values() for stream in list(tenant.streams.values())]
    return sum(len(stream.entries) for stream in streams)


def said(running: Shop, start_s: float, end_s: float) -> int:
    """How many different lines the shop says in this time."""
    bodies = loki_push_bodies(running, Window(start_s=start_s, end_s=end_s))
    streams = [stream for body in bodies for stream in body["streams"]]
    return len({(str(stream["stream"]), *value) for stream in streams for value in stream["values"]})


def waiting(shown: str) -> float:
    lines = (line.rsplit(" ", 1) for line in shown.splitlines() if line.startswith("db_client_connections_pending"))
    return sum(float(value) for _, value in lines)


def metric_names(url: str, wanted: set[str]) -> set[str]:
    """The metric names the server has, once the wanted ones are among them or 20 s are over."""
    deadline_s = time.monotonic() + 20
    names: set[str] = set()
    while not wanted <= names and time.monotonic() < deadline_s:
        with urllib.request.urlopen(f"{url}/api/v1/label/__name__/values", timeout=5) as answer:
            names = set(json.load(answer)["data"])
        time.sleep(0.05)
    return names


def git(repository: Path, *arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(repository), *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()
