"""The shop as sources of evidence: metrics, logs, alerts and changes behind the ports, without a network."""

import asyncio
import json
import math
from collections import ChainMap
from collections.abc import Mapping, Sequence

import re2

from bot.demo.shop.alerts import firing
from bot.demo.shop.evaluate import evaluate, matches
from bot.demo.shop.family import Row
from bot.demo.shop.history import changes
from bot.demo.shop.lines import DEPLOYER, Lines
from bot.demo.shop.render import logql, promql
from bot.demo.shop.shop import Shop
from bot.domain.alert import Alert
from bot.domain.change import Change
from bot.domain.logs import LogLine
from bot.domain.query import (
    ConfiguredLogQuery,
    FilterOp,
    LineFilter,
    LogCountQuery,
    LogQuery,
    Matcher,
    MetricQuery,
    Op,
    Parser,
    Selector,
)
from bot.domain.scope import Window
from bot.domain.series import Series
from bot.errors import QueryRefused, SourceUnavailable
from bot.ports import Health, LabelSets, LinesAnswer, MetricMetadata, SeriesAnswer

MOST_SERIES = 5000  # label sets of one answer, as an adapter for a real server would cut it


class _Source:
    """What all four have in common: a name, an environment, and switches to be slow or down."""

    def __init__(self, shop: Shop, name: str, *, latency_s: float = 0.0, down: bool = False) -> None:
        self._shop = shop
        self._name = name
        self.latency_s = latency_s
        self.down = down

    @property
    def name(self) -> str:
        return self._name

    @property
    def environment(self) -> str | None:
        return self._shop.topology.env

    async def health(self, *, timeout_s: float) -> Health:
        """Whether the source is switched on."""
        if self.down:
            return Health(ok=False, detail="switched off", remedy="Switch the demo source on again.")
        return Health(ok=True, detail="simulated shop")

    async def _reached(self, timeout_s: float) -> None:
        """Takes the time a look takes. Raises SourceUnavailable when the source is down or slower than the caller waits."""
        await asyncio.sleep(min(self.latency_s, timeout_s))
        if self.down:
            raise SourceUnavailable("MET-001", f"{self._name} does not answer.", "Switch the demo source on again.")
        if self.latency_s > timeout_s:
            raise SourceUnavailable(
                "MET-002", f"{self._name} did not answer within {timeout_s:g} s.", "Allow more time or ask for less."
            )


class ShopMetrics(_Source):
    """The shop's metrics as a MetricSource."""

    def __init__(self, shop: Shop, name: str = "prometheus", *, latency_s: float = 0.0, down: bool = False) -> None:
        super().__init__(shop, name, latency_s=latency_s, down=down)

    @property
    def service_labels(self) -> tuple[str, ...]:
        return (self._shop.topology.dialect.service_label,)

    @property
    def resolution_s(self) -> int:
        return self._shop.step_s

    async def label_names(self, window: Window, *, timeout_s: float) -> frozenset[str]:
        await self._reached(timeout_s)
        return frozenset(name for row in self._rows(None, window) for name in row.labels)

    async def label_values(self, label: str, window: Window, *, timeout_s: float) -> tuple[str, ...]:
        await self._reached(timeout_s)
        named = (_labelled(row) for row in self._rows(None, window))
        return tuple(sorted({labels[label] for labels in named if labels.get(label)}))

    async def series(self, matchers: tuple[Matcher, ...], window: Window, *, timeout_s: float) -> LabelSets:
        await self._reached(timeout_s)
        metric = next((m.value for m in matchers if m.label == "__name__" and m.op.value == "="), None)
        named = (_labelled(row) for row in self._rows(metric, window))
        found = sorted((s for s in named if matches(s, matchers)), key=lambda s: sorted(s.items()))
        return LabelSets(sets=tuple(found[:MOST_SERIES]), complete=len(found) <= MOST_SERIES)

    async def metadata(self, *, timeout_s: float) -> Mapping[str, MetricMetadata]:
        await self._reached(timeout_s)
        return {f.name: MetricMetadata(kind=f.kind, help=f.help) for f in self._shop.families.values()}

    async def range(self, query: MetricQuery, *, timeout_s: float) -> SeriesAnswer:
        await self._reached(timeout_s)
        return SeriesAnswer(series=evaluate(self._shop, query), query=promql(query))

    def _rows(self, metric: str | None, window: Window) -> list[Row]:
        """The rows with samples in the window, of one metric or of all."""
        step_s = self._shop.step_s
        return self._shop.named(metric, math.ceil(window.start_s / step_s), math.floor(window.end_s / step_s))


