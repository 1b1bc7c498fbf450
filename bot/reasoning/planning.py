"""Which looks to take: from the metrics that exist to at most so many typed queries, the most telling first."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum

from bot.domain.evidence import Signal
from bot.domain.query import Aggregate, Matcher, MetricQuery, Op, Selector, equal, one_of
from bot.domain.scope import Scope, Window
from bot.reasoning.inventory import Family

# About this many points a series (facts of the backends: enough for change points, far from any server's limit).
POINTS = 240
# Series one look may bring back: services of a large scope times a few, so that a bad label cannot flood an answer.
SERIES_PER_LOOK = 60

ENVIRONMENT_LABELS = ("env", "environment", "deployment_environment")
NAMESPACE_LABELS = ("namespace", "k8s_namespace_name")

_NICE_STEPS_S = (1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21600, 86400)


class Reading(Enum):
    """How a value is read after the query: as it is, as 1 - value, or as seconds from its time to the value."""

    PLAIN = "plain"
    COMPLEMENT = "one minus"
    TIME_LEFT = "time left"


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One planned query: what it measures, in which unit, and how its answer names services."""

    signal: Signal
    measure: str
    unit: str
    query: MetricQuery
    family: Family
    reading: Reading = Reading.PLAIN


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The looks to take, best first, and the measures left out to stay within the limit."""

    looks: tuple[Look, ...]
    left_out: tuple[str, ...]


def step_for(window: Window, resolution_s: int) -> int:
    """The distance of points, in seconds: about 240 of them, never finer than the samples, a round number."""
    wanted = max(window.duration_s / POINTS, resolution_s)
    return next((step for step in _NICE_STEPS_S if step >= wanted), _NICE_STEPS_S[-1])


def aligned(window: Window, step_s: int) -> Window:
    """The window widened to multiples of the step, so that the same question gives the same points and hits caches."""
    start = window.start_s // step_s * step_s
    end = -(-window.end_s // step_s) * step_s
    return Window(start_s=start, end_s=end)


def within(scope: Scope) -> tuple[Matcher, ...]:
    """The conditions that keep a query inside the scope's environment and namespace, under every name such labels have."""
    found: list[Matcher] = []
    if scope.environment is not None:
        found += [equal(label, scope.environment) for label in ENVIRONMENT_LABELS]
    if scope.namespace is not None:
        found += [equal(label, scope.namespace) for label in NAMESPACE_LABELS]
    return tuple(found)


def plan_looks(families: Sequence[Family], scope: Scope, *, resolution_s: int, limit: int) -> Plan:
    """At most `limit` looks over baseline and incident of the scope for these metrics.

    What users feel (errors, latency, traffic) and what has a hard limit (pools, disks, certificates) goes before the rest;
    a metric that speaks of more services goes before one that speaks of fewer.
    """
    step_s = step_for(scope.whole, resolution_s)
    frame = _Frame(
        window=aligned(scope.whole, step_s),
        step_s=step_s,
        rate_s=max(4 * resolution_s, step_s),
        within=within(scope),
    )
    by_name = {family.name: family for family in families}
    looks = [look for family in families for look in _looks(family, by_name, frame)]
    looks.sort(key=lambda look: (_PRIORITY[look.signal], -len(look.family.services), look.measure))
    return Plan(looks=tuple(looks[:limit]), left_out=tuple(look.measure for look in looks[limit:]))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Frame:
    window: Window
    step_s: int
    rate_s: int
    within: tuple[Matcher, ...]


_PRIORITY = {
    signal: place
    for place, signals in enumerate(
        (
            (Signal.ERRORS, Signal.LATENCY, Signal.TRAFFIC),
            (Signal.SATURATION, Signal.DISK, Signal.CERTIFICATE, Signal.RESTARTS, Signal.CALL_LATENCY),
            (Signal.MEMORY, Signal.CPU, Signal.AVAILABILITY, Signal.CALL_ERRORS, Signal.QUEUE),
            (Signal.RUNTIME, Signal.LOGS, Signal.CHANGE, Signal.ALERT),
            (Signal.OTHER,),
        )
    )
    for signal in signals
}

