"""The shop's history as real servers and git take it."""

import json
import re
import subprocess
import time
from pathlib import Path

import pytest

from bot.demo.shop.alerts import rules_file
from bot.demo.shop.drawn import drawn
from bot.demo.shop.load import PUSH_ENTRIES, loki_push_bodies, openmetrics, write_git
from bot.demo.shop.shop import Shop
from bot.demo.shop.sources import ShopLogs
from bot.demo.shop.topology import Topology, shop
from bot.domain.query import LogQuery, Selector
from bot.domain.scope import Window
from tests.debian import program

NOW_S = 1_790_000_000.0
TWO_HOURS = Window(start_s=NOW_S - 7200, end_s=NOW_S)
ONE_HOUR = Window(start_s=NOW_S - 3600, end_s=NOW_S)
_SAMPLE = re.compile(r'^([a-zA-Z_:][\w:]*)\{((?:[a-zA-Z_]\w*="(?:[^"\\]|\\.)*",?)*)\} (\S+) (\d+)$')


def test_two_hours_at_30_s_are_at_most_250_000_samples_and_quickly_written() -> None:
    running = Shop(shop(), 7, "pool_exhaustion", NOW_S, step_s=30)
    started_s = time.monotonic()

    lines = "\n".join(openmetrics(running, [TWO_HOURS])).split("\n")

    assert 150_000 < sum(not line.startswith("#") for line in lines) <= 250_000
    assert lines[-1] == "# EOF"
    assert time.monotonic() - started_s < 3.0  # measured 0.3 s on an idle core


def test_families_stand_together_and_only_the_windows_are_there() -> None:
    running = Shop(shop(), 7, "bad_deploy", NOW_S, step_s=60)
    windows = [Window(start_s=NOW_S - 90000, end_s=NOW_S - 89400), Window(start_s=NOW_S - 600, end_s=NOW_S)]

    lines = "\n".join(openmetrics(running, windows)).split("\n")

    family = ""
    seen: set[str] = set()
    last_at_s: dict[tuple[str, str], int] = {}
    for line in lines[:-1]:
        if line.startswith("# TYPE"):
            family = line.split()[2]
            assert family not in seen
            seen.add(family)
        elif not line.startswith("#"):
            found = _SAMPLE.match(line)
            assert found, line
            name, labels, value, at_s = found.groups()
            assert name.startswith(family)
            assert any(w.covers(float(at_s)) for w in windows)
            assert float(value) == float(value)
            assert int(at_s) > last_at_s.get((name, labels), 0)
            last_at_s[name, labels] = int(at_s)
    assert "http_requests" in seen


def test_windows_that_overlap_give_each_sample_once() -> None:
    running = Shop(shop(), 7, "none", NOW_S, step_s=60)
    one = Window(start_s=NOW_S - 900, end_s=NOW_S)

    twice = list(openmetrics(running, [one, Window(start_s=NOW_S - 600, end_s=NOW_S)]))

    assert twice == list(openmetrics(running, [one]))


async def test_push_bodies_hold_every_line_once_in_portions() -> None:
    running = Shop(shop(), 7, "full_disk", NOW_S)

    bodies = list(loki_push_bodies(running, ONE_HOUR))

    sizes = [sum(len(stream["values"]) for stream in body["streams"]) for body in bodies]
    query = LogQuery(selector=Selector(), window=ONE_HOUR, limit=10**6)
    lines = (await ShopLogs(running).lines(query, timeout_s=30)).lines
    assert max(sizes) <= PUSH_ENTRIES
    assert sum(sizes) == len(lines)
    json.dumps(bodies[0])
    first = bodies[0]["streams"][0]
    assert all(isinstance(ts, str) and isinstance(text, str) for ts, text in first["values"])
    assert len(first["stream"]) < 15


def test_repositories_are_real_and_have_the_hashes_the_metrics_speak_of(tmp_path: Path) -> None:
    running = Shop(shop(), 7, "bad_deploy", NOW_S)
    assert running.truth is not None

    paths = write_git(running, tmp_path)

    assert set(paths) == {s.name for s in running.topology.web}
    target = paths[running.truth.services[0]]
    log = _git(target, "log", "--format=%H %at %ct %an")
    assert [line.split()[0] for line in log.splitlines()][::-1] == [
        c.sha for c in running.past.commits[running.truth.services[0]]
    ]
    guilty = next(line.split() for line in log.splitlines() if line.startswith(running.truth.changes[0]))
    assert guilty[1] == guilty[2]
    assert running.onset_s - 3600 < int(guilty[1]) < running.onset_s
    assert "amount" in _git(target, "show", guilty[0])
    assert _git(target, "status", "--porcelain") == ""


@pytest.mark.parametrize("topology", [shop(), drawn(1), drawn(2)], ids=["shop", "one", "two"])
def test_prometheus_accepts_the_alert_rules(topology: Topology, tmp_path: Path) -> None:
    rules = tmp_path / "rules.yml"
    rules.write_text(rules_file(Shop(topology, 7, "none", NOW_S)))

    checked = subprocess.run(
        [program("promtool"), "check", "rules", rules], capture_output=True, text=True, check=False
    )

    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "HighErrorRate" in rules.read_text()


def _git(path: Path, *arguments: str) -> str:
    return subprocess.run(["git", "-C", str(path), *arguments], check=True, capture_output=True, text=True).stdout
