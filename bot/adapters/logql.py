"""LogQL text of a typed query. Names and values are data here: no text can change the shape of the query.

Strings follow https://grafana.com/docs/loki/latest/query/ (Go escapes, as in PromQL). Names of labels are plain identifiers:
Loki turns every other character of a name into `_` when it takes lines in.
"""

import re
from collections.abc import Sequence

import re2

from bot.adapters.promql import duration_text, quoted
from bot.domain.query import LineFilter, LogCountQuery, LogQuery, Matcher, Op, Parser, Selector

_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*", re.ASCII)

# A counted line that its parser cannot read would turn the whole answer into an error 400.
_PARSED = '__error__=""'
# The error labels are dropped again, because a series that has one is refused.
_UNPARSED = ('__error__!=""', "drop __error__, __error_details__")

_QUIET = re2.Options()
_QUIET.log_errors = False  # a pattern that is none is the server's to refuse, not ours to print


def render_lines(query: LogQuery, any_stream: str) -> str:
    """The lines of the selected streams, filtered. `any_stream`: see `selector_text`. Raises ValueError."""
    return _log_query(query.selector, any_stream, query.filters, query.parser, query.where)


def render_count(query: LogCountQuery, any_stream: str) -> str:
    """Lines a step, summed by the query's labels; those the parser cannot read are not counted. Raises ValueError."""
    conditions = [_PARSED] if query.parser else []
    text = _log_query(query.selector, any_stream, query.filters, query.parser, query.where, conditions)
    # Without a sum Loki would answer with a series for each set of structured metadata, trace ids included.
    return f"sum{_by(query.by)}(count_over_time({text} [{duration_text(query.step_s)}]))"


def render_unparsed(query: LogCountQuery, any_stream: str) -> str | None:
    """Lines a step that `render_count` leaves out because the parser cannot read them; None without a parser."""
    if query.parser is None:
        return None
    text = _log_query(query.selector, any_stream, query.filters, query.parser, (), _UNPARSED)
    return f"sum(count_over_time({text} [{duration_text(query.step_s)}]))"


def selector_text(selector: Selector, any_stream: str) -> str:
    """The selector alone, such as `{app="cart"}`.

    Loki refuses one that may match a stream without any of its labels: `any_stream` is the label that every stream of
    interest has, and is demanded then. Raises ValueError for a name that no log label can have.
    """
    if selector.metric is not None:
        raise ValueError(f"log streams have no metric name, but {selector.metric!r} is asked for")
    matchers = list(selector.matchers)
    if not any(_excludes_empty(matcher) for matcher in matchers):
        matchers.append(Matcher(label=any_stream, value=".+", op=Op.MATCHES))
    return "{" + ", ".join(map(_condition, matchers)) + "}"


def names_a_stream(selector: Selector) -> bool:
    """Whether Loki takes the selector as it is, without `any_stream`."""
    return any(_excludes_empty(matcher) for matcher in selector.matchers)


def is_label(name: str) -> bool:
    """Whether Loki can have a label of this name."""
    return _LABEL.fullmatch(name) is not None


def _log_query(
    selector: Selector,
    any_stream: str,
    filters: Sequence[LineFilter],
    parser: Parser | None,
    where: Sequence[Matcher],
    conditions: Sequence[str] = (),
) -> str:
    parts = [selector_text(selector, any_stream)]
    parts += [f"{line_filter.op.value} {quoted(line_filter.text)}" for line_filter in filters]
    if parser is not None:
        parts.append(f"| {parser.value}")
    parts += [f"| {condition}" for condition in (*conditions, *map(_condition, where))]
    return " ".join(parts)


def _condition(matcher: Matcher) -> str:
    return f"{_name(matcher.label)}{matcher.op.value}{quoted(matcher.value)}"


def _by(labels: Sequence[str]) -> str:
    return f" by ({', '.join(map(_name, dict.fromkeys(labels)))}) " if labels else ""


def _name(label: str) -> str:
    if not is_label(label):
        raise ValueError(f"no log label can be called {label[:100]!r}")
    return label


def _excludes_empty(matcher: Matcher) -> bool:
    """Whether a stream without the label does not fulfil the matcher. A pattern that is none is left to Loki to refuse."""
    match matcher.op:
        case Op.EQUAL:
            return matcher.value != ""
        case Op.NOT_EQUAL:
            return matcher.value == ""
    try:
        matches_empty = re2.compile(matcher.value, _QUIET).fullmatch("") is not None
    except (re2.error, UnicodeError):
        return False
    return matches_empty is (matcher.op is Op.NOT_MATCHES)
