"""The Notifier port on Slack's Web API.

A message is looked up before it is posted again: each carries metadata that names its investigation and its part, so a story
told twice after a crash is read once.
"""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import structlog
from slack_sdk.models.metadata import Metadata
from slack_sdk.web.async_client import AsyncWebClient

from bot.domain.question import Question, Thread, ThreadMessage
from bot.domain.report import Report
from bot.domain.scope import Scope
from bot.domain.suggestion import Click, Decision, Suggestion
from bot.errors import SlackError
from bot.ports import Clock, Store
from handlers.slack.alert_message import alerts_in
from handlers.slack.client import BLOCKS_REFUSED, NOT_IN_CHANNEL, Identity, SlackRefusal, SlackUnreachable, slack_errors
from handlers.slack.evidence_book import evidence_of
from handlers.slack.keys import message_ts
from handlers.slack.message import Message, within
from handlers.slack.report_blocks import report_message, report_text
from handlers.slack.root_blocks import finished_root, root_message
from handlers.slack.suggestion_blocks import decided_message, suggestion_message, suggestion_text
from handlers.slack.text import clip, plain, prose, safe_link, section, sections
from handlers.slack.words import mentions, message_words

EVENT_TYPE = "groundwire_report"
ROOT, REPORT, ANSWER = "root", "report", "answer"

EDIT_EVERY_S = 15.0  # an edit more often than this makes phones buzz and eats the channel's rate limit
POST_ATTEMPTS = 3
PAGE, PAGES = 200, 10  # 2,000 messages of a thread or channel are looked through, no more
THREAD_MESSAGES = 50
LIVE_ROOTS = 1000  # roots remembered for edits; more investigations than this do not run at once

_log = structlog.get_logger()


@dataclass(slots=True)
class _Root:
    """A root message that may still be edited."""

    ts: str
    edited_at_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """Where the messages of one investigation stand. `oldest_s` bounds the search where there is no thread yet."""

    channel_id: str
    thread_ts: str | None
    investigation: str
    oldest_s: float


