import pytest

from bot.domain.evidence import Signal
from bot.domain.scope import Edge, Scope, Window
from bot.evidence.graph import graph_of
from bot.evidence.reading import Reading
from bot.evidence.symptom import felt

SCOPE = Scope(
    service="checkout",
    neighbours=("payments",),
    edges=(Edge(caller="checkout", callee="payments"),),
    window=Window(start_s=3600, end_s=7200),
    baseline=Window(start_s=0, end_s=3600),
)
GRAPH = graph_of(SCOPE, ())


def reading(
    service: str, signal: Signal, strength: float, *, after: float = 1.0, unit: str = "", peer: str = ""
) -> Reading:
    return Reading(
        service=service,
        signal=signal,
        measure="m",
        evidence="E1",
        strength=strength,
        rising=signal is not Signal.AVAILABILITY,
        after=after,
        unit=unit,
        peer=peer or None,
    )


CALM = (reading("checkout", Signal.ERRORS, 0.0), reading("payments", Signal.LATENCY, 0.0))
NEW_LINES = reading("payments", Signal.LOGS, 1.0)


def test_new_lines_without_a_symptom_are_no_incident() -> None:
    assert not felt(SCOPE, "payments", (*CALM, NEW_LINES), GRAPH)


def test_trouble_of_the_service_its_callers_or_their_calls_is_felt() -> None:
    for symptom in (
        reading("payments", Signal.ERRORS, 0.3),
        reading("checkout", Signal.LATENCY, 0.3),
        reading("checkout", Signal.CALL_LATENCY, 0.3, peer="payments"),
    ):
        assert felt(SCOPE, "payments", (*CALM, NEW_LINES, symptom), GRAPH)


def test_trouble_of_a_stranger_is_not_felt_here() -> None:
    assert not felt(SCOPE, "payments", (*CALM, NEW_LINES, reading("search", Signal.ERRORS, 1.0)), GRAPH)


def test_where_nothing_users_feel_is_measured_logs_may_speak_alone() -> None:
    assert felt(SCOPE, "payments", (NEW_LINES,), GRAPH)


@pytest.mark.parametrize(("used", "counts"), [(0.97, True), (0.2, False)])
def test_a_pool_counts_once_it_is_full(used: float, counts: bool) -> None:
    pool = reading("payments", Signal.SATURATION, 1.0, after=used, unit="ratio")

    assert felt(SCOPE, "payments", (*CALM, pool), GRAPH) is counts


def test_a_restart_needs_no_further_symptom() -> None:
    assert felt(SCOPE, "payments", (*CALM, reading("payments", Signal.RESTARTS, 0.5)), GRAPH)


@pytest.mark.parametrize(("service", "counts"), [("payments", True), ("checkout", True), ("search", False)])
def test_an_alert_on_the_service_or_on_what_rests_on_it_is_a_symptom(service: str, counts: bool) -> None:
    assert felt(SCOPE, "payments", (*CALM, NEW_LINES, reading(service, Signal.ALERT, 0.5)), GRAPH) is counts
