"""When it began: the change point of each series, and one onset for all of them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

# Drift of the cumulative sum, in scales: half of the smallest shift worth finding (3 scales), the textbook choice for CUSUM.
DRIFT = 1.5
# A single point may not count for more than this many scales, so that one spike is forgotten after five normal points.
CLIP = 8.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Excursions:
    """For each row: the first and the last index of its strongest departure."""

    first: Ints
    last: Ints


def excursions(z: Floats, searched: slice) -> Excursions:
    """The strongest upward excursion of each row of standardised values (rows x time; NaN is a gap).

    Page's CUSUM: what exceeds the drift adds up, normal points wear it off. It ends at the highest sum inside `searched` and
    began where that sum last stood at zero, which may lie before `searched`: a window that starts late does not move the onset.
    """
    steps = np.where(np.isnan(z), 0.0, np.clip(z, -CLIP, CLIP) - DRIFT)
    total = np.cumsum(steps, axis=1)
    lowest = np.minimum(np.minimum.accumulate(total, axis=1), 0.0)
    gathered = total - lowest
    inside = gathered[:, searched]
    last = np.argmax(inside, axis=1) + (searched.start or 0)
    columns = np.arange(z.shape[1])
    at_zero = (gathered <= 0) & (columns[None, :] <= last[:, None])
    first = np.where(at_zero.any(axis=1), z.shape[1] - np.argmax(at_zero[:, ::-1], axis=1), 0)
    first = _sharpened(steps, np.minimum(first, last), last)
    return Excursions(first=first, last=last)


def _sharpened(steps: Floats, first: Ints, last: Ints) -> Ints:
    """The beginning of each excursion without a weak lead-in: restless rows drift for long before the step that matters.

    The excursion is divided where the means of its parts differ most; a first part below a quarter of the second is left out.
    A ramp keeps its beginning, since its first part is never that weak against its second.
    """
    columns = np.arange(steps.shape[1])[None, :]
    inside = (columns >= first[:, None]) & (columns <= last[:, None])
    total = np.cumsum(np.where(inside, steps + DRIFT, 0.0), axis=1)
    rows = np.arange(len(steps))
    whole = total[rows, last][:, None]
    # Dividing before column c: the left part ends at c - 1.
    left_sum = np.concatenate([np.zeros((len(steps), 1)), total[:, :-1]], axis=1)
    left = np.maximum(columns - first[:, None], 1)
    right = np.maximum(last[:, None] - columns + 1, 1)
    left_mean, right_mean = left_sum / left, (whole - left_sum) / right
    gain = np.where(inside & (columns > first[:, None]), left * right * (right_mean - left_mean) ** 2, -1.0)
    gain = np.where(right_mean > left_mean, gain, -1.0)
    best = np.argmax(gain, axis=1)
    weak = (gain[rows, best] > 0) & (left_mean[rows, best] < right_mean[rows, best] / 4)
    return np.where(weak, best, first)


def joint_onset(onsets: Sequence[tuple[float, float]], tolerance_s: float) -> float | None:
    """One onset from many: `(time, weight)` pairs, UTC unix seconds.

    The earliest group within `tolerance_s` that carries at least a third of all weight; of that group the weighted median.
    A third, because a cause is rarely alone and rarely the majority; a lone early blip has less.
    """
    ordered = sorted((at, weight) for at, weight in onsets if weight > 0)
    if not ordered:
        return None
    needed = sum(weight for _, weight in ordered) / 3
    for start, _ in ordered:
        group = [(at, weight) for at, weight in ordered if start <= at <= start + tolerance_s]
        if sum(weight for _, weight in group) >= needed:
            return weighted_median(group)
    return weighted_median(ordered)


def weighted_median(ordered: Sequence[tuple[float, float]]) -> float:
    """The value at which half of the weight is reached; `(value, weight)` pairs in ascending order, at least one."""
    half = sum(weight for _, weight in ordered) / 2
    passed = 0.0
    for at, weight in ordered:
        passed += weight
        if passed >= half:
            return at
    return ordered[-1][0]
