"""What the bot says about itself: JSON log lines and metrics."""

import logging
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TextIO

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from structlog.tracebacks import ExceptionDictTransformer
from structlog.typing import EventDict, Processor, WrappedLogger

from bot.policy.redaction import redact_secrets


def configure_logging(*, level: str = "INFO", stream: TextIO | None = None) -> None:
    """Sends everything that is logged, by us and by libraries, to `stream` (stderr) as one JSON object a line.

    Each line has `timestamp` (UTC), `level`, `logger`, `event`, `service` and whatever is bound to the context, such as
    `investigation`. No value keeps a secret, and tracebacks carry no local variables.
    """
    ours: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _add_service,
        structlog.processors.ExceptionRenderer(ExceptionDictTransformer(show_locals=False)),
        _without_secrets,
    ]
    structlog.configure(
        processors=[*ours, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,  # so that a later call takes effect everywhere
    )
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=ours,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _json_without_secrets,
            ],
        )
    )
    logging.basicConfig(level=level, handlers=[handler], force=True)


def _add_service(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    event["service"] = "groundwire"
    return event


def _without_secrets(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    return {key: _redacted(value) if key not in _LOGGING_INTERNALS else value for key, value in event.items()}


def _json_without_secrets(logger: WrappedLogger, method: str, event: EventDict) -> str:
    # The values went through already, as plain text; only here does a key such as `token` stand beside its value.
    return redact_secrets(str(_RENDER(logger, method, event)))


_RENDER = structlog.processors.JSONRenderer()
_LOGGING_INTERNALS = ("_record", "_from_structlog")


def _redacted(value: object) -> object:
    if isinstance(value, str):
        return redact_secrets(value)
    if isinstance(value, Mapping):
        return {key: _redacted(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_redacted(inner) for inner in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    return redact_secrets(repr(value))


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One declared metric. With `buckets` (upper bounds) it is a histogram, `gauge` may also go down, else it counts."""

    name: str
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
    gauge: bool = False


# From a quick label query to the deadline of an investigation (90 s).
_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15, 30, 60, 90)
# A decision is recorded in milliseconds, an investigation takes up to 90 s.
_MILLISECONDS = (5.0, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000, 30000, 90000)

METRICS = (
    Metric(name="groundwire_investigations_total", help="Investigations by how they ended.", labels=("outcome",)),
    Metric(
        name="groundwire_first_findings_seconds",
        help="Time from the question to the first findings.",
        buckets=_SECONDS,
    ),
    Metric(name="groundwire_investigation_seconds", help="Time from the question to the report.", buckets=_SECONDS),
    Metric(
        name="groundwire_source_seconds",
        help="Time a source took to answer or fail.",
        labels=("source", "kind"),
        buckets=_SECONDS,
    ),
    Metric(
        name="groundwire_source_errors_total",
        help="Calls to a source that failed, by error code.",
        labels=("source", "kind", "code"),
    ),
    Metric(
        name="groundwire_slack_events_total",
        help="Events from Slack by kind and by what became of them.",
        labels=("kind", "outcome"),
    ),
    Metric(name="groundwire_socket_connections", help="Open Socket Mode connections.", gauge=True),
    Metric(name="llm_developer_requests_total", help="Requests by type.", labels=("request_type",)),
    Metric(
        name="llm_developer_latency_ms",
        help="Time to handle a request, from its beginning to its end, in milliseconds.",
        labels=("request_type",),
        buckets=_MILLISECONDS,
    ),
)

# More label sets than this under one name mean that a label holds something unbounded, such as an id or a person's text.
MOST_LABEL_SETS = 500


class PrometheusMeter:
    """The Meter port over a Prometheus registry. `count` adds to counters and gauges, `time` observes histograms.

    Only the metrics of METRICS exist: another name, label or use is a ValueError. A metric in `_ms` takes seconds like all
    others and shows milliseconds. Label sets beyond MOST_LABEL_SETS of one
    metric are counted under `other`, so that memory stays bounded.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._counted: dict[str, Counter | Gauge] = {}
        self._timed: dict[str, Histogram] = {}
        self._seen: dict[str, set[tuple[str, ...]]] = {metric.name: set() for metric in METRICS}
        for metric in METRICS:
            if metric.buckets:
                self._timed[metric.name] = Histogram(
                    metric.name, metric.help, metric.labels, buckets=metric.buckets, registry=registry
                )
            else:
                kind = Gauge if metric.gauge else Counter
                self._counted[metric.name] = kind(metric.name, metric.help, metric.labels, registry=registry)

    def count(self, name: str, *, by: float = 1, **labels: str) -> None:
        metric = self._counted.get(name)
        if metric is None:
            raise ValueError(f"no metric {name!r} is declared that counts")
        (metric.labels(**self._bounded(name, labels)) if labels else metric).inc(by)

    def time(self, name: str, seconds: float, **labels: str) -> None:
        metric = self._timed.get(name)
        if metric is None:
            raise ValueError(f"no metric {name!r} is declared that takes times")
        value = seconds * 1000 if name.endswith("_ms") else seconds
        (metric.labels(**self._bounded(name, labels)) if labels else metric).observe(value)

    def follow(self, name: str, read: Callable[[], float]) -> None:
        """Shows what `read` gives at each scrape as the value of this gauge."""
        gauge = self._counted.get(name)
        if not isinstance(gauge, Gauge):
            raise ValueError(f"no metric {name!r} is declared that follows a value")
        gauge.set_function(read)

    def _bounded(self, name: str, labels: dict[str, str]) -> dict[str, str]:
        seen = self._seen[name]
        values = tuple(labels[key] for key in sorted(labels))
        if values not in seen and len(seen) >= MOST_LABEL_SETS:
            return dict.fromkeys(labels, "other")
        seen.add(values)
        return labels
