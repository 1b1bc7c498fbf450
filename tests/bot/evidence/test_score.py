"""The score of one series: what counts as out of normal, whatever the unit and however ragged the data."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bot.domain.evidence import Signal
from bot.evidence.rank import rank
from bot.evidence.score import departures, strength
from tests.bot.evidence.incidents import BASELINE, INCIDENT, ONSET_AT, Incident, scope

Floats = NDArray[np.float64]


def row(before: float = 10.0, after: float = 10.0, noise: float = 1.0, seed: int = 1) -> Floats:
    values = np.full(BASELINE + INCIDENT, before)
    values[ONSET_AT:] = after
    return values + noise * np.random.default_rng(seed).standard_normal(len(values))


def distance(values: Floats) -> float:
    return float(departures(values[None, :], BASELINE).z[0])


def test_noise_stays_normal() -> None:
    assert all(strength(abs(distance(row(seed=seed)))) < 0.1 for seed in range(50))


def test_a_step_is_found_where_it_begins() -> None:
    found = departures(row(10, 30)[None, :], BASELINE)

    assert found.z[0] > 10
    assert abs(int(found.first[0]) - ONSET_AT) <= 1
    assert found.before[0] == pytest.approx(10, abs=0.5)
    assert found.after[0] == pytest.approx(30, abs=1)


def test_a_fall_has_a_negative_distance() -> None:
    assert distance(row(30, 10)) < -10


@pytest.mark.parametrize("scale", [1e-6, 1e-3, 1000.0, 1e9])
def test_the_unit_does_not_matter(scale: float) -> None:
    values = row(10, 14)

    assert distance(values * scale) == pytest.approx(distance(values), rel=1e-6)


@given(
    scale=st.floats(1e-3, 1e6),
    shift=st.floats(-1e4, 1e4),
    after=st.floats(-50, 50),
    seed=st.integers(0, 1000),
)
@settings(max_examples=60, deadline=None)
def test_scaling_and_shifting_a_series_leave_its_distance(scale: float, shift: float, after: float, seed: int) -> None:
    values = row(10, after, seed=seed)

    assert distance(values * scale + shift) == pytest.approx(distance(values), rel=1e-4, abs=1e-4)


@given(factors=st.lists(st.sampled_from([1e-6, 1e-3, 1.0, 1e3, 1e6]), min_size=8, max_size=8), seed=st.integers(0, 99))
@settings(max_examples=25, deadline=None)
def test_units_do_not_change_the_ranking(factors: list[float], seed: int) -> None:
    def measured(scales: list[float]) -> tuple[str, ...]:
        incident = Incident(seed=seed)
        signals = (Signal.LATENCY, Signal.CPU, Signal.MEMORY, Signal.ERRORS)
        for number, scale in enumerate(scales):
            service = ("payments", "stock", "bank", "search")[number % 4]
            after = (1 + number) * scale * 5 if number % 3 == 0 else None
            incident.series(service, signals[number // 2], (1 + number) * scale, after, measure=f"m{number}")
        return rank(scope(), incident.evidence).services

    assert measured(factors) == measured([1.0] * 8)


def test_shifting_a_series_leaves_the_ranking_while_its_change_stays_material() -> None:
    def ranked(shift: float) -> tuple[str, ...]:
        incident = Incident()
        incident.series("payments", Signal.LATENCY, 10 + shift, 40 + shift, noise=0.5 / (10 + shift))
        incident.series("stock", Signal.LATENCY, 10, 18)
        return rank(scope(), incident.evidence).services

    assert ranked(0) == ranked(5) == ranked(100)


def test_a_constant_series_that_steps_is_clear_and_one_that_stays_is_normal() -> None:
    assert distance(row(5, 5, noise=0)) == 0
    assert strength(distance(row(5, 6, noise=0))) > 1


def test_earlier_blips_do_not_hide_a_later_fault() -> None:
    values = row(10, 40)
    values[20:24] = 100
    values[70:74] = 100

    assert strength(distance(values)) > 0.8


def test_a_series_that_always_comes_in_bursts_is_normal_when_it_bursts_again() -> None:
    values = row(10, 10, noise=0.1)
    values[::5] = 50

    assert strength(abs(distance(values))) < 0.1


def test_a_season_seen_several_times_is_normal() -> None:
    times = np.arange(BASELINE + INCIDENT)
    values = 10 + 5 * np.sin(times / 30 * 2 * math.pi) + 0.1 * np.random.default_rng(1).standard_normal(len(times))

    assert strength(abs(distance(values))) < 0.1


def test_a_single_spike_counts_less_than_a_lasting_step() -> None:
    spike, step = row(10, 10), row(10, 40)
    spike[ONSET_AT] = 40

    assert distance(spike) < distance(step)


def test_gaps_change_little() -> None:
    whole = row(10, 40)
    holes = whole.copy()
    holes[::3] = np.nan

    assert strength(distance(holes)) == pytest.approx(strength(distance(whole)), abs=0.15)


def test_a_tiny_change_of_a_very_steady_series_does_not_win() -> None:
    incident = Incident()
    incident.series("stock", Signal.LATENCY, 1.0, 1.004, unit="s", noise=0.0001)
    incident.series("payments", Signal.LATENCY, 1.0, 1.8, unit="s", noise=0.05)

    assert rank(scope(), incident.evidence).services[0] == "payments"


def test_a_counter_that_was_not_turned_into_a_rate_is_read_by_its_increases() -> None:
    steady = Incident().series("stock", Signal.OTHER, 0)
    count = np.cumsum(np.full(BASELINE + INCIDENT, 7.0) + np.random.default_rng(3).uniform(0, 1, BASELINE + INCIDENT))
    count[100:] -= count[100]  # a restart
    body = steady.evidence[0].body
    from dataclasses import replace

    from bot.domain.evidence import SeriesBody

    assert isinstance(body, SeriesBody)
    entry = body.series[0]
    counted = replace(body, series=(replace(entry, series=replace(entry.series, values=tuple(count))),))
    ranking = rank(scope(), [replace(steady.evidence[0], body=counted)])

    assert ranking.cause is None


numbers = st.one_of(
    st.floats(allow_nan=True, allow_infinity=True),
    st.sampled_from([0.0, 1.0, -1.0, 1e300, -1e300, 5e-324]),
)


@given(st.lists(st.lists(numbers, min_size=0, max_size=12), min_size=1, max_size=6), st.sampled_from(list(Signal)))
@settings(max_examples=150, deadline=None)
def test_no_series_is_odd_enough_to_raise(rows: list[list[float]], signal: Signal) -> None:
    from dataclasses import replace

    from bot.domain.evidence import SeriesBody, ServiceSeries
    from bot.domain.series import Series

    span = scope()
    series = tuple(
        ServiceSeries(
            service=f"s{n}",
            peer="s0" if n % 2 else None,
            series=Series(start_s=span.window.start_s - 30 * (n + 3), step_s=30, values=tuple(values)),
        )
        for n, values in enumerate(rows)
    )
    body = SeriesBody(signal=signal, measure="m", unit="ratio" if len(rows) % 2 else "s", series=series)
    evidence = [replace(Incident().series("x", Signal.CPU, 1).evidence[0], body=body)]

    ranking = rank(span, evidence)

    assert all(math.isfinite(f.score) for f in ranking.findings)
