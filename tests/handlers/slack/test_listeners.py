"""The real Bolt app against the local workspace: what is asked is accepted once, what cannot be written is said."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest

from bot.demo.workspace.driver import Workspace
from bot.demo.workspace.limits import Limits
from bot.domain.codec import Json
from bot.domain.question import Origin
from bot.errors import StoreError
from bot.policy.access import AccessRules
from bot.ports import Investigation, Story
from tests.handlers.slack.rig import Rig, running
from tests.handlers.slack.sample import QUESTION, SCOPE, SUGGESTION, evidence_with, report_with

BOTH_WAYS = pytest.mark.parametrize("socket", [False, True], ids=["http", "socket"])


class BrokenJournal:
    """A journal whose disk is full for the first `failures` writes."""

    def __init__(self, failures: int = 99) -> None:
        self.failures = failures
        self.accepted: list[str] = []

    async def start(self, stories: Mapping[str, Story]) -> None: ...

    async def accept(self, key: str, story: str, payload: Json) -> bool:
        if self.failures > 0:
            self.failures -= 1
            raise StoreError("STO-001", "The disk is full.", "Make room.")
        self.accepted.append(key)
        return True

    async def wait(self, key: str, *, timeout_s: float) -> None: ...
    async def unfinished(self) -> tuple[str, ...]:
        return ()

    async def cancel(self, key: str) -> None: ...
    async def stop(self) -> None: ...


async def _published(rig: Rig) -> str:
    """A report with its suggestion in #checkout; the ts of its thread."""
    question = replace(QUESTION, channel_id="C0CHECKOUT", asker_id="UANA")
    thread = await rig.notifier.announce(question, SCOPE)
    investigation = Investigation(key=question.key, question=question, state="running", scope=SCOPE, thread=thread)
    await rig.store.save_investigation(investigation)
    await rig.store.save_evidence(question.team_id, investigation.thread_key, evidence_with())
    await rig.store.save_report(question.team_id, report_with())
    await rig.notifier.publish(thread, question, report_with())
    return thread.ts


def _vote_value(blocks: Sequence[Json], side: str) -> str:
    (row,) = [b for b in blocks if b["type"] == "context_actions"]
    return str(row["elements"][0][side]["value"])


def _options(blocks: Sequence[Json]) -> list[str]:
    (row,) = [b for b in blocks if b["type"] == "actions"]
    return [option["value"] for option in row["elements"][-1]["options"]]


@BOTH_WAYS
async def test_a_command_becomes_a_question_and_is_acknowledged_privately(socket: bool) -> None:
    async with running(socket=socket) as rig:
        ack = await rig.ws.command("ana", "checkout", "/debug", "checkout is slow since 14:00 & <rising>")

        assert ack.ok
        ((story, question),) = await rig.told()
        assert story == "investigate"
        assert question.text == "checkout is slow since 14:00 & <rising>"
        assert (question.team_id, question.channel_id, question.asker_id) == ("T0GROUND", "C0CHECKOUT", "UANA")
        assert (question.origin, question.thread) == (Origin.COMMAND, None)
        assert question.key.startswith("inv:T0GROUND:")
        (heard,) = rig.ws.ephemerals("ana")
        assert "Looking into “checkout is slow since 14:00 &amp; &lt;rising&gt;”" in str(heard.blocks)
        assert rig.ws.messages("checkout") == []


@BOTH_WAYS
@pytest.mark.parametrize("text", ["", "help", " HELP "])
async def test_debug_alone_and_help_explain_at_once(socket: bool, text: str) -> None:
    async with running(socket=socket) as rig:
        await rig.ws.command("ana", "checkout", "/debug", text)

        await rig.told(0)
        assert "/debug checkout is slow since 14:00" in str(rig.ws.ephemerals("ana")[0].blocks)


async def test_changes_is_its_own_story_but_a_question_may_begin_with_the_word() -> None:
    async with running() as rig:
        await rig.ws.command("ana", "checkout", "/debug", "changes 2h")
        await rig.ws.command("ana", "checkout", "/debug", "changes in payments have made checkout slow")

        told = [(story, question.text) for story, question in await rig.told(2)]
        assert told == [("changes", "2h"), ("investigate", "changes in payments have made checkout slow")]


