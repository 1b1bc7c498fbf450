from collections.abc import Mapping
from dataclasses import replace

import pytest

from bot.domain.evidence import Signal
from bot.domain.query import Aggregate, Matcher
from bot.domain.scope import Scope, Window
from bot.reasoning.inventory import Family
from bot.reasoning.looks import Look, Reading
from bot.reasoning.planning import aligned, plan_looks, step_for

SCOPE = Scope(
    service="checkout",
    environment="prod",
    window=Window(start_s=7_200, end_s=10_800),
    baseline=Window(start_s=3_600, end_s=7_200),
)


def family(name: str, kind: str, *, callee: str | None = None, **labels: tuple[str, ...]) -> Family:
    label = "client" if callee else "service"
    held: Mapping[str, tuple[str, ...]] = {
        label: ("checkout",),
        **({callee: ("payments",)} if callee else {}),
        **labels,
    }
    return Family(name=name, kind=kind, label=label, callee_label=callee, values={"checkout": "checkout"}, labels=held)


def looks(*families: Family) -> dict[Signal, Look]:
    return {look.signal: look for look in plan_looks(families, SCOPE, resolution_s=15, limit=40).looks}


def test_requests_give_traffic_and_the_share_that_failed() -> None:
    found = looks(family("http_requests_total", "counter", code=("200", "500")))

    assert found[Signal.TRAFFIC].unit == "/s"
    failed = found[Signal.ERRORS].query
    assert failed.divided_by is not None
    assert any(m.label == "code" and m.value.startswith("5..") for m in failed.selector.matchers)


def test_a_duration_histogram_gives_its_95th_percentile() -> None:
    look = looks(family("http_request_duration_seconds", "histogram", le=("0.1", "+Inf")))[Signal.LATENCY]

    assert look.query.quantile == 0.95
    assert look.query.selector.metric == "http_request_duration_seconds_bucket"
    assert (look.query.aggregate, look.query.by) == (Aggregate.SUM, ("service",))


@pytest.mark.parametrize(
    ("name", "kind", "status"),
    [
        ("http_server_requests_seconds", "histogram", "status"),
        ("http_server_requests_seconds", "summary", "status"),
        ("http_server_duration_milliseconds", "histogram", "http_status_code"),
        ("http_server_request_duration_seconds", "histogram", "http_response_status_code"),
        ("grpc_server_handling_seconds", "histogram", "grpc_code"),
        ("rpc_server_duration", "histogram", "rpc_grpc_status_code"),
    ],
)
def test_the_time_of_served_requests_also_tells_how_many_there_are_and_how_many_fail(
    name: str, kind: str, status: str
) -> None:
    seconds = family(name, kind)
    found = looks(replace(seconds, labels={**seconds.labels, status: ("200", "500")}))

    assert found.keys() == {Signal.LATENCY, Signal.TRAFFIC, Signal.ERRORS}
    assert found[Signal.LATENCY].unit == ("ms" if "milli" in name else "s")
    assert found[Signal.TRAFFIC].query.selector.metric == f"{name}_count"
    failed = found[Signal.ERRORS].query
    assert failed.divided_by is not None
    assert (failed.selector.metric, failed.divided_by.metric) == (f"{name}_count", f"{name}_count")
    assert [m.label for m in failed.selector.matchers] == ["service", status]


def test_a_summary_is_read_as_its_mean() -> None:
    query = looks(family("http_server_requests_seconds", "summary"))[Signal.LATENCY].query

    assert query.divided_by is not None
    assert query.selector.metric == "http_server_requests_seconds_sum"
    assert query.divided_by.metric == "http_server_requests_seconds_count"


@pytest.mark.parametrize(
    ("seconds", "counter"),
    [
        ("http_request_duration_seconds", "http_requests_total"),
        ("http_server_requests_seconds", "http_server_requests_total"),
        ("grpc_server_handling_seconds", "grpc_server_handled_total"),
    ],
)
def test_requests_that_have_a_counter_are_not_counted_twice(seconds: str, counter: str) -> None:
    both = [family(seconds, "histogram", code=("500",)), family(counter, "counter", code=("500",))]

    plan = plan_looks(both, SCOPE, resolution_s=15, limit=40)

    assert [look.signal for look in plan.looks].count(Signal.TRAFFIC) == 1
    assert [look.family.name for look in plan.looks if look.signal is Signal.ERRORS] == [counter]


