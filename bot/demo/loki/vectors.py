"""Arithmetic on series: aggregation, operations between two sides, and renaming.

A matrix maps the labels of a series (sorted pairs) to its points (time in ns to value).
"""

import math
import operator
import statistics
from collections.abc import Callable, Iterable

from bot.demo.loki.refusal import Refusal
from bot.demo.loki.regexes import compile_whole
from bot.demo.loki.syntax import Grouping, Matching

Labels = tuple[tuple[str, str], ...]
Matrix = dict[Labels, dict[int, float]]


def group_labels(labels: Iterable[tuple[str, str]], grouping: Grouping | None) -> Labels:
    """The labels of the group a series belongs to; no grouping puts all into one."""
    if grouping is None:
        return ()
    names = grouping.labels
    return tuple(pair for pair in labels if (pair[0] in names) is not grouping.without)


_REDUCE: dict[str, Callable[[list[float]], float]] = {
    "sum": sum,
    "avg": lambda values: sum(values) / len(values),
    "min": min,
    "max": max,
    "count": len,
    "stddev": statistics.pstdev,
    "stdvar": statistics.pvariance,
}


def aggregate(op: str, matrix: Matrix, grouping: Grouping | None, parameter: float | None) -> Matrix:
    """`op by (...) (matrix)`, point by point. Raises Refusal."""
    if op in ("sort", "sort_desc"):
        return matrix
    if op in ("topk", "bottomk"):
        return _extremes(matrix, grouping, int(parameter or 0), largest=op == "topk")
    if op not in _REDUCE:
        raise Refusal(500, f"{op} is not enabled. See -limits.shard_aggregations")
    gathered: dict[Labels, dict[int, list[float]]] = {}
    for labels, points in matrix.items():
        group = gathered.setdefault(group_labels(labels, grouping), {})
        for time_ns, value in points.items():
            group.setdefault(time_ns, []).append(value)
    reduce = _REDUCE[op]
    return {
        labels: {time_ns: float(reduce(values)) for time_ns, values in sorted(points.items())}
        for labels, points in gathered.items()
    }


def _extremes(matrix: Matrix, grouping: Grouping | None, count: int, *, largest: bool) -> Matrix:
    groups: dict[tuple[Labels, int], list[tuple[float, Labels]]] = {}
    for labels, points in matrix.items():
        for time_ns, value in points.items():
            groups.setdefault((group_labels(labels, grouping), time_ns), []).append((value, labels))
    found: Matrix = {}
    for (_, time_ns), candidates in sorted(groups.items(), key=lambda item: item[0][1]):
        candidates.sort(key=lambda candidate: -candidate[0] if largest else candidate[0])
        for value, labels in candidates[:count]:
            found.setdefault(labels, {})[time_ns] = value
    return found


def _divide(left: float, right: float) -> float:
    return left / right if right else math.nan  # Loki has no infinity here, unlike Prometheus


def _modulo(left: float, right: float) -> float:
    return math.fmod(left, right) if right else math.nan


def _power(left: float, right: float) -> float:
    try:
        return math.pow(left, right)
    except OverflowError:
        return math.inf
    except ValueError:  # a root of a negative number, or zero to a negative power
        return math.nan


_ARITHMETIC: dict[str, Callable[[float, float], float]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": _divide,
    "%": _modulo,
    "^": _power,
}
_COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}


def combine(op: str, left: float, right: float, *, return_bool: bool) -> float | None:
    """One operation on two values; a comparison that does not hold gives None, or 0 with `return_bool`."""
    if op in _ARITHMETIC:
        return _ARITHMETIC[op](left, right)
    holds = _COMPARISONS[op](left, right)
    if return_bool:
        return float(holds)
    return left if holds else None


def with_scalar(op: str, matrix: Matrix, scalar: float, *, scalar_left: bool, return_bool: bool) -> Matrix:
    """Every point combined with one number; what a comparison drops is left out."""
    found: Matrix = {}
    for labels, points in matrix.items():
        kept: dict[int, float] = {}
        for time_ns, value in points.items():
            result = combine(op, *((scalar, value) if scalar_left else (value, scalar)), return_bool=return_bool)
            if result is not None:
                # A comparison keeps the value of the series, whichever side it stands on.
                kept[time_ns] = result if op in _ARITHMETIC or return_bool else value
        if kept:
            found[labels] = kept
    return found


def _signature(labels: Labels, matching: Matching) -> Labels:
    return tuple(pair for pair in labels if (pair[0] in matching.labels) is matching.on)


def set_operation(op: str, left: Matrix, right: Matrix, matching: Matching) -> Matrix:
    """`and`, `or` and `unless`, point by point."""
    other = left if op == "or" else right
    times: dict[Labels, set[int]] = {}
    for labels, points in other.items():
        times.setdefault(_signature(labels, matching), set()).update(points)
    nothing: set[int] = set()
    found: Matrix = dict(left) if op == "or" else {}
    for labels, points in (right if op == "or" else left).items():
        present = times.get(_signature(labels, matching), nothing)
        kept = {time_ns: value for time_ns, value in points.items() if (time_ns in present) is (op == "and")}
        if kept:
            found[labels] = dict(sorted({**found.get(labels, {}), **kept}.items()))
    return found


def join(op: str, left: Matrix, right: Matrix, matching: Matching, *, return_bool: bool) -> Matrix:
    """An arithmetic operation or comparison between the series of two sides that match. Raises Refusal."""
    many, one = (right, left) if matching.many == "right" else (left, right)
    partners = _partners(one, matching)
    found: Matrix = {}
    for labels, points in many.items():
        partner = partners.get(_signature(labels, matching))
        if partner is None:
            continue
        result = found.setdefault(_result_labels(labels, partner, op, matching), {})
        for time_ns, value in points.items():
            if time_ns not in one[partner]:
                continue
            if time_ns in result:
                raise Refusal(
                    500, "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)"
                )
            sides = (one[partner][time_ns], value) if matching.many == "right" else (value, one[partner][time_ns])
            combined = combine(op, *sides, return_bool=return_bool)
            if combined is not None:
                result[time_ns] = combined
    return {labels: points for labels, points in found.items() if points}


def _partners(one: Matrix, matching: Matching) -> dict[Labels, Labels]:
    found: dict[Labels, Labels] = {}
    for labels in one:
        signature = _signature(labels, matching)
        if signature in found:
            side = "left" if matching.many == "right" else "right"
            raise Refusal(
                500,
                f"found duplicate series on the {side} hand-side;"
                "many-to-many matching not allowed: matching labels must be unique on one side",
            )
        found[signature] = labels
    return found


def _result_labels(labels: Labels, partner: Labels, op: str, matching: Matching) -> Labels:
    if matching.many:
        copied = {name: value for name, value in partner if name in matching.include}
        return tuple(sorted({**dict(labels), **copied}.items()))
    if op in _COMPARISONS and not matching.on:
        return labels
    return _signature(labels, matching)


def label_replace(matrix: Matrix, target: str, replacement: str, source: str, regex: str) -> Matrix:
    """Series whose `source` label matches get a `target` label. Raises ParseRefusal."""
    pattern = compile_whole(regex)
    found: Matrix = {}
    for labels, points in matrix.items():
        named = dict(labels)
        match = pattern.match(named.get(source, ""))
        if match:
            value = replacement
            for number in range(len(match.groups()), -1, -1):
                value = value.replace(f"${{{number}}}", match.group(number) or "")
                value = value.replace(f"${number}", match.group(number) or "")
            named[target] = value
        found[tuple(sorted((name, value) for name, value in named.items() if value))] = points
    return found
