"""The Bolt app: listeners verify, persist, enqueue and acknowledge, nothing else.

Bolt acknowledges only after the listener has returned (`process_before_response`), so what is acknowledged is durable. What
fails is not: an event is answered 500 and Slack sends it again, a command says that nothing was recorded.
"""

import asyncio
import json
import re
from dataclasses import dataclass
from typing import Any

import structlog
from slack_bolt.async_app import AsyncAck, AsyncApp
from slack_bolt.authorization import AuthorizeResult
from slack_bolt.response import BoltResponse
from slack_sdk.web.async_client import AsyncWebClient

from bot.domain.codec import to_json
from bot.domain.evidence import Evidence
from bot.domain.question import Question
from bot.errors import SlackError
from bot.ports import Clock, Journal, Store
from bot.workflows.help import HELP as HELP_TEXT
from handlers.slack import translate
from handlers.slack.actions import APPROVE, REJECT, SHOW_EVIDENCE, VOTE, EvidenceRef
from handlers.slack.client import Identity, slack_errors
from handlers.slack.evidence_book import evidence_of
from handlers.slack.evidence_view import evidence_view, missing_view
from handlers.slack.text import Block, clip, escape, section

COMMAND = "/debug"
# A trigger lives 3 s; whoever waits longer gets nothing anyway.
OPEN_VIEW_S = 2.5

NOT_RECORDED = (
    "SLK-008: Groundwire could not write to its database, so nothing was recorded and nothing was started. "
    "Ask again in a minute; if it stays like this, an administrator runs `groundwire doctor`."
)

Body = dict[str, Any]
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """What the listeners need: where work goes, where evidence is, and who the bot is. `hosts` may be linked to."""

    client: AsyncWebClient
    identity: Identity
    journal: Journal
    store: Store
    clock: Clock
    hosts: frozenset[str] = frozenset()


def build_app(desk: Desk, *, signing_secret: str = "") -> AsyncApp:
    """The app with every listener of the manifest. Without a signing secret it serves Socket Mode only."""

    async def authorize() -> AuthorizeResult:
        me = desk.identity
        return AuthorizeResult(enterprise_id=None, team_id=me.team_id, bot_id=me.bot_id, bot_user_id=me.bot_user_id)

    app = AsyncApp(
        name="groundwire",
        signing_secret=signing_secret,
        authorize=authorize,
        process_before_response=True,
        attaching_conversation_kwargs_enabled=False,
    )
    _register_asking(app, desk)
    _register_clicks(app, desk)
    app.error(_failed)
    return app


def _register_asking(app: AsyncApp, desk: Desk) -> None:
    async def debug(ack: AsyncAck, body: Body) -> None:
        question = translate.command_question(body, desk.identity, desk.clock.now_s())
        story, routed = translate.routed(question)
        if story != translate.HELP:
            await desk.journal.accept(routed.key, story, to_json(routed))
        await ack(**_private(_heard(story, question)))

    async def mentioned(event: Body) -> None:
        await _accept(desk, translate.message_question(event, desk.identity))

    async def wrote(event: Body) -> None:
        # Messages in channels are nobody's question: only a mention is, and it has its own event.
        if translate.is_direct(event):
            await _accept(desk, translate.message_question(event, desk.identity))

    async def ignored() -> None:
        """Acknowledged, so that Slack does not send it again."""

    app.command(COMMAND)(debug)
    app.event("app_mention")(mentioned)
    app.event("message")(wrote)
    app.event(re.compile(".*"))(ignored)


def _register_clicks(app: AsyncApp, desk: Desk) -> None:
    async def decided(ack: AsyncAck, body: Body) -> None:
        click = translate.decision_click(body, desk.identity)
        if click is not None:
            await desk.journal.accept(click.key, translate.DECIDE, to_json(click))
        await ack()

    async def voted(ack: AsyncAck, body: Body) -> None:
        vote = translate.vote(body, desk.identity)
        if vote is not None:
            await desk.journal.accept(vote.key, translate.FEEDBACK, to_json(vote))
        await ack()

    async def shown(ack: AsyncAck, body: Body) -> None:
        asked = translate.evidence_asked(body)
        if asked is not None:
            await _open_evidence(desk, asked, str(body.get("trigger_id", "")))
        await ack()

    async def other(ack: AsyncAck) -> None:
        """Buttons that open a link, and those of messages older than this version."""
        await ack()

    app.block_action(re.compile(f"^({APPROVE}|{REJECT})$"))(decided)
    app.block_action(VOTE)(voted)
    app.block_action(re.compile(f"^{SHOW_EVIDENCE}:"))(shown)
    app.block_action(re.compile(".*"))(other)


async def _accept(desk: Desk, question: Question | None) -> None:
    if question is not None:
        story, routed = translate.routed(question)
        await desk.journal.accept(routed.key, story, to_json(routed))


async def _open_evidence(desk: Desk, asked: EvidenceRef, trigger_id: str) -> None:
    try:
        async with asyncio.timeout(OPEN_VIEW_S):
            view = await _view(desk, asked)
            with slack_errors("views.open"):
                await desk.client.views_open(trigger_id=trigger_id, view=view)
    except (SlackError, TimeoutError) as error:
        _log.warning("evidence was not shown", evidence=asked.evidence, why=str(error))


async def _view(desk: Desk, asked: EvidenceRef) -> Block:
    held = await evidence_of(desk.store, desk.identity.team_id, asked.investigation)
    found: Evidence | None = next((one for one in held if one.id == asked.evidence), None)
    if found is None:
        return missing_view(asked.evidence)
    report = await desk.store.report(asked.investigation)
    onset_s = report.cause.onset_s if report and report.cause else None
    split_s = onset_s if onset_s is not None else (report.scope.window.start_s if report else None)
    return evidence_view(found, split_s, desk.hosts)


def _heard(story: str, question: Question) -> str:
    if story == translate.HELP:
        return escape(HELP_TEXT)
    if story == translate.CHANGES:
        return "Looking up what changed."
    return f"Looking into “{escape(clip(question.text, 300))}”."


def _private(text: str) -> dict[str, Any]:
    return {"response_type": "ephemeral", "text": text, "blocks": [section(text)]}


async def _failed(error: Exception, body: Body) -> BoltResponse:
    """Whatever a listener raised: the last word to Slack is that nothing was recorded."""
    _log.error("a listener failed", exc_info=error)
    if "command" in body:
        told = json.dumps(_private(NOT_RECORDED))
        return BoltResponse(status=200, body=told, headers={"content-type": "application/json"})
    return BoltResponse(status=500, body="")
