"""The simulated shop behind the ports: log lines, alerts, changes, and sources that are slow or down."""

import json
import re
from collections import Counter
from collections.abc import Sequence
from functools import cache

import pytest

from bot.demo.shop.drawn import drawn
from bot.demo.shop.faults import FAULTS
from bot.demo.shop.shop import Shop
from bot.demo.shop.sources import ShopAlerts, ShopChanges, ShopLogs, ShopMetrics
from bot.demo.shop.topology import shop
from bot.domain.change import ChangeKind
from bot.domain.logs import LogLine
from bot.domain.query import (
    ConfiguredLogQuery,
    FilterOp,
    LineFilter,
    LogCountQuery,
    LogQuery,
    Matcher,
    Op,
    Parser,
    Selector,
    equal,
    one_of,
)
from bot.domain.scope import Window
from bot.errors import QueryRefused, SourceUnavailable

NOW_S = 1_790_000_000.0
ONSET_S = NOW_S - 2400.0
BEFORE = Window(start_s=ONSET_S - 1200, end_s=ONSET_S - 300)
AFTER = Window(start_s=ONSET_S + 180, end_s=ONSET_S + 1080)
SOON_S = 5.0

# What a person would look for in the lines of the culprit or of those who call it.
TRACES = {
    "bad_deploy": r"AttributeError|nil pointer|NullPointerException",
    "pool_exhaustion": r"could not get connection|Connection is not available",
    "memory_leak": r"collecting|soft memory limit|starting",
    "slow_dependency": r"duration: \d+|slow request",
    "traffic_surge": r"work queue full",
    "full_disk": r"No space left on device",
    "expired_certificate": r"certificate has expired|tls: expired certificate",
    "bad_config_flag": r"rounding_v2|strict_schema|compact_ids|limits\.max_items",
}


@cache
def open_shop(fault: str | None) -> Shop:
    return Shop(shop(), 3, fault, NOW_S)


@cache
def open_logs(fault: str | None) -> ShopLogs:
    return ShopLogs(open_shop(fault))


async def read(logs: ShopLogs, window: Window, *matchers: Matcher, limit: int = 100_000) -> Sequence[LogLine]:
    query = LogQuery(selector=Selector(matchers=matchers), window=window, limit=limit)
    return (await logs.lines(query, timeout_s=SOON_S)).lines


@pytest.mark.parametrize("fault", TRACES)
async def test_a_fault_leaves_lines_that_were_rare_before(fault: str) -> None:
    running = open_shop(fault)
    assert running.incident is not None
    logs = open_logs(fault)
    pattern = re.compile(TRACES[fault])
    target = running.incident.target
    speakers = one_of("service", (target, *(s.name for s in running.topology.callers(target))))

    before = sum(bool(pattern.search(line.line)) for line in await read(logs, BEFORE, speakers))
    after = sum(bool(pattern.search(line.line)) for line in await read(logs, AFTER, speakers))

    assert after >= 5
    assert after > 3 * before


async def test_lines_come_in_the_formats_of_their_languages() -> None:
    lines = await read(open_logs("bad_deploy"), BEFORE)
    by_service = {
        s: [x.line for x in lines if x.labels["service"] == s] for s in ("email", "cart", "payments", "orders-db")
    }

    assert all({"ts", "level", "msg"} <= json.loads(line).keys() for line in by_service["email"])
    assert all(re.match(r"ts=\S+Z level=\w+ msg=", line) for line in by_service["cart"])
    assert all(re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} [A-Z]+ ", line) for line in by_service["payments"])
    assert all(re.search(r" UTC \[\d+\] (LOG|ERROR):  ", line) for line in by_service["orders-db"])


async def test_overlapping_windows_give_the_same_lines() -> None:
    wide = await read(open_logs("full_disk"), Window(start_s=AFTER.start_s - 1300, end_s=AFTER.end_s + 700))
    narrow = await read(ShopLogs(open_shop("full_disk")), AFTER)

    assert [x for x in wide if AFTER.covers(x.ts_ns / 1e9)] == list(narrow)
    assert len(narrow) > 500
    assert [x.ts_ns for x in wide] == sorted(x.ts_ns for x in wide)