def test_a_counter_that_tells_no_status_leaves_the_failed_share_to_the_histogram() -> None:
    seconds = family("http_request_duration_seconds", "histogram", code=("500",))

    plan = plan_looks([seconds, family("http_requests_total", "counter")], SCOPE, resolution_s=15, limit=40)

    by_signal = {look.signal: look.family.name for look in plan.looks}
    assert by_signal[Signal.TRAFFIC] == "http_requests_total"
    assert by_signal[Signal.ERRORS] == "http_request_duration_seconds"


def test_a_counter_of_other_services_leaves_the_histogram_its_own_traffic() -> None:
    seconds = family("http_request_duration_seconds", "histogram", code=("500",))
    other = replace(family("http_requests_total", "counter", code=("500",)), values={"search": "search"})

    plan = plan_looks([seconds, other], SCOPE, resolution_s=15, limit=40)

    assert sum(look.signal is Signal.TRAFFIC for look in plan.looks) == 2


def test_what_a_service_asks_of_others_is_not_its_own_traffic() -> None:
    found = looks(family("http_client_requests_seconds", "histogram", status=("500",)))

    assert found.keys() == {Signal.LATENCY}


def test_a_pool_is_read_as_a_share_of_its_limit() -> None:
    used = family("db_client_connections_usage", "gauge", state=("idle", "used"))

    look = looks(used, family("db_client_connections_max", "gauge"))[Signal.SATURATION]

    assert look.unit == "ratio"
    assert look.query.divided_by is not None
    assert Matcher(label="state", value="used") in look.query.selector.matchers


def test_free_disk_is_shown_as_the_share_in_use() -> None:
    free = family("kubelet_volume_stats_available_bytes", "gauge")

    look = looks(free, family("kubelet_volume_stats_capacity_bytes", "gauge"))[Signal.DISK]

    assert look.reading is Reading.COMPLEMENT


def test_an_expiry_is_shown_as_the_time_left() -> None:
    look = looks(family("probe_ssl_earliest_cert_expiry", "gauge"))[Signal.CERTIFICATE]

    assert (look.reading, look.unit) == (Reading.TIME_LEFT, "s")


def test_calls_are_read_for_both_ends() -> None:
    seconds = family("traces_service_graph_request_client_seconds", "histogram", callee="server", le=("1",))
    failed = family("traces_service_graph_request_failed_total", "counter", callee="server")
    total = family("traces_service_graph_request_total", "counter", callee="server")

    found = looks(seconds, failed, total)

    assert found[Signal.CALL_LATENCY].query.by == ("client", "server")
    share = found[Signal.CALL_ERRORS].query.divided_by
    assert share is not None
    assert share.metric == "traces_service_graph_request_total"


@pytest.mark.parametrize(
    ("name", "kind", "signal"),
    [
        ("kube_pod_container_status_restarts_total", "counter", Signal.RESTARTS),
        ("container_memory_working_set_bytes", "gauge", Signal.MEMORY),
        ("container_cpu_usage_seconds_total", "counter", Signal.CPU),
        ("hikaricp_connections_pending", "gauge", Signal.QUEUE),
        ("up", "gauge", Signal.AVAILABILITY),
        ("jvm_gc_pause_seconds", "summary", Signal.RUNTIME),
        ("cache_hits_total", "counter", Signal.OTHER),
    ],
)
def test_well_known_names_are_recognised(name: str, kind: str, signal: Signal) -> None:
    assert set(looks(family(name, kind))) == {signal}


def test_what_tells_nothing_about_a_service_is_not_looked_at() -> None:
    assert looks(family("scrape_duration_seconds", "gauge"), family("app_build_info", "gauge")) == {}


def test_the_most_telling_looks_stay_when_there_are_too_many() -> None:
    many = [family(f"custom_{i}_thing", "gauge") for i in range(50)]

    plan = plan_looks(
        [*many, family("http_requests_total", "counter", code=("500",))], SCOPE, resolution_s=15, limit=10
    )

    assert len(plan.looks) == 10
    assert {plan.looks[0].signal, plan.looks[1].signal} == {Signal.ERRORS, Signal.TRAFFIC}
    assert len(plan.left_out) == 42


def test_looks_stay_inside_the_environment() -> None:
    look = looks(family("up", "gauge", env=("prod", "staging")))[Signal.AVAILABILITY]

    assert Matcher(label="env", value="prod") in look.query.selector.matchers


def test_points_are_about_240_never_finer_than_the_samples() -> None:
    assert step_for(Window(start_s=0, end_s=7_200), 15) == 30
    assert step_for(Window(start_s=0, end_s=600), 60) == 60
    assert aligned(Window(start_s=61, end_s=119), 30) == Window(start_s=60, end_s=120)
