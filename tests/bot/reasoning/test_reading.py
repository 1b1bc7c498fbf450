import math

from bot.domain.evidence import Signal
from bot.domain.query import MetricQuery, Selector
from bot.domain.scope import Window
from bot.domain.series import Series
from bot.reasoning.inventory import Family
from bot.reasoning.looks import Look, Reading
from bot.reasoning.reading import read_answer

GAP = math.nan


def look(signal: Signal, *, unit: str = "ratio", reading: Reading = Reading.PLAIN, callee: str | None = None) -> Look:
    family = Family(
        name="m",
        kind="gauge",
        label="client" if callee else "pod",
        callee_label=callee,
        values={"payments-1": "payments"},
        labels={},
    )
    query = MetricQuery(selector=Selector(metric="m"), window=Window(start_s=0, end_s=90), step_s=30)
    return Look(signal=signal, measure="m", unit=unit, query=query, family=family, reading=reading)


def series(*values: float, **labels: str) -> Series:
    return Series(labels=labels or {"pod": "payments-1"}, start_s=100, step_s=30, values=values)


def read(looked: Look, one: Series) -> tuple[float, ...]:
    body = read_answer(looked, [one])
    assert body is not None
    return body.series[0].series.values


def test_a_series_speaks_of_the_service_its_label_stands_for() -> None:
    body = read_answer(look(Signal.MEMORY), [series(1.0), series(1.0, pod="stranger")])

    assert body is not None
    assert [entry.service for entry in body.series] == ["payments"]


def test_a_call_speaks_of_the_caller_and_names_the_callee() -> None:
    body = read_answer(look(Signal.CALL_LATENCY, callee="server"), [series(1.0, client="checkout", server="payments")])

    assert body is not None
    assert (body.series[0].service, body.series[0].peer) == ("checkout", "payments")


def test_failures_that_were_never_counted_before_were_none() -> None:
    assert read(look(Signal.ERRORS), series(GAP, GAP, 0.5)) == (0.0, 0.0, 0.5)


def test_a_gap_of_any_other_signal_stays_a_gap() -> None:
    assert math.isnan(read(look(Signal.CPU), series(GAP, 1.0))[0])


def test_free_becomes_used_and_expiry_becomes_time_left() -> None:
    assert read(look(Signal.DISK, reading=Reading.COMPLEMENT), series(0.75)) == (0.25,)
    assert read(look(Signal.CERTIFICATE, unit="s", reading=Reading.TIME_LEFT), series(160.0, 160.0)) == (60.0, 30.0)


def test_milliseconds_become_seconds() -> None:
    body = read_answer(look(Signal.LATENCY, unit="ms"), [series(250.0)])

    assert body is not None
    assert (body.unit, body.series[0].series.values) == ("s", (0.25,))


def test_an_answer_without_a_sample_is_no_evidence() -> None:
    assert read_answer(look(Signal.CPU), [series(GAP, GAP)]) is None
    assert read_answer(look(Signal.CPU), []) is None