class SlackNotifier:
    """Tells people in Slack. `hosts` are those evidence may link to; the store is read for the evidence's links."""

    def __init__(
        self,
        client: AsyncWebClient,
        identity: Identity,
        store: Store,
        clock: Clock,
        *,
        hosts: frozenset[str] = frozenset(),
    ) -> None:
        self._client = client
        self._me = identity
        self._store = store
        self._clock = clock
        self._hosts = hosts
        self._roots: dict[str, _Root] = {}

    async def announce(self, question: Question, scope: Scope) -> Thread:
        reply_to = question.thread or message_ts(question)
        place = _place(question, reply_to)
        message = root_message(question, scope, "Investigating")
        ts = await self._post_once(place, ROOT, message, message.text, await self._told(place))
        self._remember(question.key, _Root(ts))
        return Thread(channel_id=question.channel_id, ts=reply_to or ts)

    async def progress(self, thread: Thread, question: Question, scope: Scope, text: str) -> None:
        root = await self._root(thread, question)
        now_s = self._clock.elapsed_s()
        if root is None or (root.edited_at_s is not None and now_s - root.edited_at_s < EDIT_EVERY_S):
            return
        root.edited_at_s = now_s
        await self._edit_root(thread, root, root_message(question, scope, text))

    async def give_up(self, thread: Thread, question: Question, scope: Scope, text: str) -> None:
        root = await self._root(thread, question)
        if root is not None:
            await self._edit_root(thread, root, root_message(question, scope, text))
        self._roots.pop(question.key, None)

    async def publish(self, thread: Thread, question: Question, report: Report) -> None:
        place = _place(question, thread.ts)
        told = await self._told(place)
        links = await self._links(report.investigation)
        message = report_message(report, links, self._hosts)
        await self._post_once(place, REPORT, message, report_text(report), told)
        for suggestion in report.suggestions:
            offered = suggestion_message(suggestion, links)
            await self._post_once(place, f"suggestion:{suggestion.id}", offered, suggestion_text(suggestion), told)
        root = await self._root(thread, question)
        if root is not None:
            await self._edit_root(thread, root, finished_root(question, report))
        self._roots.pop(question.key, None)

    async def point_to(self, question: Question, thread: Thread) -> None:
        with slack_errors("chat.getPermalink"):
            answer = await self._client.chat_getPermalink(channel=thread.channel_id, message_ts=thread.ts)
        permalink = str(answer.get("permalink", ""))
        url = safe_link(permalink, frozenset({urlsplit(permalink).hostname or ""}))
        where = f"<{url}|this thread>" if url else "another thread"
        said = f"This is being looked at already: the answer comes in {where}."
        await self._whisper(
            question.channel_id, question.asker_id, Message(text=plain(said), blocks=(section(said),)), question.thread
        )

    async def answer(self, question: Question, text: str) -> None:
        place = _place(question, question.thread or message_ts(question))
        message = _spoken(text)
        await self._post_once(place, ANSWER, message, message.text, await self._told(place))

    async def whisper(self, channel_id: str, user_id: str, text: str, *, thread: str | None = None) -> None:
        await self._whisper(channel_id, user_id, _spoken(text), thread)

    async def show_decision(self, click: Click, suggestion: Suggestion, decision: Decision) -> None:
        found = await self._store.suggestion(suggestion.id)
        links = await self._links(found[1]) if found else {}
        await self._edit(click.channel_id, click.message_ts, decided_message(suggestion, decision, links))

    async def read_thread(self, channel_id: str, thread: str) -> tuple[ThreadMessage, ...]:
        try:
            messages = [m async for m in self._replies(channel_id, thread)]
        except SlackRefusal as refused:
            _log.warning("thread cannot be read", channel=channel_id, code=refused.code, reason=refused.reason)
            return ()
        evidence = [m for m in messages if self._is_evidence(m)]
        kept = evidence[:1] + evidence[1:][-(THREAD_MESSAGES - 1) :]
        return tuple(_thread_message(m) for m in kept)

    def _is_evidence(self, message: Mapping[str, Any]) -> bool:
        """Not what Groundwire said itself, and not what it was asked."""
        if message.get("bot_id") == self._me.bot_id or message.get("user") == self._me.bot_user_id:
            return False
        from_person = not message.get("bot_id")
        return not (from_person and mentions(str(message.get("text", "")), self._me.bot_user_id))

    def _remember(self, key: str, root: _Root) -> _Root:
        while len(self._roots) >= LIVE_ROOTS:
            self._roots.pop(next(iter(self._roots)))
        self._roots[key] = root
        return root

    async def _root(self, thread: Thread, question: Question) -> _Root | None:
        """The root message of the question; after a restart it is found by its metadata."""
        known = self._roots.get(question.key)
        if known is not None:
            return known
        told = await self._told(_place(question, thread.ts))
        return self._remember(question.key, _Root(told[ROOT])) if ROOT in told else None

    async def _links(self, investigation: str) -> dict[str, str]:
        evidence = await evidence_of(self._store, self._me.team_id, investigation)
        links = {one.id: safe_link(one.link, self._hosts) for one in evidence}
        return {e: url for e, url in links.items() if url}

    async def _post_once(self, place: _Place, part: str, message: Message, text: str, told: Mapping[str, str]) -> str:
        """The ts of the part's message, posted when it is not there yet.

        Without an answer it is looked up again, since Slack may have posted it all the same.
        """
        metadata = Metadata(EVENT_TYPE, {"investigation": place.investigation, "part": part})
        for attempt in range(POST_ATTEMPTS):
            if part in told:
                return told[part]
            try:
                return await self._post_or_plain(place, message, text, metadata)
            except SlackUnreachable:
                if attempt == POST_ATTEMPTS - 1:
                    raise
                told = await self._told(place)
        raise AssertionError("unreachable: the last attempt returns or raises")

    async def _post_or_plain(self, place: _Place, message: Message, text: str, metadata: Metadata) -> str:
        try:
            return await self._post(place.channel_id, place.thread_ts, message, metadata)
        except SlackRefusal as refused:
            if refused.reason not in BLOCKS_REFUSED:
                raise
            _log.error("blocks refused, plain text posted", reason=refused.reason, details=refused.details)
            return await self._post(place.channel_id, place.thread_ts, Message(text=text, blocks=()), metadata)

    async def _post(
        self, channel_id: str, thread_ts: str | None, message: Message, metadata: Metadata | None = None
    ) -> str:
        with slack_errors("chat.postMessage"):
            answer = await self._client.chat_postMessage(
                channel=channel_id,
                thread_ts=thread_ts,
                text=message.text,
                blocks=list(message.blocks) or None,
                metadata=metadata,
                parse="none",
                link_names=False,
                unfurl_links=False,
                unfurl_media=False,
            )
        return str(answer["ts"])

    async def _edit_root(self, thread: Thread, root: _Root, message: Message) -> None:
        """What the root says about the work is worth no failed investigation."""
        try:
            await self._edit(thread.channel_id, root.ts, message)
        except SlackError as error:
            _log.warning("the root message was not updated", code=error.code, why=error.message)

    async def _edit(self, channel_id: str, ts: str, message: Message) -> None:
        with slack_errors("chat.update"):
            await self._client.chat_update(
                channel=channel_id,
                ts=ts,
                text=message.text,
                blocks=list(message.blocks),
                parse="none",
                link_names=False,
            )

    async def _whisper(self, channel_id: str, user_id: str, message: Message, thread: str | None) -> None:
        if channel_id.startswith("D"):  # already between the two: an ephemeral message would only get lost on reload
            await self._post(channel_id, thread, message)
            return
        try:
            with slack_errors("chat.postEphemeral"):
                await self._client.chat_postEphemeral(
                    channel=channel_id,
                    user=user_id,
                    thread_ts=thread,
                    text=message.text,
                    blocks=list(message.blocks),
                    parse="none",
                    link_names=False,
                )
        except SlackRefusal as refused:
            if refused.reason not in NOT_IN_CHANNEL:
                raise
            await self._post(user_id, None, message)

    async def _told(self, place: _Place) -> dict[str, str]:
        """The parts of this investigation that stand there already: part to ts."""
        found: dict[str, str] = {}
        try:
            async for message in self._messages(place):
                part = self._part(message, place.investigation)
                if part is not None:
                    found.setdefault(part, str(message["ts"]))
        except SlackRefusal as refused:
            _log.warning("earlier messages cannot be looked up", code=refused.code, reason=refused.reason)
        return found

    def _part(self, message: Mapping[str, Any], investigation: str) -> str | None:
        # Only our own word counts: any app can write metadata like ours.
        metadata = message.get("metadata") or {}
        payload = metadata.get("event_payload") or {}
        ours = message.get("bot_id") == self._me.bot_id and metadata.get("event_type") == EVENT_TYPE
        return str(payload.get("part")) if ours and payload.get("investigation") == investigation else None

    async def _messages(self, place: _Place) -> AsyncIterator[dict[str, Any]]:
        if place.thread_ts is not None:
            async for message in self._replies(place.channel_id, place.thread_ts):
                yield message
            return
        with slack_errors("conversations.history"):
            answer = await self._client.conversations_history(
                channel=place.channel_id, oldest=f"{place.oldest_s:.6f}", limit=PAGE, include_all_metadata=True
            )
        for message in answer["messages"]:
            yield message

    async def _replies(self, channel_id: str, ts: str) -> AsyncIterator[dict[str, Any]]:
        cursor: str | None = None
        for _ in range(PAGES):
            with slack_errors("conversations.replies"):
                answer = await self._client.conversations_replies(
                    channel=channel_id, ts=ts, limit=PAGE, cursor=cursor, include_all_metadata=True
                )
            for message in answer["messages"]:
                yield message
            cursor = (answer.get("response_metadata") or {}).get("next_cursor")
            if not cursor:
                return


def _place(question: Question, thread_ts: str | None) -> _Place:
    # A minute of slack between Slack's clock and ours.
    return _Place(
        channel_id=question.channel_id,
        thread_ts=thread_ts,
        investigation=question.key,
        oldest_s=question.asked_at_s - 60,
    )


def _spoken(text: str) -> Message:
    lines = within([prose(line) for line in text.split("\n")])
    return Message(text=plain(clip(text, 600)), blocks=tuple(sections(lines)))


def _thread_message(message: Mapping[str, Any]) -> ThreadMessage:
    profile = message.get("user_profile") or message.get("bot_profile") or {}
    author = profile.get("real_name") or profile.get("name") or message.get("username") or message.get("user") or "app"
    return ThreadMessage(
        at_s=float(message["ts"]),
        author=str(author),
        from_app=bool(message.get("bot_id")),
        text=message_words(message),
        alerts=alerts_in(message),
    )
