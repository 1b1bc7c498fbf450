"""Typed queries as the text people know: PromQL and LogQL, as the demo shows them beside its answers."""

import json

from bot.domain.query import LogCountQuery, LogQuery, Matcher, MetricQuery, Selector


def promql(query: MetricQuery) -> str:
    """The query in PromQL."""
    inner = _inner(query, query.selector)
    if query.quantile is not None:
        inner = f"histogram_quantile({query.quantile:g}, {inner})"
    if query.divided_by is not None:
        inner = f"{inner} / {_inner(query, query.divided_by)}"
    return f"topk({query.topk}, {inner})" if query.topk is not None else inner


def logql(query: LogQuery | LogCountQuery) -> str:
    """The query in LogQL."""
    parts = [_selector(query.selector)]
    parts += [f"{f.op.value} {json.dumps(f.text, ensure_ascii=False)}" for f in query.filters]
    if query.parser:
        parts.append(f"| {query.parser.value}")
    parts += [f"| {_matcher(m)}" for m in query.where]
    text = " ".join(parts)
    if isinstance(query, LogQuery):
        return text
    by = f" by ({', '.join(query.by)})" if query.by else ""
    return f"sum{by} (count_over_time({text} [{_duration(query.step_s)}]))"


def _inner(query: MetricQuery, selector: Selector) -> str:
    text = _selector(selector)
    offset = f" offset {_duration(query.offset_s)}" if query.offset_s else ""
    text = f"rate({text}[{_duration(query.rate_s)}]{offset})" if query.rate_s else f"{text}{offset}"
    if query.aggregate is None:
        return text
    by = (*query.by, "le") if query.quantile is not None else query.by
    grouping = f" by ({', '.join(by)}) " if by else ""
    return f"{query.aggregate.value}{grouping}({text})"


def _selector(selector: Selector) -> str:
    inside = ", ".join(_matcher(m) for m in selector.matchers)
    return f"{selector.metric or ''}{{{inside}}}" if inside or not selector.metric else selector.metric


def _matcher(matcher: Matcher) -> str:
    return f"{matcher.label}{matcher.op.value}{json.dumps(matcher.value, ensure_ascii=False)}"


def _duration(seconds: int) -> str:
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"
