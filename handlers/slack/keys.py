"""What names a piece of work for ever, so that the same message or click is never worked on twice."""

import re

from bot.domain.question import Question

_MESSAGE_TS = re.compile(r"\d{1,12}\.\d{1,9}")


def message_key(team_id: str, channel_id: str, ts: str) -> str:
    """The key of a message, however many events tell of it."""
    return f"inv:{team_id}:{channel_id}:{ts}"


def command_key(team_id: str, trigger_id: str) -> str:
    """The key of a slash command, which has no message."""
    return f"inv:{team_id}:{trigger_id}"


def click_key(suggestion_id: str, user_id: str, action_ts: str) -> str:
    return f"decide:{suggestion_id}:{user_id}:{action_ts}"


def vote_key(investigation: str, user_id: str, action_ts: str) -> str:
    return f"vote:{investigation}:{user_id}:{action_ts}"


def message_ts(question: Question) -> str | None:
    """The ts of the message that asked; None for a command."""
    head, _, ts = question.key.rpartition(":")
    asked_here = head.endswith(f":{question.channel_id}")
    return ts if asked_here and _MESSAGE_TS.fullmatch(ts) else None
