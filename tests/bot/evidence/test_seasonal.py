"""Whether a shift is a habit."""

import math

from hypothesis import given
from hypothesis import strategies as st

from bot.domain.evidence import SeriesBody, ServiceSeries, Signal
from bot.domain.scope import Scope, Window
from bot.domain.series import Series
from bot.evidence.seasonal import level_shift, usual_series

SCOPE = Scope(service="cart", window=Window(start_s=600, end_s=1200), baseline=Window(start_s=0, end_s=600))


def entry(before: float, after: float, service: str = "cart", peer: str | None = None, pod: str = "") -> ServiceSeries:
    values = (before,) * 10 + (after,) * 10
    labels = {"service": service, "pod": pod}
    return ServiceSeries(service=service, peer=peer, series=Series(labels=labels, start_s=0, step_s=60, values=values))


def body(*entries: ServiceSeries) -> SeriesBody:
    return SeriesBody(signal=Signal.TRAFFIC, measure="requests", unit="/s", series=entries)


def test_a_shift_that_yesterday_shows_too_is_a_habit() -> None:
    now = body(entry(10, 20), entry(10, 20, "web"))

    assert usual_series(now, [body(entry(11, 19), entry(10, 10, "web"))], SCOPE) == (0,)


def test_one_earlier_period_is_enough() -> None:
    assert usual_series(body(entry(10, 20)), [body(entry(10, 10)), body(entry(10, 16))], SCOPE) == (0,)


def test_another_direction_or_less_than_half_of_it_is_none() -> None:
    now = body(entry(10, 20))

    assert usual_series(now, [body(entry(20, 10)), body(entry(10, 14))], SCOPE) == ()


def test_without_an_earlier_day_or_a_shift_nothing_is_a_habit() -> None:
    assert usual_series(body(entry(10, 20)), [], SCOPE) == ()
    assert usual_series(body(entry(10, 20)), [body()], SCOPE) == ()
    assert usual_series(body(entry(10, 10)), [body(entry(10, 10))], SCOPE) == ()


def test_each_call_and_each_pod_is_compared_with_its_own() -> None:
    now = body(entry(10, 20, peer="a"), entry(10, 20, peer="b"), entry(10, 20, pod="1"), entry(10, 20, pod="2"))
    then = body(entry(10, 20, peer="b"), entry(10, 20, pod="2"))

    assert usual_series(now, [then], SCOPE) == (1, 3)


def test_a_level_needs_some_points_on_both_sides() -> None:
    few = Series(start_s=0, step_s=60, values=(1.0,) * 10 + (2.0,) * 4 + (math.nan,) * 6)
    enough = Series(start_s=0, step_s=60, values=(1.0,) * 10 + (2.0,) * 5 + (math.nan,) * 5)

    assert level_shift(few, SCOPE) is None
    assert level_shift(enough, SCOPE) == 1.0


@given(st.lists(st.floats(-1e6, 1e6) | st.just(math.nan), min_size=20, max_size=20))
def test_a_single_spike_does_not_move_a_level_out_of_the_range_of_the_rest(values: list[float]) -> None:
    shift = level_shift(Series(start_s=0, step_s=60, values=tuple(values)), SCOPE)

    known = [v for v in values if not math.isnan(v)]
    assert shift is None or abs(shift) <= max(known) - min(known)
