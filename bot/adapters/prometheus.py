"""Numbers from Prometheus and servers that speak its API (Thanos, Mimir, VictoriaMetrics)."""

import math
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from bot.adapters import prometheus_errors as errors
from bot.adapters.endpoint import Endpoint
from bot.adapters.links import Explore, metrics_link
from bot.adapters.prometheus_api import MAX_BYTES, MOST_PARALLEL, Client, PrometheusApi, Said
from bot.adapters.promql import render, selector_text
from bot.adapters.refusals import NoSuchEndpoint
from bot.domain.query import Matcher, MetricQuery, Selector
from bot.domain.scope import Window
from bot.domain.series import Series
from bot.errors import SourceError
from bot.ports import Health, LabelSets, MetricMetadata, SeriesAnswer

DEFAULT_SERVICE_LABELS = ("service", "service_name", "app", "app_kubernetes_io_name", "application", "job")
MAX_POINTS = 11_000  # a series; Prometheus refuses one more (measured on 2.42)
MAX_LABEL_SETS = 10_000  # 2.42 ignores `limit`, so the cut is made here too

_METADATA_FOR_S = 300.0
_SERVER_SHARE = 0.9  # of the time left: the server gives up a little earlier, so that its reason reaches us
_KINDS = frozenset(["counter", "gauge", "histogram", "summary"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """Multiples of the step inside a window: where all points of an answer lie."""

    start_s: int
    step_s: int
    points: int

    @property
    def last_s(self) -> int:
        return self.start_s + (self.points - 1) * self.step_s


class PrometheusSource:
    """A MetricSource on `prometheus-api-client`.

    `parameters` are sent with every query: Thanos' `partial_response`, `dedup` and `max_source_resolution`, or what a
    server of the family wants. `explore_url` is where links lead. Answers beyond `max_bytes` and label sets beyond
    `max_label_sets` are cut or refused with a clear error.
    """

    def __init__(
        self,
        name: str,
        endpoint: Endpoint,
        *,
        environment: str | None = None,
        service_labels: Sequence[str] = DEFAULT_SERVICE_LABELS,
        resolution_s: int = 30,
        max_parallel: int = MOST_PARALLEL,
        max_bytes: int = MAX_BYTES,
        max_label_sets: int = MAX_LABEL_SETS,
        parameters: Mapping[str, str] | None = None,
        explore_url: Explore | None = None,
    ) -> None:
        self._name = name
        self._environment = environment
        self._service_labels = tuple(service_labels)
        self._resolution_s = resolution_s
        self._max_label_sets = max_label_sets
        self._parameters = dict(parameters or {})
        self._explore = explore_url
        self._api = PrometheusApi(source=name, endpoint=endpoint, max_parallel=max_parallel, max_bytes=max_bytes)
        self._metadata: Mapping[str, MetricMetadata] = {}
        self._metadata_until_s = -math.inf  # on time.monotonic()

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
    def resolution_s(self) -> int:
        return self._resolution_s

    async def label_names(self, window: Window, *, timeout_s: float) -> frozenset[str]:
        parameters = self._within(window)
        return await self._api.ask(
            lambda client: client.prometheus.get_label_names(parameters),
            lambda said: frozenset(map(str, said.data)),
            timeout_s=timeout_s,
        )

    async def label_values(self, label: str, window: Window, *, timeout_s: float) -> tuple[str, ...]:
        if not label:
            return ()
        parameters = self._within(window)

        def work(client: Client) -> Any:
            return client.prometheus.get_label_values(label_in_path(label), parameters)

        return await self._api.ask(work, lambda said: tuple(sorted(map(str, said.data))), timeout_s=timeout_s)

    async def series(self, matchers: tuple[Matcher, ...], window: Window, *, timeout_s: float) -> LabelSets:
        most = self._max_label_sets
        parameters = {**self._parameters, "match[]": selector_text(Selector(matchers=matchers)), "limit": str(most + 1)}

        def work(client: Client) -> Any:
            return client.prometheus.get_series(_moment(window.start_s), _moment(window.end_s), parameters)

        def read(said: Said) -> LabelSets:
            sets = tuple(_labels(labels) for labels in said.data[:most])
            return LabelSets(sets=sets, complete=len(said.data) <= most and not said.warnings)

        return await self._api.ask(work, read, timeout_s=timeout_s)

    async def metadata(self, *, timeout_s: float) -> Mapping[str, MetricMetadata]:
        """As the port says, kept for 5 minutes. A counter is also found as `<name>_total`, the name its samples have."""
        if time.monotonic() < self._metadata_until_s:
            return self._metadata
        try:
            known = await self._api.ask(
                lambda client: client.prometheus.get_metric_metadata(metric=None), _read_metadata, timeout_s=timeout_s
            )
        except NoSuchEndpoint:
            known = {}  # an optional part of the API: some servers of the family leave it out
        self._metadata, self._metadata_until_s = known, time.monotonic() + _METADATA_FOR_S
        return known

    async def range(self, query: MetricQuery, *, timeout_s: float) -> SeriesAnswer:
        text = render(query)
        link = metrics_link(self._explore, text, query.window, query.step_s)
        grid = grid_of(query.window, query.step_s)
        if grid.points > MAX_POINTS:
            raise errors.too_many_points(self._name, grid.points, MAX_POINTS)
        if grid.points == 0:
            return SeriesAnswer(series=(), query=text, link=link)
        parameters = {**self._parameters, "timeout": f"{max(1, int(timeout_s * _SERVER_SHARE * 1000))}ms"}

        def work(client: Client) -> Any:
            return client.prometheus.custom_query_range(
                text, _moment(grid.start_s), _moment(grid.last_s), str(grid.step_s), parameters
            )

        def read(said: Said) -> SeriesAnswer:
            series, warnings = series_on_grid(said, grid)
            return SeriesAnswer(series=series, query=text, link=link, warnings=said.warnings + warnings)

        return await self._api.ask(work, read, timeout_s=timeout_s)

    async def health(self, *, timeout_s: float) -> Health:
        """Reachable and answering; the detail is the version where the server tells it."""
        try:
            version = await self._version(timeout_s)
        except SourceError as failed:
            return Health(ok=False, detail=f"{failed.code} {failed.message}", remedy=failed.remedy)
        return Health(ok=True, detail=version)

    def close(self) -> None:
        """Lets go of threads and connections."""
        self._api.close()

    def _within(self, window: Window) -> dict[str, str]:
        return {**self._parameters, "start": f"{window.start_s:.3f}", "end": f"{window.end_s:.3f}"}

    async def _version(self, timeout_s: float) -> str:
        started_s = time.monotonic()
        try:
            return await self._api.ask(
                lambda client: client.read("/api/v1/status/buildinfo"),
                lambda said: f"version {said.data['version']}",
                timeout_s=timeout_s,
            )
        except NoSuchEndpoint:  # optional too; a constant query proves the part that matters
            left_s = timeout_s - (time.monotonic() - started_s)
            return await self._api.ask(
                lambda client: client.prometheus.custom_query("vector(1)"),
                lambda _: "version unknown",
                timeout_s=left_s,
            )


def grid_of(window: Window, step_s: int) -> Grid:
    """The grid of a window. It has no point when no multiple of the step lies in the window."""
    start_s = math.ceil(window.start_s / step_s) * step_s
    return Grid(start_s=start_s, step_s=step_s, points=max(0, math.ceil((window.end_s - start_s) / step_s)))


def series_on_grid(said: Said, grid: Grid) -> tuple[tuple[Series, ...], tuple[str, ...]]:
    """The series of an answer in order of their labels, each with every point of the grid, and what was left out of them.

    A series without a single value on the grid is left out: to a reader it does not exist.
    """
    series: list[Series] = []
    infinite = histograms = 0
    for labels, points in _entries(said):
        if points is None:
            histograms += 1
            continue
        values, unbounded = _values_on_grid(points, grid)
        infinite += unbounded
        if not all(map(math.isnan, values)):
            series.append(Series(labels=_labels(labels), start_s=grid.start_s, step_s=grid.step_s, values=values))
    warnings = []
    if infinite:
        warnings.append(f"{infinite} infinite values (a division by zero) are treated as missing")
    if histograms:
        warnings.append(f"{histograms} series of native histograms, which have no single value, were left out")
    return tuple(sorted(series, key=lambda one: sorted(one.labels.items()))), tuple(warnings)


def label_in_path(label: str) -> str:
    """A label's name as it stands in `/label/<name>/values`: names that are not classic in the `U__` form of Prometheus 3."""
    if re.fullmatch(r"[a-zA-Z_][a-zA-Z0-9_]*", label, re.ASCII):
        return label
    # The "values" scheme of https://prometheus.io/docs/instrumenting/escaping_schemes/: _ doubled, others _hex_.
    plain = ("__" if c == "_" else c if c.isascii() and c.isalnum() else f"_{ord(c):x}_" for c in label)
    return "U__" + "".join(plain)


def _entries(said: Said) -> Iterable[tuple[Mapping[str, Any], Sequence[Sequence[Any]] | None]]:
    """Labels and points of each result, whatever its type; None for points of native histograms."""
    if said.result_type == "scalar":
        yield {}, [said.data]
        return
    for one in said.data:
        single = [one["value"]] if "value" in one else None
        yield one["metric"], one.get("values", single)


def _values_on_grid(points: Sequence[Sequence[Any]], grid: Grid) -> tuple[tuple[float, ...], int]:
    """A value for each point of the grid, NaN where there is none, and how many were infinite."""
    values = [math.nan] * grid.points
    infinite = 0
    for at_s, text in points:
        place = round((at_s - grid.start_s) / grid.step_s)
        value = float(text)  # "NaN", "+Inf" and "-Inf" are what Python reads too
        if math.isinf(value):
            infinite += 1
        elif 0 <= place < grid.points:
            values[place] = value
    return tuple(values), infinite


def _read_metadata(said: Said) -> Mapping[str, MetricMetadata]:
    known: dict[str, MetricMetadata] = {}
    for entry in said.data:
        kind = entry["type"] if entry["type"] in _KINDS else "unknown"
        found = MetricMetadata(kind=kind, help=str(entry["help"]))
        known.setdefault(entry["metric_name"], found)
        if kind == "counter" and not entry["metric_name"].endswith("_total"):  # OpenMetrics names the family without it
            known.setdefault(entry["metric_name"] + "_total", found)
    return known


def _labels(labels: Mapping[str, Any]) -> dict[str, str]:
    return {str(name): str(value) for name, value in labels.items()}


def _moment(at_s: float) -> datetime:
    return datetime.fromtimestamp(at_s, UTC)
