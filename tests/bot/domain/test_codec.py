"""Nouns survive JSON, and long quiet rows of numbers come out short."""

import json
import math

from hypothesis import given
from hypothesis import strategies as st

from bot.domain.codec import from_json, to_json
from bot.domain.evidence import Evidence, Pattern, PatternsBody, SeriesBody, ServiceSeries, Signal
from bot.domain.scope import Window
from bot.domain.series import Series

# Few different values, so that runs are common; any others beside them.
numbers = st.sampled_from([0.0, 1.0, 0.5, math.nan]) | st.floats()
counts = st.integers(min_value=0, max_value=3) | st.integers(min_value=0)


def series(values: tuple[float, ...]) -> Series:
    return Series(labels={"app": "orders"}, start_s=1_800_000_000.25, step_s=30.0, values=values)


def pattern(buckets: tuple[int, ...]) -> Pattern:
    return Pattern(
        template_id="t1",
        text="order <n> placed",
        service="orders",
        level="info",
        before=0,
        after=sum(buckets),
        first_seen_s=1.0,
        last_seen_s=2.5,
        buckets=buckets,
    )


def through_json(noun: object) -> object:
    return from_json(type(noun), json.loads(json.dumps(to_json(noun))))


def same(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
    return len(a) == len(b) and all(x == y or (math.isnan(x) and math.isnan(y)) for x, y in zip(a, b, strict=True))


@given(st.lists(numbers, max_size=40))
def test_a_series_comes_back_number_for_number(values: list[float]) -> None:
    back = from_json(Series, json.loads(json.dumps(to_json(series(tuple(values))))))

    assert same(back.values, tuple(values))
    assert all(isinstance(value, float) for value in (*back.values, back.start_s, back.step_s))


@given(st.lists(counts, max_size=40))
def test_a_pattern_comes_back_count_for_count(buckets: list[int]) -> None:
    assert through_json(pattern(tuple(buckets))) == pattern(tuple(buckets))


def test_evidence_with_a_body_of_any_kind_comes_back() -> None:
    numbers = SeriesBody(
        signal=Signal.ERRORS,
        measure="failed requests",
        unit="ratio",
        series=(ServiceSeries(service="orders", series=series((0.0,) * 9 + (0.25,))),),
    )
    lines = PatternsBody(
        patterns=(pattern((0,) * 100 + (7,)),), lines_read=7, lines_total=None, bucket_start_s=0.0, bucket_step_s=30.0
    )

    for body in (numbers, lines):
        evidence = Evidence(
            id="E1", title="t", source="s", query="q", window=Window(start_s=0.0, end_s=1.0), body=body, warnings=("w",)
        )
        assert through_json(evidence) == evidence


def test_a_run_of_equal_numbers_is_written_once() -> None:
    assert to_json(series((0.0,) * 200 + (math.nan,) * 40 + (1.5,)))["values"] == [[0, 200], [None, 40], 1.5]
    assert to_json(pattern((0,) * 200 + (2, 2)))["buckets"] == [[0, 200], 2, 2]


def test_plain_rows_of_numbers_are_read_too() -> None:
    data = {"labels": {}, "start_s": 0, "step_s": 1, "values": [0, 0.0, 0, 0, None]}

    assert same(from_json(Series, data).values, (0.0, 0.0, 0.0, 0.0, math.nan))
