"""Metrics of processes, containers, pools, stores, volumes and certificates, under the names their exporters use."""

from collections.abc import Callable

import numpy as np

from bot.demo.shop.day import DAY_S, Day
from bot.demo.shop.family import Family, Row, alive, answering, counter, gauge, living, per_pod
from bot.demo.shop.faults import leak_fill
from bot.demo.shop.flow import PoolUse
from bot.demo.shop.http import pod_labels
from bot.demo.shop.noise import Floats, counts, draw, drift, normal
from bot.demo.shop.pods import Pod
from bot.demo.shop.topology import Kind, Language, PoolStyle, Service, Topology

MAX_CONNECTIONS = 200.0  # of every database here


def families(topology: Topology) -> list[Family]:
    """All families about resources in the dialect of this shop."""
    return [
        *_processes(),
        *_containers(),
        *_cluster(),
        *_pools(topology.dialect.pool),
        *_stores(),
        *_edges_of_the_shop(),
    ]


def _by_pod(
    name: str,
    kind: str,
    explain: str,
    values: Callable[[Day, Pod], Floats | None],
    labels: Callable[[Topology, Pod], dict[str, str]] = pod_labels,
) -> Family:
    """A family with one series a pod; None where a pod has none."""

    def build(day: Day) -> list[Row]:
        found = ((pod, values(day, pod)) for pod in living(day))
        return [Row(name=name, labels=labels(day.topology, pod), values=v) for pod, v in found if v is not None]

    return Family(name=name, kind=kind, help=explain, build=build)


def resident_bytes(day: Day, pod: Pod) -> Floats:
    """Memory of the process: a base that wanders, warms up after a start, and leaks if it must."""
    service = pod.service
    room = service.memory_limit_bytes - service.memory_bytes
    sway = 0.03 * drift(day.key("memory", pod.name), day.at_s, 1800.0) + 0.006 * normal(
        day.key("memory", pod.name, "fast"), day.tick
    )
    age = np.full_like(day.at_s, 1e9)
    for start in pod.starts_s:
        age = np.where(day.at_s >= start, day.at_s - start, age)
    warm = 1.0 - 0.35 * np.exp(-age / 240.0)
    used = service.memory_bytes * (1.0 + sway) * warm
    incident = day.incident
    if incident and incident.name == "memory_leak" and incident.target == service.name:
        used = used + 0.94 * room * leak_fill(incident, pod.index, day.at_s)
    return np.minimum(used, service.memory_limit_bytes)


def cpu_seconds(day: Day, pod: Pod) -> Floats:
    """CPU seconds of each step: load of the service times its cores; nobody gets more than the limit."""
    load = np.minimum(day.flow.nodes[pod.service.name].load, 1.0)
    wobble = 1.0 + 0.03 * normal(day.key("cpu", pod.name), day.tick)
    return np.asarray(np.maximum(load * wobble, 0.004) * pod.service.cores * day.step_s, dtype=np.float64)


def _web(pod: Pod) -> bool:
    return pod.service.kind is Kind.WEB


def _processes() -> list[Family]:
    return [
        _by_pod(
            "process_resident_memory_bytes",
            "gauge",
            "Resident memory of the process.",
            lambda day, pod: gauge(day, pod, resident_bytes(day, pod)) if _web(pod) else None,
        ),
        _by_pod(
            "process_cpu_seconds_total",
            "counter",
            "CPU time of the process.",
            lambda day, pod: counter(day, pod, 0.96 * cpu_seconds(day, pod)) if _web(pod) else None,
        ),
        _by_pod("process_start_time_seconds", "gauge", "Start of the process, unix time.", _started),
        _by_pod("go_goroutines", "gauge", "Goroutines that exist.", _goroutines),
        Family(name="jvm_gc_pause_seconds", kind="summary", help="Pauses of the collector.", build=_collections),
        _by_pod("up", "gauge", "Whether the last scrape worked.", lambda d, p: gauge(d, p, _up(d, p), outside=True)),
        Family(name="app_build_info", kind="gauge", help="What is running.", build=_builds),
    ]


def _up(day: Day, pod: Pod) -> Floats:
    return answering(day, pod).astype(np.float64)


