"""Loki's answers as nouns: streams of entries as log lines, matrices as series on a grid. Pure."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from operator import attrgetter

from bot.domain.codec import Json
from bot.domain.logs import LogLine
from bot.domain.scope import Window
from bot.domain.series import Series

NANOSECONDS = 1_000_000_000

# What Loki adds for itself: shards of one stream are one stream to a reader, parser errors are counted and told.
SHARD_LABEL = "__stream_shard__"
_ERROR = "__error__"
_HIDDEN = frozenset({SHARD_LABEL, _ERROR, "__error_details__", "__preserve_error__"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Entries:
    """The lines of one answer in the server's order; `errors` names, by place, what the parser said of those it cannot read."""

    lines: tuple[LogLine, ...]
    errors: Mapping[int, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """Multiples of the step inside a window: where all points of an answer lie."""

    start_s: int
    step_s: int
    points: int

    @property
    def last_s(self) -> int:
        return self.start_s + (self.points - 1) * self.step_s

    def halves(self) -> tuple["Grid", "Grid"]:
        """The earlier and the later half."""
        early = self.points // 2
        late_start_s = self.start_s + early * self.step_s
        return (
            Grid(start_s=self.start_s, step_s=self.step_s, points=early),
            Grid(start_s=late_start_s, step_s=self.step_s, points=self.points - early),
        )


def grid_of(window: Window, step_s: int) -> Grid:
    """The grid of a window. It has no point when no multiple of the step lies in the window."""
    start_s = math.ceil(window.start_s / step_s) * step_s
    return Grid(start_s=start_s, step_s=step_s, points=max(0, math.ceil((window.end_s - start_s) / step_s)))


def nanoseconds(at_s: float) -> int:
    """UTC unix seconds as nanoseconds, exact for whole seconds."""
    whole = math.floor(at_s)
    return whole * NANOSECONDS + round((at_s - whole) * NANOSECONDS)


def read_entries(answer: Json, level_label: str) -> Entries:
    """The log lines of an answer, in either form: with categorized labels, or with all labels merged into the stream.

    Raises LookupError, TypeError, ValueError, AttributeError for an answer of another shape.
    """
    data = answer["data"]
    if data["resultType"] != "streams":
        raise ValueError(f"lines were asked for, {data['resultType']} came")
    lines: list[LogLine] = []
    errors: dict[int, str] = {}
    for stream in data["result"]:
        own = {str(name): str(value) for name, value in stream["stream"].items()}
        for entry in stream["values"]:
            labels = _labels(own, entry)
            if error := labels.get(_ERROR):
                errors[len(lines)] = error
            shown = {name: value for name, value in labels.items() if name not in _HIDDEN}
            text = _text(entry[1])
            level = shown.get(level_label) or level_of(text, shown)
            lines.append(LogLine(ts_ns=int(entry[0]), line=text, labels=shown, level=level))
    return Entries(lines=tuple(lines), errors=errors)


def in_order(lines: Iterable[LogLine]) -> list[LogLine]:
    """Oldest first. Within a nanosecond by labels and text, because Loki's own order there is arbitrary."""
    ordered = sorted(lines, key=attrgetter("ts_ns"))
    if all(a.ts_ns < b.ts_ns for a, b in pairwise(ordered)):
        return ordered
    return sorted(ordered, key=lambda line: (line.ts_ns, sorted(line.labels.items()), line.line))


def read_matrix(answer: Json) -> list[tuple[dict[str, str], list[tuple[int, float]]]]:
    """Labels and points (seconds, value) of each series. Raises as `read_entries`."""
    data = answer["data"]
    if data["resultType"] != "matrix":
        raise ValueError(f"a matrix was asked for, {data['resultType']} came")
    return [
        (
            {str(name): str(value) for name, value in one["metric"].items()},
            [(round(float(at_s)), float(value)) for at_s, value in one["values"]],
        )
        for one in data["result"]
    ]


def on_grid(found: Iterable[tuple[Mapping[str, str], Sequence[tuple[int, float]]]], grid: Grid) -> tuple[Series, ...]:
    """The series in order of their labels, each with every point of the grid: 0 where Loki left a point out."""
    values: dict[tuple[tuple[str, str], ...], list[float]] = {}
    for labels, points in found:
        row = values.setdefault(tuple(sorted(labels.items())), [0.0] * grid.points)
        for at_s, value in points:
            place, off = divmod(at_s - grid.start_s, grid.step_s)
            if not off and 0 <= place < grid.points:
                row[place] = value
    return tuple(
        Series(labels=dict(labels), start_s=float(grid.start_s), step_s=float(grid.step_s), values=tuple(row))
        for labels, row in sorted(values.items())
    )


def level_of(line: str, labels: Mapping[str, str]) -> str:
    """A line's level where the server does not tell one: from a label, a field, or the first word that is a level.

    One of critical, error, warn, info, debug, trace, or unknown.
    """
    for name in ("level", "severity", "severity_text"):
        if found := _LEVELS.get(labels.get(name, "").lower()):
            return found
    head = _COLOUR.sub("", line[:_HEAD])
    for pattern in (_FIELD, _WORD):
        if match := pattern.search(head):
            return _LEVELS[match.group(1).lower()]
    return "unknown"


def _labels(own: Mapping[str, str], entry: Sequence[Json]) -> Mapping[str, str]:
    """The labels of the stream and the entry's own. The form with merged labels has no third part."""
    if len(entry) < 3:
        return own
    parts = entry[2]
    return {**own, **(parts.get("structuredMetadata") or {}), **(parts.get("parsed") or {})}


def _text(line: Json) -> str:
    """The line as text that can be stored: a lone surrogate, which is no character, becomes a question mark."""
    text = str(line)
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


_HEAD = 1000  # characters of a line its level is looked for in: it stands near the start, and lines may be huge

_LEVELS = {
    **dict.fromkeys(("fatal", "critical", "crit", "panic", "emerg", "emergency", "alert"), "critical"),
    **dict.fromkeys(("error", "err", "severe"), "error"),
    **dict.fromkeys(("warn", "warning"), "warn"),
    **dict.fromkeys(("info", "information", "notice"), "info"),
    **dict.fromkeys(("debug",), "debug"),
    **dict.fromkeys(("trace",), "trace"),
}
_NAMES = "|".join(sorted(_LEVELS, key=len, reverse=True))
_FIELD = re.compile(rf'(?i)\b(?:level|lvl|loglevel|severity)"?\s*[=:]\s*"?({_NAMES})\b')
_WORD = re.compile(r"(?i)\b(fatal|critical|panic|error|severe|warn|warning|info|debug|trace)\b")
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
