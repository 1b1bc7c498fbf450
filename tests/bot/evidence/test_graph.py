"""The call graph and what callers see of a call."""

from bot.domain.evidence import Signal
from bot.domain.scope import Edge
from bot.evidence.graph import calls_of, graph_of, waits
from bot.evidence.rank import rank
from bot.evidence.score import read_series
from tests.bot.evidence.incidents import Incident, scope


def test_reach_follows_calls_and_survives_circles() -> None:
    graph = graph_of(
        scope(edges=(Edge(caller="a", callee="b"), Edge(caller="b", callee="c"), Edge(caller="c", callee="a"))), []
    )

    assert dict(graph.below("a")) == {"a": 0, "b": 1, "c": 2}
    assert dict(graph.above("a")) == {"a": 0, "c": 1, "b": 2}


def test_series_of_calls_teach_the_graph() -> None:
    incident = Incident().series("a", Signal.CALL_LATENCY, 0.1, peer="b")

    assert graph_of(scope(edges=()), incident.evidence).callees == {"a": ("b",)}


def test_client_time_without_server_time_is_waiting() -> None:
    incident = Incident().series("checkout", Signal.CALL_LATENCY, 0.04, 2.9, unit="s", peer="payments")
    incident.series("payments", Signal.LATENCY, 0.031, unit="s")

    assert waits(read_series(scope(), incident.evidence))["checkout", "payments"] > 0.95


def test_client_time_with_server_time_is_work() -> None:
    incident = Incident().series("checkout", Signal.CALL_LATENCY, 0.04, 2.9, unit="s", peer="payments")
    incident.series("payments", Signal.LATENCY, 0.031, 2.8, unit="s")

    assert waits(read_series(scope(), incident.evidence))["checkout", "payments"] < 0.1


def test_waiting_is_said_in_the_finding() -> None:
    incident = Incident().series(
        "checkout", Signal.CALL_LATENCY, 0.04, 2.9, unit="s", peer="payments", measure="client time"
    )
    incident.series("payments", Signal.LATENCY, 0.031, unit="s")

    texts = [f.statement.text for f in rank(scope(), incident.evidence).findings]

    assert any("checkout → payments" in text and "waiting, not working" in text for text in texts)


def test_one_callee_in_trouble_is_blamed_and_a_caller_whose_calls_all_fail_blames_itself() -> None:
    one = Incident()
    for callee, after in (("payments", 2.0), ("stock", None)):
        one.series("checkout", Signal.CALL_LATENCY, 0.05, after, unit="s", peer=callee)
    assert rank(scope(), one.evidence).services[0] == "payments"

    every = Incident()
    for callee in ("payments", "stock"):
        every.series("checkout", Signal.CALL_LATENCY, 0.05, 2.0, unit="s", peer=callee)
    every.series("search", Signal.CALL_LATENCY, 0.05, unit="s", peer="payments")
    every.series("search", Signal.CALL_LATENCY, 0.05, unit="s", peer="stock")
    calls = calls_of(read_series(scope(), every.evidence))

    assert calls.blamed_by("checkout") == 1
    assert calls.blamed_on("payments") == 0.5
    assert rank(scope(), every.evidence).services[0] == "checkout"
