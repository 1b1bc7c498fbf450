"""The parts of a LogQL query, each of which can write itself the way Loki's format_query does (on one line)."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from bot.demo.loki.units import number_text, prometheus_duration


def quote(text: str) -> str:
    """`text` as a double-quoted LogQL string."""
    return json.dumps(text, ensure_ascii=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Matcher:
    """`name op "value"`; op is one of = != =~ !~."""

    name: str
    op: str
    value: str

    def __str__(self) -> str:
        return f"{self.name}{self.op}{quote(self.value)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Needle:
    """What a line filter looks for: a text, or the addresses of a network."""

    text: str
    is_ip: bool = False

    def __str__(self) -> str:
        return f"ip({quote(self.text)})" if self.is_ip else quote(self.text)


@dataclass(frozen=True, slots=True, kw_only=True)
class LineFilter:
    """`op needle or needle ...`; op is one of |= != |~ !~ |> !>."""

    op: str
    needles: tuple[Needle, ...]

    def __str__(self) -> str:
        return f"{self.op} " + " or ".join(map(str, self.needles))


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelCompare:
    """One comparison of a label. `kind` says how to read the value: string, number, duration (ns), bytes or ip."""

    name: str
    op: str
    kind: str
    value: str | float
    spelling: str

    def __str__(self) -> str:
        return f"{self.name}{self.op}{self.spelling}"


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelLogic:
    """`left and right` or `left or right`."""

    op: str
    left: "LabelCondition"
    right: "LabelCondition"

    def __str__(self) -> str:
        return f"( {self.left} {self.op} {self.right} )"


LabelCondition = LabelCompare | LabelLogic


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelFilter:
    """`| condition`."""

    condition: LabelCondition

    def __str__(self) -> str:
        return f"| {self.condition}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Parser:
    """`| json`, `| logfmt`, `| pattern "..."`, `| regexp "..."` or `| unpack`.

    `fields` are (label, expression) pairs; none means every field. `flags` are logfmt's.
    """

    name: str
    expression: str | None = None
    fields: tuple[tuple[str, str], ...] = ()
    flags: tuple[str, ...] = ()

    def __str__(self) -> str:
        parts = [self.name, *self.flags]
        if self.expression is not None:
            parts.append(quote(self.expression))
        if self.fields:
            parts.append(",".join(f"{label}={quote(path)}" for label, path in self.fields))
        return "| " + " ".join(parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class LineFormat:
    """`| line_format "template"`."""

    template: str

    def __str__(self) -> str:
        return f"| line_format {quote(self.template)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelChange:
    """`name=source` renames a label, `name="template"` sets one."""

    name: str
    source: str | None = None
    template: str | None = None

    def __str__(self) -> str:
        return f"{self.name}={self.source if self.template is None else quote(self.template)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelFormat:
    """`| label_format change, ...`."""

    changes: tuple[LabelChange, ...]

    def __str__(self) -> str:
        return "| label_format " + ",".join(map(str, self.changes))


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelChoice:
    """`| keep ...` or `| drop ...`; an item is a name, or a matcher for name and value."""

    op: str
    items: tuple[str | Matcher, ...]

    def __str__(self) -> str:
        return f"| {self.op} " + ",".join(map(str, self.items))


@dataclass(frozen=True, slots=True)
class Decolorize:
    """`| decolorize`."""

    def __str__(self) -> str:
        return "| decolorize"


@dataclass(frozen=True, slots=True, kw_only=True)
class Unwrap:
    """`| unwrap label` or `| unwrap conversion(label)`."""

    label: str
    conversion: str | None = None

    def __str__(self) -> str:
        return f"| unwrap {self.label}" if self.conversion is None else f"| unwrap {self.conversion}({self.label})"


Stage = LineFilter | LabelFilter | Parser | LineFormat | LabelFormat | LabelChoice | Decolorize


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSelector:
    """`{matchers} stages`: a log query."""

    matchers: tuple[Matcher, ...]
    stages: tuple[Stage, ...] = ()

    def __str__(self) -> str:
        return " ".join(["{" + ", ".join(map(str, self.matchers)) + "}", *map(str, self.stages)])


@dataclass(frozen=True, slots=True, kw_only=True)
class Grouping:
    """`by (labels)` or `without (labels)`."""

    labels: tuple[str, ...]
    without: bool = False

    def __str__(self) -> str:
        return f"{'without' if self.without else 'by'} ({','.join(self.labels)})"


@dataclass(frozen=True, slots=True, kw_only=True)
class RangeAggregation:
    """`op(parameter, selector | unwrap | after [range] offset) grouping`; times in ns."""

    op: str
    selector: LogSelector
    range_ns: int
    parameter: float | None = None
    unwrap: Unwrap | None = None
    after_unwrap: tuple[Stage, ...] = ()
    offset_ns: int = 0
    grouping: Grouping | None = None

    def __str__(self) -> str:
        parameter = "" if self.parameter is None else f"{number_text(self.parameter)},"
        inner: Sequence[object] = [self.selector, *([self.unwrap] if self.unwrap else []), *self.after_unwrap]
        offset = f" offset {prometheus_duration(self.offset_ns)}" if self.offset_ns else ""
        gap = " " if len(inner) > 1 or self.selector.stages else ""
        text = f"{self.op}({parameter}{' '.join(map(str, inner))}{gap}[{prometheus_duration(self.range_ns)}]{offset})"
        return text if self.grouping is None else f"{text} {self.grouping}"


@dataclass(frozen=True, slots=True, kw_only=True)
class VectorAggregation:
    """`op grouping (parameter, inner)`."""

    op: str
    inner: "Metric"
    parameter: float | None = None
    grouping: Grouping | None = None

    def __str__(self) -> str:
        head = self.op if self.grouping is None else f"{self.op} {self.grouping}"
        parameter = "" if self.parameter is None else f"{number_text(self.parameter)},"
        return f"{head}({parameter}{self.inner})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Matching:
    """How two sides of an operation find each other: `on (labels)` or `ignoring (labels)`, `group_left` or `group_right`.

    `many` is left, right or empty (one to one); `include` are the labels copied from the one side.
    """

    labels: tuple[str, ...] = ()
    on: bool = False
    many: str = ""
    include: tuple[str, ...] = ()

    def __str__(self) -> str:
        text = f" {'on' if self.on else 'ignoring'} ({','.join(self.labels)})" if self.on or self.labels else ""
        return text + (f" group_{self.many} ({','.join(self.include)})" if self.many else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class BinaryOperation:
    """`left op bool matching right`."""

    op: str
    left: "Metric"
    right: "Metric"
    return_bool: bool = False
    matching: Matching = Matching()

    def __str__(self) -> str:
        return f"({self.left} {self.op}{' bool' if self.return_bool else ''}{self.matching} {self.right})"


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelReplace:
    """`label_replace(inner, "target", "replacement", "source", "regex")`."""

    inner: "Metric"
    target: str
    replacement: str
    source: str
    regex: str

    def __str__(self) -> str:
        texts = ",".join(quote(text) for text in (self.target, self.replacement, self.source, self.regex))
        return f"label_replace({self.inner},{texts})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Literal:
    """A number."""

    value: float

    def __str__(self) -> str:
        return number_text(self.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class VectorLiteral:
    """`vector(number)`."""

    value: float

    def __str__(self) -> str:
        return f"vector({number_text(self.value)})"


Metric = RangeAggregation | VectorAggregation | BinaryOperation | LabelReplace | Literal | VectorLiteral
Query = LogSelector | Metric
