"""From the answer of a look to numbers that speak of services."""

import math
from collections.abc import Sequence
from dataclasses import replace

from bot.domain.evidence import SeriesBody, ServiceSeries, Signal
from bot.domain.series import Series
from bot.reasoning.looks import Look, Reading

# A counter of failures is born with the first failure: before that there were none, which is not a gap.
_BORN_AT_FIRST = frozenset({Signal.ERRORS, Signal.CALL_ERRORS})


def read_answer(look: Look, answer: Sequence[Series]) -> SeriesBody | None:
    """The look's series with the service each speaks of; None when none of them speaks of a service in scope."""
    found = [entry for series in answer for entry in _entries(look, series)]
    if not found:
        return None
    unit = "s" if look.unit == "ms" else look.unit
    found.sort(key=lambda entry: (entry.service, entry.peer or "", sorted(entry.series.labels.items())))
    return SeriesBody(
        signal=look.signal, measure=look.measure, unit=unit, series=tuple(found), earlier_s=look.query.offset_s
    )


def _entries(look: Look, series: Series) -> list[ServiceSeries]:
    family = look.family
    if family.callee_label is not None:
        caller, callee = series.labels.get(family.label), series.labels.get(family.callee_label)
        if callee is None:
            return []
        service, peer = (caller, callee) if caller else (callee, None)
    else:
        named = family.values.get(series.labels.get(family.label, ""))
        if named is None:
            return []
        service, peer = named, None
    if all(math.isnan(v) for v in series.values):
        return []
    return [ServiceSeries(service=service, peer=peer, series=replace(series, values=_values(look, series)))]


def _values(look: Look, series: Series) -> tuple[float, ...]:
    values = series.values
    if look.reading is Reading.COMPLEMENT:
        values = tuple(1 - v for v in values)
    elif look.reading is Reading.TIME_LEFT:
        values = tuple(v - series.at(i) for i, v in enumerate(values))
    if look.unit == "ms":
        values = tuple(v / 1000 for v in values)
    if look.signal in _BORN_AT_FIRST:
        born = next((i for i, v in enumerate(values) if not math.isnan(v)), 0)
        values = (0.0,) * born + values[born:]
    return values
