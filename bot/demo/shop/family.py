"""Metric families: a name, a type, and rows of values on a day's grid (NaN: no sample)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from bot.demo.shop.day import Day
from bot.demo.shop.flow import Latency
from bot.demo.shop.noise import Floats, counts, normal, uniform
from bot.demo.shop.pods import Pod
from bot.demo.shop.topology import Service

Labels = Mapping[str, str]
_WORD = (1 << 64) - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One series of a day; `name` is the sample's name (`x_bucket` of family `x`)."""

    name: str
    labels: Labels
    values: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """One metric family. `kind` is Prometheus' type; a counter's name ends in `_total`."""

    name: str
    kind: str
    help: str
    build: Callable[[Day], list[Row]]

    @property
    def samples(self) -> tuple[str, ...]:
        """The names its samples carry."""
        if self.kind == "histogram":
            return (f"{self.name}_bucket", f"{self.name}_sum", f"{self.name}_count")
        if self.kind == "summary":
            return (f"{self.name}_sum", f"{self.name}_count")
        return (self.name,)


def living(day: Day, service: Service | None = None) -> tuple[Pod, ...]:
    """The day's pods, of one service or of all."""
    return tuple(p for p in day.pods if service is None or p.service.name == service.name)


def alive(day: Day, pod: Pod) -> NDArray[np.bool_]:
    """Whether the pod exists at each moment."""
    return np.asarray((day.at_s >= pod.born_s) & (day.at_s < pod.gone_s))


def answering(day: Day, pod: Pod) -> NDArray[np.bool_]:
    """Whether the pod exists and its process runs: not between a kill and the next start."""
    there = alive(day, pod)
    for kill, back in zip(pod.kills_s, pod.starts_s[1:], strict=True):
        there &= ~((day.at_s >= kill) & (day.at_s < back))
    return there


def per_pod(day: Day, service: Service, total: Floats) -> Floats:
    """A pod's part of something the service does as a whole."""
    present = sum(alive(day, pod).astype(np.float64) for pod in living(day, service))
    return np.asarray(total / np.maximum(present, 1.0), dtype=np.float64)


def gauge(day: Day, pod: Pod, values: Floats | float, *, outside: bool = False) -> Floats:
    """Values while the process answers; `outside` for what the node or the cluster reports, dead process or not."""
    there = alive(day, pod) if outside else answering(day, pod)
    return np.where(there, values, np.nan)


def counter(day: Day, pod: Pod, increments: Floats, *, outside: bool = False) -> Floats:
    """The running sum since midnight, the pod's birth or its last restart, whichever came last."""
    there = alive(day, pod) if outside else answering(day, pod)
    total = np.cumsum(np.where(there, increments, 0.0))
    if not outside:
        for start in pod.starts_s[1:]:
            first = int(np.searchsorted(day.at_s, start))
            if 0 < first < len(total):
                total[first:] -= total[first - 1]
    return np.where(there, total, np.nan)


def once_seen(rows: list[Row], increments: Floats) -> list[Row]:
    """The rows as programs show them that make a series when they first need it: nothing before the first event."""
    seen = np.cumsum(increments) > 0
    if not seen.any():
        return []
    return [Row(name=row.name, labels=row.labels, values=np.where(seen, row.values, np.nan)) for row in rows]


def requests(day: Day, key: int, rate: Floats) -> Floats:
    """Whole requests in each step."""
    return counts(key, day.tick, rate * day.step_s)


def split(day: Day, key: int, total: Floats, shares: Sequence[Floats]) -> list[Floats]:
    """Whole numbers that add up to the total: one part for each share and, last, what remains."""
    sums = np.minimum(np.cumsum(np.stack(shares), axis=0), 1.0)
    upto = _scattered(day, key, total, sums)
    edges = [np.zeros_like(total), *upto, total]
    return [high - low for low, high in pairwise(edges)]


def bucketed(day: Day, key: int, total: Floats, latency: Latency, bounds_s: Sequence[float]) -> list[Floats]:
    """How many of these requests took at most each bound, and at the end all of them."""
    return [*_scattered(day, key, total, np.stack([latency.below(b) for b in bounds_s])), total]


def _scattered(day: Day, key: int, total: Floats, shares: Floats) -> Floats:
    """Whole numbers near total x share, as far off as chance would have it; growing shares give growing numbers."""
    spread = np.sqrt(np.maximum(shares * (1.0 - shares), 0.0) / np.maximum(total, 1.0)) * normal(key, day.tick)
    near = np.maximum.accumulate(np.clip(shares + 0.7 * spread, 0.0, 1.0), axis=0)
    return np.asarray(np.minimum(np.floor(total * near + uniform(~key & _WORD, day.tick)), total), dtype=np.float64)


def histogram(
    name: str,
    labels: Labels,
    buckets: Sequence[Floats],
    bounds: Sequence[float],
    seconds: Floats,
    accumulate: Callable[[Floats], Floats],
) -> list[Row]:
    """The rows of one histogram from increments a step; `accumulate` makes counters of them."""
    rows = [
        Row(name=f"{name}_bucket", labels={**labels, "le": le}, values=accumulate(increments))
        for le, increments in zip([*(f"{b:g}" for b in bounds), "+Inf"], buckets, strict=True)
    ]
    rows.append(Row(name=f"{name}_sum", labels=labels, values=accumulate(seconds)))
    rows.append(Row(name=f"{name}_count", labels=labels, values=accumulate(buckets[-1])))
    return rows
