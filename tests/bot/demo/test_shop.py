"""The simulated shop: the same seed is the same shop, and its faults act as real ones do."""

import time
from collections.abc import Mapping
from functools import lru_cache

import numpy as np
import pytest

from bot.demo.shop.alerts import firing
from bot.demo.shop.drawn import drawn
from bot.demo.shop.evaluate import evaluate
from bot.demo.shop.faults import FAULTS, critical_path
from bot.demo.shop.questions import descriptions, question, victim
from bot.demo.shop.shop import Shop
from bot.demo.shop.topology import Kind, Topology, base_rates, callers_first, shop
from bot.domain.query import Aggregate, Matcher, MetricQuery, Op, Selector, equal
from bot.domain.report import Fault
from bot.domain.scope import Window

NOW_S = 1_790_000_000.0  # a Monday afternoon, UTC
ONSET_S = NOW_S - 2400.0
BEFORE = Window(start_s=ONSET_S - 3600, end_s=ONSET_S - 900)
AFTER = Window(start_s=ONSET_S + 300, end_s=NOW_S)
KINDS = {
    "bad_deploy": Fault.BAD_DEPLOY,
    "pool_exhaustion": Fault.POOL_EXHAUSTED,
    "memory_leak": Fault.MEMORY_LEAK,
    "slow_dependency": Fault.SLOW_DEPENDENCY,
    "traffic_surge": Fault.TRAFFIC_SURGE,
    "full_disk": Fault.DISK_FULL,
    "expired_certificate": Fault.CERTIFICATE_EXPIRED,
    "bad_config_flag": Fault.BAD_CONFIG,
}


def new_shop(fault: str | None, seed: int = 3, *, step_s: int = 30) -> Shop:
    return Shop(shop(), seed, fault, NOW_S, step_s=step_s)


open_shop = lru_cache(new_shop)  # the tests only read


def typical(
    running: Shop,
    metric: str,
    window: Window,
    *matchers: Matcher,
    by: tuple[str, ...] = ("service",),
    rate_s: int | None = None,
    over: Selector | None = None,
    quantile: float | None = None,
    how: Aggregate = Aggregate.SUM,
) -> dict[tuple[str, ...], float]:
    """The median of each series in the window, by the values of the labels `by`."""
    query = MetricQuery(
        selector=Selector(metric=metric, matchers=matchers),
        window=window,
        step_s=60,
        rate_s=rate_s,
        aggregate=how,
        by=by,
        divided_by=over,
        quantile=quantile,
    )
    found = evaluate(running, query)
    return {tuple(s.labels.get(label, "") for label in by): float(np.nanmedian(s.values)) for s in found}


def error_share(running: Shop, window: Window) -> Mapping[tuple[str, ...], float]:
    bad = Matcher(label="code", value="5..", op=Op.MATCHES)
    return typical(running, "http_requests_total", window, bad, rate_s=120, over=Selector(metric="http_requests_total"))


def p95_s(running: Shop, window: Window) -> Mapping[tuple[str, ...], float]:
    return typical(running, "http_request_duration_seconds_bucket", window, rate_s=300, quantile=0.95)


