"""The stages of a log pipeline at work on lines and labels."""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from bot.demo.loki.addresses import address_test
from bot.demo.loki.extract import (
    BROKEN_JSON,
    flat_fields,
    json_path,
    label_name,
    logfmt_fields,
    pattern_fields,
    pattern_matches,
    scan_json,
)
from bot.demo.loki.regexes import compile_regex
from bot.demo.loki.syntax import (
    Decolorize,
    LabelChoice,
    LabelCompare,
    LabelCondition,
    LabelFilter,
    LabelFormat,
    LabelLogic,
    LineFilter,
    LineFormat,
    Needle,
    Parser,
    Stage,
)
from bot.demo.loki.template import compile_template
from bot.demo.loki.units import parse_duration, parse_size
from bot.demo.loki.validation import matches

_COLOR = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_ERROR_LABELS = ("__error__", "__error_details__")


class LineLabels:
    """The labels of one line while it passes the pipeline, kept apart by where they came from."""

    __slots__ = ("details", "error", "metadata", "parsed", "stream", "time_ns")

    def __init__(self, stream: Mapping[str, str], metadata: Mapping[str, str], time_ns: int) -> None:
        self.stream = stream
        self.metadata = metadata
        self.parsed: dict[str, str] = {}
        self.time_ns = time_ns
        self.error = ""
        self.details = ""

    def get(self, name: str) -> str | None:
        """The value of a label, parsed ones first; None if there is none."""
        if name in self.parsed:
            return self.parsed[name]
        if name in self.metadata:
            return self.metadata[name]
        if name in _ERROR_LABELS:
            return (self.error if name == "__error__" else self.details) or None
        return self.stream.get(name)

    def fail(self, error: str, details: str) -> None:
        """Marks the line as one a stage could not work on."""
        self.error, self.details = error, details

    def extract(self, name: str, value: str) -> None:
        """Adds a parsed label, under another name if the stream has one of this name."""
        self.parsed[f"{name}_extracted" if name in self.stream else name] = value

    def put(self, name: str, value: str) -> None:
        """Sets a label, replacing one of this name wherever it came from."""
        self.remove((name,))
        self.parsed[name] = value

    def remove(self, names: Iterable[str]) -> None:
        """Takes labels away."""
        self.keep(set(names), inverted=True)

    def keep(self, names: set[str], *, inverted: bool = False) -> None:
        """Keeps only these labels, or with `inverted` only the others."""
        self.stream = {name: value for name, value in self.stream.items() if (name in names) is not inverted}
        self.metadata = {name: value for name, value in self.metadata.items() if (name in names) is not inverted}
        self.parsed = {name: value for name, value in self.parsed.items() if (name in names) is not inverted}
        if ("__error__" in names) is inverted:
            self.error = self.details = ""

    def errors(self) -> dict[str, str]:
        """The labels that tell of a failed stage."""
        return {"__error__": self.error, "__error_details__": self.details} if self.error else {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """Which labels the query uses in the end; a parser stops once it has found them all.

    `names` None means all of them. Without `errors` a line that cannot be parsed is not marked as failed.
    """

    names: frozenset[str] | None = None
    errors: bool = True


EVERYTHING = Needs()
# Takes the line and its labels, gives the line that comes out, or None if it is filtered out.
Step = Callable[[str, LineLabels], str | None]


def compile_stages(stages: Iterable[Stage], needs: Needs = EVERYTHING) -> list[Step]:
    """The steps for `stages`, to be called one after the other."""
    return [_step(stage, needs) for stage in stages]


def run(steps: Iterable[Step], line: str, labels: LineLabels) -> str | None:
    """The line after all steps, or None if one of them filtered it out."""
    for step in steps:
        after = step(line, labels)
        if after is None:
            return None
        line = after
    return line


def _step(stage: Stage, needs: Needs) -> Step:
    match stage:
        case LineFilter():
            wanted = line_test(stage)
            return lambda line, _labels: line if wanted(line) else None
        case LabelFilter():
            holds = _condition(stage.condition)
            return lambda line, labels: line if holds(labels) else None
        case Parser():
            return _parser(stage, needs)
        case LineFormat():
            template = compile_template(stage.template)
            return lambda line, labels: template(_lookup(line, labels))
        case LabelFormat():
            return _label_format(stage)
        case LabelChoice():
            return _label_choice(stage)
        case Decolorize():
            return lambda line, _labels: _COLOR.sub("", line)


def _lookup(line: str, labels: LineLabels) -> Callable[[str], str]:
    special = {"__line__": line, "__timestamp__": str(labels.time_ns)}
    return lambda name: special.get(name) or labels.get(name) or ""


def line_test(line_filter: LineFilter) -> Callable[[str], bool]:
    """Whether a line passes the filter."""
    negative = line_filter.op[0] == "!"
    tests = [_needle_test(line_filter.op, needle) for needle in line_filter.needles]
    if len(tests) == 1:
        test = tests[0]
        return (lambda line: not test(line)) if negative else test
    return lambda line: any(test(line) for test in tests) is not negative


def _needle_test(op: str, needle: Needle) -> Callable[[str], bool]:
    text = needle.text
    if needle.is_ip:
        return address_test(text)
    if op in ("|=", "!="):
        return lambda line: text in line
    if op in ("|>", "!>"):
        return lambda line: pattern_matches(text, line)
    search = compile_regex(text).search
    return lambda line: search(line) is not None


def _condition(condition: LabelCondition) -> Callable[[LineLabels], bool]:
    if isinstance(condition, LabelLogic):
        left, right = _condition(condition.left), _condition(condition.right)
        if condition.op == "and":
            return lambda labels: left(labels) and right(labels)
        return lambda labels: left(labels) or right(labels)
    if condition.kind == "string":
        return _text_compare(condition)
    if condition.kind == "ip":
        inside = address_test(str(condition.value))
        return lambda labels: inside(labels.get(condition.name) or "") is (condition.op == "=")
    return _amount_compare(condition)


def _text_compare(compare: LabelCompare) -> Callable[[LineLabels], bool]:
    name, value, equal = compare.name, str(compare.value), compare.op in ("=", "=~")
    if compare.op in ("=", "!="):
        return lambda labels: ((labels.get(name) or "") == value) is equal
    match = compile_regex(f"^(?s:{value})$").match
    return lambda labels: (match(labels.get(name) or "") is not None) is equal


_READ_AMOUNT: dict[str, Callable[[str], float]] = {"number": float, "duration": parse_duration, "bytes": parse_size}
_COMPARE: dict[str, Callable[[float, float], bool]] = {
    "=": lambda left, right: left == right,
    "!=": lambda left, right: left != right,
    ">": lambda left, right: left > right,
    ">=": lambda left, right: left >= right,
    "<": lambda left, right: left < right,
    "<=": lambda left, right: left <= right,
}


def _amount_compare(compare: LabelCompare) -> Callable[[LineLabels], bool]:
    read, holds, wanted = _READ_AMOUNT[compare.kind], _COMPARE[compare.op], float(compare.value)

    def test(labels: LineLabels) -> bool:
        if labels.error:  # only a text comparison can drop a failed line
            return True
        text = labels.get(compare.name)
        if text is None:
            return False
        try:
            return holds(read(text), wanted)
        except ValueError as reason:
            labels.fail("LabelFilterErr", str(reason))
            return True

    return test


def _label_format(stage: LabelFormat) -> Step:
    templates = {
        change.name: compile_template(change.template) for change in stage.changes if change.template is not None
    }

    def step(line: str, labels: LineLabels) -> str:
        for change in stage.changes:
            if change.source is None:
                labels.put(change.name, templates[change.name](_lookup(line, labels)))
            elif (value := labels.get(change.source)) is not None:
                labels.remove((change.source,))
                labels.put(change.name, value)
        return line

    return step


def _label_choice(stage: LabelChoice) -> Step:
    names = {item for item in stage.items if isinstance(item, str)}
    matchers = [item for item in stage.items if not isinstance(item, str)]

    def step(line: str, labels: LineLabels) -> str:
        found = {matcher.name for matcher in matchers if matches(matcher, labels.get(matcher.name) or "")}
        # The marks of a failed stage survive `keep`.
        chosen = names | found | (set(_ERROR_LABELS) if stage.op == "keep" else set())
        labels.keep(chosen, inverted=stage.op == "drop")
        return line

    return step


def _parser(stage: Parser, needs: Needs) -> Step:
    if needs.names is not None and not needs.names:
        return lambda line, _labels: line  # nothing of what could be parsed is used
    match stage.name:
        case "json":
            return _json_fields(stage) if stage.fields else _json(needs)
        case "logfmt":
            return _logfmt_fields(stage) if stage.fields else _logfmt(stage, needs)
        case "unpack":
            return _unpack
        case "pattern":
            expression = stage.expression or ""
            return _found(lambda line: pattern_fields(expression, line))
    compiled = compile_regex(stage.expression or "")
    return _found(lambda line: _groups(compiled, line))


def _groups(compiled: Any, line: str) -> list[tuple[str, str]]:
    found = compiled.search(line)
    return [(name, value or "") for name, value in found.groupdict().items()] if found else []


def _found(find: Callable[[str], list[tuple[str, str]]]) -> Step:
    def step(line: str, labels: LineLabels) -> str:
        for name, value in find(line):
            labels.extract(name, value)
        return line

    return step


def _json(needs: Needs) -> Step:
    def step(line: str, labels: LineLabels) -> str:
        scan = scan_json(line)
        missing = set(needs.names) if needs.names is not None else None
        for name, value in flat_fields(scan.fields):
            if missing is None:
                labels.extract(name, value)
            elif name in missing:
                labels.extract(name, value)
                missing.discard(name)
        if not scan.complete and missing != set() and needs.errors:
            labels.fail("JSONParserErr", BROKEN_JSON)
        return line

    return step


def _json_fields(stage: Parser) -> Step:
    def step(line: str, labels: LineLabels) -> str:
        if line.lstrip()[:1] not in ("{", "[", '"'):
            labels.fail("JSONParserErr", BROKEN_JSON)
            return line
        for label, path in stage.fields:
            labels.extract(label, json_path(line, path))
        return line

    return step


def _logfmt(stage: Parser, needs: Needs) -> Step:
    keep_empty = "--keep-empty" in stage.flags
    names = needs.names

    def step(line: str, labels: LineLabels) -> str:
        for key, value in logfmt_fields(line):
            if value or keep_empty:
                name = label_name(key)
                if names is None or name in names:
                    labels.extract(name, value)
        return line

    return step


def _logfmt_fields(stage: Parser) -> Step:
    def step(line: str, labels: LineLabels) -> str:
        fields = dict(logfmt_fields(line))
        for label, key in stage.fields:
            labels.extract(label, fields.get(key, ""))
        return line

    return step


def _unpack(line: str, labels: LineLabels) -> str:
    if not scan_json(line).complete:
        labels.fail("JSONParserErr", BROKEN_JSON)
        return line
    entry = line
    for name, value in json.loads(line, strict=False).items():
        if name == "_entry" and isinstance(value, str):
            entry = value
        elif isinstance(value, str):
            labels.extract(label_name(name), value)
    return entry
