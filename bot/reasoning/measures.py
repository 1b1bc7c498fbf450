"""What each metric measures: the vocabulary of the field turned into looks."""

import re
from collections.abc import Callable, Mapping

from bot.domain.evidence import Signal
from bot.domain.query import Aggregate, Matcher, Op, equal, one_of
from bot.reasoning.inventory import Family
from bot.reasoning.looks import Frame, Look, Reading, gauge, mean, quantile, rate

_Rule = Callable[[Family, Mapping[str, Family], Frame], list[Look]]

_NOISE = re.compile(
    r"^(scrape_|promhttp_|prometheus_|ALERTS|go_memstats_|net_conntrack_|grafana_|loki_)|_created$|_info$|^process_start_time"
)
# OpenTelemetry writes gRPC's codes as numbers; these are the server's fault: unknown, deadline exceeded, unimplemented,
# internal, unavailable, data loss (semantic conventions for gRPC).
_GRPC_NUMBER_LABEL = "rpc_grpc_status_code"
_FAILED_GRPC_NUMBER = "2|4|12|13|14|15"
_STATUS_LABELS = (
    "status",
    "code",
    "status_code",
    "response_code",
    "http_status_code",
    "http_response_status_code",
    "grpc_code",
    _GRPC_NUMBER_LABEL,
)
_FAILED_STATUS = r"5..|.*(?i:internal|unavailable|deadline|unknown|error|fail).*"
_STATE_LABELS = ("state", "status", "type")
_IN_USE = ("used", "in_use", "active", "busy")
_LIMIT_WORDS = ("max", "limit", "limits", "capacity", "size", "total")
_USE_WORDS = re.compile(r"(usage|in_use|inuse|active|used|busy|current|open|working_set)")


def looks_at(family: Family, known: Mapping[str, Family], frame: Frame) -> list[Look]:
    """The looks a metric is worth: none where it says nothing about a service. `known` are all metrics by name."""
    if _NOISE.search(family.name):
        return []
    for applies, rule in _RULES:
        if applies.search(family.name):
            looks = rule(family, known, frame)
            if looks:
                return looks
    return _other(family, frame)


def _calls(family: Family, known: Mapping[str, Family], frame: Frame) -> list[Look]:
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
                quantile(
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
                quantile(family, frame, Signal.LATENCY, "p95 of serving a call", by, _seen_by(family, "destination"))
            )
        return looks
    if family.kind == "counter" and _FAILED.search(family.name):
        total = known.get(_FAILED.sub("", family.name)) or known.get(_FAILED.sub("request", family.name))
        return [rate(family, frame, Signal.CALL_ERRORS, "failed calls", ends, share_of=total)]
    if family.kind == "counter" and _REQUESTS.search(family.name):
        looks = [rate(family, frame, Signal.TRAFFIC, "calls received", (family.callee_label,))]
        failed = _failed_status(family)
        if failed is not None:
            looks.append(
                rate(family, frame, Signal.CALL_ERRORS, "failed calls", ends, where=(failed,), share_of=family)
            )
        return looks
    return []


def _requests(family: Family, known: Mapping[str, Family], frame: Frame) -> list[Look]:
    if family.kind != "counter":
        return []
    looks = [rate(family, frame, Signal.TRAFFIC, "requests", (family.label,))]
    failed = _failed_status(family)
    if failed is not None:
        looks.append(
            rate(family, frame, Signal.ERRORS, "failed requests", (family.label,), where=(failed,), share_of=family)
        )
    return looks


def _duration(family: Family, known: Mapping[str, Family], frame: Frame) -> list[Look]:
    """How long something takes; of served requests also how many there are and how many fail, unless a counter tells."""
    by = (family.label,)
    if family.kind == "histogram":
        looks = [quantile(family, frame, Signal.LATENCY, f"{_words(family.name)} p95", by)]
    elif family.kind == "summary":  # its own quantiles cannot be put together over instances
        looks = [mean(family, frame, Signal.LATENCY, f"{_words(family.name)} mean", by)]
    else:
        return []
    if not _SERVED.search(family.name) or _CLIENT.search(family.name):
        return looks
    counters = _counters_of(family, known)
    if not counters:
        looks.append(rate(family, frame, Signal.TRAFFIC, "requests", by, suffix="_count"))
    failed = _failed_status(family)
    if failed is not None and not any(_failed_status(counter) for counter in counters):
        measure, where = "failed requests", (failed,)
        looks.append(rate(family, frame, Signal.ERRORS, measure, by, where=where, share_of=family, suffix="_count"))
    return looks