_Rule = Callable[[Family, dict[str, Family], _Frame], list[Look]]

_NOISE = re.compile(
    r"^(scrape_|promhttp_|prometheus_|ALERTS|go_memstats_|net_conntrack_|grafana_|loki_)|_created$|_info$|^process_start_time"
)
_STATUS_LABELS = (
    "status",
    "code",
    "status_code",
    "response_code",
    "http_status_code",
    "http_response_status_code",
    "grpc_code",
)
_FAILED_STATUS = r"5..|.*(?i:internal|unavailable|deadline|unknown|error|fail).*"
_STATE_LABELS = ("state", "status", "type")
_IN_USE = ("used", "in_use", "active", "busy")
_LIMIT_WORDS = ("max", "limit", "limits", "capacity", "size", "total")
_USE_WORDS = re.compile(r"(usage|in_use|inuse|active|used|busy|current|open|working_set)")


def _looks(family: Family, known: dict[str, Family], frame: _Frame) -> list[Look]:
    if _NOISE.search(family.name):
        return []
    for applies, rule in _RULES:
        if applies.search(family.name):
            looks = rule(family, known, frame)
            if looks:
                return looks
    return _other(family, frame)


def _calls(family: Family, known: dict[str, Family], frame: _Frame) -> list[Look]:
    """Metrics that name both ends of a call: what the caller waits, what the callee takes, how many calls fail."""
    if family.callee_label is None:
        return []
    ends = (family.label, family.callee_label)
    if family.kind == "histogram":
        at_server = "server" in family.name or "destination" in family.labels.get("reporter", ())
        at_client = "client" in family.name or "source" in family.labels.get("reporter", ()) or not at_server
        looks = []
        if at_client:
            looks.append(
                _quantile(
                    family,
                    frame,
                    Signal.CALL_LATENCY,
                    "call p95 as the caller sees it",
                    ends,
                    _seen_by(family, "source"),
                )
            )
        if at_server:
            by = (family.callee_label,)
            looks.append(
                _quantile(family, frame, Signal.LATENCY, "p95 of serving a call", by, _seen_by(family, "destination"))
            )
        return looks
    if family.kind == "counter" and _FAILED.search(family.name):
        total = known.get(_FAILED.sub("", family.name)) or known.get(_FAILED.sub("request", family.name))
        return [_rate(family, frame, Signal.CALL_ERRORS, "failed calls", ends, share_of=total)]
    if family.kind == "counter" and _REQUESTS.search(family.name):
        looks = [_rate(family, frame, Signal.TRAFFIC, "calls received", (family.callee_label,))]
        failed = _failed_status(family)
        if failed is not None:
            looks.append(
                _rate(family, frame, Signal.CALL_ERRORS, "failed calls", ends, where=(failed,), share_of=family)
            )
        return looks
    return []


def _requests(family: Family, known: dict[str, Family], frame: _Frame) -> list[Look]:
    if family.kind != "counter":
        return []
    looks = [_rate(family, frame, Signal.TRAFFIC, "requests", (family.label,))]
    failed = _failed_status(family)
    if failed is not None:
        looks.append(
            _rate(family, frame, Signal.ERRORS, "failed requests", (family.label,), where=(failed,), share_of=family)
        )
    return looks


def _duration(family: Family, known: dict[str, Family], frame: _Frame) -> list[Look]:
    if family.kind != "histogram":
        return []
    looks = [_quantile(family, frame, Signal.LATENCY, f"{_words(family.name)} p95", (family.label,))]
    counter = re.sub(r"_(duration|latency|time).*$", "s_total", family.name)
    if counter not in known and _SERVED.search(family.name):
        looks.append(_rate(family, frame, Signal.TRAFFIC, "requests", (family.label,), suffix="_count"))
        failed = _failed_status(family)
        if failed is not None:
            looks.append(
                _rate(
                    family,
                    frame,
                    Signal.ERRORS,
                    "failed requests",
                    (family.label,),
                    where=(failed,),
                    share_of=family,
                    suffix="_count",
                )
            )
    return looks


