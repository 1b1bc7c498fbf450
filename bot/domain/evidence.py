"""Numbered facts. Everything a report says points at these; nothing else counts."""

from dataclasses import dataclass
from enum import Enum

from bot.domain.alert import Alert
from bot.domain.change import Change
from bot.domain.question import ThreadMessage
from bot.domain.scope import Edge, Window
from bot.domain.series import Series


class Signal(Enum):
    """What a number says about a service."""

    TRAFFIC = "traffic"
    ERRORS = "errors"
    LATENCY = "latency"
    CALL_LATENCY = "call latency"  # measured by the caller, labels name caller and callee
    CALL_ERRORS = "call errors"
    SATURATION = "saturation"  # a share of a limit: pool, queue, threads, quota (0..1)
    QUEUE = "queue"
    MEMORY = "memory"
    CPU = "cpu"
    DISK = "disk"  # share used (0..1) or bytes left
    RESTARTS = "restarts"
    AVAILABILITY = "availability"
    CERTIFICATE = "certificate"  # seconds until it expires
    RUNTIME = "runtime"
    LOGS = "logs"
    CHANGE = "change"
    ALERT = "alert"
    OTHER = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceSeries:
    """A series and the service it speaks of; for calls also the other end (`peer` is the callee)."""

    service: str
    series: Series
    peer: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesBody:
    """Numbers of one look: the same measure for one or more services. `unit` is s, /s, ratio, bytes, count or ''.

    `earlier_s` is how long before their times the samples were really taken: a day or a week for comparisons, else 0.
    """

    signal: Signal
    measure: str
    unit: str
    series: tuple[ServiceSeries, ...]
    earlier_s: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Pattern:
    """A log template with its counts in baseline and incident. `buckets` are counts per step over the whole window."""

    template_id: str
    text: str
    service: str
    level: str
    before: int
    after: int
    first_seen_s: float
    last_seen_s: float
    examples: tuple[str, ...] = ()
    buckets: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PatternsBody:
    """What the logs of some services say. Counts are of `lines_read`, out of `lines_total` that exist (None: unknown)."""

    patterns: tuple[Pattern, ...]
    lines_read: int
    lines_total: int | None
    bucket_start_s: float
    bucket_step_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangesBody:
    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertsBody:
    alerts: tuple[Alert, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphBody:
    """Who calls whom."""

    edges: tuple[Edge, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MessagesBody:
    """What people and apps wrote in the thread."""

    messages: tuple[ThreadMessage, ...]


Body = SeriesBody | PatternsBody | ChangesBody | AlertsBody | GraphBody | MessagesBody


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """One numbered fact: `id` is E1, E2, ... within its investigation.

    `query` is the exact text a person can run at `source`; `link` opens it there where configured. `warnings` are what
    the source said about the quality of its answer (partial data and the like).
    """

    id: str
    title: str
    source: str
    query: str
    window: Window
    body: Body
    link: str | None = None
    warnings: tuple[str, ...] = ()
