"""Sources with something around every question they are asked.

`health` goes straight through: it tells how the source itself is.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Generic, Protocol, TypeVar

from bot.domain.alert import Alert
from bot.domain.change import Change
from bot.domain.query import ConfiguredLogQuery, LogCountQuery, LogQuery, Matcher, MetricQuery, Selector
from bot.domain.scope import Window
from bot.ports import (
    AlertSource,
    ChangeSource,
    Health,
    LabelSets,
    LinesAnswer,
    LogSource,
    MetricMetadata,
    MetricSource,
    SeriesAnswer,
    Sources,
)

T = TypeVar("T")


class Around(Protocol):
    """Asks the question it is given, with its own work before and after."""

    async def __call__(self, ask: Callable[[], Awaitable[T]]) -> T: ...


class _Named(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def environment(self) -> str | None: ...


S = TypeVar("S", bound=_Named)


class _Guarded(Generic[S]):
    def __init__(self, source: S, around: Around) -> None:
        self._source = source
        self._around = around

    @property
    def name(self) -> str:
        return self._source.name

    @property
    def environment(self) -> str | None:
        return self._source.environment


class GuardedMetrics(_Guarded[MetricSource]):
    @property
    def service_labels(self) -> tuple[str, ...]:
        return self._source.service_labels

    @property
    def resolution_s(self) -> int:
        return self._source.resolution_s

    async def label_names(self, window: Window, *, timeout_s: float) -> frozenset[str]:
        return await self._around(lambda: self._source.label_names(window, timeout_s=timeout_s))

    async def label_values(self, label: str, window: Window, *, timeout_s: float) -> tuple[str, ...]:
        return await self._around(lambda: self._source.label_values(label, window, timeout_s=timeout_s))

    async def series(self, matchers: tuple[Matcher, ...], window: Window, *, timeout_s: float) -> LabelSets:
        return await self._around(lambda: self._source.series(matchers, window, timeout_s=timeout_s))

    async def metadata(self, *, timeout_s: float) -> Mapping[str, MetricMetadata]:
        return await self._around(lambda: self._source.metadata(timeout_s=timeout_s))

    async def range(self, query: MetricQuery, *, timeout_s: float) -> SeriesAnswer:
        return await self._around(lambda: self._source.range(query, timeout_s=timeout_s))

    async def health(self, *, timeout_s: float) -> Health:
        return await self._source.health(timeout_s=timeout_s)


class GuardedLogs(_Guarded[LogSource]):
    @property
    def service_labels(self) -> tuple[str, ...]:
        return self._source.service_labels

    @property
    def level_label(self) -> str:
        return self._source.level_label

    async def label_names(self, window: Window, *, timeout_s: float) -> frozenset[str]:
        return await self._around(lambda: self._source.label_names(window, timeout_s=timeout_s))

    async def label_values(self, label: str, window: Window, *, timeout_s: float) -> tuple[str, ...]:
        return await self._around(lambda: self._source.label_values(label, window, timeout_s=timeout_s))

    async def volume_bytes(self, selector: Selector, window: Window, *, timeout_s: float) -> int | None:
        return await self._around(lambda: self._source.volume_bytes(selector, window, timeout_s=timeout_s))

    async def count(self, query: LogCountQuery, *, timeout_s: float) -> SeriesAnswer:
        return await self._around(lambda: self._source.count(query, timeout_s=timeout_s))

    async def lines(self, query: LogQuery | ConfiguredLogQuery, *, timeout_s: float) -> LinesAnswer:
        return await self._around(lambda: self._source.lines(query, timeout_s=timeout_s))

    async def health(self, *, timeout_s: float) -> Health:
        return await self._source.health(timeout_s=timeout_s)


class GuardedAlerts(_Guarded[AlertSource]):
    async def firing(self, *, timeout_s: float) -> tuple[Alert, ...]:
        return await self._around(lambda: self._source.firing(timeout_s=timeout_s))


class GuardedChanges(_Guarded[ChangeSource]):
    async def changes(self, services: Sequence[str], window: Window, *, timeout_s: float) -> tuple[Change, ...]:
        return await self._around(lambda: self._source.changes(services, window, timeout_s=timeout_s))


def guarded(sources: Sources, around: Callable[[str, str], Around]) -> Sources:
    """All sources, each with its own `around(kind, name)`; kinds are metrics, logs, alerts and changes."""
    return Sources(
        metrics=tuple(GuardedMetrics(s, around("metrics", s.name)) for s in sources.metrics),
        logs=tuple(GuardedLogs(s, around("logs", s.name)) for s in sources.logs),
        alerts=tuple(GuardedAlerts(s, around("alerts", s.name)) for s in sources.alerts),
        changes=tuple(GuardedChanges(s, around("changes", s.name)) for s in sources.changes),
    )