@BOTH_WAYS
async def test_a_mention_told_by_two_events_and_redelivered_is_accepted_once(socket: bool) -> None:
    async with running(socket=socket) as rig:
        message = await rig.ws.say("ana", "checkout", "<@UBOT> why is checkout slow?", both=True, redeliver=2)

        ((story, question),) = await rig.told()
        assert len(rig.ws.attempts) >= 6
        assert (story, question.text) == ("investigate", "why is checkout slow?")
        assert question.key == f"inv:T0GROUND:C0CHECKOUT:{message.ts}"
        assert (question.origin, question.thread) == (Origin.MENTION, None)
        assert question.asked_at_s == float(message.ts)


async def test_a_mention_in_a_thread_names_the_thread_and_needs_no_words() -> None:
    async with running() as rig:
        root = await rig.ws.say("ben", "checkout", "anybody else seeing 500s?")
        await rig.ws.say("ana", "checkout", "<@UBOT>", thread_ts=root.ts)

        ((story, question),) = await rig.told()
        assert (story, question.text, question.thread) == ("investigate", "", root.ts)


async def test_a_direct_message_works_like_the_command() -> None:
    async with running() as rig:
        await rig.ws.say("ana", rig.ws.dm("ana"), "checkout is slow")
        await rig.ws.say("ana", rig.ws.dm("ana"), "changes 2h")

        told = [(story, q.text, q.origin) for story, q in await rig.told(2)]
        assert told == [
            ("investigate", "checkout is slow", Origin.DIRECT_MESSAGE),
            ("changes", "2h", Origin.DIRECT_MESSAGE),
        ]


async def test_a_direct_message_that_asks_nothing_is_answered_with_help() -> None:
    async with running() as rig:
        await rig.ws.say("ana", rig.ws.dm("ana"), "help")

        await rig.told(0)
        assert "Ask in plain words" in rig.ws.messages(rig.ws.dm("ana"))[-1].text


async def test_apps_the_bot_itself_and_edits_never_start_work() -> None:
    async with running() as rig:
        await rig.ws.post_as_app("alertmanager", "checkout", text="<@UBOT> [FIRING:1] CheckoutSlow")
        mine = await rig.ws.say("ana", rig.ws.dm("ana"), "checkout is slow")
        await rig.ws.edit("ana", mine, "checkout is very slow")
        await rig.notifier.answer(
            replace(QUESTION, channel_id=rig.ws.dm("ana"), thread=mine.ts), "a word of our own <@UBOT>"
        )

        await rig.told(1)


async def test_unsubscribed_events_are_acknowledged_and_forgotten() -> None:
    async with running() as rig:
        message = await rig.ws.say("ana", "checkout", "hello")
        await rig.ws.react("ana", message, "eyes")

        await rig.told(0)
        assert [attempt.number for attempt in rig.ws.attempts] == [0]


async def test_the_question_is_cut_at_2000_characters_and_control_characters_go() -> None:
    async with running() as rig:
        await rig.ws.command("ana", "checkout", "/debug", "slow\x07\x00 \u202e" + "x" * 5000)

        ((_, question),) = await rig.told()
        assert len(question.text) == 2000
        assert question.text.startswith("slow xxx")


@BOTH_WAYS
async def test_a_command_that_could_not_be_written_says_that_nothing_was_recorded(socket: bool) -> None:
    async with running(socket=socket, journal=BrokenJournal()) as rig:
        ack = await rig.ws.command("ana", "checkout", "/debug", "checkout is slow")

        assert ack.ok
        (told,) = rig.ws.ephemerals("ana")
        assert "nothing was recorded" in str(told.blocks)
        assert "groundwire doctor" in str(told.blocks)


@BOTH_WAYS
async def test_an_event_that_could_not_be_written_is_sent_again_and_then_accepted(socket: bool) -> None:
    journal = BrokenJournal(failures=1)
    workspace = Workspace(ping_s=0.1, retry_delays_s=(0.01, 0.01, 0.01), limits=Limits(ack_s=0.3))
    async with running(socket=socket, journal=journal, workspace=workspace) as rig:
        await rig.ws.say("ana", "checkout", "<@UBOT> why is checkout slow?")
        await rig.ws.wait_for(lambda: journal.accepted, timeout_s=8)

        assert len(journal.accepted) == 1