def _labelled(row: Row) -> dict[str, str]:
    return {"__name__": row.name, **row.labels}


class ShopLogs(_Source):
    """The shop's log lines as a LogSource."""

    def __init__(self, shop: Shop, name: str = "loki", *, latency_s: float = 0.0, down: bool = False) -> None:
        super().__init__(shop, name, latency_s=latency_s, down=down)
        self._lines = Lines(shop)

    @property
    def service_labels(self) -> tuple[str, ...]:
        return (self._shop.topology.dialect.log_service_label,)

    @property
    def level_label(self) -> str:
        return "detected_level"

    @property
    def deploy_query(self) -> str:
        """The one configured query this source knows: it finds the deploy events."""
        label = self._shop.topology.dialect.log_service_label
        return f'{{{label}="{DEPLOYER.name}"}} |= "rollout finished"'

    async def label_names(self, window: Window, *, timeout_s: float) -> frozenset[str]:
        await self._reached(timeout_s)
        return frozenset(name for labels in self._lines.streams(window.start_s, window.end_s) for name in labels)

    async def label_values(self, label: str, window: Window, *, timeout_s: float) -> tuple[str, ...]:
        await self._reached(timeout_s)
        streams = self._lines.streams(window.start_s, window.end_s)
        return tuple(sorted({labels[label] for labels in streams if label in labels}))

    async def volume_bytes(self, selector: Selector, window: Window, *, timeout_s: float) -> int | None:
        await self._reached(timeout_s)
        _check_patterns(selector.matchers)
        return sum(len(line.line.encode()) for line in self._selected(selector, window))

    async def count(self, query: LogCountQuery, *, timeout_s: float) -> SeriesAnswer:
        await self._reached(timeout_s)
        _check_patterns((*query.selector.matchers, *query.where), query.filters)
        return SeriesAnswer(series=self._counted(query), query=logql(query))

    async def lines(self, query: LogQuery | ConfiguredLogQuery, *, timeout_s: float) -> LinesAnswer:
        await self._reached(timeout_s)
        if isinstance(query, ConfiguredLogQuery):
            return self._deploys(query)
        _check_patterns((*query.selector.matchers, *query.where), query.filters)
        found = [line for line in self._selected(query.selector, query.window) if _passes(line, query)]
        kept = found[: query.limit] if query.oldest_first else found[-query.limit :]
        return LinesAnswer(lines=tuple(kept), query=logql(query), complete=len(kept) == len(found))

    def _deploys(self, query: ConfiguredLogQuery) -> LinesAnswer:
        if query.text != self.deploy_query:
            raise QueryRefused(
                "LOG-003", "The simulated shop only knows its own query for deploys.", f"Configure {self.deploy_query}"
            )
        found = tuple(self._lines.between(DEPLOYER.name, query.window.start_s, query.window.end_s))
        return LinesAnswer(lines=found[-query.limit :], query=query.text, complete=len(found) <= query.limit)

    def _selected(self, selector: Selector, window: Window) -> list[LogLine]:
        """All lines of the streams that fulfil the selector, oldest first."""
        wanted = selector.matchers
        return self._lines.of_streams(window.start_s, window.end_s, lambda labels: matches(labels, wanted))

    def _counted(self, query: LogCountQuery) -> tuple[Series, ...]:
        first = math.ceil(query.window.start_s / query.step_s)
        steps = math.ceil(query.window.end_s / query.step_s) - first
        if steps <= 0:
            return ()
        # A point counts the step that ends at it, so the first one reaches back before the window.
        reach = Window(start_s=(first - 1) * query.step_s, end_s=(first + steps) * query.step_s)
        by = sorted(set(query.by))
        groups: dict[tuple[tuple[str, str], ...], list[float]] = {}
        for line in self._selected(query.selector, reach):
            place = math.ceil(line.ts_ns / 1e9 / query.step_s) - first
            if 0 <= place < steps and _passes(line, query):
                labels = ChainMap({"detected_level": line.level}, _parsed(line, query.parser), dict(line.labels))
                key = tuple((name, labels[name]) for name in by if labels.get(name))
                groups.setdefault(key, [0.0] * steps)[place] += 1.0
        return tuple(
            Series(labels=dict(key), start_s=float(first * query.step_s), step_s=float(query.step_s), values=tuple(v))
            for key, v in sorted(groups.items())
        )


