"""What Loki checks after a query has parsed; these refusals name no place."""

from bot.demo.loki.refusal import ParseRefusal
from bot.demo.loki.regexes import compile_whole
from bot.demo.loki.syntax import LogSelector, Matcher, RangeAggregation

_NEEDS_UNWRAP = frozenset(
    {
        "avg_over_time",
        "sum_over_time",
        "min_over_time",
        "max_over_time",
        "first_over_time",
        "last_over_time",
        "stddev_over_time",
        "stdvar_over_time",
        "quantile_over_time",
        "rate_counter",
    }
)
_TAKES_UNWRAP = _NEEDS_UNWRAP | {"rate", "absent_over_time"}
_TAKES_GROUPING = _NEEDS_UNWRAP - {"sum_over_time", "rate_counter"}


def matches(matcher: Matcher, value: str) -> bool:
    """Whether a label with this value (empty if the stream has no such label) satisfies the matcher."""
    if matcher.op in ("=", "!="):
        return (value == matcher.value) is (matcher.op == "=")
    return (compile_whole(matcher.value).match(value) is not None) is (matcher.op == "=~")


def check_selector(selector: LogSelector) -> None:
    """Raises ParseRefusal unless a matcher excludes streams without its label."""
    for matcher in selector.matchers:
        if matcher.op in ("=~", "!~"):
            compile_whole(matcher.value)
    if not any(not matches(matcher, "") for matcher in selector.matchers):
        raise ParseRefusal(
            "queries require at least one regexp or equality matcher that does not have an empty-compatible value. "
            'For instance, app=~".*" does not meet this requirement, but app=~".+" will'
        )


def check_range_aggregation(aggregation: RangeAggregation) -> None:
    """Raises ParseRefusal where parameter, grouping, unwrap or selector do not fit the operation."""
    op = aggregation.op
    if op == "quantile_over_time" and aggregation.parameter is None:
        raise ParseRefusal(f"parameter required for operation {op}")
    if op != "quantile_over_time" and aggregation.parameter is not None:
        raise ParseRefusal(f"parameter {aggregation.parameter:g} not supported for operation {op}")
    if aggregation.grouping is not None and op not in _TAKES_GROUPING:
        raise ParseRefusal(f"grouping not allowed for {op} aggregation")
    if aggregation.unwrap is None and op in _NEEDS_UNWRAP:
        raise ParseRefusal(f"invalid aggregation {op} without unwrap")
    if aggregation.unwrap is not None and op not in _TAKES_UNWRAP:
        raise ParseRefusal(f"invalid aggregation {op} with unwrap")
    check_selector(aggregation.selector)
