"""What stands in Slack after the notifier has spoken, also when Slack refuses, limits or loses things."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from aiohttp import ClientSession, web

from bot.demo.memory import ManualClock, MemoryStore
from bot.demo.workspace.driver import Workspace
from bot.demo.workspace.state import Message
from bot.domain.question import Origin, Question, Thread
from bot.domain.suggestion import Click, Decision, Verdict
from bot.errors import SlackError
from bot.ports import Investigation
from handlers.slack.client import Identity, slack_client, who_am_i
from handlers.slack.notifier import EDIT_EVERY_S, SlackNotifier
from tests.handlers.slack.sample import NOW_S, QUESTION, SCOPE, SUGGESTION, evidence_with, report_with, unclear_report

ASKED = replace(QUESTION, channel_id="C0CHECKOUT", asker_id="UANA")


class Desk:
    """A notifier on a workspace; `again` is the same bot after a restart."""

    def __init__(self, ws: Workspace, identity: Identity) -> None:
        self.ws, self.identity = ws, identity
        self.store, self.clock = MemoryStore(), ManualClock(NOW_S)
        self.notifier = self.again()

    def again(self) -> SlackNotifier:
        client = slack_client(self.ws.bot_token, base_url=self.ws.api_url)
        return SlackNotifier(client, self.identity, self.store, self.clock, hosts=frozenset({"grafana.test"}))

    async def keep(self, question: Question, thread: Thread) -> None:
        """What the workflow stores before it publishes."""
        investigation = Investigation(key=question.key, question=question, state="running", scope=SCOPE, thread=thread)
        await self.store.save_investigation(investigation)
        await self.store.save_evidence(question.team_id, investigation.thread_key, evidence_with())
        await self.store.save_report(question.team_id, report_with())

    def thread(self, thread: Thread) -> list[Message]:
        return self.ws.thread(thread.channel_id, thread.ts)


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    async with Workspace(clock=lambda: NOW_S) as ws:
        yield Desk(ws, await who_am_i(slack_client(ws.bot_token, base_url=ws.api_url)))


@asynccontextmanager
async def losing_first_answer(api_url: str, method: str) -> AsyncIterator[str]:
    """A way to the workspace on which the first answer to a method gets lost after the call was done."""
    lost = False

    async def forward(request: web.Request) -> web.Response:
        nonlocal lost
        headers = {name: request.headers[name] for name in ("Authorization", "Content-Type") if name in request.headers}
        called = request.match_info["method"]
        async with ClientSession() as session:
            url = f"{api_url}{called}?{request.query_string}"
            async with session.request(request.method, url, data=await request.read(), headers=headers) as answer:
                body = await answer.read()
        if called == method and not lost:
            lost = True
            assert request.transport is not None
            request.transport.close()
        return web.Response(body=body, content_type="application/json")

    app = web.Application()
    app.router.add_route("*", "/api/{method}", forward)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/api/"
    finally:
        await runner.cleanup()


def text(message: Message) -> str:
    return str(message.blocks)


async def test_a_command_gets_a_root_in_the_channel_and_the_report_in_its_thread(desk: Desk) -> None:
    thread = await desk.notifier.announce(ASKED, SCOPE)
    await desk.keep(ASKED, thread)
    await desk.notifier.publish(thread, ASKED, report_with())

    (root,) = desk.ws.messages("checkout")
    assert root.ts == thread.ts
    assert "Done: payments: an exhausted connection pool" in text(root)
    _, report, offer = desk.thread(thread)
    assert "Ranked findings" in text(report)
    assert "<https://grafana.test/explore?left=a&amp;right=1|[E1]>" in text(report)
    assert "Approve" in text(offer)


async def test_a_mention_is_answered_under_it_and_a_thread_in_the_thread(desk: Desk) -> None:
    asked = await desk.ws.say("ana", "checkout", "<@UBOT> why?")
    key = f"inv:T0GROUND:C0CHECKOUT:{asked.ts}"
    thread = await desk.notifier.announce(replace(ASKED, key=key, origin=Origin.MENTION), SCOPE)
    follow_up = replace(ASKED, key="inv:T0GROUND:C0CHECKOUT:9.9", thread=asked.ts, origin=Origin.MENTION)
    same = await desk.notifier.announce(follow_up, SCOPE)

    assert thread == same == Thread(channel_id="C0CHECKOUT", ts=asked.ts)
    assert len(desk.thread(thread)) == 3


async def test_told_twice_it_is_read_once_even_after_a_restart(desk: Desk) -> None:
    thread = await desk.notifier.announce(ASKED, SCOPE)
    await desk.keep(ASKED, thread)
    await desk.notifier.publish(thread, ASKED, report_with())

    restarted = desk.again()
    assert await restarted.announce(ASKED, SCOPE) == thread
    await restarted.publish(thread, ASKED, report_with())

    assert len(desk.ws.messages("checkout")) == 1
    assert len(desk.thread(thread)) == 3
    assert "Done" in text(desk.thread(thread)[0])


async def test_another_apps_metadata_does_not_keep_the_report_from_being_told(desk: Desk) -> None:
    thread = await desk.notifier.announce(ASKED, SCOPE)
    root = desk.thread(thread)[0]
    desk.ws.state.post(
        now=NOW_S,
        channel="C0CHECKOUT",
        text="x",
        bot_id="BOTHER",
        thread_ts=root.ts,
        metadata={"event_type": "groundwire_report", "event_payload": {"investigation": ASKED.key, "part": "report"}},
    )

    await desk.notifier.publish(thread, ASKED, replace(report_with(), suggestions=()))

    assert len([m for m in desk.thread(thread) if "Ranked findings" in text(m)]) == 1


async def test_the_root_is_edited_at_most_every_15_seconds(desk: Desk) -> None:
    thread = await desk.notifier.announce(ASKED, SCOPE)

    for said in ("one", "two"):
        await desk.notifier.progress(thread, ASKED, SCOPE, said)
    assert "_one_" in text(desk.thread(thread)[0])

    desk.clock.advance(EDIT_EVERY_S)
    await desk.notifier.progress(thread, ASKED, SCOPE, "three")
    assert "_three_" in text(desk.thread(thread)[0])


async def test_progress_that_slack_refuses_is_dropped(desk: Desk) -> None:
    thread = await desk.notifier.announce(ASKED, SCOPE)
    desk.ws.fail("chat.update", "message_not_found")

    await desk.notifier.progress(thread, ASKED, SCOPE, "one")

    assert "Investigating" in text(desk.thread(thread)[0])


async def test_after_a_restart_progress_finds_its_root(desk: Desk) -> None:
    thread = await desk.notifier.announce(ASKED, SCOPE)

    await desk.again().progress(thread, ASKED, SCOPE, "still at it")

    assert "_still at it_" in text(desk.thread(thread)[0])


@pytest.mark.parametrize("error", ["invalid_blocks", "msg_blocks_too_long"])
async def test_refused_blocks_become_plain_text(desk: Desk, error: str) -> None:
    thread = await desk.notifier.announce(ASKED, SCOPE)
    desk.ws.fail("chat.postMessage", error)

    await desk.notifier.publish(thread, ASKED, replace(report_with(), suggestions=()))

    report = desk.thread(thread)[1]
    assert not [b for b in report.blocks if b["type"] == "data_visualization"]
    assert "Ranked findings" in report.text
    assert "<!date^" in report.text


@pytest.mark.parametrize("status", [500, 503])
async def test_what_slack_failed_to_post_is_posted_again(desk: Desk, status: int) -> None:
    desk.ws.fail("chat.postMessage", status=status, times=2)

    thread = await desk.notifier.announce(ASKED, SCOPE)

    assert [m.ts for m in desk.ws.messages("checkout")] == [thread.ts]


async def test_a_message_whose_confirmation_got_lost_is_not_posted_again(desk: Desk) -> None:
    async with losing_first_answer(desk.ws.api_url, "chat.postMessage") as url:
        client = slack_client(desk.ws.bot_token, base_url=url)
        notifier = SlackNotifier(client, desk.identity, desk.store, desk.clock)

        thread = await notifier.announce(ASKED, SCOPE)

    assert [m.ts for m in desk.ws.messages("checkout")] == [thread.ts]


async def test_a_rate_limit_is_waited_out(desk: Desk) -> None:
    desk.ws.fail("chat.postMessage", "ratelimited", status=429, retry_after_s=0)

    await desk.notifier.announce(ASKED, SCOPE)

    assert len(desk.ws.messages("checkout")) == 1


@pytest.mark.parametrize(
    ("error", "code"),
    [
        ("not_in_channel", "SLK-001"),
        ("channel_not_found", "SLK-001"),
        ("token_revoked", "SLK-002"),
        ("missing_scope", "SLK-003"),
        ("is_archived", "SLK-005"),
        ("something_new", "SLK-007"),
    ],
)
async def test_what_slack_refuses_is_an_error_with_a_remedy(desk: Desk, error: str, code: str) -> None:
    desk.ws.fail("chat.postMessage", error)

    with pytest.raises(SlackError) as told:
        await desk.notifier.announce(ASKED, SCOPE)

    assert told.value.code == code
    assert told.value.remedy


async def test_a_dead_slack_is_an_error_with_a_remedy(desk: Desk) -> None:
    client = slack_client("xoxb-1", base_url="http://127.0.0.1:1/api/")

    with pytest.raises(SlackError) as told:
        await who_am_i(client)

    assert told.value.code == "SLK-006"


async def test_a_whisper_is_seen_by_one_person_in_the_channel(desk: Desk) -> None:
    await desk.notifier.whisper("C0CHECKOUT", "UANA", "only <!here> for you")

    (seen,) = desk.ws.ephemerals("ana")
    assert "only &lt;!here&gt; for you" in text(seen)
    assert desk.ws.messages("checkout") == []


async def test_an_answer_stands_where_it_was_asked_once_and_within_slacks_limits(desk: Desk) -> None:
    long = "\n".join(f"• {i} deploy & <!here>" + "x" * 300 for i in range(200))

    for _ in range(2):
        await desk.notifier.answer(ASKED, long)

    (told,) = desk.ws.messages("checkout")
    assert "• 0 deploy &amp; &lt;!here&gt;" in text(told)
    assert "The rest is left out for length." in text(told)


async def test_where_the_bot_is_not_a_member_a_whisper_is_a_direct_message(desk: Desk) -> None:
    await desk.notifier.whisper("C0RANDOM", "UANA", "Type /invite @groundwire")
    await desk.notifier.whisper(desk.ws.dm("ana"), "UANA", "Here too")

    assert [m.text for m in desk.ws.messages(desk.ws.dm("ana"))] == ["Type /invite @groundwire", "Here too"]


async def test_a_second_asker_is_pointed_to_the_running_thread(desk: Desk) -> None:
    thread = await desk.notifier.announce(ASKED, SCOPE)

    await desk.notifier.point_to(replace(ASKED, key="inv:T0GROUND:x", asker_id="UBEN"), thread)

    assert f"/archives/C0CHECKOUT/p{thread.ts.replace('.', '')}|this thread>" in text(desk.ws.ephemerals("ben")[0])


async def test_a_decision_replaces_the_buttons_for_everyone(desk: Desk) -> None:
    thread = await desk.notifier.announce(ASKED, SCOPE)
    await desk.keep(ASKED, thread)
    await desk.notifier.publish(thread, ASKED, report_with())
    offer = desk.thread(thread)[-1]
    click = Click(
        key="k",
        team_id="T0GROUND",
        channel_id="C0CHECKOUT",
        thread=thread.ts,
        message_ts=offer.ts,
        user_id="UBEN",
        suggestion_id=SUGGESTION.id,
        verdict=Verdict.REJECTED,
        clicked_at_s=NOW_S,
    )
    decision = Decision(
        suggestion_id=SUGGESTION.id, verdict=Verdict.REJECTED, decided_by="UBEN", decided_at_s=NOW_S, content_hash="h"
    )

    await desk.notifier.show_decision(click, SUGGESTION, decision)

    decided = desk.thread(thread)[-1]
    assert "*Rejected* by <@UBEN>" in text(decided)
    assert "grafana.test" in text(decided)
    assert not [b for b in decided.blocks if b["type"] == "actions"]


async def test_a_thread_is_read_as_evidence_without_our_own_words_and_the_question(desk: Desk) -> None:
    alert = await desk.ws.post_as_app(
        "alertmanager",
        "checkout",
        attachments=[{"title": "[FIRING:1] CheckoutSlow", "text": "Labels:\n - service = checkout", "color": "danger"}],
    )
    await desk.ws.say("ben", "checkout", "I see 500s &amp; <timeouts>", thread_ts=alert.ts)
    await desk.ws.say("ana", "checkout", "<@UBOT> why?", thread_ts=alert.ts)
    await desk.notifier.answer(replace(QUESTION, channel_id="C0CHECKOUT", thread=alert.ts), "our own words")

    first, second = await desk.notifier.read_thread("C0CHECKOUT", alert.ts)

    assert (first.from_app, first.alerts[0].name, first.alerts[0].labels) == (
        True,
        "CheckoutSlow",
        {"service": "checkout"},
    )
    assert (second.from_app, second.text, second.alerts) == (False, "I see 500s &amp; <timeouts>", ())


async def test_of_a_long_thread_the_root_and_the_newest_are_read(desk: Desk) -> None:
    root = await desk.ws.say("ben", "checkout", "root")
    for i in range(260):
        desk.ws.state.post(now=NOW_S, channel="C0CHECKOUT", text=f"reply {i}", user="UBEN", thread_ts=root.ts)

    read = await desk.notifier.read_thread("C0CHECKOUT", root.ts)

    assert len(read) == 50
    assert (read[0].text, read[1].text, read[-1].text) == ("root", "reply 211", "reply 259")


async def test_a_thread_that_cannot_be_read_is_empty(desk: Desk) -> None:
    desk.ws.fail("conversations.replies", "missing_scope")

    assert await desk.notifier.read_thread("C0CHECKOUT", "1.000001") == ()


async def test_a_report_without_a_cause_is_told_as_well(desk: Desk) -> None:
    thread = await desk.notifier.announce(ASKED, SCOPE)

    await desk.notifier.publish(thread, ASKED, unclear_report())

    assert "No clear cause" in text(desk.thread(thread)[1])
