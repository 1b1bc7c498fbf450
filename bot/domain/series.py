"""Numbers over time, as every metric source answers."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from bot.domain.scope import Window


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """Samples on an even grid: value `i` is at `start_s + i * step_s` (UTC unix seconds). NaN means no sample."""

    labels: Mapping[str, str] = field(default_factory=dict)
    start_s: float
    step_s: float
    values: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.step_s > 0:
            raise ValueError(f"a series needs a step above 0 s, not {self.step_s}")

    def within(self, window: Window) -> tuple[float, ...]:
        """The values whose time lies in the window, gaps (NaN) included."""
        first = max(0, math.ceil((window.start_s - self.start_s) / self.step_s))
        last = max(first, math.ceil((window.end_s - self.start_s) / self.step_s))
        return self.values[first:last]

    def at(self, index: int) -> float:
        """The time of a value, UTC unix seconds."""
        return self.start_s + index * self.step_s