def _started(day: Day, pod: Pod) -> Floats:
    start = np.full_like(day.at_s, np.round(pod.born_s, 2))
    for again in pod.starts_s[1:]:
        start = np.where(day.at_s >= again, np.round(again, 2), start)
    return gauge(day, pod, start)


def _goroutines(day: Day, pod: Pod) -> Floats | None:
    if pod.service.language is not Language.GO or not _web(pod):
        return None
    node = day.flow.nodes[pod.service.name]
    busy = per_pod(day, pod.service, node.rate * node.latency.mean_s())
    return gauge(day, pod, np.round(34.0 + 2.0 * busy + 1.5 * normal(day.key("go", pod.name), day.tick)))


def _collections(day: Day) -> list[Row]:
    """Collections per second and their seconds: more and longer when memory is short."""
    rows = []
    for pod in living(day):
        if pod.service.language is not Language.JAVA or not _web(pod):
            continue
        full = resident_bytes(day, pod) / pod.service.memory_limit_bytes
        strain = np.clip((full - 0.75) / 0.25, 0.0, 1.0) ** 2
        pauses = counts(day.key("gc", pod.name), day.tick, (0.12 + 2.5 * strain) * day.step_s)
        labels = {**pod_labels(day.topology, pod), "action": "end of minor GC"}
        seconds = pauses * (0.008 + 0.25 * strain)
        rows.append(Row(name="jvm_gc_pause_seconds_sum", labels=labels, values=counter(day, pod, seconds)))
        rows.append(Row(name="jvm_gc_pause_seconds_count", labels=labels, values=counter(day, pod, pauses)))
    return rows


def _builds(day: Day) -> list[Row]:
    return [
        Row(
            name="app_build_info",
            labels={**pod_labels(day.topology, pod), "version": pod.version, "commit": pod.commit[:7]},
            values=gauge(day, pod, 1.0),
        )
        for pod in living(day)
        if _web(pod)
    ]


def _container_labels(topology: Topology, pod: Pod) -> dict[str, str]:
    """What the kubelet knows: no service, only pod and container."""
    return {
        "namespace": topology.namespace,
        "pod": pod.name,
        "container": pod.service.name,
        topology.dialect.env_label: topology.env,
        "node": pod.node,
        "job": "kubelet",
    }


def _containers() -> list[Family]:
    labels = _container_labels
    return [
        _by_pod(
            "container_cpu_usage_seconds_total",
            "counter",
            "CPU time of the container.",
            lambda day, pod: counter(day, pod, cpu_seconds(day, pod), outside=True),
            labels,
        ),
        _by_pod(
            "container_memory_working_set_bytes",
            "gauge",
            "Memory of the container that cannot be given back.",
            lambda day, pod: gauge(
                day, pod, np.minimum(1.05 * resident_bytes(day, pod), pod.service.memory_limit_bytes)
            ),
            labels,
        ),
        _by_pod(
            "container_spec_memory_limit_bytes",
            "gauge",
            "Memory limit of the container.",
            lambda day, pod: gauge(day, pod, pod.service.memory_limit_bytes, outside=True),
            labels,
        ),
        _by_pod(
            "container_fs_io_time_seconds_total",
            "counter",
            "Time the container's disk was busy.",
            _disk_busy,
            labels,
        ),
    ]


def _disk_busy(day: Day, pod: Pod) -> Floats | None:
    if pod.service.volume_bytes is None:
        return None
    node, incident = day.flow.nodes[pod.service.name], day.incident
    share = 0.08 + 0.2 * node.load
    if incident and incident.target == pod.service.name and incident.variant == "disk":
        share = share + 0.75 * np.clip((day.at_s - incident.onset_s) / 75.0, 0.0, 1.0)
    wobble = 1.0 + 0.1 * normal(day.key("disk", pod.name), day.tick)
    return counter(day, pod, np.clip(share * wobble, 0.0, 1.0) * day.step_s, outside=True)


def _kube_labels(topology: Topology, pod: Pod) -> dict[str, str]:
    return {
        "namespace": topology.namespace,
        "pod": pod.name,
        "container": pod.service.name,
        topology.dialect.env_label: topology.env,
        "job": "kube-state-metrics",
    }


