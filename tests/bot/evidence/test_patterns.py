"""Log patterns counted in baseline and incident."""

from hypothesis import given
from hypothesis import strategies as st

from bot.domain.logs import LogLine
from bot.domain.scope import Scope, Window
from bot.evidence.patterns import Buckets, Sample, buckets_over, patterns_in

SCOPE = Scope(service="cart", window=Window(start_s=650, end_s=1000), baseline=Window(start_s=100, end_s=650))
BUCKETS = buckets_over(SCOPE.whole, 100)


def lines(text: str, *at_s: float) -> tuple[LogLine, ...]:
    return tuple(LogLine(ts_ns=round(at * 1e9), line=text, level="error") for at in at_s)


def sample(window: Window, *held: LogLine, covered_s: float | None = None) -> Sample:
    ordered = tuple(sorted(held, key=lambda line: line.ts_ns))
    return Sample(lines=ordered, window=window, covered_s=covered_s or window.duration_s)


def test_counts_are_split_where_the_incident_begins_not_where_a_bucket_does() -> None:
    before = sample(SCOPE.baseline, *lines("disk full", 120, 649))
    after = sample(SCOPE.window, *lines("disk full", 650, 651, 999))

    (pattern,) = patterns_in("cart", before, after, SCOPE, BUCKETS)

    assert (pattern.text, pattern.level, pattern.service) == ("disk full", "error", "cart")
    assert (pattern.before, pattern.after) == (2, 3)
    assert (pattern.first_seen_s, pattern.last_seen_s) == (120.0, 999.0)
    assert pattern.buckets == (1, 0, 0, 0, 0, 3, 0, 0, 1)


def test_what_changed_most_in_number_comes_first() -> None:
    before = sample(SCOPE.baseline, *lines("steady beat", 200, 300), *lines("gone away", 200, 300, 400, 500))
    after = sample(SCOPE.window, *lines("steady beat", 700, 800), *lines("new trouble", *range(700, 710)))

    found = patterns_in("cart", before, after, SCOPE, BUCKETS)

    assert [(p.text, p.before, p.after) for p in found] == [
        ("new trouble", 0, 10),
        ("gone away", 4, 0),
        ("steady beat", 2, 2),
    ]


def test_a_cut_sample_counts_for_the_whole() -> None:
    before = sample(SCOPE.baseline, *lines("x happened", 600), covered_s=55)
    after = sample(SCOPE.window, *lines("x happened", 990), covered_s=35)

    (pattern,) = patterns_in("cart", before, after, SCOPE, BUCKETS)

    assert (pattern.before, pattern.after) == (10, 10)


def test_no_lines_are_no_patterns() -> None:
    assert patterns_in("cart", sample(SCOPE.baseline), sample(SCOPE.window), SCOPE, BUCKETS) == ()


@given(st.floats(1, 1e6), st.floats(0.5, 1e4))
def test_buckets_cover_their_window_and_no_bucket_too_many(length_s: float, step_s: float) -> None:
    made = buckets_over(Window(start_s=1000.0, end_s=1000.0 + length_s), step_s)

    assert made.number * step_s >= length_s - 1e-6
    assert (made.number - 1) * step_s <= length_s + 1e-6
    assert list(Buckets(start_s=0, step_s=10, number=3).edges()) == [10, 20]


@given(st.lists(st.integers(100, 999), max_size=30))
def test_every_line_is_counted_once(at_s: list[int]) -> None:
    before = sample(SCOPE.baseline, *lines("tick", *(at for at in at_s if at < 650)))
    after = sample(SCOPE.window, *lines("tick", *(at for at in at_s if at >= 650)))

    found = patterns_in("cart", before, after, SCOPE, BUCKETS)

    assert sum(p.before + p.after for p in found) == len(at_s)
    assert sum(sum(p.buckets) for p in found) == len(at_s)
