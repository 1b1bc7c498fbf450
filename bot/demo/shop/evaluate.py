"""Typed metric queries, evaluated on samples as Prometheus evaluates PromQL (2.x: ranges closed at both ends).

Sources of the rules: prometheus/promql/functions.go (`extrapolatedRate`, `histogram_quantile`) and engine.go (look-back,
vector matching). A NaN in the arrays here means "no sample".
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import re2

from bot.demo.shop.family import Row
from bot.demo.shop.noise import Floats
from bot.domain.query import Aggregate, Matcher, MetricQuery, Op, Selector
from bot.domain.series import Series

LOOK_BACK_S = 300.0  # how old a sample may be and still count as the present value
Key = tuple[tuple[str, str], ...]
Vectors = dict[Key, Floats]


class Samples(Protocol):
    """Where the samples come from; a Shop is one. Scrapes lie on multiples of `step_s` and are numbered since the epoch."""

    step_s: int

    def named(self, sample: str | None, first: int, last: int) -> list[Row]:
        """The series of this name (None: all) with a value for each scrape between the two, both included."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Grid:
    """The evaluation times: `count` of them from `start_s` on; `offset_s` earlier is where the samples are taken."""

    start_s: float
    step_s: int
    count: int
    offset_s: int

    @property
    def at_s(self) -> Floats:
        return self.start_s - self.offset_s + self.step_s * np.arange(self.count, dtype=np.float64)


def evaluate(shop: Samples, query: MetricQuery) -> tuple[Series, ...]:
    """The answer to the query, series in order of their labels; those without any value are left out."""
    first = math.ceil(query.window.start_s / query.step_s)
    count = math.ceil(query.window.end_s / query.step_s) - first
    if count <= 0:
        return ()
    grid = _Grid(start_s=float(first * query.step_s), step_s=query.step_s, count=count, offset_s=query.offset_s)
    with np.errstate(divide="ignore", invalid="ignore"):
        vectors = _inner(shop, query, query.selector, grid)
        if query.quantile is not None:
            vectors = _quantile(vectors, query.quantile)
        if query.divided_by is not None:
            vectors = _divide(vectors, _inner(shop, query, query.divided_by, grid))
        if query.topk is not None:
            vectors = _topk(vectors, query.topk)
    vectors = {key: _finite(values) for key, values in vectors.items()}
    return tuple(
        Series(labels=dict(key), start_s=grid.start_s, step_s=float(grid.step_s), values=tuple(values.tolist()))
        for key, values in sorted(vectors.items())
        if not np.isnan(values).all()
    )


def _finite(values: Floats) -> Floats:
    """Infinite values (a division by zero) count as missing, as the adapter for a real server treats them."""
    return np.where(np.isinf(values), math.nan, values)


def matches(labels: Mapping[str, str], matchers: Sequence[Matcher]) -> bool:
    """Whether the labels fulfil all conditions; a label that is not there counts as empty."""
    return all(_fits(labels.get(m.label, ""), m) for m in matchers)


def _fits(value: str, matcher: Matcher) -> bool:
    if matcher.op is Op.EQUAL:
        return value == matcher.value
    if matcher.op is Op.NOT_EQUAL:
        return value != matcher.value
    found = re2.fullmatch(matcher.value, value) is not None
    return found if matcher.op is Op.MATCHES else not found


def _inner(shop: Samples, query: MetricQuery, selector: Selector, grid: _Grid) -> Vectors:
    """Selector, rate and aggregate."""
    rows = _select(shop, selector, grid, query.rate_s)
    first = _first_tick(shop, grid, query.rate_s)
    if query.rate_s:
        values = [(row, _rate(row.values, first, shop.step_s, grid.at_s, query.rate_s)) for row in rows]
    else:
        values = [(row, _latest(row.values, first, shop.step_s, grid.at_s)) for row in rows]
    if query.aggregate is None:
        return {_key(row, named=not query.rate_s and query.divided_by is None): v for row, v in values}
    by = (*query.by, "le") if query.quantile is not None else query.by
    groups: dict[Key, list[Floats]] = {}
    for row, v in values:
        key = tuple(sorted((label, row.labels[label]) for label in set(by) if row.labels.get(label)))
        groups.setdefault(key, []).append(v)
    return {key: _aggregate(np.stack(group), query.aggregate) for key, group in groups.items()}


def _key(row: Row, *, named: bool) -> Key:
    name = (("__name__", row.name),) if named else ()
    return (*name, *sorted(row.labels.items()))


def _first_tick(shop: Samples, grid: _Grid, rate_s: int | None) -> int:
    reach = float(rate_s) if rate_s else LOOK_BACK_S
    return math.ceil((float(grid.at_s[0]) - reach) / shop.step_s)


def _select(shop: Samples, selector: Selector, grid: _Grid, rate_s: int | None) -> list[Row]:
    first = _first_tick(shop, grid, rate_s)
    last = math.floor(float(grid.at_s[-1]) / shop.step_s)
    if last < first:
        return []
    rows = shop.named(selector.metric, first, last)
    return [row for row in rows if matches({**row.labels, "__name__": row.name}, selector.matchers)]