async def test_two_hours_hold_a_number_of_lines_people_can_load() -> None:
    quiet = await read(open_logs("none"), Window(start_s=NOW_S - 7200, end_s=NOW_S))
    loud = await read(open_logs("traffic_surge"), AFTER)

    assert 10_000 < len(quiet) < 40_000
    assert len(loud) < 20_000


async def test_filters_parsers_and_conditions_select_lines() -> None:
    logs = open_logs("none")
    served = LogQuery(
        selector=Selector(matchers=(equal("service", "cart"),)),
        window=BEFORE,
        filters=(LineFilter(text="request served"), LineFilter(text="status=404", op=FilterOp.LACKS)),
        parser=Parser.LOGFMT,
        where=(Matcher(label="path", value="/cart/u.*", op=Op.MATCHES),),
    )

    found = (await logs.lines(served, timeout_s=SOON_S)).lines

    assert len(found) > 20
    assert all("request served" in x.line and "path=/cart/u" in x.line and "status=404" not in x.line for x in found)


async def test_a_cut_answer_holds_the_newest_lines_and_says_so() -> None:
    logs = open_logs("none")
    every = await read(logs, BEFORE)

    cut = await logs.lines(LogQuery(selector=Selector(), window=BEFORE, limit=10), timeout_s=SOON_S)
    oldest = await logs.lines(
        LogQuery(selector=Selector(), window=BEFORE, limit=10, oldest_first=True), timeout_s=SOON_S
    )

    assert list(cut.lines) == list(every[-10:])
    assert list(oldest.lines) == list(every[:10])
    assert not cut.complete


async def test_counts_agree_with_the_lines() -> None:
    logs = open_logs("bad_deploy")
    counted = LogCountQuery(selector=Selector(), window=AFTER, step_s=60, by=("service", "detected_level"))

    series = (await logs.count(counted, timeout_s=SOON_S)).series

    first_s, last_s = series[0].start_s - 60, series[0].at(len(series[0].values) - 1)
    lines = await read(logs, Window(start_s=first_s, end_s=last_s))
    assert Counter({(s.labels["service"], s.labels["detected_level"]): int(sum(s.values)) for s in series}) == Counter(
        (x.labels["service"], x.level) for x in lines
    )


async def test_lines_hold_made_up_secrets_now_and_then() -> None:
    lines = await read(open_logs("none"), Window(start_s=NOW_S - 7200, end_s=NOW_S))

    assert sum("@customer.example" in x.line for x in lines) > 10
    assert any(re.search(r"api_key\W+demo_\w{36}", x.line) for x in lines)


async def test_deploys_are_told_in_the_logs_as_they_happened() -> None:
    running = open_shop("bad_deploy")
    logs = ShopLogs(running)
    query = ConfiguredLogQuery(text=logs.deploy_query, window=Window(start_s=ONSET_S - 3600, end_s=NOW_S))

    found = (await logs.lines(query, timeout_s=SOON_S)).lines

    assert running.truth is not None
    assert any(running.truth.changes[1] in x.line and f"app={running.truth.services[0]}" in x.line for x in found)
    with pytest.raises(QueryRefused):
        await logs.lines(ConfiguredLogQuery(text='{app="x"}', window=AFTER), timeout_s=SOON_S)


