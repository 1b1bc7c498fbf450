"""Typed queries: the only way to ask a source.

Adapters render them as PromQL or LogQL with escaping, the demo shop evaluates them. No query text is ever built
from a question, a log line or a model's words; raw text comes from configuration alone (`ConfiguredLogQuery`).
"""

from dataclasses import dataclass
from enum import Enum

from bot.domain.scope import Window


class Op(Enum):
    """How a label is compared. Patterns are RE2 and match the whole value."""

    EQUAL = "="
    NOT_EQUAL = "!="
    MATCHES = "=~"
    NOT_MATCHES = "!~"


@dataclass(frozen=True, slots=True, kw_only=True)
class Matcher:
    """One condition on a label."""

    label: str
    value: str
    op: Op = Op.EQUAL


@dataclass(frozen=True, slots=True, kw_only=True)
class Selector:
    """The series of one metric (or, with no metric, any series or log streams) that fulfil all matchers."""

    metric: str | None = None
    matchers: tuple[Matcher, ...] = ()


class Aggregate(Enum):
    """How series are put together."""

    SUM = "sum"
    AVG = "avg"
    MAX = "max"
    MIN = "min"
    COUNT = "count"


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricQuery:
    """One look at a metric over a window.

    The parts apply from the inside out: `selector`, then `rate_s` (per-second rate over that many seconds), then
    `aggregate` by the labels `by`, then for histograms `quantile` (0..1; `le` is added to `by`), then `divided_by`
    (the same rate and aggregate over another selector: an error ratio, a pool's use, a mean), then `topk`.
    `step_s` is the distance of the points; `offset_s` asks that many seconds earlier and stamps the answer with now.
    """

    selector: Selector
    window: Window
    step_s: int
    rate_s: int | None = None
    aggregate: Aggregate | None = None
    by: tuple[str, ...] = ()
    quantile: float | None = None
    divided_by: Selector | None = None
    topk: int | None = None
    offset_s: int = 0

    def __post_init__(self) -> None:
        if self.step_s < 1:
            raise ValueError("a metric query needs a step of at least 1 s")
        if self.quantile is not None and not (
            0 <= self.quantile <= 1 and self.rate_s and self.aggregate is Aggregate.SUM
        ):
            raise ValueError("a quantile lies in 0..1 and needs a summed rate")


class FilterOp(Enum):
    """How a line filter keeps lines."""

    CONTAINS = "|="
    LACKS = "!="
    MATCHES = "|~"
    MATCHES_NOT = "!~"


@dataclass(frozen=True, slots=True, kw_only=True)
class LineFilter:
    """Keeps the lines that contain (or lack) a text or an RE2 pattern."""

    text: str
    op: FilterOp = FilterOp.CONTAINS


class Parser(Enum):
    """How a source takes fields out of a line."""

    JSON = "json"
    LOGFMT = "logfmt"


@dataclass(frozen=True, slots=True, kw_only=True)
class LogQuery:
    """Lines of the selected streams in a window, newest first unless `oldest_first`; at most `limit` of them."""

    selector: Selector
    window: Window
    filters: tuple[LineFilter, ...] = ()
    parser: Parser | None = None
    where: tuple[Matcher, ...] = ()
    limit: int = 5000
    oldest_first: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LogCountQuery:
    """How many lines a step of the selected streams had, summed by the labels `by`."""

    selector: Selector
    window: Window
    step_s: int
    by: tuple[str, ...] = ()
    filters: tuple[LineFilter, ...] = ()
    parser: Parser | None = None
    where: tuple[Matcher, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfiguredLogQuery:
    """Query text from the operator's own configuration, such as the one that finds deploy events."""

    text: str
    window: Window
    limit: int = 1000


def equal(label: str, value: str) -> Matcher:
    """A matcher for exactly this value."""
    return Matcher(label=label, value=value)


def one_of(label: str, values: tuple[str, ...]) -> Matcher:
    """A matcher for any of these values, taken literally."""
    if len(values) == 1:
        return equal(label, values[0])
    return Matcher(label=label, value=any_of(values), op=Op.MATCHES)


def any_of(values: tuple[str, ...]) -> str:
    """An RE2 pattern for any of these texts, taken literally."""
    return "|".join(_literal(v) for v in values)


# The characters RE2 gives a meaning to. re.escape would also escape '-' and space, which reads badly in a query people open.
_SPECIAL = frozenset("\\.+*?()|[]{}^$")


def _literal(text: str) -> str:
    return "".join("\\" + c if c in _SPECIAL else c for c in text)
