"""Small sources that behave: they answer from what they hold, remember what they were asked, and fail when told to."""

import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from bot.demo.shop.evaluate import matches
from bot.domain.alert import Alert
from bot.domain.change import Change
from bot.domain.codec import Json
from bot.domain.logs import LogLine
from bot.domain.query import ConfiguredLogQuery, LogCountQuery, LogQuery, Matcher, MetricQuery, Selector
from bot.domain.scope import Edge, Scope, Window
from bot.domain.series import Series
from bot.errors import SourceError, SourceUnavailable
from bot.ports import Health, LabelSets, LinesAnswer, MetricMetadata, SeriesAnswer

NOW_S = 1_795_102_800.0
DOWN = SourceUnavailable("MET-001", "It is down.", "Start it.")


def scope_of(*services: str, edges: Sequence[tuple[str, str]] = (), environment: str | None = None) -> Scope:
    """The last half hour of these services, the first one asked about, with an hour before it as baseline."""
    return Scope(
        service=services[0] if services else None,
        neighbours=services[1:],
        edges=tuple(Edge(caller=a, callee=b) for a, b in edges),
        environment=environment,
        window=Window(start_s=NOW_S - 1800, end_s=NOW_S),
        baseline=Window(start_s=NOW_S - 5400, end_s=NOW_S - 1800),
    )