_QUIET = re2.Options()
_QUIET.log_errors = False


def _check_patterns(matchers: Sequence[Matcher], filters: Sequence[LineFilter] = ()) -> None:
    """Raises QueryRefused for a pattern that is none, as a server does before it reads anything."""
    patterns = [m.value for m in matchers if m.op in (Op.MATCHES, Op.NOT_MATCHES)]
    patterns += [f.text for f in filters if f.op in (FilterOp.MATCHES, FilterOp.MATCHES_NOT)]
    for pattern in patterns:
        try:
            re2.compile(pattern, _QUIET)
        except re2.error as broken:
            raise QueryRefused("LOG-004", f"{pattern!r} is not a pattern.", "Correct the pattern.") from broken


def _passes(line: LogLine, query: LogQuery | LogCountQuery) -> bool:
    """Whether the line passes all filters and conditions."""
    if not all(_kept(line.line, f) for f in query.filters):
        return False
    if not query.where:
        return True
    return matches({**line.labels, "detected_level": line.level, **_parsed(line, query.parser)}, query.where)


def _kept(text: str, line_filter: LineFilter) -> bool:
    if line_filter.op in (FilterOp.CONTAINS, FilterOp.LACKS):
        return (line_filter.text in text) == (line_filter.op is FilterOp.CONTAINS)
    found = re2.search(line_filter.text, text) is not None
    return found == (line_filter.op is FilterOp.MATCHES)


_PAIR = re2.compile(r'([A-Za-z_][\w.]*)=("(?:[^"\\]|\\.)*"|[^\s"]*)')


def _parsed(line: LogLine, parser: Parser | None) -> dict[str, str]:
    """The fields a parser takes out of the line; those a stream label already has get `_extracted` to their name."""
    found: dict[str, str] = {}
    if parser is Parser.JSON:
        try:
            body = json.loads(line.line)
        except json.JSONDecodeError:
            return {"__error__": "JSONParserErr"}
        if isinstance(body, dict):
            found = {name: v if isinstance(v, str) else json.dumps(v) for name, v in body.items()}
    elif parser is Parser.LOGFMT:
        found = {name: json.loads(v) if v.startswith('"') else v for name, v in _PAIR.findall(line.line)}
    return {f"{name}_extracted" if name in line.labels else name: value for name, value in found.items()}


class ShopAlerts(_Source):
    """The alerts the shop has configured as an AlertSource."""

    def __init__(self, shop: Shop, name: str = "alertmanager", *, latency_s: float = 0.0, down: bool = False) -> None:
        super().__init__(shop, name, latency_s=latency_s, down=down)

    async def firing(self, *, timeout_s: float) -> tuple[Alert, ...]:
        await self._reached(timeout_s)
        return firing(self._shop)


class ShopChanges(_Source):
    """What people did to the shop as a ChangeSource."""

    def __init__(self, shop: Shop, name: str = "changes", *, latency_s: float = 0.0, down: bool = False) -> None:
        super().__init__(shop, name, latency_s=latency_s, down=down)

    async def changes(self, services: Sequence[str], window: Window, *, timeout_s: float) -> tuple[Change, ...]:
        await self._reached(timeout_s)
        return tuple(
            change
            for change in changes(self._shop.past)
            if window.covers(change.at_s)
            and change.at_s <= self._shop.now_s
            and (not services or change.service in services)
        )
