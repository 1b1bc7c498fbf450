"""What Slack sends, as nouns. Pure: nothing is looked up, and what is not ours gives None."""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from bot.domain.question import Origin, Question, Vote
from bot.domain.suggestion import Click, Verdict
from handlers.slack.actions import APPROVE, REJECT, EvidenceRef, read_evidence_value, read_vote_value
from handlers.slack.client import Identity
from handlers.slack.keys import click_key, command_key, message_key, vote_key
from handlers.slack.words import question_words

INVESTIGATE, CHANGES, HELP, DECIDE, FEEDBACK = "investigate", "changes", "help", "decide", "feedback"

Payload = Mapping[str, Any]

_VERDICTS = {APPROVE: Verdict.APPROVED, REJECT: Verdict.REJECTED}
_TS = re.compile(r"\d{1,12}\.\d{1,9}")
# "changes in payments made checkout slow" is a question; "changes payments last 2h" asks for the list.
_CHANGES_WORDS = 4


def command_question(form: Payload, me: Identity, now_s: float) -> Question:
    """The question of a slash command."""
    return Question(
        key=command_key(me.team_id, str(form["trigger_id"])),
        team_id=me.team_id,
        channel_id=str(form["channel_id"]),
        thread=None,
        asker_id=str(form["user_id"]),
        text=question_words(str(form.get("text", "")), me.bot_user_id),
        asked_at_s=now_s,
        origin=Origin.COMMAND,
    )


def message_question(event: Payload, me: Identity) -> Question | None:
    """The question of a mention or direct message; None when it is no person's own new message."""
    ts, channel, user = (str(event.get(name) or "") for name in ("ts", "channel", "user"))
    written_by_person = user and user != me.bot_user_id and not event.get("bot_id")
    if not written_by_person or not channel or not _TS.fullmatch(ts):
        return None
    if event.get("subtype") not in (None, "file_share", "thread_broadcast"):
        return None
    thread = str(event.get("thread_ts") or "")
    return Question(
        key=message_key(me.team_id, channel, ts),
        team_id=me.team_id,
        channel_id=channel,
        thread=thread if _TS.fullmatch(thread) and thread != ts else None,
        asker_id=user,
        text=question_words(str(event.get("text") or ""), me.bot_user_id),
        asked_at_s=float(ts),
        origin=Origin.DIRECT_MESSAGE if is_direct(event) else Origin.MENTION,
    )


def is_direct(event: Payload) -> bool:
    return event.get("channel_type") == "im" or str(event.get("channel", "")).startswith("D")


def routed(question: Question) -> tuple[str, Question]:
    """The story that answers the question, and the question as that story wants it.

    A mention without words in a thread asks about the thread; elsewhere it asks what can be asked.
    """
    first, _, rest = question.text.partition(" ")
    if first.lower() == CHANGES and len(rest.split()) <= _CHANGES_WORDS:
        return CHANGES, replace(question, text=rest)
    if question.text.lower() == HELP or (not question.text and question.thread is None):
        return HELP, question
    return INVESTIGATE, question


def decision_click(body: Payload, me: Identity) -> Click | None:
    """Somebody pressed Approve or Reject."""
    action = _action(body)
    verdict = _VERDICTS.get(str(action.get("action_id")))
    suggestion, at = str(action.get("value") or ""), str(action.get("action_ts") or "")
    channel, message = _place(body)
    user = str((body.get("user") or {}).get("id") or "")
    if verdict is None or not suggestion or not channel or not message or not user or not _TS.fullmatch(at):
        return None
    return Click(
        key=click_key(suggestion, user, at),
        team_id=me.team_id,
        channel_id=channel,
        thread=_thread(body) or message,
        message_ts=message,
        user_id=user,
        suggestion_id=suggestion,
        verdict=verdict,
        clicked_at_s=float(at),
    )


def vote(body: Payload, me: Identity) -> Vote | None:
    """Somebody pressed helpful or not helpful."""
    action = _action(body)
    read = read_vote_value(str(action.get("value") or ""))
    user, at = str((body.get("user") or {}).get("id") or ""), str(action.get("action_ts") or "")
    channel, _ = _place(body)
    if read is None or not user or not channel or not _TS.fullmatch(at):
        return None
    investigation, helpful = read
    return Vote(
        key=vote_key(investigation, user, at),
        team_id=me.team_id,
        channel_id=channel,
        user_id=user,
        investigation=investigation,
        helpful=helpful,
        voted_at_s=float(at),
    )


def evidence_asked(body: Payload) -> EvidenceRef | None:
    """Somebody pressed "Show E3" or chose it in the menu."""
    action = _action(body)
    chosen = (action.get("selected_option") or {}).get("value")
    return read_evidence_value(str(action.get("value") or chosen or ""))


def _action(body: Payload) -> Payload:
    actions = body.get("actions") or [{}]
    action: Payload = actions[0]
    return action


def _place(body: Payload) -> tuple[str, str]:
    """Channel and ts of the message the button is on."""
    container = body.get("container") or {}
    channel = (body.get("channel") or {}).get("id") or container.get("channel_id") or ""
    ts = (body.get("message") or {}).get("ts") or container.get("message_ts") or ""
    return str(channel), str(ts)


def _thread(body: Payload) -> str:
    container = body.get("container") or {}
    return str((body.get("message") or {}).get("thread_ts") or container.get("thread_ts") or "")
