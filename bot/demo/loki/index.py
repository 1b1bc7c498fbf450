"""What Loki answers from its index: sizes of streams, and the fields it detects in a sample of lines."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from bot.demo.loki.extract import flat_fields, label_name, logfmt_fields, scan_json
from bot.demo.loki.logs import LogRequest, select_rows
from bot.demo.loki.storage import Stream, Tenant
from bot.demo.loki.syntax import LogSelector, Matcher
from bot.demo.loki.units import parse_duration, parse_size

_MILLISECOND_NS = 1_000_000
_KILOBYTE = 1024
_MINUTE_MS = 60_000


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeRequest:
    """Which sizes to add up: start to end in ns; `target_labels` empty groups by the labels named in the matchers."""

    matchers: tuple[Matcher, ...]
    start_ns: int
    end_ns: int
    target_labels: tuple[str, ...] = ()
    by_label_name: bool = False
    limit: int = 100


# Labels of a row and its bytes.
Volumes = list[tuple[dict[str, str], int]]


def volumes(tenant: Tenant, request: VolumeRequest) -> Volumes:
    """The rows, largest first."""
    sizes: dict[tuple[tuple[str, str], ...], int] = {}
    for stream in tenant.select(request.matchers):
        size = _bytes_between(stream, request.start_ns // _MILLISECOND_NS, request.end_ns // _MILLISECOND_NS)
        if size:
            for group in _volume_groups(stream, request):
                sizes[group] = sizes.get(group, 0) + size
    ranked = sorted(sizes.items(), key=lambda item: (-item[1], item[0]))
    return [(dict(group), size) for group, size in ranked[: request.limit]]


def bytes_to_read(tenant: Tenant, matchers: tuple[Matcher, ...], start_ns: int, end_ns: int) -> int:
    """How much a query over these streams and this time (ns) would read."""
    start_ms, end_ms = start_ns // _MILLISECOND_NS, end_ns // _MILLISECOND_NS
    return sum(_bytes_between(stream, start_ms, end_ms) for stream in tenant.select(matchers))


def _volume_groups(stream: Stream, request: VolumeRequest) -> Iterable[tuple[tuple[str, str], ...]]:
    names = request.target_labels or tuple(matcher.name for matcher in request.matchers)
    if request.by_label_name:
        return [((name, ""),) for name in stream.labels if not request.target_labels or name in names]
    return [tuple((name, value) for name, value in stream.labels.items() if not names or name in names)]


def _bytes_between(stream: Stream, start_ms: int, end_ms: int) -> int:
    if not stream.entries:
        return 0
    size = stream.bytes
    if stream.flushed == len(stream.entries):
        size = round(size / _KILOBYTE) * _KILOBYTE  # the index of the store counts kilobytes
    first_ms, last_ms = _span_ms(stream.entries[0].time_ns, stream.entries[-1].time_ns)
    return int(size * _share(first_ms, last_ms, start_ms, end_ms))


def _span_ms(first_ns: int, last_ns: int) -> tuple[int, int]:
    return first_ns // _MILLISECOND_NS, math.ceil(last_ns / _MILLISECOND_NS)


def _share(first_ms: int, last_ms: int, start_ms: int, end_ms: int) -> float:
    """The part of a chunk within a time span, taking its lines as evenly spread."""
    if last_ms < start_ms or first_ms > end_ms:
        return 0.0
    if first_ms == last_ms:
        return 1.0
    return (min(last_ms, end_ms) - max(first_ms, start_ms)) / (last_ms - first_ms)


def stats(tenant: Tenant, query: str, matchers: tuple[Matcher, ...], start_ns: int, end_ns: int) -> dict[str, int]:
    """Streams, chunks, bytes and entries of what has been flushed; an answer of zero is kept for good, as in Loki."""
    total = {"streams": 0, "chunks": 0, "bytes": 0, "entries": 0}
    key = (query, start_ns, end_ns)
    if key in tenant.empty_stats:
        return total
    for stream in tenant.select(matchers):
        if not stream.flushed:
            continue
        first_ms, last_ms = _span_ms(stream.entries[0].time_ns, stream.entries[stream.flushed - 1].time_ns)
        if first_ms != last_ms:
            # The recorded shares fit chunks that end on the minute.
            last_ms = math.ceil(last_ms / _MINUTE_MS) * _MINUTE_MS
        share = _share(first_ms, last_ms, start_ns // _MILLISECOND_NS, end_ns // _MILLISECOND_NS)
        if share:
            total["streams"] += 1
            total["chunks"] += 1
            total["bytes"] += int(round(stream.bytes / _KILOBYTE) * _KILOBYTE * share)
            total["entries"] += int(stream.flushed * share)
    if not total["streams"]:
        tenant.empty_stats.add(key)
    return total


def detected_labels(tenant: Tenant, matchers: tuple[Matcher, ...]) -> list[dict[str, Any]]:
    """Each stream label with the number of its values."""
    values: dict[str, set[str]] = {}
    for stream in tenant.select(matchers):
        for name, value in stream.labels.items():
            values.setdefault(name, set()).add(value)
    return [{"label": name, "cardinality": len(values[name])} for name in sorted(values)]


@dataclass(slots=True)
class _Field:
    values: set[str]
    parser: str | None
    path: tuple[str, ...] = ()


def detected_fields(
    tenant: Tenant, selector: LogSelector, start_ns: int, end_ns: int, line_limit: int, limit: int
) -> list[dict[str, Any]]:
    """The fields found in the newest lines, at most `limit`, with their type and number of values."""
    found = _fields(tenant, selector, start_ns, end_ns, line_limit)
    return [_described(name, found[name]) for name in list(found)[:limit]]


def detected_values(tenant: Tenant, name: str, selector: LogSelector, start_ns: int, end_ns: int) -> list[str]:
    """The values of one detected field in the newest lines."""
    found = _fields(tenant, selector, start_ns, end_ns, line_limit=1000)
    return sorted(found[name].values) if name in found else []


def _fields(tenant: Tenant, selector: LogSelector, start_ns: int, end_ns: int, line_limit: int) -> dict[str, _Field]:
    request = LogRequest(selector=selector, start_ns=start_ns, end_ns=end_ns, limit=line_limit)
    found: dict[str, _Field] = {}
    for row in select_rows(tenant, request):
        for name, value in row.metadata.items():
            found.setdefault(name, _Field(set(), None)).values.add(value)
        if row.line.lstrip().startswith("{"):
            _collect_json(found, scan_json(row.line).fields, ())
        else:
            _collect_logfmt(found, row.line)
    return found


def _collect_json(found: dict[str, _Field], fields: Mapping[str, Any], path: tuple[str, ...]) -> None:
    for name, value in fields.items():
        here = (*path, name)
        if isinstance(value, dict):
            _collect_json(found, value, here)
        else:
            for _, text in flat_fields({name: value}):
                found.setdefault(label_name("_".join(here)), _Field(set(), "json", here)).values.add(text)


def _collect_logfmt(found: dict[str, _Field], line: str) -> None:
    for name, value in logfmt_fields(line):
        if value:
            found.setdefault(label_name(name), _Field(set(), "logfmt")).values.add(value)


def _described(name: str, field: _Field) -> dict[str, Any]:
    described: dict[str, Any] = {
        "label": name,
        "type": _type(max(field.values)),
        "cardinality": len(field.values),
        "parsers": [field.parser] if field.parser else None,
    }
    return {**described, "jsonPath": list(field.path)} if field.path else described


def _type(value: str) -> str:
    if value in ("true", "false"):
        return "boolean"
    for name, read in (("int", int), ("float", float), ("duration", parse_duration), ("bytes", parse_size)):
        try:
            read(value)
        except ValueError:
            continue
        return name
    return "string"
