"""Which change is guilty, and why most are not."""

from collections.abc import Sequence

from bot.domain.change import ChangeKind
from bot.domain.evidence import Signal
from bot.evidence.changes import Suspect, suspects
from bot.evidence.graph import graph_of
from bot.evidence.score import read_series
from bot.evidence.shift import read_patterns
from tests.bot.evidence.incidents import ONSET, Incident, scope


def failing() -> Incident:
    incident = Incident().series("payments", Signal.ERRORS, 0.001, 0.5, unit="ratio", measure="error share")
    return incident.logs("payments", "charge rejected: unknown currency_code XAF in RateTable.lookup", 0, 300)


def judge(incident: Incident) -> Sequence[Suspect]:
    span, evidence = scope(), incident.evidence
    readings = (*read_series(span, evidence), *read_patterns(span, evidence))
    return suspects("payments", readings, evidence, graph_of(span, evidence), ONSET, 60.0)


def guilty(incident: Incident) -> list[str]:
    return [s.change.ref for s in judge(incident) if s.guilty]


def test_a_deploy_of_the_failing_service_just_before_is_guilty() -> None:
    assert guilty(failing().change("payments", 2)) == ["3f2c1a"]


def test_an_old_deploy_without_a_word_in_common_is_not() -> None:
    assert guilty(failing().change("payments", 60)) == []


def test_an_old_change_that_names_the_failure_is() -> None:
    old = failing().change("payments", 90, ref="old", diff="-currency_code = 3\n+RateTable.lookup(currency_code)")

    assert guilty(old) == ["old"]
    assert "currency_code" in judge(old)[0].names


def test_documents_and_tests_are_innocent() -> None:
    written = failing().change(
        "payments",
        1,
        kind=ChangeKind.COMMIT,
        summary="explain currency_code",
        files=("docs/rates.md", "tests/test_rates.py"),
    )

    assert guilty(written) == []


def test_other_services_that_the_failing_one_does_not_rest_on_are_innocent() -> None:
    assert guilty(failing().change("search", 1).change("front", 1, ref="b")) == []


def test_a_deploy_and_its_commit_are_one_change() -> None:
    incident = failing().change(None, 30, kind=ChangeKind.COMMIT, diff="+RateTable.lookup(currency_code)")
    incident.change("payments", 5)

    only = judge(incident)

    assert len(only) == 1
    assert only[0].change.kind is ChangeKind.DEPLOY
    assert only[0].change.service == "payments"
    assert set(only[0].evidence) == {"E3", "E4"}


def test_shared_code_is_placed_by_its_paths() -> None:
    placed = failing().change(None, 3, kind=ChangeKind.COMMIT, files=("services/payments/rates.py",))

    assert judge(placed)[0].change.service == "payments"


def test_when_somebody_elses_host_fails_a_change_of_ours_has_to_name_it() -> None:
    away = Incident().series("payments", Signal.ERRORS, 0.001, 0.5, unit="ratio")
    away.logs("payments", "POST https://api.cards.example.com/charges returned 503", 0, 300)

    assert guilty(away.change("payments", 2)) == []
    assert guilty(away.change("payments", 2, ref="host", diff="-old.example.com\n+api.cards.example.com")) == ["host"]
