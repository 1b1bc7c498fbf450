"""What could be done: the guilty change first, then the advice of the fault's kind."""

import pytest

from bot.domain.evidence import Signal
from bot.domain.report import Cause, Fault, Finding, Statement
from bot.domain.suggestion import Risk, SuggestionKind
from bot.reasoning.suggestions import suggest

SHA = "0123456789abcdef0123456789abcdef01234567"


def cause(fault: Fault, change: str | None = None) -> Cause:
    return Cause(service="cart", fault=fault, statement=Statement(text="", evidence=("E1", "E2")), change=change)


def finding(service: str, *evidence: str) -> Finding:
    return Finding(service=service, signal=Signal.ERRORS, statement=Statement(text="", evidence=evidence), score=1.0)


def test_without_a_cause_nothing_is_proposed() -> None:
    assert suggest("i", None, [finding("cart", "E1")]) == ()


def test_a_guilty_change_is_taken_back_before_anything_else() -> None:
    revert, advice = suggest("i", cause(Fault.POOL_EXHAUSTED, SHA), [])

    assert (revert.kind, revert.title, revert.change) == (SuggestionKind.REVERT, "Revert 01234567 in cart", SHA)
    assert (advice.kind, advice.title) == (SuggestionKind.ADVICE, "Give cart free connections")


def test_a_setting_is_set_back_not_reverted() -> None:
    (undo,) = suggest("i", cause(Fault.BAD_CONFIG, "new-checkout"), [])

    assert undo.title == "Set new-checkout of cart back"


@pytest.mark.parametrize(
    "fault",
    [
        Fault.POOL_EXHAUSTED,
        Fault.DISK_FULL,
        Fault.CERTIFICATE_EXPIRED,
        Fault.TRAFFIC_SURGE,
        Fault.MEMORY_LEAK,
        Fault.SLOW_DEPENDENCY,
        Fault.CPU_SATURATED,
    ],
)
def test_each_kind_of_fault_has_its_advice_and_how_to_undo_it(fault: Fault) -> None:
    (advice,) = suggest("i", cause(fault), [])

    assert "cart" in advice.title
    assert "{" not in advice.title + advice.detail
    assert isinstance(advice.risk, Risk)
    assert len(advice.detail) > 40


@pytest.mark.parametrize("fault", [Fault.FAILING, Fault.SLOW, Fault.CRASHING, Fault.BAD_DEPLOY])
def test_a_fault_that_says_too_little_gets_no_advice(fault: Fault) -> None:
    assert suggest("i", cause(fault), []) == ()


def test_a_suggestion_points_at_the_evidence_of_the_cause_and_its_service_each_once() -> None:
    (advice,) = suggest("i", cause(Fault.DISK_FULL), [finding("cart", "E2", "E5"), finding("web", "E9")])

    assert advice.evidence == ("E1", "E2", "E5")


def test_a_suggestion_keeps_its_id_when_made_again_and_shares_it_with_no_other_investigation() -> None:
    again = [suggest("i", cause(Fault.DISK_FULL, SHA), []) for _ in range(2)]
    other = suggest("j", cause(Fault.DISK_FULL, SHA), [])

    assert again[0] == again[1]
    assert len({one.id for one in (*again[0], *other)}) == 4
