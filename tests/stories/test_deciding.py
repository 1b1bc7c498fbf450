"""Approve, Reject, Helpful, Not helpful: who decided what is kept and seen by everyone; nothing is executed."""

import re
import sqlite3
from pathlib import Path

import pytest

from bot.demo.workspace.state import Message
from bot.domain.suggestion import Verdict
from bot.workflows.decide import content_hash
from tests.stories.conversation import Conversation, action_ids, conversation, said, symptom


@pytest.mark.parametrize(
    ("button", "verdict", "word"), [("approve", Verdict.APPROVED, "Approved"), ("reject", Verdict.REJECTED, "Rejected")]
)
@pytest.mark.parametrize("http", [False, True], ids=["socket", "http"])
async def test_a_decision_is_recorded_and_shown_to_everyone(
    tmp_path: Path, button: str, verdict: Verdict, word: str, http: bool
) -> None:
    async with conversation(tmp_path, http=http) as talk:
        offered = await _suggestion(talk)
        await talk.workspace.click("ben", offered, button)
        decided = await _decided(talk, offered)
        suggestion_id = _id(offered)
        found = await talk.bot.ports.store.suggestion(suggestion_id)
        decision = await talk.bot.ports.store.decision(suggestion_id)

    assert found is not None
    assert decision is not None
    assert (decision.verdict, decision.decided_by) == (verdict, "UBEN")
    assert abs(decision.decided_at_s - float(offered.ts)) < 60
    assert decision.content_hash == content_hash(found[0])
    assert re.search(rf"\*{word}\* by <@UBEN> at <!date\^\d+", said([decided]))
    assert said([offered]).splitlines()[0] == said([decided]).splitlines()[0], "what was decided on still stands there"
    assert action_ids([decided]) == []


async def test_before_and_after_it_says_that_nothing_is_executed(tmp_path: Path) -> None:
    async with conversation(tmp_path) as talk:
        offered = await _suggestion(talk)
        await talk.workspace.click("ben", offered, "approve")
        decided = await _decided(talk, offered)

    assert "does not execute anything yet" in said([offered])
    assert "Nothing is executed by Groundwire yet." in said([decided])


async def test_a_later_click_is_told_privately_who_decided(tmp_path: Path) -> None:
    async with conversation(tmp_path) as talk:
        offered = await _suggestion(talk)
        await talk.workspace.click("ben", offered, "reject")
        decided = await _decided(talk, offered)
        await talk.workspace.click("chitra", offered, "approve", as_seen=True)
        told = await talk.told_privately("chitra", "Already decided by")
        await talk.at_rest()
        decision = await talk.bot.ports.store.decision(_id(offered))
        now = talk.workspace.state.message(offered.channel, offered.ts)

    assert re.match(r"Already decided by ben: rejected at <!date\^\d+.*Your click changed nothing\.", told)
    assert decision is not None
    assert decision.decided_by == "UBEN"
    assert now is not None
    assert said([now]) == said([decided])


@pytest.mark.parametrize(("side", "helpful"), [("positive_button", True), ("negative_button", False)])
async def test_feedback_is_recorded_and_confirmed(tmp_path: Path, side: str, helpful: bool) -> None:
    async with conversation(tmp_path) as talk:
        root, report, *_ = await talk.asked_and_answered(symptom())
        (row,) = [block for block in report.blocks if block["type"] == "context_actions"]
        await talk.workspace.click("ben", report, "vote", row["elements"][0][side]["value"])
        told = await talk.told_privately("ben", "Recorded")
        stored = await talk.report_in(root)

    assert told == f"Recorded: this report was {'helpful' if helpful else 'not helpful'} to you."
    assert stored.investigation
    assert _votes(tmp_path) == [("UBEN", helpful)]


async def test_each_suggestion_is_decided_on_its_own(tmp_path: Path) -> None:
    async with conversation(tmp_path) as talk:
        _, _, first, second = await talk.asked_and_answered(symptom())
        await talk.workspace.click("ben", first, "approve")
        await _decided(talk, first)
        untouched = talk.workspace.state.message(second.channel, second.ts)

    assert untouched == second


async def _suggestion(talk: Conversation) -> Message:
    thread = await talk.asked_and_answered(symptom())
    return next(m for m in thread if "approve" in action_ids([m]))


async def _decided(talk: Conversation, offered: Message) -> Message:
    def changed() -> Message | None:
        now = talk.workspace.state.message(offered.channel, offered.ts)
        return now if now is not None and not action_ids([now]) else None

    decided = await talk.workspace.wait_for(changed)
    assert decided is not None
    return decided


def _id(offered: Message) -> str:
    return next(str(e["value"]) for b in offered.blocks if b["type"] == "actions" for e in b["elements"])


def _votes(home: Path) -> list[tuple[str, bool]]:

    with sqlite3.connect(home / "groundwire.db") as database:
        return [(user, bool(helpful)) for user, helpful in database.execute("select user_id, helpful from feedback")]
