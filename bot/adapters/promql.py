"""PromQL text of a typed query. Names and values are data here: no text can change the shape of the query.

Strings follow https://prometheus.io/docs/prometheus/latest/querying/basics/#string-literals (Go escapes), names that are not
classic follow the quoted syntax of Prometheus 3 (`"a.b"="c"`).
"""

import re
from collections.abc import Sequence

from bot.domain.query import Matcher, MetricQuery, Op, Selector

_CLASSIC_METRIC = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*", re.ASCII)
_CLASSIC_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*", re.ASCII)

# Words the grammar gives another meaning where a metric's name stands (2.42 refuses `on{..}`, measured; the last row is of 3.x).
_RESERVED = frozenset(
    (
        *("inf", "nan", "on", "ignoring", "group_left", "group_right", "bool", "atan2", "group", "and", "or", "unless"),
        *("offset", "by", "without", "sum", "avg", "count", "min", "max", "stddev", "stdvar", "topk", "bottomk"),
        *("count_values", "quantile", "start", "end"),
        *("limitk", "limit_ratio", "step", "range", "anchored", "smoothed", "fill", "fill_left", "fill_right"),
    )
)
_NUMBERS = frozenset(["inf", "nan"])  # numbers even where a label's name stands

_ANY_SERIES = Matcher(label="__name__", value="", op=Op.NOT_EQUAL)


def render(query: MetricQuery) -> str:
    """The query as PromQL: rate, aggregate, quantile, division and topk around the selector, in that order."""
    if query.quantile is None:
        text = _aggregated(query, query.selector, query.by)
    else:
        by = tuple(label for label in query.by if label != "le")
        text = f"histogram_quantile({query.quantile!r}, {_aggregated(query, query.selector, (*by, 'le'))})"
    if query.divided_by is not None:
        text = f"{text} / {_aggregated(query, query.divided_by, query.by)}"
    if query.topk is not None:
        text = f"topk({query.topk}, {text})"
    return text


def selector_text(selector: Selector) -> str:
    """The selector alone, such as `up{job="api"}`. One that could match everything is kept acceptable by `__name__!=""`."""
    conditions = list(selector.matchers)
    name = selector.metric or ""
    if name and (not _is_plain_metric(name) or any(matcher.label == "__name__" for matcher in conditions)):
        # {__name__="my.metric"} means the same as {"my.metric"} and is understood by 2.x too.
        conditions.insert(0, Matcher(label="__name__", value=name))
        name = ""
    if not name and not any(_excludes_empty(matcher) for matcher in conditions):
        conditions.append(_ANY_SERIES)
    braces = ", ".join(f"{label_text(m.label)}{m.op.value}{quoted(m.value)}" for m in conditions)
    return f"{name}{{{braces}}}" if braces else name


def label_text(label: str) -> str:
    """A label's name as it stands in braces and `by (...)`: bare when classic, quoted otherwise."""
    classic = _CLASSIC_LABEL.fullmatch(label) and label.lower() not in _NUMBERS
    return label if classic else quoted(label)


def quoted(text: str) -> str:
    """The text as a PromQL string literal. A lone surrogate, which no label can hold, becomes U+FFFD."""
    return '"' + "".join(map(_escaped, text)) + '"'


def duration_text(seconds: int) -> str:
    """Seconds in the largest unit that leaves no rest: 300 is `5m`, 90 is `90s`."""
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds and seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def _aggregated(query: MetricQuery, selector: Selector, by: Sequence[str]) -> str:
    text = selector_text(selector)
    offset = f" offset {duration_text(query.offset_s)}" if query.offset_s else ""
    if query.rate_s is None:
        text += offset
    else:
        text = f"rate({text}[{duration_text(query.rate_s)}]{offset})"
    if query.aggregate is None:
        return text
    grouping = f" by ({', '.join(map(label_text, by))}) " if by else ""
    return f"{query.aggregate.value}{grouping}({text})"


def _is_plain_metric(name: str) -> bool:
    return _CLASSIC_METRIC.fullmatch(name) is not None and name.lower() not in _RESERVED


def _excludes_empty(matcher: Matcher) -> bool:
    """Whether the matcher surely does not match a missing label; patterns are not looked into."""
    return (matcher.op is Op.EQUAL and matcher.value != "") or (matcher.op is Op.NOT_EQUAL and matcher.value == "")


def _escaped(char: str) -> str:
    if char in '"\\':
        return "\\" + char
    if char == "\n":
        return "\\n"
    code = ord(char)
    if code < 0x20 or code == 0x7F:
        return f"\\x{code:02x}"
    if code == 0xFFFD or 0xD800 <= code <= 0xDFFF:  # the lexer takes a bare U+FFFD for broken UTF-8
        return "\\uFFFD"
    return char
