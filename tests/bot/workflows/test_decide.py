"""Decisions and votes: what is recorded and who is told."""

import re
from collections.abc import Awaitable, Callable

from bot.demo.memory import (
    FixedDirectory,
    ManualClock,
    MemoryJournal,
    MemoryStore,
    RecordingMeter,
    RecordingNotifier,
)
from bot.domain.codec import Json, to_json
from bot.domain.question import Origin, Question, Vote
from bot.domain.suggestion import Click, Suggestion, Verdict
from bot.policy.access import AccessRules
from bot.ports import Person, Ports, Sources
from bot.workflows.decide import content_hash, decide
from bot.workflows.feedback import feedback
from bot.workflows.help import HELP, explain
from tests.handlers.slack.sample import SUGGESTION, report_with

KIM = Person(id="U1", name="Kim", zone="UTC", full_member=True)
NOA = Person(id="U2", name="Noa", zone="UTC", full_member=True)
GUEST = Person(id="U3", name="Gast", zone="UTC", full_member=False)
OPEN = AccessRules()


async def run(name: str, effect: Callable[[], Awaitable[Json]]) -> Json:
    return await effect()


def make_ports() -> tuple[Ports, MemoryStore, RecordingNotifier]:
    store, notifier = MemoryStore(), RecordingNotifier()
    ports = Ports(
        sources=Sources(),
        store=store,
        journal=MemoryJournal(),
        notifier=notifier,
        directory=FixedDirectory([KIM, NOA, GUEST]),
        clock=ManualClock(),
        meter=RecordingMeter(),
    )
    return ports, store, notifier


def click(user: str, verdict: Verdict, at_s: float = 1000.0) -> Json:
    return to_json(
        Click(
            key=f"decide:{SUGGESTION.id}:{user}:{at_s}",
            team_id="T1",
            channel_id="C1",
            thread="1.0",
            message_ts="2.0",
            user_id=user,
            suggestion_id=SUGGESTION.id,
            verdict=verdict,
            clicked_at_s=at_s,
        )
    )


async def test_the_first_decision_is_recorded_with_its_content_and_shown_to_everyone() -> None:
    ports, store, notifier = make_ports()
    await store.save_report("T1", report_with())

    await decide(ports, OPEN, click("U1", Verdict.APPROVED), run)

    decision = await store.decision(SUGGESTION.id)
    assert decision is not None
    assert (decision.decided_by, decision.verdict, decision.decided_at_s) == ("U1", Verdict.APPROVED, 1000.0)
    assert decision.content_hash == content_hash(SUGGESTION)
    assert [shown for _, _, shown in notifier.decisions] == [decision]
    assert notifier.whispered == []


async def test_a_late_click_changes_nothing_and_is_told_privately_who_decided() -> None:
    ports, store, notifier = make_ports()
    await store.save_report("T1", report_with())
    await decide(ports, OPEN, click("U1", Verdict.APPROVED), run)

    await decide(ports, OPEN, click("U2", Verdict.REJECTED, at_s=1010.0), run)

    decision = await store.decision(SUGGESTION.id)
    assert decision is not None
    assert decision.verdict is Verdict.APPROVED
    (whisper,) = notifier.whispered
    assert (whisper.user_id, whisper.channel_id, whisper.thread) == ("U2", "C1", "1.0")
    assert "Already decided by Kim" in whisper.text


async def test_a_click_told_twice_is_still_the_winner() -> None:
    ports, store, notifier = make_ports()
    await store.save_report("T1", report_with())

    await decide(ports, OPEN, click("U1", Verdict.APPROVED), run)
    await decide(ports, OPEN, click("U1", Verdict.APPROVED), run)

    assert notifier.whispered == []


async def test_who_may_not_ask_may_not_decide() -> None:
    ports, store, notifier = make_ports()
    await store.save_report("T1", report_with())

    await decide(ports, OPEN, click("U3", Verdict.APPROVED), run)

    assert await store.decision(SUGGESTION.id) is None
    assert "full members" in notifier.whispered[0].text


async def test_a_click_on_a_forgotten_suggestion_is_answered() -> None:
    ports, _, notifier = make_ports()

    await decide(ports, OPEN, click("U1", Verdict.APPROVED), run)

    assert "no longer known" in notifier.whispered[0].text


def test_the_content_hash_follows_every_word() -> None:
    changed = Suggestion(
        id=SUGGESTION.id,
        kind=SUGGESTION.kind,
        service=SUGGESTION.service,
        title=SUGGESTION.title + "!",
        detail=SUGGESTION.detail,
        risk=SUGGESTION.risk,
        evidence=SUGGESTION.evidence,
    )
    assert re.fullmatch(r"[0-9a-f]{64}", content_hash(SUGGESTION))
    assert content_hash(changed) != content_hash(SUGGESTION)


async def test_the_last_vote_of_a_person_counts() -> None:
    ports, store, notifier = make_ports()

    for helpful in (True, False):
        vote = Vote(
            key=f"vote:i:U1:{helpful}",
            team_id="T1",
            channel_id="C1",
            user_id="U1",
            investigation="i",
            helpful=helpful,
            voted_at_s=5.0,
        )
        await feedback(ports, OPEN, to_json(vote), run)

    assert store.feedback == {("T1", "i", "U1"): (False, 5.0)}
    assert [w.text for w in notifier.whispered][-1] == "Recorded: this report was not helpful to you."


async def test_an_empty_message_is_answered_with_what_can_be_asked() -> None:
    ports, _, notifier = make_ports()
    question = Question(
        key="inv:T1:D1:1.0",
        team_id="T1",
        channel_id="D1",
        thread=None,
        asker_id="U1",
        text="",
        asked_at_s=1.0,
        origin=Origin.DIRECT_MESSAGE,
    )

    await explain(ports, to_json(question), run)

    assert notifier.whispered[0].text == HELP


async def test_a_guests_vote_is_not_kept() -> None:
    ports, store, notifier = make_ports()
    vote = Vote(
        key="vote:i:U3:1",
        team_id="T1",
        channel_id="C1",
        user_id="U3",
        investigation="i",
        helpful=True,
        voted_at_s=5.0,
    )

    await feedback(ports, OPEN, to_json(vote), run)

    assert store.feedback == {}
    assert "full members" in notifier.whispered[0].text
