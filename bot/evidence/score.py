"""How far each series left its own normal range, in numbers that compare across series of any unit.

The standardised score of a series does not change when the series is multiplied or shifted. Only `material` looks at the
size of a change against the level, and only to damp changes nobody would care about.
"""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bot.domain.evidence import Evidence, SeriesBody, ServiceSeries, Signal
from bot.domain.scope import Scope
from bot.domain.series import Series
from bot.evidence.onset import Excursions, excursions
from bot.evidence.reading import Reading

Floats = NDArray[np.float64]

CLEAR = (
    30.0  # scales away from normal at which a departure counts as clear (strength 1): ten times the usual alarm of 3
)
ALARM = 3.0  # the usual three-sigma alarm: strength 0
STRONGEST = 1.5  # beyond about 95 scales more distance says little more; agreement between signals does
MAD_TO_SIGMA = 1.4826  # of a normal distribution
SPREAD_TO_SIGMA = 2.563  # distance of the 10th and 90th percentile of a normal distribution, in sigmas
LASTING = 3  # points a departure must last to count in full; fewer count as the square root of their share
SIBLINGS = 5  # services that must have a measure before it is judged by how restless it is across them
MATERIAL_SHARE = 0.10  # a change below a tenth of the level is damped in proportion
MATERIAL_RATIO = 0.01  # for shares (0..1) one percentage point
MOST_VALUE = 1e150  # beyond it squares overflow; such values are no measurements
# Signals whose series may come as plain counters that only grow; others grow for reasons of their own (memory, disks).
_MAY_COUNT = frozenset({Signal.TRAFFIC, Signal.ERRORS, Signal.CALL_ERRORS, Signal.OTHER, Signal.RUNTIME})
# A series that exists only since the incident is news for these (nothing was counted before); others abstain.
_NOTHING_BEFORE_IS_ZERO = frozenset({Signal.ERRORS, Signal.CALL_ERRORS, Signal.RESTARTS})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """A series with what it is and where it came from."""

    evidence: str
    body: SeriesBody
    named: ServiceSeries


@dataclass(frozen=True, slots=True, kw_only=True)
class _Departures:
    """For each row: signed distance in scales, the furthest its baseline strayed, typical values, index of the onset."""

    z: Floats
    wander: Floats
    before: Floats
    after: Floats
    first: NDArray[np.int64]


def strength(z: float, clear: float = CLEAR) -> float:
    """A distance in scales as a strength: 0 up to the alarm at 3, 1 when `clear`, growing with the logarithm."""
    if not z > ALARM:
        return 0.0
    felt = math.log(z / ALARM) / math.log(clear / ALARM)
    # Past the strongest a tenth still counts, so that two overwhelming departures keep their order.
    return felt if felt <= STRONGEST else STRONGEST + (min(felt, 2 * STRONGEST) - STRONGEST) / 10


def read_series(scope: Scope, evidence: Sequence[Evidence]) -> tuple[Reading, ...]:
    """A reading for every series with samples in baseline and incident, in the order given.

    Series without a baseline abstain, save those that count failures. Grids are scored one at a time, all rows together.
    """
    grids: dict[tuple[float, float, int], list[tuple[int, _Row]]] = defaultdict(list)
    number = 0
    for item in evidence:
        if not isinstance(item.body, SeriesBody) or item.window.end_s <= scope.window.start_s:
            continue
        for named in item.body.series:
            if not (math.isfinite(named.series.start_s) and math.isfinite(named.series.step_s)):
                continue
            key = (named.series.start_s, named.series.step_s, len(named.series.values))
            grids[key].append((number, _Row(evidence=item.id, body=item.body, named=named)))
            number += 1
    found: list[tuple[int, Reading]] = []
    for rows in grids.values():
        found += _read_grid(scope, rows)
    return tuple(reading for _, reading in sorted(found, key=lambda pair: pair[0]))


def _read_grid(scope: Scope, rows: Sequence[tuple[int, _Row]]) -> list[tuple[int, Reading]]:
    series = rows[0][1].named.series
    split = _index(series, scope.window.start_s)
    begin = min(split, _index(series, scope.baseline.start_s))
    end = max(split, _index(series, scope.window.end_s))
    if end - split < 1:
        return []
    values = np.array([row.named.series.values for _, row in rows], dtype=np.float64)[:, begin:end]
    values[~(np.abs(values) < MOST_VALUE)] = np.nan
    split -= begin
    values = _uncounted(values, [row.body.signal in _MAY_COUNT for _, row in rows], split)
    values = _zero_before([row.body.signal in _NOTHING_BEFORE_IS_ZERO for _, row in rows], values, split)
    found = departures(values, split)
    found = replace(found, z=found.z / _restlessness([row for _, row in rows], found.wander))
    known = np.isfinite(found.before) & np.isfinite(found.after)
    return [
        (number, _reading(row, found, at, series.start_s + begin * series.step_s, series.step_s))
        for at, (number, row) in enumerate(rows)
        if known[at]
    ]


