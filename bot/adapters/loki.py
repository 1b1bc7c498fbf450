"""Log lines from Loki and servers that speak its API."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from bot.adapters import logql
from bot.adapters import loki_errors as errors
from bot.adapters.endpoint import Endpoint
from bot.adapters.links import Explore, logs_link
from bot.adapters.loki_api import MAX_BYTES, MOST_PARALLEL, LokiApi
from bot.adapters.loki_lines import (
    NANOSECONDS,
    SHARD_LABEL,
    Entries,
    Grid,
    grid_of,
    nanoseconds,
    on_grid,
    read_entries,
    read_matrix,
)
from bot.adapters.loki_pages import Pages
from bot.domain.codec import Json
from bot.domain.query import ConfiguredLogQuery, LogCountQuery, LogQuery, Selector
from bot.domain.scope import Window
from bot.errors import QueryRefused, SourceError
from bot.ports import Health, LinesAnswer, SeriesAnswer

DEFAULT_SERVICE_LABELS = ("service", "service_name", "app", "app_kubernetes_io_name", "application", "job")
MAX_POINTS = 11_000  # a series; Loki refuses one more (measured on 3.7.6)

_PAGE = 5000  # lines a server gives at once unless it is configured to give fewer (max_entries_limit_per_query)
_ROWS = 1000  # of a volume, which has one for each set of labels the selector names (volume_max_series)

Q = TypeVar("Q")
T = TypeVar("T")
_Found = list[tuple[dict[str, str], list[tuple[int, float]]]]


class LokiSource:
    """A LogSource on Loki's HTTP API.

    `level_label` is where a line's level is: `detected_level`, which Loki 3 adds to each line, or a label of the operator's.
    `explore_url` is where links lead. `max_bytes` bounds one answer and the lines one query gives. `close` it at the end.
    """

    def __init__(
        self,
        name: str,
        endpoint: Endpoint,
        *,
        environment: str | None = None,
        service_labels: Sequence[str] = DEFAULT_SERVICE_LABELS,
        level_label: str = "detected_level",
        explore_url: Explore | None = None,
        max_parallel: int = MOST_PARALLEL,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        self._name = name
        self._environment = environment
        self._service_labels = tuple(service_labels)
        self._level_label = level_label
        self._explore = explore_url
        self._api = LokiApi(source=name, endpoint=endpoint, max_parallel=max_parallel, max_bytes=max_bytes)
        self._page = _PAGE

    @property
    def name(self) -> str:
        return self._name

    @property
    def environment(self) -> str | None:
        return self._environment

    @property
    def service_labels(self) -> tuple[str, ...]:
        return self._service_labels

    @property
    def level_label(self) -> str:
        return self._level_label

    async def label_names(self, window: Window, *, timeout_s: float) -> frozenset[str]:
        """Labels of streams; what Loki adds to each line, such as levels, is none. Shards are not shown."""
        names = await self._names("labels", window, time.monotonic() + timeout_s)
        return frozenset(names) - {SHARD_LABEL}

    async def label_values(self, label: str, window: Window, *, timeout_s: float) -> tuple[str, ...]:
        if not logql.is_label(label):
            return ()
        values = await self._names(f"label/{label}/values", window, time.monotonic() + timeout_s)
        return tuple(sorted(values))

    async def volume_bytes(self, selector: Selector, window: Window, *, timeout_s: float) -> int | None:
        deadline_s = time.monotonic() + timeout_s
        query = self._rendered(logql.selector_text, selector, await self._any_stream(selector, window, deadline_s))
        asked = {"query": query, **_between(window), "limit": str(_ROWS)}

        def read(answer: Json) -> int:
            return sum(int(row["value"][1]) for row in answer["data"]["result"])

        return await self._api.ask_if_there("index/volume", asked, read, feature="volume", deadline_s=deadline_s)

    async def count(self, query: LogCountQuery, *, timeout_s: float) -> SeriesAnswer:
        """As the port says. Lines that the query's parser cannot read are not counted, which a warning tells."""
        deadline_s = time.monotonic() + timeout_s
        any_stream = await self._any_stream(query.selector, query.window, deadline_s)
        text = self._rendered(logql.render_count, query, any_stream)
        link = logs_link(self._explore, text, query.window)
        grid = grid_of(query.window, query.step_s)
        if grid.points > MAX_POINTS:
            raise errors.too_many_points(self._name, grid.points, MAX_POINTS)
        if grid.points == 0:
            return SeriesAnswer(series=(), query=text, link=link)
        series = on_grid(await self._counts(text, grid, deadline_s), grid)
        warnings = []
        if unparsed := self._rendered(logql.render_unparsed, query, any_stream):
            warnings += await self._left_out(unparsed, grid, deadline_s)
        if self._level_label in query.by and series and not any(self._level_label in one.labels for one in series):
            warnings.append(f"the lines have no {self._level_label}, so they are not counted by level")
        return SeriesAnswer(series=series, query=text, link=link, warnings=tuple(warnings))

    async def lines(self, query: LogQuery | ConfiguredLogQuery, *, timeout_s: float) -> LinesAnswer:
        deadline_s = time.monotonic() + timeout_s
        oldest_first = False
        if isinstance(query, ConfiguredLogQuery):
            text = query.text
        else:
            any_stream = await self._any_stream(query.selector, query.window, deadline_s)
            text = self._rendered(logql.render_lines, query, any_stream)
            oldest_first = query.oldest_first
        direction = "forward" if oldest_first else "backward"

        async def fetch(start_ns: int, end_ns: int, limit: int) -> Entries:
            return await self._lines_page(text, start_ns, end_ns, limit, direction, deadline_s)

        pages = Pages(
            fetch=fetch,
            limit=query.limit,
            oldest_first=oldest_first,
            max_bytes=self._api.max_bytes,
            most=self._page,
        )
        lines = await pages.read(nanoseconds(query.window.start_s), nanoseconds(query.window.end_s))
        return LinesAnswer(
            lines=lines,
            query=text,
            link=logs_link(self._explore, text, query.window),
            complete=pages.complete,
            warnings=tuple(pages.warnings),
        )

    async def health(self, *, timeout_s: float) -> Health:
        """Reachable and answering as this tenant; the detail is the version where the server tells it."""
        deadline_s = time.monotonic() + timeout_s
        try:
            # Gateways hide /ready, and the version is told to anybody: only a question for data proves that we may ask.
            await self._api.ask("labels", {}, _strings, feature="health", deadline_s=deadline_s)
            version = await self._api.ask_if_there(
                "status/buildinfo", {}, lambda said: str(said["version"]), feature="health", deadline_s=deadline_s
            )
        except SourceError as failed:
            return Health(ok=False, detail=f"{failed.code} {failed.message}", remedy=failed.remedy)
        return Health(ok=True, detail=f"version {version or 'unknown'}")

    async def close(self) -> None:
        """Lets go of the connections."""
        await self._api.close()

    async def _names(self, path: str, window: Window, deadline_s: float) -> tuple[str, ...]:
        return await self._api.ask(path, _between(window), _strings, feature="labels", deadline_s=deadline_s)

    async def _any_stream(self, selector: Selector, window: Window, deadline_s: float) -> str:
        """The label to demand of every stream where the selector alone would be refused: the best one that exists."""
        if logql.names_a_stream(selector):
            return ""
        names = await self.label_names(window, timeout_s=deadline_s - time.monotonic())
        # Loki 3 gives every stream a service_name; before that some streams may be without any of these.
        best = ("service_name", *self._service_labels)
        return next((label for label in best if label in names), best[0])

    def _rendered(self, render: Callable[[Q, str], T], query: Q, any_stream: str) -> T:
        try:
            return render(query, any_stream)
        except ValueError as impossible:
            raise errors.bad_query(self._name, str(impossible)) from impossible

    async def _lines_page(
        self, text: str, start_ns: int, end_ns: int, limit: int, direction: str, deadline_s: float
    ) -> Entries:
        asked = {
            "query": text,
            "start": str(start_ns),
            "end": str(end_ns),
            "limit": str(limit),
            "direction": direction,
        }

        def read(answer: Json) -> Entries:
            if answer["data"]["resultType"] in ("matrix", "vector", "scalar"):
                raise errors.bad_query(self._name, "it gives numbers where lines are wanted.")
            return read_entries(answer, self._level_label)

        try:
            return await self._api.ask("query_range", asked, read, feature="lines", deadline_s=deadline_s)
        except errors.TooManyEntries as refused:
            self._page = min(self._page, refused.most)  # remembered: the next query asks for no more
            raise

    async def _left_out(self, unparsed: str, grid: Grid, deadline_s: float) -> list[str]:
        """What to say of lines that are not counted because their parser cannot read them."""
        try:
            found = await self._counts(unparsed, grid, deadline_s)
        except QueryRefused:
            return ["lines that could not be parsed are not counted; the server does not say how many"]
        count = round(sum(value for _, points in found for _, value in points))
        return [f"{count} lines could not be parsed and are not counted"] if count else []

    async def _counts(self, text: str, grid: Grid, deadline_s: float) -> _Found:
        """The points of all series; a range the server cannot read in time is asked for in halves."""
        asked = {
            "query": text,
            "start": str(grid.start_s * NANOSECONDS),
            "end": str(grid.last_s * NANOSECONDS),
            "step": str(grid.step_s),
        }
        try:
            return await self._api.ask("query_range", asked, read_matrix, feature="count", deadline_s=deadline_s)
        except errors.TookTooLong:
            if grid.points == 1:
                raise
        found: _Found = []
        for half in grid.halves():
            found += await self._counts(text, half, deadline_s)
        return found


def _between(window: Window) -> Mapping[str, str]:
    return {"start": str(nanoseconds(window.start_s)), "end": str(nanoseconds(window.end_s))}


def _strings(answer: Json) -> tuple[str, ...]:
    """The names of an answer. Loki leaves `data` out when there are none."""
    names = answer.get("data", [])
    if answer["status"] != "success" or not isinstance(names, list):
        raise ValueError("not a list of names")
    return tuple(map(str, names))