def _cluster() -> list[Family]:
    return [
        _by_pod(
            "kube_pod_container_status_restarts_total", "counter", "Restarts of a container.", _restarts, _kube_labels
        ),
        Family(
            name="kube_pod_container_status_last_terminated_reason",
            kind="gauge",
            help="Why the container ended last time.",
            build=_ends,
        ),
        _by_deployment("kube_deployment_spec_replicas", "Pods a deployment wants.", _wanted),
        _by_deployment("kube_deployment_status_replicas_available", "Pods that are ready.", _ready),
        Family(
            name="kubelet_volume_stats_capacity_bytes",
            kind="gauge",
            help="Size of a volume.",
            build=lambda day: _volumes(day, "kubelet_volume_stats_capacity_bytes", free=False),
        ),
        Family(
            name="kubelet_volume_stats_available_bytes",
            kind="gauge",
            help="Free bytes of a volume.",
            build=lambda day: _volumes(day, "kubelet_volume_stats_available_bytes", free=True),
        ),
    ]


def _restarts(day: Day, pod: Pod) -> Floats:
    done = sum(((day.at_s >= kill).astype(np.float64) for kill in pod.kills_s), np.zeros_like(day.at_s))
    return gauge(day, pod, done, outside=True)


def _ends(day: Day) -> list[Row]:
    return [
        Row(
            name="kube_pod_container_status_last_terminated_reason",
            labels={**_kube_labels(day.topology, pod), "reason": "OOMKilled"},
            values=np.where(alive(day, pod) & (day.at_s >= pod.kills_s[0]), 1.0, np.nan),
        )
        for pod in living(day)
        if pod.kills_s and pod.kills_s[0] <= day.at_s[-1]
    ]


def _by_deployment(name: str, explain: str, values: Callable[[Day, Service], Floats]) -> Family:
    def build(day: Day) -> list[Row]:
        topology = day.topology
        return [
            Row(
                name=name,
                labels={
                    "namespace": topology.namespace,
                    "deployment": service.name,
                    topology.dialect.env_label: topology.env,
                    "job": "kube-state-metrics",
                },
                values=values(day, service),
            )
            for service in topology.web
        ]

    return Family(name=name, kind="gauge", help=explain, build=build)


def _wanted(day: Day, service: Service) -> Floats:
    return np.full_like(day.at_s, service.replicas)


def _ready(day: Day, service: Service) -> Floats:
    ready = sum(answering(day, pod).astype(np.float64) for pod in living(day, service))
    return np.minimum(ready, float(service.replicas))


def free_share(day: Day, service: Service) -> Floats:
    """How much of a volume is free: slowly less, or, when something writes without end, soon nothing."""
    chance = draw(day.seed, "volume", service.name)
    share = chance.between(0.42, 0.6) - 0.004 * (day.at_s / DAY_S % 7.0)
    incident = day.incident
    if incident and incident.name == "full_disk" and incident.target == service.name:
        # Nobody frees it in the hours simulated after the onset; a few pages stay that cannot hold a segment.
        left = np.clip((incident.onset_s - day.at_s) / incident.lead_s, 0.0, 1.0)
        share = share * left + 0.00002
    return np.asarray(share, dtype=np.float64)


def _volumes(day: Day, name: str, *, free: bool) -> list[Row]:
    topology = day.topology
    rows = []
    for service in topology.services:
        if service.volume_bytes is None:
            continue
        share = free_share(day, service) if free else np.ones_like(day.at_s)
        labels = {
            "namespace": topology.namespace,
            "persistentvolumeclaim": f"data-{service.name}-0",
            topology.dialect.env_label: topology.env,
            "job": "kubelet",
        }
        rows.append(Row(name=name, labels=labels, values=np.round(share * service.volume_bytes / 4096.0) * 4096.0))
    return rows


def _pools(style: PoolStyle) -> list[Family]:
    if style is PoolStyle.HIKARI:
        return [
            _pool_family("hikaricp_connections_active", "Connections in use.", (("", _in_use),)),
            _pool_family("hikaricp_connections_idle", "Connections that wait for work.", (("", _idle),)),
            _pool_family("hikaricp_connections_pending", "Threads that wait for a connection.", (("", _pending),)),
            _pool_family("hikaricp_connections_max", "Size of the pool.", (("", _size),)),
        ]
    return [
        _pool_family(
            "db_client_connections_usage", "Connections by what they do.", (("used", _in_use), ("idle", _idle))
        ),
        _pool_family("db_client_connections_max", "Size of the pool.", (("", _size),)),
        _pool_family(
            "db_client_connections_pending_requests", "Requests that wait for a connection.", (("", _pending),)
        ),
    ]