def _index(series: Series, at_s: float) -> int:
    """The place of the first value at or after a time, within the series."""
    return math.ceil(min(max((at_s - series.start_s) / series.step_s, 0.0), len(series.values)))


def departures(values: Floats, split: int) -> _Departures:
    """Scores rows of samples (rows x time, NaN is a gap): columns before `split` are the baseline, the rest the incident.

    The centre is the baseline's median. The scale is the largest of three robust ones, so that it fits the kind of series:
    the median deviation (steady noise), the 10-90 % spread (bursts, several cycles of a season), and a floor for constant
    ones, a share of the whole range that shrinks with the length of the baseline: few samples prove little.
    An excursion may begin before `split`: an onset that was given late, or an alert that fired late.
    """
    base = np.sort(values[:, :split], axis=1)
    counts = np.sum(~np.isnan(base), axis=1)
    centre = _quantile(base, counts, 0.5)
    deviation = np.sort(np.abs(values[:, :split] - centre[:, None]), axis=1)
    mad = MAD_TO_SIGMA * _quantile(deviation, counts, 0.5)
    spread = _spread(values[:, :split])
    whole = np.sort(values, axis=1)
    all_counts = np.sum(~np.isnan(whole), axis=1)
    reach = _quantile(whole, all_counts, 1.0) - _quantile(whole, all_counts, 0.0)
    floor = reach / (10.0 + 2.0 * counts)
    # With fewer than a dozen samples the scale itself is a guess; widen it as Student's t would.
    scale = np.maximum(np.maximum(mad, spread), floor) * (1.0 + 4.0 / np.maximum(counts, 1))
    # Differences that float arithmetic alone makes are no differences.
    tiny = np.maximum(np.abs(centre), reach) * 1e-9
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        z = np.where(scale[:, None] > tiny[:, None], (values - centre[:, None]) / scale[:, None], values * 0.0)
    inside = slice(split, values.shape[1])
    up, down = excursions(z, inside), excursions(-z, inside)
    z_up, after_up = _typical(z, values, up)
    z_down, after_down = _typical(-z, values, down)
    rises = z_up >= z_down
    return _Departures(
        z=np.where(rises, z_up, -z_down),
        wander=_wander(z[:, :split]),
        before=centre,
        after=np.where(rises, after_up, after_down),
        first=np.where(rises, up.first, down.first),
    )