def everything(running: Shop, window: Window) -> dict[tuple[object, ...], list[float]]:
    first, last = int(window.start_s // running.step_s), int(window.end_s // running.step_s)
    rows = running.named(None, first, last)
    return {(row.name, *sorted(row.labels.items())): row.values.tolist() for row in rows}


@pytest.mark.parametrize("fault", [*FAULTS, "none"])
def test_the_same_seed_gives_the_same_numbers(fault: str) -> None:
    window = Window(start_s=ONSET_S - 120, end_s=ONSET_S + 600)

    one, other = everything(new_shop(fault, step_s=60), window), everything(new_shop(fault, step_s=60), window)

    assert one.keys() == other.keys()
    assert all(np.array_equal(one[key], other[key], equal_nan=True) for key in one)
    assert len(one) > 800


def test_another_seed_gives_other_numbers() -> None:
    window = Window(start_s=NOW_S - 600, end_s=NOW_S)
    total = MetricQuery(selector=Selector(metric="http_requests_total"), window=window, step_s=60)

    one, other = evaluate(open_shop("none", 3), total), evaluate(open_shop("none", 4), total)

    assert [s.values for s in one] != [s.values for s in other]


def test_windows_that_overlap_agree_whatever_was_asked_first() -> None:
    wide = everything(open_shop("pool_exhaustion"), Window(start_s=ONSET_S - 5 * 3600, end_s=NOW_S))
    late_first = new_shop("pool_exhaustion")

    narrow = everything(late_first, Window(start_s=ONSET_S - 60, end_s=ONSET_S + 240))

    cut = 5 * 3600 // 30 - 2
    for key, values in narrow.items():
        assert np.array_equal(values, wide[key][cut : cut + len(values)], equal_nan=True), key


def test_nothing_exists_after_now() -> None:
    running = open_shop("bad_deploy")

    rows = everything(running, Window(start_s=NOW_S - 60, end_s=NOW_S + 600))

    assert all(np.isnan(values[3:]).all() for values in rows.values())


def test_rates_go_on_over_midnight() -> None:
    running = open_shop("none")
    midnight_s = NOW_S // 86400 * 86400
    around = Window(start_s=midnight_s - 900, end_s=midnight_s + 900)
    query = MetricQuery(
        selector=Selector(metric="http_requests_total", matchers=(equal("service", "frontend"),)),
        window=around,
        step_s=30,
        rate_s=120,
        aggregate=Aggregate.SUM,
    )

    (series,) = evaluate(running, query)

    assert min(series.values) > 0.85 * max(series.values)


@pytest.mark.parametrize("fault", FAULTS)
def test_the_truth_names_the_kind_the_target_and_the_change(fault: str) -> None:
    running = open_shop(fault)

    truth = running.truth

    assert truth is not None
    assert running.incident is not None
    assert truth.fault is KINDS[fault]
    assert truth.services[0] == running.incident.target
    assert truth.onset_s == ONSET_S
    assert bool(truth.changes) == running.incident.by_change


def test_a_quiet_shop_is_quiet() -> None:
    for seed in range(3):
        running = open_shop("none", seed)

        assert running.truth is None
        assert firing(running) == ()
        assert max(v for (s,), v in error_share(running, AFTER).items() if s != "backoffice") < 0.02


@pytest.mark.parametrize("fault", FAULTS)
def test_callers_feel_a_fault_and_others_do_not(fault: str) -> None:
    running = open_shop(fault)
    assert running.incident is not None
    path = critical_path(running.topology, running.incident.target)
    trouble = Window(start_s=ONSET_S, end_s=NOW_S)

    failed = {s: (np.nanmax(v), np.nanmax(w)) for s, v, w in _both_sides(running, "failed", trouble)}
    slow = {s: (np.nanmedian(v), np.nanmax(w)) for s, v, w in _both_sides(running, "slow", trouble)}

    for name in path[:-1]:
        assert failed[name][1] > 3 * failed[name][0] or slow[name][1] > 1.3 * slow[name][0], name
    if running.incident.fault is not Fault.TRAFFIC_SURGE:
        for name in _bystanders(running.topology, running.incident.target):
            assert slow[name][1] < 2 * slow[name][0], name
            assert failed[name][1] < 0.1, name


def _both_sides(running: Shop, what: str, trouble: Window) -> list[tuple[str, list[float], list[float]]]:
    """Shares of failed requests or mean seconds of every busy service before and in the trouble."""
    day = running.day(int(NOW_S // 86400))
    before = (day.at_s >= BEFORE.start_s) & (day.at_s < BEFORE.end_s)
    after = (day.at_s >= trouble.start_s) & (day.at_s < trouble.end_s)
    found = []
    for name, node in day.flow.nodes.items():
        if base_rates(running.topology)[name] > 1:
            values = node.failed if what == "failed" else node.latency.mean_s()
            found.append((name, values[before].tolist(), values[after].tolist()))
    return found


def _bystanders(topology: Topology, target: str) -> list[str]:
    """Busy services that neither call the target, however indirectly, nor are it."""
    touched = {target}
    for service in reversed(callers_first(topology)):
        if any(call.callee in touched for call in service.calls):
            touched.add(service.name)
    return [s.name for s in topology.services if s.name not in touched and base_rates(topology)[s.name] > 1]


def test_a_bad_deploy_brings_a_new_version_and_errors_of_its_own() -> None:
    running = open_shop("bad_deploy")
    assert running.incident is not None
    target = running.incident.target

    versions = typical(running, "app_build_info", AFTER, equal("service", target), by=("version",))
    shares = error_share(running, AFTER)

    assert running.truth is not None
    assert set(running.truth.changes) & {version for (version,) in versions}
    assert shares[target,] > 0.2
    assert error_share(running, BEFORE)[target,] < 0.02


@pytest.mark.parametrize("seed", range(6))
def test_an_exhausted_pool_is_full_while_its_database_is_well(seed: int) -> None:
    running = open_shop("pool_exhaustion", seed)
    assert running.incident is not None
    mine = equal("service", running.incident.target)
    used = equal("state", "used")
    size = Selector(metric="db_client_connections_max", matchers=(mine,))

    before = typical(running, "db_client_connections_usage", BEFORE, mine, used, over=size)
    after = typical(running, "db_client_connections_usage", AFTER, mine, used, over=size)
    waiting = typical(running, "db_client_connections_pending_requests", AFTER, mine)
    store = running.topology.service(running.incident.target).calls[0].callee
    edge = equal("server", store)
    seconds = "traces_service_graph_request_client_seconds_bucket"

    assert before[running.incident.target,] < 0.45
    assert after[running.incident.target,] > 0.93
    assert waiting[running.incident.target,] > 1
    calm = typical(running, seconds, BEFORE, edge, by=("server",), rate_s=300, quantile=0.9)[store,]
    assert typical(running, seconds, AFTER, edge, by=("server",), rate_s=300, quantile=0.9)[store,] < 1.5 * calm
    assert p95_s(running, AFTER)[running.incident.target,] > 4 * p95_s(running, BEFORE)[running.incident.target,]


@pytest.mark.parametrize("seed", range(3))
def test_leaking_memory_grows_until_the_container_is_killed_and_starts_anew(seed: int) -> None:
    running = open_shop("memory_leak", seed)
    assert running.incident is not None
    mine = equal("container", running.incident.target)
    leak = Window(start_s=running.incident.starts_s, end_s=NOW_S)
    limit = running.topology.service(running.incident.target).memory_limit_bytes

    working = MetricQuery(
        selector=Selector(metric="container_memory_working_set_bytes", matchers=(mine,)), window=leak, step_s=60
    )
    grown = max(np.nanmax(s.values) for s in evaluate(running, working))
    restarts = MetricQuery(
        selector=Selector(metric="kube_pod_container_status_restarts_total", matchers=(mine,)), window=leak, step_s=60
    )
    last = max(s.values[-1] for s in evaluate(running, restarts))
    started = typical(
        running,
        "process_start_time_seconds",
        Window(start_s=NOW_S - 300, end_s=NOW_S),
        equal("service", running.incident.target),
        how=Aggregate.MIN,
    )

    assert grown > 0.9 * limit
    assert last >= 2
    assert started[running.incident.target,] > ONSET_S
    assert typical(running, "kube_pod_container_status_last_terminated_reason", AFTER, mine, by=("reason",)) != {}


@pytest.mark.parametrize("seed", range(3))
def test_a_slow_database_is_slow_for_its_callers_and_was_not_changed(seed: int) -> None:
    running = open_shop("slow_dependency", seed)
    assert running.incident is not None
    edge = equal("server", running.incident.target)
    metric = "traces_service_graph_request_client_seconds_bucket"

    before = typical(running, metric, BEFORE, edge, by=("server",), rate_s=300, quantile=0.5)
    after = typical(running, metric, AFTER, edge, by=("server",), rate_s=300, quantile=0.5)

    assert after[running.incident.target,] > 8 * before[running.incident.target,]
    assert running.topology.service(running.incident.target).kind is Kind.DATABASE
    assert running.past.guilty == ()


@pytest.mark.parametrize("seed", range(3))
def test_a_surge_brings_requests_to_the_door_and_fills_the_cpu_of_its_target(seed: int) -> None:
    running = open_shop("traffic_surge", seed)
    assert running.incident is not None
    door, target = running.topology.front_door.name, running.incident.target

    before = typical(running, "http_requests_total", BEFORE, rate_s=120)
    after = typical(running, "http_requests_total", AFTER, rate_s=120)
    mine = equal("container", target)
    cpu = typical(running, "container_cpu_usage_seconds_total", AFTER, mine, by=("container",), rate_s=120)
    cores = running.topology.service(target).cores * running.topology.service(target).replicas

    assert after[door,] > 1.5 * before[door,]
    assert after[target,] > 2 * before[target,]
    assert cpu[target,] > 0.9 * cores


@pytest.mark.parametrize("seed", range(3))
def test_a_disk_fills_up_before_writes_fail(seed: int) -> None:
    running = open_shop("full_disk", seed)
    assert running.incident is not None
    claim = equal("persistentvolumeclaim", f"data-{running.incident.target}-0")
    free = MetricQuery(
        selector=Selector(metric="kubelet_volume_stats_available_bytes", matchers=(claim,)),
        window=Window(start_s=ONSET_S - 2000, end_s=NOW_S),
        step_s=60,
    )

    (series,) = evaluate(running, free)

    onset = 2000 // 60
    assert all(a >= b for a, b in zip(series.values, series.values[1:], strict=False))
    assert series.values[0] > 1e9
    assert series.values[onset + 2] < 1e7
    caller = running.topology.callers(running.incident.target)[0].name
    assert error_share(running, BEFORE)[caller,] < 0.02
    assert error_share(running, AFTER)[caller,] > 0.2


@pytest.mark.parametrize("seed", range(3))
def test_an_expired_certificate_keeps_callers_out_and_leaves_the_service_idle(seed: int) -> None:
    running = open_shop("expired_certificate", seed)
    assert running.incident is not None
    target = running.incident.target
    into = equal("server", target)
    failed, calls = "traces_service_graph_request_failed_total", "traces_service_graph_request_total"
    total = Selector(metric=calls, matchers=(into,))

    share = typical(running, failed, AFTER, into, by=("server",), rate_s=120, over=total)
    before = typical(running, "http_requests_total", BEFORE, rate_s=120)
    after = typical(running, "http_requests_total", AFTER, rate_s=120)
    expiry = typical(running, "probe_ssl_earliest_cert_expiry", AFTER, by=("instance",), how=Aggregate.MIN)

    assert share[target,] > 0.85
    assert after[target,] < 0.2 * before[target,]
    assert error_share(running, AFTER)[target,] < 0.05
    expired = [instance for (instance,), at_s in expiry.items() if at_s < NOW_S]
    assert [instance.split("//")[1].split(".")[0] for instance in expired] == [target]


def test_a_bad_flag_breaks_a_service_that_was_not_deployed() -> None:
    running = open_shop("bad_config_flag")
    assert running.incident is not None
    target = running.incident.target

    starts = typical(running, "process_start_time_seconds", AFTER, how=Aggregate.MAX)

    assert starts[target,] < ONSET_S - 7000
    assert error_share(running, AFTER)[target,] > 0.2
    assert any(change.service == target and change.at_s < ONSET_S for change in running.past.configs)


def test_red_herrings_are_there_in_every_shop() -> None:
    for fault in (*FAULTS, "none"):
        running = open_shop(fault)
        target = running.incident.target if running.incident else None
        deploys = [d for ds in running.past.deploys.values() for d in ds]

        near = [d for d in deploys if ONSET_S - 900 < d.at_s < ONSET_S and d.service != target]

        assert near, fault


def test_a_question_names_the_victim_and_the_time_not_the_cause() -> None:
    for fault in FAULTS:
        running = open_shop(fault)
        assert running.incident is not None

        asked = question(running)

        assert asked.startswith(victim(running))
        assert victim(running) != running.incident.target
        assert asked.endswith("since 13:33")
        assert set(descriptions()) == {*FAULTS, "none"}


@pytest.mark.parametrize("seed", range(6))
def test_drawn_topologies_are_sound_and_suit_every_fault(seed: int) -> None:
    topology = drawn(seed)

    names = [s.name for s in topology.services]
    rates = base_rates(topology)

    assert topology == drawn(seed)
    assert 8 <= len(names) == len(set(names)) <= 14
    assert len(callers_first(topology)) == len(names)
    assert all(rate > 0 for rate in rates.values())
    for fault in FAULTS:
        running = Shop(topology, seed, fault, NOW_S, step_s=60)
        assert running.truth is not None
        assert running.truth.fault is KINDS[fault]


def test_drawn_topologies_differ_in_names_and_dialects() -> None:
    topologies = [drawn(seed) for seed in range(30)]

    assert len({t.name for t in topologies}) == 4
    assert len({t.dialect.http for t in topologies}) == 4
    assert len({t.dialect.edges for t in topologies}) == 2
    assert len({t.dialect.service_label for t in topologies}) >= 3
    assert "shop" not in {t.name for t in topologies}


def test_a_fault_that_does_not_exist_is_refused() -> None:
    with pytest.raises(KeyError):
        new_shop("gremlins")


def test_a_step_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="quarter of an hour"):
        new_shop("none", step_s=37)


def test_two_hours_of_everything_are_there_at_once() -> None:
    started_s = time.monotonic()

    rows = everything(new_shop("pool_exhaustion", step_s=15), Window(start_s=NOW_S - 7200, end_s=NOW_S))

    assert len(rows) > 900
    assert time.monotonic() - started_s < 2.0  # measured 0.3 s on an idle core
