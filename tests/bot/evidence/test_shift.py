"""What counts as a shift in the logs."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain.evidence import Evidence, Pattern, PatternsBody
from bot.evidence.reading import Reading
from bot.evidence.shift import read_patterns, shift
from tests.bot.evidence.incidents import START, Incident, scope


def pattern(text: str, before: int, after: int, level: str = "error", service: str = "payments") -> Pattern:
    return Pattern(
        template_id=text,
        text=text,
        service=service,
        level=level,
        before=before,
        after=after,
        first_seen_s=START,
        last_seen_s=START,
    )


def read(*patterns: Pattern) -> dict[str, Reading]:
    body = PatternsBody(patterns=patterns, lines_read=1, lines_total=None, bucket_start_s=START, bucket_step_s=30)
    template = Incident().logs("x", "y", 1, 1).evidence[0]
    evidence: Evidence = replace(template, body=body)
    return {reading.text: reading for reading in read_patterns(scope(), [evidence])}


USUAL = (
    pattern("request served", 2000, 1000, "info"),
    pattern("cache hit", 800, 400, "info"),
    pattern("slow query", 100, 50, "warn"),
)


def test_a_new_failure_is_strong_and_steady_lines_are_normal() -> None:
    found = read(*USUAL, pattern("could not get connection", 0, 200))

    assert found["could not get connection"].strength > 0.8
    assert found["could not get connection"].fresh
    assert all(found[usual.text].strength == 0 for usual in USUAL)


def test_more_traffic_alone_is_no_shift() -> None:
    tripled = [replace(usual, after=usual.after * 3) for usual in USUAL]

    assert all(reading.strength == 0 for reading in read(*tripled).values())


def test_a_failure_that_grows_faster_than_traffic_is_a_shift() -> None:
    tripled = [replace(usual, after=usual.after * 3) for usual in USUAL]

    assert read(*tripled, pattern("write failed", 20, 300))["write failed"].strength > 0.5


def test_failures_count_more_than_warnings_and_warnings_more_than_chatter() -> None:
    texts = ("rejected", "retrying", "hello")
    found = read(
        *USUAL, *(pattern(t, 0, 300, level) for t, level in zip(texts, ("error", "warn", "info"), strict=True))
    )

    assert found["rejected"].strength > found["retrying"].strength > found["hello"].strength


def test_an_exception_counts_whatever_its_level() -> None:
    found = read(
        *USUAL, pattern("java.lang.IllegalStateException: no", 0, 300, "info"), pattern("hello", 0, 300, "info")
    )

    assert found["java.lang.IllegalStateException: no"].strength > 1.5 * found["hello"].strength


def test_lines_that_stop_are_a_shift_down() -> None:
    gone = read(*USUAL, pattern("order stored", 500, 0, "info"))["order stored"]

    assert gone.strength > 0.2
    assert not gone.rising


def test_lines_that_come_in_bursts_need_more_than_another_burst() -> None:
    bursts = tuple(40 if n % 30 == 0 else 0 for n in range(180))
    burst = replace(
        pattern("batch failed", 160, 120), buckets=(*bursts[:120], *(60 if n in (5, 40) else 0 for n in range(60)))
    )
    steady = replace(pattern("batch failed", 160, 120), buckets=(*([1, 1, 2] * 40), *([2] * 60)))

    assert read(*USUAL, burst)["batch failed"].strength < read(*USUAL, steady)["batch failed"].strength


@pytest.mark.parametrize(("before", "after"), [(0, 0), (10, 5), (1000, 500), (1, 0), (0, 1)])
def test_counts_that_fit_their_baseline_are_within_normal(before: int, after: int) -> None:
    assert abs(shift(before, after, 0.5)) < 3


@given(st.integers(-5, 10**9), st.integers(-5, 10**9), st.text(max_size=80), st.text(max_size=8))
def test_no_pattern_is_odd_enough_to_raise(before: int, after: int, text: str, level: str) -> None:
    assert all(0 <= r.strength < 5 for r in read(pattern(text, before, after, level)).values())