Reading = Callable[[Day, Pod, PoolUse], Floats]


def _pool_family(name: str, explain: str, readings: tuple[tuple[str, Reading], ...]) -> Family:
    def build(day: Day) -> list[Row]:
        rows = []
        for pod in living(day):
            for pool in day.flow.nodes[pod.service.name].pools:
                labels = {**pod_labels(day.topology, pod), "pool": f"{pool.callee}-pool"}
                for state, read in readings:
                    named = {**labels, "state": state} if state else labels
                    rows.append(Row(name=name, labels=named, values=gauge(day, pod, read(day, pod, pool))))
        return rows

    return Family(name=name, kind="gauge", help=explain, build=build)


def _in_use(day: Day, pod: Pod, pool: PoolUse) -> Floats:
    """Scattered about what is expected; while requests give up waiting, every connection is taken at once again."""
    scattered = counts(day.key("pool", pod.name, pool.callee), day.tick, pool.in_use)
    return np.where(pool.rejected > 0.02, pool.size, np.minimum(scattered, pool.size))


def _idle(day: Day, pod: Pod, pool: PoolUse) -> Floats:
    return pool.size - _in_use(day, pod, pool)


def _pending(day: Day, pod: Pod, pool: PoolUse) -> Floats:
    return counts(day.key("pending", pod.name, pool.callee), day.tick, pool.waiting)


def _size(day: Day, pod: Pod, pool: PoolUse) -> Floats:
    return pool.size


def _stores() -> list[Family]:
    return [
        _by_pod(
            "pg_up",
            "gauge",
            "Whether the exporter reaches the database.",
            lambda d, p: _if_database(p, gauge(d, p, 1.0)),
        ),
        _by_pod(
            "pg_settings_max_connections",
            "gauge",
            "Connections the database allows.",
            lambda d, p: _if_database(p, gauge(d, p, MAX_CONNECTIONS)),
        ),
        Family(name="pg_stat_activity_count", kind="gauge", help="Connections by state.", build=_activity),
        _by_pod(
            "pg_stat_database_xact_commit_total",
            "counter",
            "Transactions done.",
            lambda d, p: _transactions(d, p, True),
        ),
        _by_pod(
            "pg_stat_database_xact_rollback_total",
            "counter",
            "Transactions undone.",
            lambda d, p: _transactions(d, p, False),
        ),
        _by_pod("pg_locks_count", "gauge", "Locks held or wanted.", _locks),
        _by_pod(
            "redis_up", "gauge", "Whether the exporter reaches the cache.", lambda d, p: _if_cache(p, gauge(d, p, 1.0))
        ),
        _by_pod("redis_keyspace_hits_total", "counter", "Keys found.", lambda d, p: _lookups(d, p, hit=True)),
        _by_pod("redis_keyspace_misses_total", "counter", "Keys not found.", lambda d, p: _lookups(d, p, hit=False)),
        _by_pod(
            "redis_memory_used_bytes",
            "gauge",
            "Memory of the cache.",
            lambda d, p: _if_cache(p, gauge(d, p, np.round(resident_bytes(d, p) * 0.9))),
        ),
    ]


def _if_database(pod: Pod, values: Floats) -> Floats | None:
    return values if pod.service.kind is Kind.DATABASE else None


def _if_cache(pod: Pod, values: Floats) -> Floats | None:
    return values if pod.service.kind is Kind.CACHE else None


def _active(day: Day, pod: Pod) -> Floats:
    node = day.flow.nodes[pod.service.name]
    return counts(day.key("active", pod.name), day.tick, 1.0 + node.rate * node.latency.mean_s())