def _latest(values: Floats, first: int, step_s: int, at_s: Floats) -> Floats:
    """The newest sample at or before each time, if it is young enough."""
    places = np.arange(len(values))
    seen = np.maximum.accumulate(np.where(np.isnan(values), -1, places))
    upto = np.clip(np.floor(at_s / step_s).astype(np.int64) - first, -1, len(values) - 1)
    found = np.where(upto >= 0, seen[upto], -1)
    age = at_s - (found + first) * step_s
    return np.where((found >= 0) & (age <= LOOK_BACK_S), values[found], math.nan)


def _rate(values: Floats, first: int, step_s: int, at_s: Floats, range_s: int) -> Floats:
    """Per-second increase over the range before each time, with resets and extrapolation to the range's ends."""
    there = ~np.isnan(values)
    if not there.any():
        return np.full(len(at_s), math.nan)
    ticks = np.flatnonzero(there)
    held = values[ticks]
    falls = np.concatenate(([0.0], np.where(held[1:] < held[:-1], held[:-1], 0.0)))
    risen = held + np.cumsum(falls)
    times = (ticks + first) * float(step_s)
    low = np.searchsorted(times, at_s - range_s, side="left")
    high = np.searchsorted(times, at_s, side="right") - 1
    enough = high > low
    low, high = np.where(enough, low, 0), np.where(enough, high, min(1, len(held) - 1))
    gain = risen[high] - risen[low]
    sampled = times[high] - times[low]
    between = sampled / np.maximum(high - low, 1)
    to_start, to_end = times[low] - (at_s - range_s), at_s - times[high]
    to_zero = np.where((gain > 0) & (held[low] >= 0), sampled * held[low] / np.where(gain > 0, gain, 1.0), math.inf)
    to_start = np.minimum(to_start, to_zero)
    threshold = between * 1.1
    stretched = sampled + np.where(to_start < threshold, to_start, between / 2)
    stretched = stretched + np.where(to_end < threshold, to_end, between / 2)
    result = gain * (stretched / np.where(sampled > 0, sampled, 1.0)) / range_s
    return np.where(enough, result, math.nan)


def _aggregate(stack: Floats, how: Aggregate) -> Floats:
    """Series put together; where none has a value there is none."""
    there = ~np.isnan(stack)
    count = there.sum(axis=0)
    if how is Aggregate.COUNT:
        value = count.astype(np.float64)
    elif how is Aggregate.MAX:
        value = np.where(there, stack, -math.inf).max(axis=0)
    elif how is Aggregate.MIN:
        value = np.where(there, stack, math.inf).min(axis=0)
    else:
        value = np.where(there, stack, 0.0).sum(axis=0)
        if how is Aggregate.AVG:
            value = value / count
    return np.where(count > 0, value, math.nan)


def _quantile(vectors: Vectors, quantile: float) -> Vectors:
    """Prometheus' histogram_quantile: linear inside the bucket the rank falls into."""
    groups: dict[Key, list[tuple[float, Floats]]] = {}
    for key, values in vectors.items():
        bound = dict(key).get("le")
        if bound is not None:
            rest = tuple(pair for pair in key if pair[0] != "le")
            groups.setdefault(rest, []).append((float(bound), values))
    found = {}
    for key, buckets in groups.items():
        buckets.sort(key=lambda b: b[0])
        if len(buckets) >= 2 and math.isinf(buckets[-1][0]):
            bounds = np.array([b for b, _ in buckets])
            found[key] = _interpolate(bounds, np.stack([v for _, v in buckets]), quantile)
    return found


def _interpolate(bounds: Floats, counts: Floats, quantile: float) -> Floats:
    present = ~np.isnan(counts).all(axis=0)
    counts = np.maximum.accumulate(np.nan_to_num(counts), axis=0)  # float sums can fall a hair; Prometheus repairs too
    total = counts[-1]
    rank = quantile * total
    place = np.argmax(counts >= rank, axis=0)
    column = np.arange(counts.shape[1])
    last = place == len(bounds) - 1
    upper = bounds[np.minimum(place, len(bounds) - 2)]
    lower = np.where(place > 0, bounds[np.maximum(place - 1, 0)], 0.0)
    before = np.where(place > 0, counts[np.maximum(place - 1, 0), column], 0.0)
    inside = counts[place, column] - before
    value = lower + (upper - lower) * (rank - before) / inside
    value = np.where((place == 0) & (bounds[0] <= 0), bounds[0], value)
    value = np.where(last, bounds[-2], value)
    return np.where(present & (total > 0), value, math.nan)


def _divide(vectors: Vectors, divisors: Vectors) -> Vectors:
    """Values by the values of the series with the same labels; without a partner there is no result."""
    return {key: values / divisors[key] for key, values in vectors.items() if key in divisors}


def _topk(vectors: Vectors, k: int) -> Vectors:
    """At each time the k highest stay."""
    if len(vectors) <= k:
        return vectors
    keys = sorted(vectors)
    stack = np.stack([vectors[key] for key in keys])
    order = np.argsort(np.argsort(-np.where(np.isnan(stack), -math.inf, stack), axis=0, kind="stable"), axis=0)
    kept = np.where(order < k, stack, math.nan)
    return dict(zip(keys, kept, strict=True))