def _waiting(family: Family, known: dict[str, Family], frame: _Frame) -> list[Look]:
    if family.kind == "histogram":
        return [_quantile(family, frame, Signal.QUEUE, f"{_words(family.name)} p95", (family.label,))]
    if family.kind == "gauge":
        return [_gauge(family, frame, Signal.QUEUE, _words(family.name), "count", Aggregate.SUM)]
    return []


def _pauses(family: Family, known: dict[str, Family], frame: _Frame) -> list[Look]:
    if family.kind in ("histogram", "summary"):
        return [_rate(family, frame, Signal.RUNTIME, f"time in {_words(family.name)}", (family.label,), suffix="_sum")]
    return []


def _failures(family: Family, known: dict[str, Family], frame: _Frame) -> list[Look]:
    if family.kind != "counter":
        return []
    return [_rate(family, frame, Signal.ERRORS, _words(family.name), (family.label,))]


def _cpu(family: Family, known: dict[str, Family], frame: _Frame) -> list[Look]:
    if family.kind == "counter" and "period" not in family.name:
        look = _rate(family, frame, Signal.CPU, _words(family.name), (family.label,))
        return [Look(signal=look.signal, measure=look.measure, unit="cores", query=look.query, family=family)]
    if family.kind == "gauge" and not _LIMIT.search(family.name):
        return [_gauge(family, frame, Signal.CPU, _words(family.name), "", Aggregate.AVG)]
    return []


def _memory(family: Family, known: dict[str, Family], frame: _Frame) -> list[Look]:
    if family.kind != "gauge" or _LIMIT.search(family.name) or "virtual" in family.name:
        return []
    limit = (
        known.get("container_spec_memory_limit_bytes")
        if family.name.startswith("container_")
        else _limit_of(family, known)
    )
    if limit is not None and limit.label == family.label:
        measure = f"{_words(family.name)}"
        return [_share(family, limit, frame, Signal.MEMORY, measure, Aggregate.MAX)]
    return [_gauge(family, frame, Signal.MEMORY, _words(family.name), "bytes", Aggregate.MAX)]


def _restarts(family: Family, known: dict[str, Family], frame: _Frame) -> list[Look]:
    return [_gauge(family, frame, Signal.RESTARTS, "container restarts", "count", Aggregate.SUM)]


def _killed(family: Family, known: dict[str, Family], frame: _Frame) -> list[Look]:
    bad = tuple(v for v in family.labels.get("reason", ()) if v.lower() not in ("completed", ""))
    if not bad:
        return []
    where = (one_of("reason", bad),)
    return [
        _gauge(
            family,
            frame,
            Signal.RESTARTS,
            f"containers last ended by {'/'.join(bad)}",
            "count",
            Aggregate.SUM,
            where=where,
        )
    ]


def _up(family: Family, known: dict[str, Family], frame: _Frame) -> list[Look]:
    return [_gauge(family, frame, Signal.AVAILABILITY, "instances that answer", "ratio", Aggregate.AVG)]


def _replicas(family: Family, known: dict[str, Family], frame: _Frame) -> list[Look]:
    wanted = known.get("kube_deployment_spec_replicas") or known.get("kube_statefulset_replicas")
    if wanted is None or wanted.label != family.label:
        return []
    return [_share(family, wanted, frame, Signal.AVAILABILITY, "replicas available of those wanted", Aggregate.SUM)]


def _disk(family: Family, known: dict[str, Family], frame: _Frame) -> list[Look]:
    if family.kind != "gauge":
        return []
    free = re.search(r"(avail|free)(able)?(_bytes)?", family.name)
    if free is None:
        return []
    total = next((known[n] for n in _totals(family.name) if n in known), None)
    if total is None:
        return [_gauge(family, frame, Signal.DISK, _words(family.name), "bytes", Aggregate.MIN)]
    look = _share(family, total, frame, Signal.DISK, "share of the disk in use", Aggregate.MIN)
    return [
        Look(
            signal=look.signal,
            measure=look.measure,
            unit="ratio",
            query=look.query,
            family=family,
            reading=Reading.COMPLEMENT,
        )
    ]


def _totals(name: str) -> tuple[str, ...]:
    return tuple(re.sub(r"(available|avail|free)", total, name) for total in ("capacity", "size", "total"))


