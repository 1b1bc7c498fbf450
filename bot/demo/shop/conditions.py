"""What is out of the ordinary in a shop at each moment: how faults, blips and red herrings act on services."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields

import numpy as np

from bot.demo.shop.noise import Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """How one service deviates at each moment (arrays over time, or one number for all of it).

    `error`: share of its requests it fails by itself. `refused`: share of calls to it that never get in.
    `slower`: factor on its own time. `added_s`: seconds added to its own time. `leaked`: share of its pools lost to
    leaked connections. `pool_size`: factor on the size of its pools. `held`: factor on how long a connection is held.
    `cpu`: factor on the CPU a request takes.
    """

    error: Floats | float = 0.0
    refused: Floats | float = 0.0
    slower: Floats | float = 1.0
    added_s: Floats | float = 0.0
    leaked: Floats | float = 0.0
    pool_size: Floats | float = 1.0
    held: Floats | float = 1.0
    cpu: Floats | float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Surge:
    """Requests a second that come on top at the front door, each making `calls` calls along a path of services."""

    path: tuple[str, ...]
    extra_rate: Floats
    calls: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """Everything out of the ordinary, by service."""

    by_service: Mapping[str, Condition] = field(default_factory=dict)
    surges: tuple[Surge, ...] = ()

    def of(self, service: str) -> Condition:
        return self.by_service.get(service, NORMAL)


NORMAL = Condition()
_FACTORS = frozenset({"slower", "pool_size", "held", "cpu"})


def together(parts: Iterable[Conditions]) -> Conditions:
    """All of these at once: factors multiply, shares and seconds add (shares up to 1)."""
    merged: dict[str, Condition] = {}
    surges: tuple[Surge, ...] = ()
    for part in parts:
        surges += part.surges
        for service, condition in part.by_service.items():
            merged[service] = _both(merged.get(service, NORMAL), condition)
    return Conditions(by_service=merged, surges=surges)


def _both(one: Condition, other: Condition) -> Condition:
    values: dict[str, Floats | float] = {}
    for entry in fields(Condition):
        a, b = getattr(one, entry.name), getattr(other, entry.name)
        if entry.name in _FACTORS:
            values[entry.name] = a * b
        elif entry.name == "added_s":
            values[entry.name] = a + b
        else:
            values[entry.name] = np.minimum(a + b, 1.0)
    return Condition(**values)


def ramp(at_s: Floats, start_s: float, length_s: float) -> Floats:
    """0 before the start, 1 after `length_s` seconds, a straight line between."""
    return np.asarray(np.clip((at_s - start_s) / max(length_s, 1e-9), 0.0, 1.0), dtype=np.float64)


def during(at_s: Floats, start_s: float, end_s: float, edge_s: float = 30.0) -> Floats:
    """1 between start and end, 0 outside, with soft edges."""
    return np.minimum(ramp(at_s, start_s, edge_s), 1.0 - ramp(at_s, end_s, edge_s))