def points(query: MetricQuery, before: float, after: float, labels: Mapping[str, str], turn_s: float) -> Series:
    """A series on the query's grid that changes from one value to another at `turn_s`."""
    number = int(query.window.duration_s // query.step_s)
    start = query.window.start_s
    values = (after if start + i * query.step_s >= turn_s else before for i in range(number))
    return Series(labels=dict(labels), start_s=start, step_s=query.step_s, values=tuple(values))


Respond = Callable[[MetricQuery], tuple[Series, ...]]


@dataclass(slots=True, kw_only=True)
class Metrics:
    """A metric source over label sets (with `__name__`); `respond` answers ranges."""

    name: str = "prometheus"
    environment: str | None = None
    service_labels: tuple[str, ...] = ("service", "job")
    resolution_s: int = 30
    sets: Sequence[Mapping[str, str]] = ()
    kinds: Mapping[str, str] = field(default_factory=dict)
    respond: Respond = lambda query: ()
    complete: bool = True
    error: SourceError | None = None
    asked: list[MetricQuery] = field(default_factory=list)
    timeouts: list[float] = field(default_factory=list)

    async def label_names(self, window: Window, *, timeout_s: float) -> frozenset[str]:
        self._reached(timeout_s)
        return frozenset(label for one in self.sets for label in one)

    async def label_values(self, label: str, window: Window, *, timeout_s: float) -> tuple[str, ...]:
        self._reached(timeout_s)
        return tuple(sorted({one[label] for one in self.sets if one.get(label)}))

    async def series(self, matchers: tuple[Matcher, ...], window: Window, *, timeout_s: float) -> LabelSets:
        self._reached(timeout_s)
        return LabelSets(sets=tuple(s for s in self.sets if matches(dict(s), matchers)), complete=self.complete)

    async def metadata(self, *, timeout_s: float) -> Mapping[str, MetricMetadata]:
        self._reached(timeout_s)
        return {name: MetricMetadata(kind=kind) for name, kind in self.kinds.items()}

    async def range(self, query: MetricQuery, *, timeout_s: float) -> SeriesAnswer:
        self._reached(timeout_s)
        self.asked.append(query)
        return SeriesAnswer(series=self.respond(query), query=f"range {query.selector.metric}")

    async def health(self, *, timeout_s: float) -> Health:
        return Health(ok=self.error is None, detail="")

    def _reached(self, timeout_s: float) -> None:
        self.timeouts.append(timeout_s)
        if self.error is not None:
            raise self.error


@dataclass(slots=True, kw_only=True)
class Logs:
    """A log source over lines; `bytes_held` is what it says a query of one service would read."""

    name: str = "loki"
    environment: str | None = None
    service_labels: tuple[str, ...] = ("app", "service_name")
    level_label: str = "detected_level"
    held: Sequence[LogLine] = ()
    bytes_held: Mapping[str, int | None] = field(default_factory=dict)
    error: SourceError | None = None
    read: list[LogQuery] = field(default_factory=list)
    counted: list[LogCountQuery] = field(default_factory=list)

    async def label_names(self, window: Window, *, timeout_s: float) -> frozenset[str]:
        self._reached()
        return frozenset(label for line in self.held for label in line.labels)

    async def label_values(self, label: str, window: Window, *, timeout_s: float) -> tuple[str, ...]:
        self._reached()
        return tuple(sorted({line.labels[label] for line in self.held if label in line.labels}))

    async def volume_bytes(self, selector: Selector, window: Window, *, timeout_s: float) -> int | None:
        self._reached()
        return self.bytes_held.get(selector.matchers[0].value, 1000)

    async def count(self, query: LogCountQuery, *, timeout_s: float) -> SeriesAnswer:
        self._reached()
        self.counted.append(query)
        number = int(query.window.duration_s // query.step_s)
        groups: dict[tuple[tuple[str, str], ...], list[float]] = {}
        # A point counts the step that ends at it, so the first one reaches back before the window.
        for line in self._of(query.selector, query.window.shifted(-query.step_s)):
            labels = {**line.labels, self.level_label: line.level}
            place = math.ceil((line.ts_ns / 1e9 - query.window.start_s) / query.step_s)
            key = tuple((name, labels[name]) for name in query.by if name in labels)
            if 0 <= place < number:
                groups.setdefault(key, [0.0] * number)[place] += 1
        series = (
            Series(labels=dict(k), start_s=query.window.start_s, step_s=query.step_s, values=tuple(v))
            for k, v in sorted(groups.items())
        )
        return SeriesAnswer(series=tuple(series), query="count")

    async def lines(self, query: LogQuery | ConfiguredLogQuery, *, timeout_s: float) -> LinesAnswer:
        self._reached()
        assert isinstance(query, LogQuery)
        self.read.append(query)
        found = [
            line
            for line in self._of(query.selector, query.window)
            if matches({**line.labels, self.level_label: line.level}, query.where)
        ]
        kept = found[-query.limit :]
        return LinesAnswer(lines=tuple(kept), query="lines", complete=len(kept) == len(found))

    async def health(self, *, timeout_s: float) -> Health:
        return Health(ok=self.error is None, detail="")

    def _of(self, selector: Selector, window: Window) -> list[LogLine]:
        wanted = (line for line in self.held if window.covers(line.ts_ns / 1e9))
        return sorted((w for w in wanted if matches(dict(w.labels), selector.matchers)), key=lambda w: w.ts_ns)

    def _reached(self) -> None:
        if self.error is not None:
            raise self.error


@dataclass(slots=True, kw_only=True)
class Alerts:
    name: str = "prometheus"
    environment: str | None = None
    alerts: Sequence[Alert] = ()
    error: SourceError | None = None

    async def firing(self, *, timeout_s: float) -> tuple[Alert, ...]:
        if self.error is not None:
            raise self.error
        return tuple(self.alerts)


@dataclass(slots=True, kw_only=True)
class Changes:
    name: str = "git"
    environment: str | None = None
    held: Sequence[Change] = ()
    error: SourceError | None = None
    asked: list[tuple[tuple[str, ...], Window]] = field(default_factory=list)

    async def changes(self, services: Sequence[str], window: Window, *, timeout_s: float) -> tuple[Change, ...]:
        if self.error is not None:
            raise self.error
        self.asked.append((tuple(services), window))
        mine = (c for c in self.held if window.covers(c.at_s) and (not services or c.service in (None, *services)))
        return tuple(sorted(mine, key=lambda c: c.at_s))


async def run(name: str, effect: Callable[[], Awaitable[Json]]) -> Json:
    """A step that is taken at once."""
    return await effect()
