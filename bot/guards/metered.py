"""Sources that count: how long each answer took, and which errors came instead."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from bot.errors import SourceError
from bot.guards.sources import guarded
from bot.ports import Clock, Meter, Sources

T = TypeVar("T")


def metered(sources: Sources, meter: Meter, clock: Clock) -> Sources:
    """The same sources, with `groundwire_source_seconds` and `groundwire_source_errors_total` kept.

    A question that is cancelled counts in neither: it says nothing about the source.
    """
    return guarded(sources, lambda kind, name: _Metering(meter, clock, kind=kind, source=name))


class _Metering:
    def __init__(self, meter: Meter, clock: Clock, *, kind: str, source: str) -> None:
        self._meter = meter
        self._clock = clock
        self._kind = kind
        self._source = source

    async def __call__(self, ask: Callable[[], Awaitable[T]]) -> T:
        began_s = self._clock.elapsed_s()
        try:
            answer = await ask()
        except SourceError as error:
            self._timed(began_s)
            self._meter.count("groundwire_source_errors_total", source=self._source, kind=self._kind, code=error.code)
            raise
        self._timed(began_s)
        return answer

    def _timed(self, began_s: float) -> None:
        took_s = self._clock.elapsed_s() - began_s
        self._meter.time("groundwire_source_seconds", took_s, source=self._source, kind=self._kind)
