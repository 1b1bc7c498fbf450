"""Answers to metric queries: windows over lines turned into series."""

import math
import statistics
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

from bot.demo.loki.pipeline import EVERYTHING, LineLabels, Needs, compile_stages, run
from bot.demo.loki.refusal import Refusal
from bot.demo.loki.storage import Entry, Metadata, Stream, Tenant, labels_text
from bot.demo.loki.syntax import (
    BinaryOperation,
    Grouping,
    LabelCompare,
    LabelCondition,
    LabelFilter,
    LabelReplace,
    LineFilter,
    Literal,
    Metric,
    Parser,
    RangeAggregation,
    Unwrap,
    VectorAggregation,
    VectorLiteral,
)
from bot.demo.loki.units import SECOND_NS, parse_duration, parse_size
from bot.demo.loki.vectors import (
    Labels,
    Matrix,
    aggregate,
    combine,
    group_labels,
    join,
    label_replace,
    set_operation,
    with_scalar,
)

# A sum around one of these is worked out line by line, as in Loki: then only the labels of that sum are needed,
# and a parser can stop once it has them.
_UNDER_A_SUM = frozenset({"count_over_time", "rate", "bytes_over_time", "bytes_rate", "sum_over_time"})


def evaluate(query: Metric, tenant: Tenant, times_ns: Sequence[int]) -> Matrix | float:
    """The series of `query` at these times (ascending), or a number. Raises Refusal."""
    match query:
        case Literal():
            return query.value
        case VectorLiteral():
            return {(): dict.fromkeys(times_ns, query.value)}
        case RangeAggregation():
            return _windows(query, tenant, times_ns, query.grouping, EVERYTHING)
        case VectorAggregation():
            return aggregate(query.op, _inner(query, tenant, times_ns), query.grouping, query.parameter)
        case LabelReplace():
            inner = _series(evaluate(query.inner, tenant, times_ns), times_ns)
            return label_replace(inner, query.target, query.replacement, query.source, query.regex)
        case BinaryOperation():
            return _binary(query, tenant, times_ns)


def _series(value: Matrix | float, times_ns: Sequence[int]) -> Matrix:
    return {(): dict.fromkeys(times_ns, value)} if isinstance(value, float) else value


def _inner(query: VectorAggregation, tenant: Tenant, times_ns: Sequence[int]) -> Matrix:
    inner, grouping = query.inner, query.grouping or Grouping(labels=())
    if query.op == "sum" and isinstance(inner, RangeAggregation) and inner.op in _UNDER_A_SUM:
        return _windows(inner, tenant, times_ns, grouping, _needs(inner, grouping))
    return _series(evaluate(inner, tenant, times_ns), times_ns)


def _needs(aggregation: RangeAggregation, grouping: Grouping) -> Needs:
    if grouping.without:
        return EVERYTHING
    names: set[str] = set(grouping.labels)
    for stage in (*aggregation.selector.stages, *aggregation.after_unwrap):
        if isinstance(stage, LabelFilter):
            names.update(_condition_names(stage.condition))
        elif not isinstance(stage, (LineFilter, Parser)):
            return EVERYTHING
    if aggregation.unwrap:
        names.add(aggregation.unwrap.label)
    errors = bool(grouping.labels) or "__error__" in names
    return Needs(names=frozenset(names | {name.removesuffix("_extracted") for name in names}), errors=errors)


def _condition_names(condition: LabelCondition) -> Iterator[str]:
    if isinstance(condition, LabelCompare):
        yield condition.name
    else:
        yield from _condition_names(condition.left)
        yield from _condition_names(condition.right)


def _binary(query: BinaryOperation, tenant: Tenant, times_ns: Sequence[int]) -> Matrix | float:
    left, right = evaluate(query.left, tenant, times_ns), evaluate(query.right, tenant, times_ns)
    if isinstance(right, float):
        if isinstance(left, float):
            result = combine(query.op, left, right, return_bool=True)
            return math.nan if result is None else result
        return with_scalar(query.op, left, right, scalar_left=False, return_bool=query.return_bool)
    if isinstance(left, float):
        return with_scalar(query.op, right, left, scalar_left=True, return_bool=query.return_bool)
    if query.op in ("and", "or", "unless"):
        return set_operation(query.op, left, right, query.matching)
    return join(query.op, left, right, query.matching, return_bool=query.return_bool)