def _wander(base: Floats) -> Floats:
    """How far each row strays in its own baseline for as long as counts in full, in scales: more only one time in twenty.

    Of the first two thirds, as in `_spread`; one time in twenty is what an earlier incident may take.
    """
    calm = base[:, : base.shape[1] * 2 // 3]
    if calm.shape[1] < LASTING:
        return np.zeros(len(base))
    lasting = np.lib.stride_tricks.sliding_window_view(np.abs(np.nan_to_num(calm)), LASTING, axis=1).mean(axis=2)
    return np.asarray(np.percentile(lasting, 95, axis=1), dtype=np.float64)


def _restlessness(rows: Sequence[_Row], wander: Floats) -> Floats:
    """For each row, how many alarms far its measure usually strays by itself, at least 1.

    Taken over all services that have the measure, nine in ten of which must be calmer: some measures (percentiles of few
    requests) jump without a reason, and one service with an earlier incident does not make a measure restless.
    """
    of_body: dict[str, list[int]] = defaultdict(list)
    for at, row in enumerate(rows):
        of_body[row.evidence].append(at)
    found = np.ones(len(rows))
    for places in of_body.values():
        if len(places) >= SIBLINGS:
            found[places] = max(1.0, float(np.percentile(wander[places], 90)) / ALARM)
    return found


def _spread(base: Floats) -> Floats:
    """The 10-90 % spread of each row in sigmas: of the whole baseline or of its first two thirds, whichever is narrower.

    Where the given onset is late, the end of the baseline already holds the incident; bursts are in both parts.
    """
    narrowest = np.full(len(base), np.inf)
    for part in (base, base[:, : base.shape[1] * 2 // 3]):
        ordered = np.sort(part, axis=1)
        counts = np.sum(~np.isnan(ordered), axis=1)
        spread = (_quantile(ordered, counts, 0.9) - _quantile(ordered, counts, 0.1)) / SPREAD_TO_SIGMA
        enough = (counts >= LASTING) | (part.shape[1] == base.shape[1])
        narrowest = np.where(enough, np.fmin(narrowest, spread), narrowest)
    return np.where(np.isinf(narrowest), np.nan, narrowest)


def _typical(z: Floats, values: Floats, found: Excursions) -> tuple[Floats, Floats]:
    """Distance and value an excursion settles at: means over its last two thirds, so that a ramp shows where it leads."""
    span = found.last - found.first + 1
    start = found.first + span // 3
    columns = np.arange(z.shape[1])[None, :]
    inside = (columns >= start[:, None]) & (columns <= found.last[:, None]) & ~np.isnan(z)
    many = np.sum(inside, axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        distance = np.sum(np.where(inside, z, 0.0), axis=1) / many
        value = np.sum(np.where(inside, values, 0.0), axis=1) / many
    lasted = np.sum((columns >= found.first[:, None]) & (columns <= found.last[:, None]) & ~np.isnan(z), axis=1)
    distance = distance * np.sqrt(np.minimum(1.0, lasted / LASTING))
    return np.where(many > 0, distance, 0.0), np.where(many > 0, value, np.nan)


def _quantile(ordered: Floats, counts: NDArray[np.int64], share: float) -> Floats:
    """A quantile of each row; rows are sorted with NaN last and have `counts` numbers. NaN for an empty row."""
    if ordered.shape[1] == 0:
        return np.full(len(ordered), np.nan)
    at = np.maximum(counts - 1, 0) * share
    low = np.floor(at).astype(np.int64)
    high = np.minimum(low + 1, np.maximum(counts - 1, 0))
    rows = np.arange(len(ordered))
    lower, upper = ordered[rows, low], ordered[rows, high]
    return np.asarray(lower + (upper - lower) * (at - low), dtype=np.float64)


def _uncounted(values: Floats, may_count: Sequence[bool], split: int) -> Floats:
    """Counters become their increases. A counter grows at most steps of the baseline and falls only when it restarts at 0."""
    steps = np.diff(values, axis=1)
    before = steps[:, : max(split - 1, 0)]
    known = np.maximum(np.sum(~np.isnan(before), axis=1), 1)
    grows = np.sum(before > 0, axis=1) / known
    falls = np.sum(before < 0, axis=1) / known
    # Nine of ten steps up and at most one in twenty down: noise goes down half of the time.
    counter = np.asarray(may_count) & (grows >= 0.9) & (falls <= 0.05) & (known >= 5)
    if not counter.any():
        return values
    increases = np.where(steps < 0, values[:, 1:], steps)
    shifted = np.concatenate([np.full((len(values), 1), np.nan), increases], axis=1)
    return np.where(counter[:, None], shifted, values)


def _zero_before(counts_failures: Sequence[bool], values: Floats, split: int) -> Floats:
    """Failures that were never counted before were 0 before."""
    new = np.asarray(counts_failures) & np.isnan(values[:, :split]).all(axis=1)
    columns = np.arange(values.shape[1])[None, :] < split
    return np.where(new[:, None] & columns, 0.0, values)


def _reading(row: _Row, found: _Departures, at: int, start_s: float, step_s: float) -> Reading:
    before, after, z = float(found.before[at]), float(found.after[at]), float(found.z[at])
    size = 1.0 if row.body.signal is Signal.RESTARTS else material(before, after, row.body.unit)
    # Time left on a certificate shrinks by itself; only its end is news.
    moved = 0.0 if row.body.signal is Signal.CERTIFICATE else strength(abs(z)) * size
    felt = max(moved, _at_limit(row.body, before, after))
    onset_s = start_s + float(found.first[at]) * step_s
    return Reading(
        service=row.named.service,
        signal=row.body.signal,
        measure=row.body.measure,
        unit=row.body.unit,
        peer=row.named.peer,
        evidence=row.evidence,
        strength=felt,
        rising=after > before,
        before=before,
        after=after,
        onset_s=onset_s if felt > 0 and math.isfinite(onset_s) else None,
    )


def material(before: float, after: float, unit: str) -> float:
    """How much a change matters by its size alone, 0..1; 1 from a tenth of the level, or one percentage point of a share."""
    change = abs(after - before)
    if unit == "ratio" and max(abs(before), abs(after)) <= 1.5:
        return min(1.0, change / MATERIAL_RATIO)
    level = max(abs(before), abs(after))
    return min(1.0, change / level / MATERIAL_SHARE) if level > 0 else 0.0


# Where a share of a limit is as good as the limit: nearly nothing is left, whatever the noise was before.
_FULL = {Signal.SATURATION: 0.95, Signal.DISK: 0.97}
_ROOMY = 0.8  # a limit that was at most four fifths used was not the normal place to be


def _at_limit(body: SeriesBody, before: float, after: float) -> float:
    """A strength for what ran into its limit or its end, even when it crept there too slowly to stand out."""
    if body.signal is Signal.CERTIFICATE:
        return STRONGEST if after <= 0 else 0.0
    full = _FULL.get(body.signal)
    if full is None or body.unit != "ratio" or not full <= after <= 1.5 or after - before < MATERIAL_RATIO:
        return 0.0
    return STRONGEST if before < _ROOMY else 1.0
