"""Metrics of requests: what each program counts of its own, and what a mesh or a service graph sees between them."""

import numpy as np

from bot.demo.shop.day import Day
from bot.demo.shop.family import (
    Family,
    Labels,
    Row,
    bucketed,
    counter,
    histogram,
    living,
    once_seen,
    per_pod,
    requests,
    split,
)
from bot.demo.shop.flow import EdgeFlow, Latency
from bot.demo.shop.noise import Floats, draw
from bot.demo.shop.pods import Pod
from bot.demo.shop.topology import Dialect, EdgeStyle, HttpStyle, Kind, Route, Service, Topology

BOUNDS_S = (0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
_CODES = ("500", "503", "502", "404", "200")
_LOST = 0.004  # pages that are not there: crawlers and old links, always


def pod_labels(topology: Topology, pod: Pod) -> dict[str, str]:
    """The labels a scrape of this pod adds to every metric."""
    dialect = topology.dialect
    return {
        dialect.service_label: pod.service.name,
        "namespace": topology.namespace,
        dialect.env_label: topology.env,
        "pod": pod.name,
        "instance": f"{pod.address}:8080",
        "job": f"{topology.namespace}/{pod.service.name}",
    }


def families(topology: Topology) -> list[Family]:
    """All families about requests in the dialect of this shop."""
    return [*_server(topology.dialect), *_edges(topology.dialect)]


def _server(dialect: Dialect) -> list[Family]:
    style = dialect.http
    timing = Family(
        name=style.value,
        kind="histogram",
        help="Duration of the requests a program answered.",
        build=lambda day: _durations(day, style),
    )
    if style is not HttpStyle.CLASSIC:
        return [timing]  # the newer conventions count in the histogram, which carries the status code
    counting = Family(name="http_requests_total", kind="counter", help="Requests a program answered.", build=_answered)
    return [counting, timing]


def _route_requests(day: Day, pod: Pod, route: Route) -> Floats:
    service = pod.service
    share = route.share / sum(r.share for r in service.routes)
    rate = per_pod(day, service, day.flow.nodes[service.name].rate * share)
    return requests(day, day.key(pod.name, route.path, route.method), rate)


def _by_code(day: Day, pod: Pod, route: Route, total: Floats) -> list[Floats]:
    """The requests by status code, in the order of _CODES."""
    node = day.flow.nodes[pod.service.name]
    own = np.maximum(node.own_failed - node.shed, 0.0)
    behind = np.maximum(node.failed - node.own_failed, 0.0)
    key = day.key(pod.name, route.path, route.method, "code")
    return split(day, key, total, (own, node.shed, behind, np.full_like(total, _LOST)))


def _answered(day: Day) -> list[Row]:
    rows = []
    for pod in living(day):
        for route in pod.service.routes:
            labels = {**pod_labels(day.topology, pod), "method": route.method, "route": route.path}
            parts = _by_code(day, pod, route, _route_requests(day, pod, route))
            for code, part in zip(_CODES, parts, strict=True):
                values = counter(day, pod, part)
                rows += once_seen(
                    [Row(name="http_requests_total", labels={**labels, "code": code}, values=values)], part
                )
    return rows


def _durations(day: Day, style: HttpStyle) -> list[Row]:
    rows = []
    for pod in living(day):
        node = day.flow.nodes[pod.service.name]
        for route in pod.service.routes:
            total = _route_requests(day, pod, route)
            latency = _of_route(node.latency, day.seed, pod.service, route)
            for code, part in _kinds(day, pod, route, total, style):
                labels = {**pod_labels(day.topology, pod), **_route_labels(style, route, code)}
                key = day.key(pod.name, route.path, route.method, "time", code)
                made = histogram(
                    style.value,
                    labels,
                    bucketed(day, key, part, latency, BOUNDS_S),
                    BOUNDS_S,
                    part * latency.mean_s(),
                    lambda increments, pod=pod: counter(day, pod, increments),  # type: ignore[misc]  # binds the loop's pod
                )
                rows += once_seen(made, part)
    return rows


def _of_route(latency: Latency, seed: int, service: Service, route: Route) -> Latency:
    """Routes differ: some do a little more than others."""
    pace = draw(seed, "route", service.name, route.path, route.method).between(0.85, 1.2)
    return Latency(median_s=latency.median_s * pace, slow=latency.slow, slow_median_s=latency.slow_median_s)


def _kinds(day: Day, pod: Pod, route: Route, total: Floats, style: HttpStyle) -> list[tuple[str, Floats]]:
    """The requests that get a histogram of their own: all together, or good and bad where the code is a label."""
    if style is HttpStyle.CLASSIC:
        return [("", total)]
    parts = _by_code(day, pod, route, total)
    return [("500", parts[0] + parts[2]), ("503", parts[1]), ("200", parts[3] + parts[4])]


def _route_labels(style: HttpStyle, route: Route, code: str) -> Labels:
    if style is HttpStyle.CLASSIC:
        return {"method": route.method, "route": route.path}
    if style is HttpStyle.OTEL:
        return {"http_request_method": route.method, "http_route": route.path, "http_response_status_code": code}
    if style is HttpStyle.OTEL_OLD:
        return {"http_method": route.method, "http_route": route.path, "http_status_code": code}
    outcome = "SUCCESS" if code == "200" else "SERVER_ERROR"
    return {"method": route.method, "uri": route.path, "status": code, "outcome": outcome}


def _edges(dialect: Dialect) -> list[Family]:
    if dialect.edges is EdgeStyle.ISTIO:
        return [
            Family(name="istio_requests_total", kind="counter", help="Requests the mesh saw.", build=_mesh_requests),
            Family(
                name="istio_request_duration_milliseconds",
                kind="histogram",
                help="Duration of the requests the mesh saw.",
                build=_mesh_durations,
            ),
            Family(
                name="db_client_operation_duration_seconds",
                kind="histogram",
                help="Duration of database calls as the caller saw them.",
                build=_store_calls,
            ),
        ]
    graph = "traces_service_graph_request"
    return [
        Family(name=f"{graph}_total", kind="counter", help="Calls between two services.", build=_graph_calls),
        Family(name=f"{graph}_failed_total", kind="counter", help="Failed calls.", build=_graph_failures),
        Family(
            name=f"{graph}_server_seconds",
            kind="histogram",
            help="Duration of calls as the server saw them.",
            build=lambda day: _graph_durations(day, f"{graph}_server_seconds", by_server=True),
        ),
        Family(
            name=f"{graph}_client_seconds",
            kind="histogram",
            help="Duration of calls as the client saw them.",
            build=lambda day: _graph_durations(day, f"{graph}_client_seconds", by_server=False),
        ),
    ]


def _calls(day: Day) -> list[tuple[str, Service, EdgeFlow, Floats]]:
    """Every edge: caller, callee, its flow and the calls of each step."""
    found = []
    for (caller, callee), edge in sorted(day.flow.edges.items()):
        total = requests(day, day.key("edge", caller, callee), edge.rate)
        found.append((caller, day.topology.service(callee), edge, total))
    return found


def _graph_labels(topology: Topology, caller: str, callee: Service) -> dict[str, str]:
    kind = "" if callee.kind is Kind.WEB else "database"
    env = {topology.dialect.env_label: topology.env}
    return {"client": caller, "server": callee.name, "connection_type": kind, **env, "job": "tempo/metrics-generator"}


def _failed(day: Day, caller: str, callee: Service, edge: EdgeFlow, total: Floats) -> Floats:
    return split(day, day.key("edge failed", caller, callee.name), total, (edge.failed,))[0]


def _graph_calls(day: Day) -> list[Row]:
    return [
        Row(
            name="traces_service_graph_request_total",
            labels=_graph_labels(day.topology, caller, callee),
            values=np.cumsum(total),
        )
        for caller, callee, _, total in _calls(day)
    ]


def _graph_failures(day: Day) -> list[Row]:
    return [
        Row(
            name="traces_service_graph_request_failed_total",
            labels=_graph_labels(day.topology, caller, callee),
            values=np.cumsum(_failed(day, caller, callee, edge, total)),
        )
        for caller, callee, edge, total in _calls(day)
    ]


def _graph_durations(day: Day, name: str, *, by_server: bool) -> list[Row]:
    rows = []
    for caller, callee, edge, total in _calls(day):
        if by_server and callee.kind is not Kind.WEB:
            continue  # a store writes no spans
        latency = edge.server if by_server else edge.client
        seen = np.round(total * (1.0 - edge.refused)) if by_server else total
        key = day.key("edge time", caller, callee.name)
        rows += histogram(
            name,
            _graph_labels(day.topology, caller, callee),
            bucketed(day, key, seen, latency, BOUNDS_S),
            BOUNDS_S,
            seen * latency.mean_s(),
            lambda increments: np.cumsum(increments, dtype=np.float64),
        )
    return rows


def _mesh_labels(
    topology: Topology, caller: str, callee: Service, reporter: str, code: str, flags: str = "-"
) -> dict[str, str]:
    return {
        "reporter": reporter,
        "source_workload": caller,
        "source_workload_namespace": topology.namespace,
        "destination_workload": callee.name,
        "destination_workload_namespace": topology.namespace,
        "destination_service_name": callee.name,
        "response_code": code,
        "response_flags": flags,
        topology.dialect.env_label: topology.env,
        "job": "istio-proxies",
    }


def _mesh_parts(day: Day) -> list[tuple[dict[str, str], EdgeFlow, Floats, bool]]:
    """Requests between programs by reporter and code (databases speak their own protocols, the mesh does not count them).

    What timed out has code 0 at the source and the flag DC (the caller hung up); what was refused is a 503 with the flag UF
    (no connection upstream), which the destination never saw.
    """
    found = []
    for caller, callee, edge, total in _calls(day):
        if callee.kind is not Kind.WEB:
            continue
        key = day.key("mesh", caller, callee.name)
        answered = np.maximum(edge.failed - edge.refused - edge.timed_out, 0.0)
        refused, late, bad, good = split(day, key, total, (edge.refused, edge.timed_out, answered))
        for code, flags, part in (("503", "UF", refused), ("0", "DC", late), ("500", "-", bad), ("200", "-", good)):
            labels = _mesh_labels(day.topology, caller, callee, "source", code, flags)
            found.append((labels, edge, part, False))
        for code, part in (("500", bad), ("200", good + late)):
            labels = _mesh_labels(day.topology, caller, callee, "destination", code)
            found.append((labels, edge, part, True))
    return found


def _mesh_requests(day: Day) -> list[Row]:
    rows = []
    for labels, _, part, _ in _mesh_parts(day):
        rows += once_seen([Row(name="istio_requests_total", labels=labels, values=np.cumsum(part))], part)
    return rows


def _mesh_durations(day: Day) -> list[Row]:
    name, bounds_ms = "istio_request_duration_milliseconds", tuple(1000.0 * b for b in BOUNDS_S)
    rows = []
    for labels, edge, part, by_server in _mesh_parts(day):
        if labels["response_code"] not in ("200", "500"):
            continue
        latency = edge.server if by_server else edge.client
        buckets = bucketed(day, day.key(name, *labels.values()), part, latency, BOUNDS_S)
        sums_ms = part * latency.mean_s() * 1000.0
        made = histogram(name, labels, buckets, bounds_ms, sums_ms, lambda x: np.cumsum(x, dtype=np.float64))
        rows += once_seen(made, part)
    return rows


def _store_calls(day: Day) -> list[Row]:
    """Where the mesh is blind, the programs time their own database calls."""
    name = "db_client_operation_duration_seconds"
    rows = []
    for pod in living(day):
        for call in pod.service.calls:
            callee = day.topology.service(call.callee)
            if callee.kind is Kind.WEB:
                continue
            edge = day.flow.edges[pod.service.name, callee.name]
            total = requests(day, day.key(name, pod.name, callee.name), per_pod(day, pod.service, edge.rate))
            latency = edge.client
            system = "postgresql" if callee.kind is Kind.DATABASE else "redis"
            labels = {**pod_labels(day.topology, pod), "db_system": system, "server_address": callee.name}
            rows += histogram(
                name,
                labels,
                bucketed(day, day.key(name, pod.name, "time"), total, latency, BOUNDS_S),
                BOUNDS_S,
                total * latency.mean_s(),
                lambda increments, pod=pod: counter(day, pod, increments),  # type: ignore[misc]  # binds the loop's pod
            )
    return rows