def _certificate(family: Family, known: dict[str, Family], frame: _Frame) -> list[Look]:
    look = _gauge(family, frame, Signal.CERTIFICATE, "time left on the certificate", "s", Aggregate.MIN)
    return [
        Look(
            signal=look.signal,
            measure=look.measure,
            unit="s",
            query=look.query,
            family=family,
            reading=Reading.TIME_LEFT,
        )
    ]


def _pool(family: Family, known: dict[str, Family], frame: _Frame) -> list[Look]:
    if family.kind != "gauge" or _LIMIT.search(family.name):
        return []
    limit = _limit_of(family, known)
    where = _in_use(family)
    if limit is None:
        if re.search(r"(pending|wait|idle)", family.name):
            return _waiting(family, known, frame) if "idle" not in family.name else []
        return [_gauge(family, frame, Signal.SATURATION, _words(family.name), "count", Aggregate.SUM, where=where)]
    return [_share(family, limit, frame, Signal.SATURATION, f"{_stem(family.name)} in use", Aggregate.SUM, where=where)]


def _other(family: Family, frame: _Frame) -> list[Look]:
    if (
        family.callee_label is not None
        or _LIMIT.search(family.name)
        or family.name.endswith(("_timestamp_seconds", "_time_seconds"))
    ):
        return []
    words = _words(family.name)
    if family.kind == "counter":
        return [_rate(family, frame, Signal.OTHER, words, (family.label,))]
    if family.kind == "histogram":
        return [_quantile(family, frame, Signal.OTHER, f"{words} p95", (family.label,))]
    if family.kind in ("gauge", "unknown"):
        return [_gauge(family, frame, Signal.OTHER, words, "", Aggregate.AVG)]
    return []


_FAILED = re.compile(r"_failed|_failures?|_errors?")
_REQUESTS = re.compile(r"(request|requests|call|calls|rpc|handled|http|queries)[a-z_]*_total$|_requests?$")
_SERVED = re.compile(r"request|http|rpc|server|handler")
_LIMIT = re.compile(r"(^|_)(max|limits?|capacity|spec|quota|size|total_bytes)(_|$)")

# First match wins; a rule that does not apply after all (wrong type) passes the metric on. Vocabulary of the field: the
# OpenTelemetry, Prometheus client, kube-state-metrics, cAdvisor, mesh and JDBC pool conventions share these words.
_RULES: tuple[tuple[re.Pattern[str], _Rule], ...] = (
    (re.compile(r""), _calls),
    (re.compile(r"restarts?_total$"), _restarts),
    (re.compile(r"last_terminated_reason$"), _killed),
    (re.compile(r"^up$"), _up),
    (re.compile(r"replicas_(available|ready)$"), _replicas),
    (re.compile(r"(cert|ssl|tls|x509).*(expir|not_after)"), _certificate),
    (re.compile(r"(volume_stats|filesystem|disk).*(avail|free)"), _disk),
    (re.compile(r"cpu"), _cpu),
    (re.compile(r"(memory|heap|rss|working_set).*bytes|memory_usage|_mem(ory)?_"), _memory),
    (re.compile(r"(gc|pause|garbage)"), _pauses),
    (re.compile(r"(wait|pending|queue|backlog|lag|depth|in_?flight)"), _waiting),
    (re.compile(r"(pool|connections?|conns|threads_|workers|slots|permits|open_fds|file_descriptors)"), _pool),
    (re.compile(r"(duration|latency|response_time|request_time|_seconds$|_milliseconds$)"), _duration),
    (re.compile(r"(error|fail|exception|timeout|reject|dropped|abort)[a-z_]*(_total)?$"), _failures),
    (_REQUESTS, _requests),
)


def _limit_of(family: Family, known: dict[str, Family]) -> Family | None:
    """The metric that holds the limit of this one: the same name with the word of use replaced by a word of limit."""
    stems = {_USE_WORDS.sub(word, family.name, count=1) for word in _LIMIT_WORDS}
    stems |= {f"{_USE_WORDS.sub('', family.name, count=1).strip('_')}_{word}" for word in _LIMIT_WORDS}
    stems |= {re.sub(r"^(process|system)_open_fds$", r"\1_max_fds", family.name)}
    found = (known[name] for name in sorted(stems) if name != family.name and name in known)
    return next((limit for limit in found if limit.kind in ("gauge", "unknown") and limit.label == family.label), None)


