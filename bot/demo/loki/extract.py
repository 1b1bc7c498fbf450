"""Fields found in a log line: JSON, logfmt and the `<name>` patterns of LogQL."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise
from typing import Any

from bot.demo.loki.refusal import ParseRefusal

# The reason Loki gives for every broken object, and for text that is no object at all.
BROKEN_JSON = "Value looks like object, but can't find closing '}' symbol"

# Numbers stay as they are spelled, and control characters inside strings are let through, as in Loki's reader.
_DECODER = json.JSONDecoder(strict=False, parse_int=str, parse_float=str, parse_constant=str)
_PATH_STEP = re.compile(r'\["([^"]*)"\]|\[(\d+)\]|([^.\[\]"]+)')
# Objects within objects that are still looked into when the outermost is cut off.
_DEEPEST = 20
_SPACE = re.compile(r"\s*")
_LOGFMT = re.compile(r'([^\s="]+)(?:=(?:"((?:[^"\\]|\\.)*)"|([^\s"]*)))?')
_LOGFMT_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_CAPTURE = re.compile(r"<([A-Za-z_][A-Za-z0-9_]*)>")
_NOT_A_NAME = re.compile(r"[^A-Za-z0-9_]")


@dataclass(frozen=True, slots=True)
class JsonScan:
    """What could be read of a JSON object: its complete fields, and the field it broke off in, if that is an object."""

    fields: dict[str, Any]
    complete: bool = True
    unfinished: dict[str, "JsonScan"] = field(default_factory=dict)


def scan_json(line: str) -> JsonScan:
    """The fields of the object in `line`, as far as they are readable; numbers as spelled."""
    try:
        value = _DECODER.decode(line)
    except RecursionError:  # nested deeper than any log line has reason to be
        return JsonScan({}, complete=False)
    except ValueError:
        return _scan_broken(line, _after_space(line, 0), _DEEPEST)
    return JsonScan(value) if isinstance(value, dict) else JsonScan({}, complete=False)


def _after_space(line: str, at: int) -> int:
    space = _SPACE.match(line, at)
    return space.end() if space else at


def _scan_broken(line: str, at: int, depth: int) -> JsonScan:
    fields: dict[str, Any] = {}
    if line[at : at + 1] != "{" or not depth:
        return JsonScan(fields, complete=False)
    while True:
        try:
            at = _after_space(line, at + 1)
            name, at = _DECODER.raw_decode(line, at)
            at = _after_space(line, at)
            if not isinstance(name, str) or line[at : at + 1] != ":":
                return JsonScan(fields, complete=False)
            at = _after_space(line, at + 1)
        except ValueError:
            return JsonScan(fields, complete=False)
        try:
            fields[name], at = _DECODER.raw_decode(line, at)
        except (ValueError, RecursionError):
            return JsonScan(fields, complete=False, unfinished={name: _scan_broken(line, at, depth - 1)})
        at = _after_space(line, at)
        if line[at : at + 1] != ",":
            return JsonScan(fields, complete=False)


def flat_fields(fields: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """(label, value) for every text, number and boolean; names of nested fields joined by `_`; lists and nulls left out."""
    for name, value in fields.items():
        label = prefix + label_name(name, first=not prefix)
        if isinstance(value, dict):
            yield from flat_fields(value, label + "_")
        elif isinstance(value, bool):
            yield label, "true" if value else "false"
        elif isinstance(value, str):
            yield label, value


def json_path(line: str, path: str) -> str:
    """The value at `a.b[0]["c"]` of a JSON line that may be broken, empty if there is none; objects and lists as JSON."""
    scan: JsonScan | None = scan_json(line)
    value: Any = scan.fields if scan else {}
    for step in _path_steps(path):
        if isinstance(step, str) and scan is not None and step in scan.unfinished:
            scan = scan.unfinished[step]
            value = scan.fields
            continue
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            return ""
        scan = None
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else "" if value is None else json.dumps(value, ensure_ascii=False)


def _path_steps(path: str) -> list[str | int]:
    return [int(index) if index else quoted or name for quoted, index, name in _PATH_STEP.findall(path)]


def logfmt_fields(line: str) -> Iterator[tuple[str, str]]:
    """(label, value) of `name=value` and `name="value"`; a bare name has an empty value."""
    for found in _LOGFMT.finditer(line):
        name, quoted, bare = found.groups()
        value = _LOGFMT_ESCAPE.sub(r"\1", quoted) if quoted and "\\" in quoted else quoted or bare or ""
        yield name, value


@lru_cache(maxsize=8192)
def label_name(text: str, *, first: bool = True) -> str:
    """`text` as a label name: other characters than letters, digits and `_` become `_`."""
    name = _NOT_A_NAME.sub("_", text)
    return "_" + name if first and name[:1].isdigit() else name


@lru_cache(maxsize=256)
def pattern_parts(pattern: str) -> tuple[tuple[str, str], ...]:
    """The pattern as ("text", literal) and ("field", name) in order; the name `_` is not kept."""
    pieces = _CAPTURE.split(pattern)
    return tuple(("field" if i % 2 else "text", piece) for i, piece in enumerate(pieces) if piece)


def check_pattern(pattern: str) -> None:
    """Raises ParseRefusal unless the pattern can serve as a parser."""
    parts = pattern_parts(pattern)
    names = [piece for kind, piece in parts if kind == "field" and piece != "_"]
    if not names:
        raise ParseRefusal("invalid pattern parser: at least one capture is required")
    for (kind, piece), (next_kind, next_piece) in pairwise(parts):
        if kind == next_kind == "field":
            raise ParseRefusal(
                f"invalid pattern parser: found consecutive capture '<{piece}><{next_piece}>': invalid expression"
            )
    if len(set(names)) < len(names):
        raise ParseRefusal("invalid pattern parser: duplicate capture name")


def pattern_fields(pattern: str, line: str) -> list[tuple[str, str]]:
    """(label, value) for the captures; one whose following text is missing takes the rest of the line."""
    parts = pattern_parts(pattern)
    if parts and parts[0][0] == "text":
        if not line.startswith(parts[0][1]):
            return []
        line, parts = line[len(parts[0][1]) :], parts[1:]
    found: list[tuple[str, str]] = []
    for i in range(0, len(parts), 2):
        name = parts[i][1]
        literal = parts[i + 1][1] if i + 1 < len(parts) else None
        end = -1 if literal is None else line.find(literal)
        if name != "_":
            found.append((name, line if end < 0 else line[:end]))
        if end < 0 or literal is None:
            break
        line = line[end + len(literal) :]
    return found


def pattern_matches(pattern: str, line: str) -> bool:
    """Whether the whole line has the pattern's shape, each capture standing for at least one character."""
    parts = pattern_parts(pattern)
    if not line or not parts:
        return not line and not parts
    at = 0
    for i, (kind, piece) in enumerate(parts):
        if kind == "field":
            continue
        found = line.find(piece, at)
        if found < 0 or (found == at) is not (i == 0):
            return False
        at = found + len(piece)
    return (at < len(line)) is (parts[-1][0] == "field")