def _windows(
    query: RangeAggregation, tenant: Tenant, times_ns: Sequence[int], grouping: Grouping | None, needs: Needs
) -> Matrix:
    low = times_ns[0] - query.range_ns - query.offset_ns + 1
    high = times_ns[-1] - query.offset_ns + 1
    reader = _SampleReader(query, grouping, needs)
    for stream, entries in tenant.between(query.selector.matchers, low, high):
        reader.read(stream, entries)
    if query.op == "absent_over_time":
        return _absent(query, reader.samples, times_ns)
    reduce = _reducer(query)
    found: Matrix = {}
    for labels, samples in reader.samples.items():
        samples.sort(key=lambda sample: sample[0])
        points = dict(_points(samples, times_ns, query, reduce))
        if points:
            found[labels] = points
    return found


class _SampleReader:
    """Collects (time in ns, value) by series from the entries of streams."""

    def __init__(self, query: RangeAggregation, grouping: Grouping | None, needs: Needs) -> None:
        self.samples: dict[Labels, list[tuple[int, float]]] = {}
        self._query = query
        self._grouping = grouping
        self._filters = [stage for stage in query.selector.stages if isinstance(stage, LineFilter)]
        # Without stages that touch labels, the series of an entry follows from its stream and metadata alone.
        self._by_metadata = len(self._filters) == len(query.selector.stages) and query.unwrap is None
        self._steps = compile_stages(query.selector.stages, needs)
        self._after = compile_stages(query.after_unwrap, needs)
        self._weigh: Callable[[str], float] = _byte_count if query.op.startswith("bytes_") else _one

    def read(self, stream: Stream, entries: list[Entry]) -> None:
        """Adds the samples of these entries. Raises Refusal where the pipeline failed on a line."""
        if self._by_metadata:
            self._read_plain(stream, entries)
            return
        for entry in entries:
            labels = LineLabels(stream.labels, entry.metadata.labels, entry.time_ns)
            line = run(self._steps, entry.line, labels)
            if line is None:
                continue
            value = self._weigh(line) if self._query.unwrap is None else _unwrap(self._query.unwrap, labels)
            if value is None or run(self._after, line, labels) is None:
                continue
            merged = {**labels.stream, **labels.metadata, **labels.parsed}
            if labels.error:
                raise _pipeline_error(labels.error, {**merged, **labels.errors()})
            if self._query.unwrap is not None:
                merged.pop(self._query.unwrap.label, None)
            self._add(self._series(merged), entry.time_ns, value)

    def _read_plain(self, stream: Stream, entries: list[Entry]) -> None:
        lists: dict[Metadata, list[tuple[int, float]]] = {}
        weigh, steps = self._weigh, self._steps
        unused = LineLabels(stream.labels, {}, 0)
        for entry in entries:
            if steps and run(steps, entry.line, unused) is None:
                continue
            samples = lists.get(entry.metadata)
            if samples is None:
                samples = self.samples.setdefault(self._series(entry.metadata.merged), [])
                lists[entry.metadata] = samples
            samples.append((entry.time_ns, weigh(entry.line)))

    def _series(self, merged: dict[str, str]) -> Labels:
        labels = tuple(sorted((name, value) for name, value in merged.items() if value))
        return labels if self._grouping is None else group_labels(labels, self._grouping)

    def _add(self, labels: Labels, time_ns: int, value: float) -> None:
        self.samples.setdefault(labels, []).append((time_ns, value))


def _one(_line: str) -> float:
    return 1.0


def _byte_count(line: str) -> float:
    return float(len(line) if line.isascii() else len(line.encode()))


def _unwrap(unwrap: Unwrap, labels: LineLabels) -> float | None:
    text = labels.get(unwrap.label)
    if text is None:
        # A line that could not be parsed is reported, one that just lacks the label is passed over.
        return 0.0 if labels.error else None
    try:
        if unwrap.conversion is None:
            return float(text)
        return parse_size(text) if unwrap.conversion == "bytes" else parse_duration(text) / SECOND_NS
    except ValueError as reason:
        labels.fail("SampleExtractionErr", str(reason))
        return 0.0


