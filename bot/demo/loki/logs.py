"""Answers to log queries: the entries of a time span, grouped into streams."""

import heapq
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from bot.demo.loki.pipeline import LineLabels, Step, compile_stages, run
from bot.demo.loki.storage import Entry, Stream, Tenant, labels_text
from bot.demo.loki.syntax import LogSelector


@dataclass(frozen=True, slots=True, kw_only=True)
class LogRequest:
    """What to read: start <= time < end in ns, at most `limit` entries, at least `interval_ns` apart."""

    selector: LogSelector
    start_ns: int
    end_ns: int
    limit: int = 100
    forward: bool = False
    interval_ns: int = 0


@dataclass(frozen=True, slots=True)
class Row:
    """One entry that passed the pipeline. `text` names all its labels, `stream_text` those of its stream."""

    time_ns: int
    line: str
    stream: Mapping[str, str]
    metadata: Mapping[str, str]
    parsed: Mapping[str, str]
    text: str
    merged: Mapping[str, str]


# time (negative when the newest come first), rank of the stream, place in the stream, row
_Ranked = tuple[int, int, int, Row]


def select_rows(tenant: Tenant, request: LogRequest) -> list[Row]:
    """The rows of one page, in the order of their time."""
    steps = compile_stages(request.selector.stages)
    found = tenant.between(request.selector.matchers, request.start_ns, request.end_ns)
    # Within a nanosecond Loki goes by the hash of the stream, which is arbitrary; here it is the name, last first.
    found.sort(key=lambda pair: pair[0].text, reverse=True)
    sources = [_rows(stream, entries, steps, rank, request.forward) for rank, (stream, entries) in enumerate(found)]
    rows: list[Row] = []
    for _, _, _, row in heapq.merge(*sources):
        if request.interval_ns and rows and abs(row.time_ns - rows[-1].time_ns) < request.interval_ns:
            continue
        rows.append(row)
        if len(rows) == request.limit:
            break
    return rows


def _rows(stream: Stream, entries: list[Entry], steps: list[Step], rank: int, forward: bool) -> Iterator[_Ranked]:
    sign = 1 if forward else -1
    for place, entry in enumerate(entries if forward else reversed(entries)):
        row = _row(stream, entry, steps)
        if row is not None:
            yield sign * entry.time_ns, rank, place, row


def _row(stream: Stream, entry: Entry, steps: list[Step]) -> Row | None:
    metadata = entry.metadata
    if not steps:
        return Row(entry.time_ns, entry.line, stream.labels, metadata.labels, {}, metadata.text, metadata.merged)
    labels = LineLabels(stream.labels, metadata.labels, entry.time_ns)
    line = run(steps, entry.line, labels)
    if line is None:
        return None
    if labels.stream is stream.labels and labels.metadata is metadata.labels and not labels.parsed and not labels.error:
        return Row(entry.time_ns, line, stream.labels, metadata.labels, {}, metadata.text, metadata.merged)
    parsed = dict(sorted({**labels.parsed, **labels.errors()}.items()))
    kept = {name: value for name, value in labels.metadata.items() if name not in parsed}
    merged = dict(sorted({**labels.stream, **kept, **parsed}.items()))
    return Row(entry.time_ns, line, labels.stream, kept, parsed, labels_text(merged), merged)


def plain_streams(rows: list[Row]) -> list[dict[str, Any]]:
    """The rows grouped by all their labels, as Loki answers without an encoding flag."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(row.text, []).append(row)
    return [
        {"stream": groups[text][0].merged, "values": [[str(row.time_ns), row.line] for row in groups[text]]}
        for text in sorted(groups)
    ]


def categorized_streams(rows: list[Row], *, forward: bool) -> list[dict[str, Any]]:
    """The rows grouped by the labels of their stream, each with its metadata and parsed labels apart."""
    groups: dict[str, list[Row]] = {}
    names: dict[int, str] = {}  # rows of one stream mostly share its labels, and hold on to them here
    for row in rows:
        key = id(row.stream)
        name = names.get(key)
        if name is None:
            name = names[key] = labels_text(row.stream)
        groups.setdefault(name, []).append(row)
    for group in groups.values():
        group.sort(key=lambda row: (row.time_ns if forward else -row.time_ns, row.text))
    return [
        {"stream": groups[name][0].stream, "values": [_value(row) for row in groups[name]]} for name in sorted(groups)
    ]


def _value(row: Row) -> list[Any]:
    categories: dict[str, Any] = {}
    if row.metadata:
        categories["structuredMetadata"] = row.metadata
    if row.parsed:
        categories["parsed"] = row.parsed
    return [str(row.time_ns), row.line, categories]
