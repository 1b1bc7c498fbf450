"""Log and metric queries from parameters to answers."""

import math
from collections.abc import Iterator
from typing import Any

from bot.demo.loki import answers, parameters
from bot.demo.loki.index import bytes_to_read
from bot.demo.loki.limits import Limits
from bot.demo.loki.logs import LogRequest, categorized_streams, plain_streams, select_rows
from bot.demo.loki.metrics import evaluate
from bot.demo.loki.parameters import Parameters
from bot.demo.loki.parser import parse_query
from bot.demo.loki.refusal import Refusal
from bot.demo.loki.storage import Tenant
from bot.demo.loki.syntax import (
    BinaryOperation,
    LabelReplace,
    LogSelector,
    Metric,
    RangeAggregation,
    VectorAggregation,
)
from bot.demo.loki.units import size_text
from bot.demo.loki.vectors import Labels, Matrix

CATEGORIZE = "categorize-labels"


def range_query(tenant: Tenant, asked: Parameters, flags: list[str], limits: Limits, now_ns: int) -> dict[str, Any]:
    """The answer of query_range. Raises Refusal."""
    start_ns, end_ns = parameters.bounds(asked, now_ns)
    parameters.check_order(start_ns, end_ns)
    limit = parameters.count(asked)
    forward = parameters.is_forward(asked)
    query = parse_query(asked.get("query"))
    if not isinstance(query, LogSelector):
        return _metric_range(tenant, query, asked, (start_ns, end_ns), limits)
    interval_ns = parameters.interval(asked)
    parameters.check_length(end_ns - start_ns, limits)
    if limit > limits.max_entries:
        raise Refusal(
            400,
            "max entries limit per query exceeded, limit > max_entries_limit_per_query "
            f"({limit} > {limits.max_entries})",
        )
    _check_bytes(bytes_to_read(tenant, query.matchers, start_ns, end_ns), limits)
    rows = select_rows(
        tenant,
        LogRequest(
            selector=query, start_ns=start_ns, end_ns=end_ns, limit=limit, forward=forward, interval_ns=interval_ns
        ),
    )
    found = categorized_streams(rows, forward=forward) if CATEGORIZE in flags else plain_streams(rows)
    return answers.streams(found, flags)


def _metric_range(
    tenant: Tenant, query: Metric, asked: Parameters, span_ns: tuple[int, int], limits: Limits
) -> dict[str, Any]:
    start_ns, end_ns = span_ns
    step_ns = parameters.step(asked, start_ns, end_ns, limits)
    parameters.check_length(end_ns - start_ns + _longest_range(query), limits)
    _check_bytes(_metric_bytes(tenant, query, start_ns, end_ns), limits)
    # Points lie on multiples of the step: the start is rounded down, the end up.
    first_ns = start_ns // step_ns * step_ns
    last_ns = -(-end_ns // step_ns) * step_ns
    times_ns = range(first_ns, last_ns + 1, step_ns)
    found = evaluate(query, tenant, times_ns)
    series: Matrix = {(): dict.fromkeys(times_ns, found)} if isinstance(found, float) else found
    _check_series(series, limits)
    return answers.matrix(series)


def instant_query(tenant: Tenant, asked: Parameters, limits: Limits, now_ns: int) -> dict[str, Any]:
    """The answer of query. Raises Refusal."""
    time_ns = parameters.instant(asked, now_ns)
    parameters.count(asked)
    parameters.is_forward(asked)
    query = parse_query(asked.get("query"))
    if isinstance(query, LogSelector):
        raise Refusal(
            400,
            "log queries are not supported as an instant query type, please change your query to a range query type",
        )
    parameters.check_length(_longest_range(query), limits)
    _check_bytes(_metric_bytes(tenant, query, time_ns, time_ns), limits)
    found = evaluate(query, tenant, [time_ns])
    if isinstance(found, float):
        return answers.scalar(found)
    _check_series(found, limits)
    return answers.vector(found, _order(query, found))


def _metric_bytes(tenant: Tenant, query: Metric, start_ns: int, end_ns: int) -> int:
    return sum(
        bytes_to_read(
            tenant,
            aggregation.selector.matchers,
            start_ns - aggregation.range_ns - aggregation.offset_ns,
            end_ns - aggregation.offset_ns,
        )
        for aggregation in _range_aggregations(query)
    )


def _check_bytes(size: int, limits: Limits) -> None:
    if limits.max_query_bytes is not None and size > limits.max_query_bytes:
        raise Refusal(
            400,
            f"the query would read too many bytes (query: {size_text(size)}, limit: {size_text(limits.max_query_bytes)}); "
            "consider adding more specific stream selectors or reduce the time range of the query",
        )


def _check_series(found: Matrix, limits: Limits) -> None:
    if len(found) > limits.max_series:
        raise Refusal(
            400,
            f"maximum number of series ({limits.max_series}) reached for a single query; consider reducing query "
            "cardinality by adding more specific stream selectors, reducing the time range, or aggregating results "
            "with functions like sum(), count() or topk()",
        )


def _order(query: Metric, found: Matrix) -> list[Labels]:
    if not isinstance(query, VectorAggregation) or not query.op.startswith("sort"):
        return sorted(found)
    ranked = sorted(found, key=lambda labels: next(iter(found[labels].values()), math.nan))
    return ranked[::-1] if query.op == "sort_desc" else ranked


def _longest_range(query: Metric) -> int:
    return max((aggregation.range_ns for aggregation in _range_aggregations(query)), default=0)


def _range_aggregations(query: Metric) -> Iterator[RangeAggregation]:
    match query:
        case RangeAggregation():
            yield query
        case VectorAggregation() | LabelReplace():
            yield from _range_aggregations(query.inner)
        case BinaryOperation():
            yield from _range_aggregations(query.left)
            yield from _range_aggregations(query.right)
