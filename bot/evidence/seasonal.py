"""Whether a shift is a habit: the same hours a day or a week earlier moved the same way."""

import math
from collections.abc import Sequence

from bot.domain.evidence import SeriesBody, ServiceSeries
from bot.domain.scope import Scope
from bot.domain.series import Series

# An earlier day explains today's shift when it moved at least this share of it, in the same direction: a daily rise is
# rarely the same height twice, a fault is rarely matched by half of itself on an ordinary day.
_SAME = 0.5
# Medians need some points on both sides to mean anything.
_POINTS_MIN = 5


def usual_series(now: SeriesBody, earlier: Sequence[SeriesBody], scope: Scope) -> tuple[int, ...]:
    """The places in `now.series` of those whose shift an earlier period shows too.

    `earlier` hold the same query asked one day or week before, stamped with today's times. A service may have several
    series (one for each of its pods); each is compared with its own.
    """
    then = [{_identity(entry): entry for entry in body.series} for body in earlier]
    return tuple(
        place
        for place, entry in enumerate(now.series)
        if any(_same_move(entry, body.get(_identity(entry)), scope) for body in then)
    )


def _identity(entry: ServiceSeries) -> tuple[str, str | None, tuple[tuple[str, str], ...]]:
    return entry.service, entry.peer, tuple(sorted(entry.series.labels.items()))


def _same_move(now: ServiceSeries, earlier: ServiceSeries | None, scope: Scope) -> bool:
    if earlier is None:
        return False
    today, then = level_shift(now.series, scope), level_shift(earlier.series, scope)
    if today is None or then is None or today == 0:
        return False
    return then / today >= _SAME


def level_shift(series: Series, scope: Scope) -> float | None:
    """Median of the incident less median of the baseline; None where either side has too few points."""
    before, after = _known(series.within(scope.baseline)), _known(series.within(scope.window))
    if min(len(before), len(after)) < _POINTS_MIN:
        return None
    return _median(after) - _median(before)


def _known(values: Sequence[float]) -> list[float]:
    return sorted(v for v in values if not math.isnan(v))


def _median(ordered: Sequence[float]) -> float:
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2