def _activity(day: Day) -> list[Row]:
    """Active and idle sessions: what all pools together hold open."""
    rows = []
    for pod in living(day):
        if pod.service.kind is not Kind.DATABASE:
            continue
        open_ones = sum(
            c.pool * s.replicas
            for s in day.topology.services
            for c in s.calls
            if c.callee == pod.service.name and c.pool
        )
        active = np.minimum(_active(day, pod), open_ones)
        labels = pod_labels(day.topology, pod)
        for state, values in (("active", active), ("idle", open_ones - active)):
            rows.append(
                Row(name="pg_stat_activity_count", labels={**labels, "state": state}, values=gauge(day, pod, values))
            )
    return rows


def _transactions(day: Day, pod: Pod, good: bool) -> Floats | None:
    if pod.service.kind is not Kind.DATABASE:
        return None
    node = day.flow.nodes[pod.service.name]
    rate = node.rate * ((1.0 - node.failed) if good else (0.004 + node.failed))
    return counter(day, pod, counts(day.key("commits" if good else "rollbacks", pod.name), day.tick, rate * day.step_s))


def _locks(day: Day, pod: Pod) -> Floats | None:
    if pod.service.kind is not Kind.DATABASE:
        return None
    incident = day.incident
    held = 2.0 + 0.4 * _active(day, pod)
    if incident and incident.target == pod.service.name and incident.variant == "locks":
        held = held + 40.0 * np.clip((day.at_s - incident.onset_s) / 75.0, 0.0, 1.0)
    return gauge(day, pod, counts(day.key("locks", pod.name), day.tick, held))


def _lookups(day: Day, pod: Pod, *, hit: bool) -> Floats | None:
    if pod.service.kind is not Kind.CACHE:
        return None
    share = 0.93 + 0.02 * drift(day.key("hits", pod.name), day.at_s, 1200.0)
    rate = day.flow.nodes[pod.service.name].rate * (share if hit else 1.0 - share)
    return counter(day, pod, counts(day.key("lookup", pod.name, str(hit)), day.tick, rate * day.step_s))


def _edges_of_the_shop() -> list[Family]:
    return [
        Family(
            name="probe_ssl_earliest_cert_expiry",
            kind="gauge",
            help="When the first certificate of the chain ends, unix time.",
            build=_certificates,
        ),
        Family(name="probe_success", kind="gauge", help="Whether the probe worked.", build=_probes),
        Family(name="rabbitmq_queue_messages_ready", kind="gauge", help="Messages that wait.", build=_queues),
    ]


def _probed(topology: Topology) -> list[tuple[Service, dict[str, str]]]:
    door = topology.front_door.name
    return [
        (
            service,
            {
                "instance": f"https://{service.name}.{topology.namespace}.svc:8443",
                topology.dialect.env_label: topology.env,
                "job": "blackbox",
            },
        )
        for service in topology.web
        if service.name != door
    ]


def expires_s(day: Day, service: Service) -> float:
    """When the service's certificate ends: some weeks ahead, or at the onset where nobody renewed it."""
    incident = day.incident
    if incident and incident.name == "expired_certificate" and incident.target == service.name:
        return float(np.floor(incident.onset_s))
    return float(np.floor(day.at_s[0] / DAY_S / 60.0 + 1.5) * 60.0 * DAY_S) + draw(
        day.seed, "cert", service.name
    ).whole(0, 10**6)


def _certificates(day: Day) -> list[Row]:
    return [
        Row(
            name="probe_ssl_earliest_cert_expiry",
            labels=labels,
            values=np.full_like(day.at_s, expires_s(day, service)),
        )
        for service, labels in _probed(day.topology)
    ]


def _probes(day: Day) -> list[Row]:
    return [
        Row(name="probe_success", labels=labels, values=(day.at_s < expires_s(day, service)).astype(np.float64))
        for service, labels in _probed(day.topology)
    ]


def _queues(day: Day) -> list[Row]:
    rows = []
    for service in day.topology.services:
        if service.queue is None:
            continue
        node = day.flow.nodes[service.name]
        waiting = counts(day.key("queue", service.name), day.tick, 2.0 + node.rate * (0.2 + 4.0 * node.failed))
        labels = {"queue": service.queue, day.topology.dialect.env_label: day.topology.env, "job": "rabbitmq"}
        rows.append(Row(name="rabbitmq_queue_messages_ready", labels=labels, values=waiting))
    return rows