def _pipeline_error(error: str, labels: dict[str, str]) -> Refusal:
    return Refusal(
        400,
        f"pipeline error: '{error}' for series: '{labels_text(labels)}'.\n"
        f'Use a label filter to intentionally skip this error. (e.g | __error__!="{error}").\n'
        'To skip all potential errors you can match empty errors.(e.g __error__="")\n'
        'The label filter can also be specified after unwrap. (e.g | unwrap latency | __error__="" )\n',
    )


# Samples of one window to a value.
_Reduce = Callable[[Sequence[tuple[int, float]]], float]


def _points(
    samples: list[tuple[int, float]], times_ns: Sequence[int], query: RangeAggregation, reduce: _Reduce
) -> Iterator[tuple[int, float]]:
    """One point for each time whose window (time - range, time] holds a sample."""
    stamps = [stamp for stamp, _ in samples]
    first = bisect_left(times_ns, stamps[0] + query.offset_ns)
    last = bisect_left(times_ns, stamps[-1] + query.range_ns + query.offset_ns)
    for time_ns in times_ns[first:last]:
        end = time_ns - query.offset_ns
        low, high = bisect_right(stamps, end - query.range_ns), bisect_right(stamps, end)
        if low < high:
            yield time_ns, reduce(samples[low:high])


def _reducer(query: RangeAggregation) -> _Reduce:
    seconds = query.range_ns / SECOND_NS
    match query.op:
        case "count_over_time":
            return lambda samples: float(len(samples))
        case "rate" if query.unwrap is None:
            return lambda samples: len(samples) / seconds
        case "rate" | "bytes_rate":
            return lambda samples: sum(_values(samples)) / seconds
        case "quantile_over_time":
            quantile = query.parameter or 0.0
            return lambda samples: _quantile(quantile, sorted(_values(samples)))
        case "rate_counter":
            return lambda samples: _counter_increase(samples) / seconds
    return _REDUCERS[query.op]


def _values(samples: Sequence[tuple[int, float]]) -> list[float]:
    return [value for _, value in samples]


_REDUCERS: dict[str, _Reduce] = {
    "bytes_over_time": lambda samples: sum(_values(samples)),
    "sum_over_time": lambda samples: sum(_values(samples)),
    "avg_over_time": lambda samples: sum(_values(samples)) / len(samples),
    "min_over_time": lambda samples: min(_values(samples)),
    "max_over_time": lambda samples: max(_values(samples)),
    "first_over_time": lambda samples: samples[0][1],
    "last_over_time": lambda samples: samples[-1][1],
    "stddev_over_time": lambda samples: statistics.pstdev(_values(samples)),
    "stdvar_over_time": lambda samples: statistics.pvariance(_values(samples)),
}


def _quantile(quantile: float, values: list[float]) -> float:
    """Linear interpolation between the neighbouring ranks, as in Prometheus."""
    if not 0 <= quantile <= 1:
        return math.copysign(math.inf, quantile - 0.5)
    rank = quantile * (len(values) - 1)
    low = math.floor(rank)
    high = min(low + 1, len(values) - 1)
    weight = rank - low
    return values[low] * (1 - weight) + values[high] * weight


def _counter_increase(samples: Sequence[tuple[int, float]]) -> float:
    """The growth of a counter within the window; a fall counts as a restart from zero."""
    values = _values(samples)
    return sum(after - before if after >= before else after for before, after in pairwise(values))


def _absent(query: RangeAggregation, samples: dict[Labels, list[tuple[int, float]]], times_ns: Sequence[int]) -> Matrix:
    merged = sorted(sample for series in samples.values() for sample in series)
    present = dict(_points(merged, times_ns, query, lambda _samples: 1.0)) if merged else {}
    labels = tuple(sorted((matcher.name, matcher.value) for matcher in query.selector.matchers if matcher.op == "="))
    points = {time_ns: 1.0 for time_ns in times_ns if time_ns not in present}
    return {labels: points} if points else {}