async def test_forged_and_unreadable_requests_are_refused_without_a_trace() -> None:
    async with running() as rig:
        body = "command=%2Fdebug&text=x&trigger_id=1&channel_id=C1&user_id=U1"

        for refused in [
            await rig.ws.send_raw(body, timestamp="abc"),
            await rig.ws.send_raw(body, timestamp="²"),
            await rig.ws.send_raw(body, timestamp="1"),
            await rig.ws.send_raw(body, timestamp=""),
            await rig.ws.send_raw(body, signature="v0=" + "0" * 64),
            await rig.ws.send_raw(body, signature="v0=ü"),
            await rig.ws.send_raw(body, signature=""),
            await rig.ws.send_raw("{not json", content_type="application/json", signature="v0=00"),
        ]:
            assert refused.status == 401

        assert (await rig.ws.send_raw("{not json", content_type="application/json")).status == 400
        assert (await rig.ws.send_raw("x" * 2_000_000)).status == 413
        await rig.told(0)


async def test_a_vote_is_kept_and_confirmed_privately() -> None:
    async with running() as rig:
        thread = await _published(rig)
        (report,) = [m for m in rig.ws.thread("checkout", thread) if "Ranked findings" in str(m.blocks)]

        await rig.ws.click("ben", report, "vote", _vote_value(report.blocks, "negative_button"))
        await rig.told(0)

        assert [(user, helpful) for (_, _, user), (helpful, _) in rig.store.feedback.items()] == [("UBEN", False)]
        assert "not helpful" in rig.ws.ephemerals("ben")[-1].text


async def test_approve_is_recorded_shown_to_everyone_and_the_late_click_is_told_privately() -> None:
    async with running() as rig:
        thread = await _published(rig)
        (offer,) = [m for m in rig.ws.thread("checkout", thread) if "Approve" in str(m.blocks)]

        await rig.ws.click("ben", offer, "approve")
        await rig.told(0)
        await rig.ws.click("ana", offer, "reject", as_seen=True)
        await rig.told(0)

        decided = rig.ws.thread("checkout", thread)[-1]
        assert "*Approved* by <@UBEN>" in str(decided.blocks)
        assert not [b for b in decided.blocks if b["type"] == "actions"]
        assert "Already decided by ben" in rig.ws.ephemerals("ana")[-1].text
        decision = await rig.store.decision(SUGGESTION.id)
        assert decision is not None
        assert decision.decided_by == "UBEN"


async def test_a_guests_click_is_refused_privately() -> None:
    async with running(rules=AccessRules()) as rig:
        thread = await _published(rig)
        (offer,) = [m for m in rig.ws.thread("checkout", thread) if "Approve" in str(m.blocks)]

        await rig.ws.click("gus", offer, "approve")
        await rig.told(0)

        assert await rig.store.decision(SUGGESTION.id) is None
        assert "full members" in rig.ws.ephemerals("gus")[-1].text


@BOTH_WAYS
async def test_show_evidence_opens_the_query_and_its_values(socket: bool) -> None:
    async with running(socket=socket) as rig:
        thread = await _published(rig)
        (report,) = [m for m in rig.ws.thread("checkout", thread) if "Ranked findings" in str(m.blocks)]

        await rig.ws.click("ben", report, "show_evidence:E1")
        (view,) = rig.ws.views("ben")
        assert "pool_in_use" in json.dumps(view.body)
        assert "100 %" in json.dumps(view.body)

        await rig.ws.click("ana", report, "show_evidence:more", _options(report.blocks)[-1])
        assert "Evidence E8" in json.dumps(rig.ws.views("ana")[-1].body)
        assert "no longer kept" in json.dumps(rig.ws.views("ana")[-1].body)


async def test_a_view_slack_refuses_is_no_failure_for_the_person() -> None:
    async with running() as rig:
        thread = await _published(rig)
        (report,) = [m for m in rig.ws.thread("checkout", thread) if "Ranked findings" in str(m.blocks)]
        rig.ws.fail("views.open", "expired_trigger_id")

        ack = await rig.ws.click("ben", report, "show_evidence:E1")

        assert ack.ok
