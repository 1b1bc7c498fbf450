"""One number, pattern or alert, read against its own baseline: what all further steps reason about."""

from collections.abc import Iterable
from dataclasses import dataclass

from bot.domain.evidence import Signal


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """How far one thing left its normal range.

    `strength` is on one scale for everything: 0 is normal, 1 is clear (see `bot.evidence.score.strength`). `before` and
    `after` are typical values in `unit`. `call` is caller and callee where a caller measured a call; `service` is then the
    end it is held against, `waiting` the share of its added time (0..1) that the callee did not work, where known.
    `text`, `level` and `fresh` (not seen in the baseline) belong to log patterns.
    """

    service: str
    signal: Signal
    measure: str
    evidence: str
    strength: float
    rising: bool
    unit: str = ""
    peer: str | None = None
    before: float | None = None
    after: float | None = None
    onset_s: float | None = None
    call: tuple[str, str] | None = None
    waiting: float | None = None
    text: str = ""
    level: str = ""
    fresh: bool = False

    @property
    def growth(self) -> float | None:
        """After over before; None where there is no number or it started at nothing."""
        if self.before is None or self.after is None or self.before <= 0:
            return None
        return self.after / self.before


# Signals for which less is bad. A disk counts in bytes left, or in share used (then more is bad): see `harmful`.
_BAD_WHEN_FALLING = frozenset({Signal.AVAILABILITY, Signal.CERTIFICATE})
# Signals that say nothing about good or bad by their direction.
_EITHER_WAY = frozenset({Signal.OTHER, Signal.CHANGE, Signal.LOGS, Signal.ALERT})

_USUAL_LEVELS = frozenset({"info", "notice", "debug", "trace"})


def harmful(reading: Reading) -> bool:
    """Whether it moved the way trouble moves it: errors up, availability down, and so on."""
    if reading.signal is Signal.LOGS and not reading.rising:
        return reading.level.lower() in _USUAL_LEVELS  # fewer complaints are no harm, missing routine may be one
    if reading.signal in _EITHER_WAY:
        return True
    if reading.signal is Signal.DISK:
        return reading.rising == (reading.unit != "bytes")
    return reading.rising != (reading.signal in _BAD_WHEN_FALLING)


def of_service(readings: Iterable[Reading], service: str) -> tuple[Reading, ...]:
    """The readings of one service, strongest first; ties by measure and evidence."""
    mine = (r for r in readings if r.service == service)
    return tuple(sorted(mine, key=lambda r: (-r.strength, r.measure, r.evidence, r.text, r.peer or "")))