async def test_labels_and_metadata_tell_what_exists() -> None:
    running = open_shop("none")
    metrics, logs = ShopMetrics(running), ShopLogs(running)
    names = {s.name for s in running.topology.services}

    assert set(await metrics.label_values("service", AFTER, timeout_s=SOON_S)) == names
    assert set(await logs.label_values("service", AFTER, timeout_s=SOON_S)) == {*names, "deployer"}
    known = await metrics.metadata(timeout_s=SOON_S)
    assert known["http_requests_total"].kind == "counter"
    assert known["http_request_duration_seconds"].kind == "histogram"
    found = await metrics.series((equal("__name__", "up"), equal("service", "cart")), AFTER, timeout_s=SOON_S)
    assert {s["__name__"] for s in found.sets} == {"up"}
    assert await metrics.label_values("no_such_label", AFTER, timeout_s=SOON_S) == ()
    assert await logs.volume_bytes(Selector(), AFTER, timeout_s=SOON_S) == sum(
        len(x.line.encode()) for x in await read(logs, AFTER)
    )


async def test_volumes_and_containers_carry_no_service_label() -> None:
    metrics = ShopMetrics(open_shop("none"))

    for name in (
        "kubelet_volume_stats_available_bytes",
        "container_memory_working_set_bytes",
        "kube_deployment_spec_replicas",
    ):
        found = await metrics.series((equal("__name__", name),), AFTER, timeout_s=SOON_S)
        assert found.sets
        assert not any("service" in s for s in found.sets)


@pytest.mark.parametrize("fault", [f for f in FAULTS if f != "memory_leak"])  # that one comes and goes
async def test_alerts_fire_for_the_victims_with_a_runbook(fault: str) -> None:
    running = open_shop(fault)

    found = await ShopAlerts(running).firing(timeout_s=SOON_S)

    assert found
    assert all(a.runbook_url and a.expr and a.started_at_s for a in found)
    assert min(a.started_at_s or 0.0 for a in found) > ONSET_S
    assert [a.started_at_s for a in found] == sorted(a.started_at_s or 0.0 for a in found)


async def test_changes_hold_the_guilty_one_among_others() -> None:
    running = open_shop("bad_deploy")
    assert running.truth is not None
    changes = ShopChanges(running)

    found = await changes.changes((), Window(start_s=NOW_S - 12 * 3600, end_s=NOW_S), timeout_s=SOON_S)
    mine = await changes.changes(running.truth.services, Window(start_s=ONSET_S - 3600, end_s=NOW_S), timeout_s=SOON_S)

    guilty = next(c for c in found if c.ref == running.truth.changes[0])
    assert guilty.kind is ChangeKind.COMMIT
    assert guilty.diff.startswith("--- a/")
    assert {c.service for c in found} > {guilty.service}
    assert {c.service for c in mine} == {guilty.service}
    assert {c.ref for c in mine} >= set(running.truth.changes[:2])


@pytest.mark.parametrize("kind", [ShopMetrics, ShopLogs, ShopAlerts, ShopChanges])
async def test_a_source_can_be_down_or_slower_than_anybody_waits(
    kind: type[ShopMetrics | ShopLogs | ShopAlerts | ShopChanges],
) -> None:
    running = open_shop("none")
    down, slow = kind(running, "down", down=True), kind(running, "slow", latency_s=3600)

    for source in (down, slow):
        with pytest.raises(SourceUnavailable):
            await _look(source)
    assert not (await down.health(timeout_s=SOON_S)).ok
    assert (await kind(running).health(timeout_s=SOON_S)).ok


async def _look(source: ShopMetrics | ShopLogs | ShopAlerts | ShopChanges) -> object:
    if isinstance(source, ShopAlerts):
        return await source.firing(timeout_s=0.01)
    if isinstance(source, ShopChanges):
        return await source.changes((), AFTER, timeout_s=0.01)
    return await source.label_values("service", AFTER, timeout_s=0.01)


async def test_a_drawn_shop_speaks_its_own_dialect() -> None:
    running = Shop(drawn(5), 5, "none", NOW_S)
    dialect = running.topology.dialect
    metrics, logs = ShopMetrics(running), ShopLogs(running)

    assert metrics.service_labels == (dialect.service_label,)
    assert set(await metrics.label_values(dialect.service_label, AFTER, timeout_s=SOON_S)) == {
        s.name for s in running.topology.services
    }
    assert set(await logs.label_values(dialect.log_service_label, AFTER, timeout_s=SOON_S))
