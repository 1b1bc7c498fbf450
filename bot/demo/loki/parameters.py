"""The parameters of a request read the way Loki reads them, with its words for what it cannot read."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from bot.demo.loki.limits import Limits
from bot.demo.loki.refusal import Refusal
from bot.demo.loki.units import HOUR_NS, SECOND_NS, go_duration, parse_duration, parse_time, prometheus_duration

_DEFAULT_LIMIT = 100
# Loki chooses a step that gives about this many points.
_DEFAULT_POINTS = 250


@dataclass(frozen=True, slots=True)
class Parameters:
    """The pairs of the query string and of a form in the body; an empty value counts as absent."""

    pairs: Sequence[tuple[str, str]]

    def get(self, name: str) -> str:
        """The first value of `name`, empty if there is none."""
        return next((value for key, value in self.pairs if key == name), "")

    def all(self, *names: str) -> list[str]:
        """Every value of these names."""
        return [value for key, value in self.pairs if key in names]


def bounds(parameters: Parameters, now_ns: int) -> tuple[int, int]:
    """(start, end) in ns: `end` defaults to now, `start` to `since` (or an hour) before the end. Raises Refusal."""
    end_ns = _time(parameters, "end", now_ns)
    since_ns = HOUR_NS
    if text := parameters.get("since"):
        try:
            since_ns = parse_duration(text)
        except ValueError as reason:
            raise Refusal(400, f"could not parse 'since' parameter: {reason}") from reason
    return _time(parameters, "start", min(end_ns, now_ns) - since_ns), end_ns


def _time(parameters: Parameters, name: str, default_ns: int) -> int:
    text = parameters.get(name)
    try:
        return parse_time(text) if text else default_ns
    except ValueError as reason:
        raise Refusal(400, f"could not parse '{name}' parameter: {reason}") from reason


def instant(parameters: Parameters, now_ns: int) -> int:
    """The `time` of an instant query in ns. Raises Refusal."""
    text = parameters.get("time")
    try:
        return parse_time(text) if text else now_ns
    except ValueError as reason:
        raise Refusal(400, str(reason)) from reason


def count(parameters: Parameters, name: str = "limit", default: int = _DEFAULT_LIMIT) -> int:
    """A number above zero. Raises Refusal."""
    text = parameters.get(name)
    if not text:
        return default
    if not re.fullmatch(r"[+-]?\d+", text):
        raise Refusal(400, f'strconv.Atoi: parsing "{text}": invalid syntax')
    if int(text) <= 0:
        raise Refusal(400, f"{name} must be a positive value")
    return int(text)


def is_forward(parameters: Parameters) -> bool:
    """Whether the oldest lines come first. Raises Refusal."""
    text = parameters.get("direction") or "backward"
    if text.lower() not in ("forward", "backward"):
        raise Refusal(400, f"invalid direction '{text}'")
    return text.lower() == "forward"


def step(parameters: Parameters, start_ns: int, end_ns: int, limits: Limits) -> int:
    """The distance of points in ns, within the limit of points. Raises Refusal."""
    text = parameters.get("step")
    default_s = max(1, math.floor((end_ns - start_ns) / SECOND_NS / _DEFAULT_POINTS))
    step_ns = _seconds(text) if text else default_s * SECOND_NS
    if step_ns <= 0:
        raise Refusal(400, "zero or negative query resolution step widths are not accepted. Try a positive integer")
    if (end_ns - start_ns) // step_ns > limits.max_steps:
        raise Refusal(
            400,
            f"exceeded maximum resolution of {limits.max_steps:,} points per time series. "
            "Try increasing the value of the step parameter",
        )
    return step_ns


def interval(parameters: Parameters) -> int:
    """The least distance of lines in ns, 0 for none. Raises Refusal."""
    text = parameters.get("interval")
    if text.startswith("-"):
        raise Refusal(400, f'cannot parse "{text}" to a valid duration')
    return _seconds(text) if text else 0


def _seconds(text: str) -> int:
    try:
        return round(float(text) * 1_000_000) * 1000
    except (ValueError, OverflowError):
        pass
    try:
        return parse_duration(text)
    except ValueError as reason:
        raise Refusal(400, f'cannot parse "{text}" to a valid duration') from reason


def check_order(start_ns: int, end_ns: int) -> None:
    """Raises Refusal for an end before the start; both may be the same."""
    if end_ns < start_ns:
        raise Refusal(400, "end timestamp must not be before or equal to start time")


def check_length(length_ns: int, limits: Limits) -> None:
    """Raises Refusal for a time range longer than the limit."""
    if length_ns > limits.max_query_length_ns:
        raise Refusal(
            400,
            f"the query time range exceeds the limit (query length: {go_duration(length_ns)}, "
            f"limit: {prometheus_duration(limits.max_query_length_ns)})",
        )
