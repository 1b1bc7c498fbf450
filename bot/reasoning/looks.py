"""One look: a typed query about one metric, with what it measures and how its answer is read."""

from dataclasses import dataclass
from enum import Enum

from bot.domain.evidence import Signal
from bot.domain.query import Aggregate, Matcher, MetricQuery, Selector, one_of
from bot.domain.scope import Window
from bot.reasoning.inventory import Family

# Series one look may bring back: services of a large scope times a few, so that a bad label cannot flood an answer.
SERIES_PER_LOOK = 60


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
class Frame:
    """What all looks of a plan share: the window, its step, the width of rates (seconds) and the conditions of the scope."""

    window: Window
    step_s: int
    rate_s: int
    within: tuple[Matcher, ...]


def quantile(
    family: Family, frame: Frame, signal: Signal, measure: str, by: tuple[str, ...], where: tuple[Matcher, ...] = ()
) -> Look:
    """The 95th percentile of a histogram."""
    query = MetricQuery(
        selector=_selector(family, frame, where, "_bucket"),
        window=frame.window,
        step_s=frame.step_s,
        rate_s=frame.rate_s,
        aggregate=Aggregate.SUM,
        by=by,
        quantile=0.95,
    )
    return Look(signal=signal, measure=measure, unit=_observed_unit(family), query=query, family=family)


def mean(family: Family, frame: Frame, signal: Signal, measure: str, by: tuple[str, ...]) -> Look:
    """The mean of what a summary or histogram observed: its sum by its count."""
    query = MetricQuery(
        selector=_selector(family, frame, (), "_sum"),
        window=frame.window,
        step_s=frame.step_s,
        rate_s=frame.rate_s,
        aggregate=Aggregate.SUM,
        by=by,
        divided_by=_selector(family, frame, (), "_count"),
    )
    return Look(signal=signal, measure=measure, unit=_observed_unit(family), query=query, family=family)


def rate(
    family: Family,
    frame: Frame,
    signal: Signal,
    measure: str,
    by: tuple[str, ...] = (),
    *,
    unit: str = "/s",
    where: tuple[Matcher, ...] = (),
    share_of: Family | None = None,
    suffix: str = "",
) -> Look:
    """A counter's rate per second, or its share of another one's; by service unless `by` says otherwise."""
    query = MetricQuery(
        selector=_selector(family, frame, where, suffix),
        window=frame.window,
        step_s=frame.step_s,
        rate_s=frame.rate_s,
        aggregate=Aggregate.SUM,
        by=by or (family.label,),
        divided_by=_selector(share_of, frame, (), suffix) if share_of else None,
    )
    return Look(signal=signal, measure=measure, unit="ratio" if share_of else unit, query=query, family=family)


def gauge(
    family: Family,
    frame: Frame,
    signal: Signal,
    measure: str,
    aggregate: Aggregate,
    *,
    unit: str = "",
    where: tuple[Matcher, ...] = (),
    share_of: Family | None = None,
    reading: Reading = Reading.PLAIN,
) -> Look:
    """A gauge's value by service, or its share of another one's."""
    query = MetricQuery(
        selector=_selector(family, frame, where),
        window=frame.window,
        step_s=frame.step_s,
        aggregate=aggregate,
        by=(family.label,),
        divided_by=_selector(share_of, frame) if share_of else None,
    )
    unit = "ratio" if share_of else unit
    return Look(signal=signal, measure=measure, unit=unit, query=query, family=family, reading=reading)


def _observed_unit(family: Family) -> str:
    return "ms" if "millisecond" in family.name else "bytes" if "bytes" in family.name else "s"


def _selector(family: Family, frame: Frame, where: tuple[Matcher, ...] = (), suffix: str = "") -> Selector:
    named = family.callee_label or family.label
    mine = one_of(named, tuple(family.values)[:SERIES_PER_LOOK])
    inside = tuple(m for m in frame.within if m.value in family.labels.get(m.label, ()))
    return Selector(metric=family.name + suffix, matchers=(mine, *inside, *where))