def _counters_of(family: Family, known: Mapping[str, Family]) -> list[Family]:
    """The counters of the requests whose time this metric tells, for every service it speaks of."""
    return [
        other
        for other in known.values()
        if other.kind == "counter"
        and other.callee_label is None
        and other.services >= family.services
        and _REQUESTS.search(other.name)
        and not _FAILED.search(other.name)
        and _subject(other.name) == _subject(family.name)
    ]


def _subject(name: str) -> frozenset[str]:
    """What requests a metric speaks of: http for both `http_server_requests_seconds` and `http_requests_total`."""
    return frozenset(word for word in name.split("_") if not _REQUEST_WORD.fullmatch(word))


def _waiting(family: Family, known: Mapping[str, Family], frame: Frame) -> list[Look]:
    if family.kind == "histogram":
        return [quantile(family, frame, Signal.QUEUE, f"{_words(family.name)} p95", (family.label,))]
    if family.kind == "gauge":
        return [gauge(family, frame, Signal.QUEUE, _words(family.name), Aggregate.SUM, unit="count")]
    return []


def _pauses(family: Family, known: Mapping[str, Family], frame: Frame) -> list[Look]:
    if family.kind in ("histogram", "summary"):
        return [rate(family, frame, Signal.RUNTIME, f"time in {_words(family.name)}", (family.label,), suffix="_sum")]
    return []


def _failures(family: Family, known: Mapping[str, Family], frame: Frame) -> list[Look]:
    if family.kind != "counter":
        return []
    return [rate(family, frame, Signal.ERRORS, _words(family.name), (family.label,))]


def _cpu(family: Family, known: Mapping[str, Family], frame: Frame) -> list[Look]:
    if family.kind == "counter" and "period" not in family.name:
        return [rate(family, frame, Signal.CPU, _words(family.name), unit="cores")]
    if family.kind == "gauge" and not _LIMIT.search(family.name):
        return [gauge(family, frame, Signal.CPU, _words(family.name), Aggregate.AVG)]
    return []


def _memory(family: Family, known: Mapping[str, Family], frame: Frame) -> list[Look]:
    if family.kind != "gauge" or _LIMIT.search(family.name) or "virtual" in family.name:
        return []
    limit = (
        known.get("container_spec_memory_limit_bytes")
        if family.name.startswith("container_")
        else _limit_of(family, known)
    )
    if limit is not None and limit.label == family.label:
        measure = f"{_words(family.name)}"
        return [gauge(family, frame, Signal.MEMORY, measure, Aggregate.MAX, share_of=limit)]
    return [gauge(family, frame, Signal.MEMORY, _words(family.name), Aggregate.MAX, unit="bytes")]


def _restarts(family: Family, known: Mapping[str, Family], frame: Frame) -> list[Look]:
    return [gauge(family, frame, Signal.RESTARTS, "container restarts", Aggregate.SUM, unit="count")]


def _killed(family: Family, known: Mapping[str, Family], frame: Frame) -> list[Look]:
    bad = tuple(v for v in family.labels.get("reason", ()) if v.lower() not in ("completed", ""))
    if not bad:
        return []
    where = (one_of("reason", bad),)
    return [
        gauge(
            family,
            frame,
            Signal.RESTARTS,
            f"containers last ended by {'/'.join(bad)}",
            Aggregate.SUM,
            unit="count",
            where=where,
        )
    ]


def _up(family: Family, known: Mapping[str, Family], frame: Frame) -> list[Look]:
    return [gauge(family, frame, Signal.AVAILABILITY, "instances that answer", Aggregate.AVG, unit="ratio")]


