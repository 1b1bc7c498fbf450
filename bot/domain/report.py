"""The answer: what Slack, the terminal and files all render."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from bot.domain.evidence import Signal
from bot.domain.scope import Scope
from bot.domain.suggestion import Suggestion
from bot.domain.usage import Usage


class Fault(Enum):
    """The kinds of fault a rule can name. The value is what people read in a headline after the service's name."""

    BAD_DEPLOY = "a bad deploy"
    POOL_EXHAUSTED = "an exhausted connection pool"
    MEMORY_LEAK = "a memory leak"
    SLOW_DEPENDENCY = "a slow dependency"
    TRAFFIC_SURGE = "a traffic surge"
    DISK_FULL = "a full disk"
    CERTIFICATE_EXPIRED = "an expired certificate"
    BAD_CONFIG = "a bad configuration or flag change"
    CPU_SATURATED = "saturated CPU"
    CRASHING = "repeated restarts"
    FAILING = "errors of its own"
    SLOW = "latency of its own"


class Confidence(Enum):
    """How sure, by rules over the evidence: see docs/evidence.md."""

    LIKELY = "likely"
    POSSIBLE = "possible"
    UNKNOWN = "no clear cause"


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """One sentence and the evidence it rests on. May hold time marks (see `time_mark`)."""

    text: str
    evidence: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that left its normal range. `score` is comparable within one investigation only; higher is stronger.

    `before` and `after` are typical values in baseline and incident, in `unit`. `explained_by` names the service whose
    trouble explains this one: a victim, not a cause.
    """

    service: str
    signal: Signal
    statement: Statement
    score: float
    onset_s: float | None = None
    before: float | None = None
    after: float | None = None
    unit: str = ""
    explained_by: str | None = None

    @property
    def rising(self) -> bool | None:
        """True when it went up, False when it went down, None when there is no number on both sides."""
        if self.before is None or self.after is None:
            return None
        return self.after > self.before


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """The headline: which service, what kind of fault. `change` is the ref of a guilty change, where one fits."""

    service: str
    fault: Fault
    statement: Statement
    onset_s: float | None = None
    change: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """Something that could not be looked at: what, why, and what would close it."""

    what: str
    why: str
    remedy: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """An entry of the timeline, at UTC unix seconds."""

    at_s: float
    statement: Statement


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """How much was looked at; `patterns_shown` are those among the findings, `messages` those of the thread it was asked in."""

    looks_planned: int
    looks_answered: int
    patterns: int = 0
    patterns_shown: int = 0
    lines_read: int = 0
    lines_total: int | None = None
    messages: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ChartSeries:
    name: str
    values: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """One or two series on one time axis (`times_s`, UTC unix seconds); NaN is a gap.

    `before` and `after` are the finding's typical values that it shows, in `unit`; None where it has none.
    """

    title: str
    unit: str
    times_s: tuple[float, ...]
    series: tuple[ChartSeries, ...]
    onset_s: float | None
    evidence: str
    before: float | None = None
    after: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ownership:
    """Who owns a service and where its runbook is, from configuration or an alert."""

    owner: str = ""
    runbook: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Everything an answer says; `cause` is None for "no clear cause"."""

    investigation: str
    question: str
    scope: Scope
    cause: Cause | None
    confidence: Confidence
    confidence_reason: str
    findings: tuple[Finding, ...]
    timeline: tuple[Moment, ...]
    against: tuple[Statement, ...]
    would_settle: tuple[Statement, ...]
    coverage: Coverage
    gaps: tuple[Gap, ...]
    charts: tuple[Chart, ...]
    suggestions: tuple[Suggestion, ...]
    ownership: Ownership
    usage: Usage


# Times inside sentences are marks, so that each reader's renderer shows them in the reader's own zone.
_MARK = re.compile(r"⟦t:(\d+)⟧")


def time_mark(at_s: float) -> str:
    """A mark for a time inside a sentence; renderers turn it into the reader's own clock."""
    return f"⟦t:{round(at_s)}⟧"


def with_times(text: str, show: Callable[[int], str]) -> str:
    """The sentence with every time mark shown by `show`, which gets UTC unix seconds."""
    return _MARK.sub(lambda mark: show(int(mark.group(1))), text)