def _in_use(family: Family) -> tuple[Matcher, ...]:
    for label in _STATE_LABELS:
        used = [value for value in family.labels.get(label, ()) if value.lower() in _IN_USE]
        if used:
            return (equal(label, used[0]),)
    return ()


def _failed_status(family: Family) -> Matcher | None:
    label = next((name for name in _STATUS_LABELS if name in family.labels), None)
    return Matcher(label=label, value=_FAILED_STATUS, op=Op.MATCHES) if label else None


def _seen_by(family: Family, side: str) -> tuple[Matcher, ...]:
    return (equal("reporter", side),) if side in family.labels.get("reporter", ()) else ()


def _selector(family: Family, frame: _Frame, where: tuple[Matcher, ...] = (), suffix: str = "") -> Selector:
    named = family.callee_label or family.label
    mine = one_of(named, tuple(family.values)[:SERIES_PER_LOOK])
    inside = tuple(m for m in frame.within if m.value in family.labels.get(m.label, ()))
    return Selector(metric=family.name + suffix, matchers=(mine, *inside, *where))


def _quantile(
    family: Family, frame: _Frame, signal: Signal, measure: str, by: tuple[str, ...], where: tuple[Matcher, ...] = ()
) -> Look:
    query = MetricQuery(
        selector=_selector(family, frame, where, "_bucket"),
        window=frame.window,
        step_s=frame.step_s,
        rate_s=frame.rate_s,
        aggregate=Aggregate.SUM,
        by=by,
        quantile=0.95,
    )
    unit = "ms" if "millisecond" in family.name else "bytes" if "bytes" in family.name else "s"
    return Look(signal=signal, measure=measure, unit=unit, query=query, family=family)


def _rate(
    family: Family,
    frame: _Frame,
    signal: Signal,
    measure: str,
    by: tuple[str, ...],
    *,
    where: tuple[Matcher, ...] = (),
    share_of: Family | None = None,
    suffix: str = "",
) -> Look:
    query = MetricQuery(
        selector=_selector(family, frame, where, suffix),
        window=frame.window,
        step_s=frame.step_s,
        rate_s=frame.rate_s,
        aggregate=Aggregate.SUM,
        by=by,
        divided_by=_selector(share_of, frame, (), suffix) if share_of else None,
    )
    return Look(signal=signal, measure=measure, unit="ratio" if share_of else "/s", query=query, family=family)


def _gauge(
    family: Family,
    frame: _Frame,
    signal: Signal,
    measure: str,
    unit: str,
    aggregate: Aggregate,
    where: tuple[Matcher, ...] = (),
) -> Look:
    query = MetricQuery(
        selector=_selector(family, frame, where),
        window=frame.window,
        step_s=frame.step_s,
        aggregate=aggregate,
        by=(family.label,),
    )
    return Look(signal=signal, measure=measure, unit=unit, query=query, family=family)


def _share(
    family: Family,
    whole: Family,
    frame: _Frame,
    signal: Signal,
    measure: str,
    aggregate: Aggregate,
    where: tuple[Matcher, ...] = (),
) -> Look:
    query = MetricQuery(
        selector=_selector(family, frame, where),
        window=frame.window,
        step_s=frame.step_s,
        aggregate=aggregate,
        by=(family.label,),
        divided_by=_selector(whole, frame),
    )
    return Look(signal=signal, measure=measure, unit="ratio", query=query, family=family)


def _stem(name: str) -> str:
    """What is used, without the word that says it is used: `db client connections` of `db_client_connections_usage`."""
    return _words(re.sub(r"_+", "_", _USE_WORDS.sub("", name, count=1)).strip("_"))


def _words(name: str) -> str:
    """A metric's name as words people read."""
    return re.sub(r"_(total|seconds|milliseconds|bytes|ratio|count)$", "", name).replace("_", " ").strip()
