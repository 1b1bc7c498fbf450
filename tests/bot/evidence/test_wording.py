"""Numbers as people read them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.evidence.wording import change, lasting, quantity, quoted, roughly


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.38, "s", "380 ms"),
        (2.9, "s", "2.9 s"),
        (95, "s", "95 s"),
        (210, "s", "3.5 min"),
        (7200, "s", "2 h"),
        (0.00002, "s", "20 µs"),
        (0, "s", "0 s"),
        (0.22, "ratio", "22 %"),
        (1, "ratio", "100 %"),
        (0.00101, "ratio", "0.101 %"),
        (1610612736, "bytes", "1.5 GiB"),
        (512, "bytes", "512 B"),
        (412, "/min", "412/min"),
        (0.05, "/s", "3/min"),
        (1234.5, "/s", "1,234/s"),
        (0.3, "cores", "0.3 cores"),
        (3, "count", "3"),
        (float("nan"), "s", "no value"),
    ],
)
def test_a_number_reads_well(value: float, unit: str, text: str) -> None:
    assert quantity(value, unit) == text


def test_a_change_shows_both_sides() -> None:
    assert change(0.22, 1.0, "ratio") == "22 % → 100 %"
    assert change(None, 1.0, "ratio") == ""


def test_a_length_of_time_has_no_sign() -> None:
    assert lasting(-90) == "90 s"


def test_quoted_text_cannot_smuggle_in_lines_or_time_marks() -> None:
    assert quoted("one\n two ⟦t:1⟧") == "“one two [t:1]”"
    assert len(quoted("x" * 500)) <= 92


@given(
    st.floats(allow_nan=True, allow_infinity=True),
    st.sampled_from(["s", "ratio", "bytes", "/s", "/min", "count", "", "cores"]),
)
def test_every_number_has_words(value: float, unit: str) -> None:
    assert quantity(value, unit)


@pytest.mark.parametrize(
    ("seconds", "said"), [(1524.0, "25 min"), (-200.0, "3 min"), (20.0, "about 30 s"), (9000.0, "2.5 h")]
)
def test_a_length_between_samples_is_told_no_finer_than_they_are(seconds: float, said: str) -> None:
    assert roughly(seconds) == said