def _replicas(family: Family, known: Mapping[str, Family], frame: Frame) -> list[Look]:
    wanted = known.get("kube_deployment_spec_replicas") or known.get("kube_statefulset_replicas")
    if wanted is None or wanted.label != family.label:
        return []
    return [
        gauge(family, frame, Signal.AVAILABILITY, "replicas available of those wanted", Aggregate.SUM, share_of=wanted)
    ]


def _disk(family: Family, known: Mapping[str, Family], frame: Frame) -> list[Look]:
    if family.kind != "gauge":
        return []
    free = re.search(r"(avail|free)(able)?(_bytes)?", family.name)
    if free is None:
        return []
    total = next((known[n] for n in _totals(family.name) if n in known), None)
    if total is None:
        return [gauge(family, frame, Signal.DISK, _words(family.name), Aggregate.MIN, unit="bytes")]
    measure, reading = "share of the disk in use", Reading.COMPLEMENT
    return [gauge(family, frame, Signal.DISK, measure, Aggregate.MIN, share_of=total, reading=reading)]


def _totals(name: str) -> tuple[str, ...]:
    return tuple(re.sub(r"(available|avail|free)", total, name) for total in ("capacity", "size", "total"))


def _certificate(family: Family, known: Mapping[str, Family], frame: Frame) -> list[Look]:
    measure, reading = "time left on the certificate", Reading.TIME_LEFT
    return [gauge(family, frame, Signal.CERTIFICATE, measure, Aggregate.MIN, unit="s", reading=reading)]


def _pool(family: Family, known: Mapping[str, Family], frame: Frame) -> list[Look]:
    if family.kind != "gauge" or _LIMIT.search(family.name):
        return []
    limit = _limit_of(family, known)
    where = _in_use(family)
    if limit is None:
        if re.search(r"(pending|wait|idle)", family.name):
            return _waiting(family, known, frame) if "idle" not in family.name else []
        return [gauge(family, frame, Signal.SATURATION, _words(family.name), Aggregate.SUM, unit="count", where=where)]
    return [
        gauge(
            family, frame, Signal.SATURATION, f"{_stem(family.name)} in use", Aggregate.SUM, share_of=limit, where=where
        )
    ]


def _other(family: Family, frame: Frame) -> list[Look]:
    if (
        family.callee_label is not None
        or _LIMIT.search(family.name)
        or family.name.endswith(("_timestamp_seconds", "_time_seconds"))
    ):
        return []
    words = _words(family.name)
    if family.kind == "counter":
        return [rate(family, frame, Signal.OTHER, words, (family.label,))]
    if family.kind == "histogram":
        return [quantile(family, frame, Signal.OTHER, f"{words} p95", (family.label,))]
    if family.kind in ("gauge", "unknown"):
        return [gauge(family, frame, Signal.OTHER, words, Aggregate.AVG)]
    return []


_FAILED = re.compile(r"_failed|_failures?|_errors?")
_REQUESTS = re.compile(r"(request|requests|call|calls|rpc|handled|http|queries)[a-z_]*_total$|_requests?$")
_SERVED = re.compile(r"request|http|rpc|server|handler")
_CLIENT = re.compile(r"(^|_)(client|outbound|outgoing)(_|$)")  # what a service asks of others, not what it serves
_REQUEST_WORD = re.compile(
    r"server|requests?|responses?|handl(ed|er|ing)|calls?|total|duration|latency|time|(milli)?seconds|ms"
)
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


def _limit_of(family: Family, known: Mapping[str, Family]) -> Family | None:
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
    if label is None:
        return None
    value = _FAILED_GRPC_NUMBER if label == _GRPC_NUMBER_LABEL else _FAILED_STATUS
    return Matcher(label=label, value=value, op=Op.MATCHES)


def _seen_by(family: Family, side: str) -> tuple[Matcher, ...]:
    return (equal("reporter", side),) if side in family.labels.get("reporter", ()) else ()


def _stem(name: str) -> str:
    """What is used, without the word that says it is used: `db client connections` of `db_client_connections_usage`."""
    return _words(re.sub(r"_+", "_", _USE_WORDS.sub("", name, count=1)).strip("_"))


def _words(name: str) -> str:
    """A metric's name as words people read."""
    return re.sub(r"_(total|seconds|milliseconds|bytes|ratio|count)$", "", name).replace("_", " ").strip()
