"""One call of the Web API: its arguments read the way Slack reads them, and the errors it can end with."""

import base64
import binascii
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from bot.demo.workspace.limits import Limits, Pace, Refusal
from bot.demo.workspace.state import Channel, Json, Message, State

LARGEST_PAGE = 1000


class Refused(Exception):
    """The call ends with Slack's `error`; `extra` goes into the answer beside it."""

    def __init__(self, error: str, **extra: Any) -> None:
        super().__init__(error)
        self.error = error
        self.extra = extra


class RateLimited(Exception):
    """The call came too soon; `retry_after_s` is when it may be tried again."""

    def __init__(self, retry_after_s: float) -> None:
        super().__init__(f"retry after {retry_after_s:.2f} s")
        self.retry_after_s = retry_after_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """Who calls: a bot token (xoxb-) with its scopes, or an app-level token (xapp-), which may only open sockets."""

    value: str
    kind: str
    scopes: frozenset[str]
    user: str = ""
    bot_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One authorised call; `posted` is told about every message the call puts into a conversation."""

    method: str
    args: Json
    token: Token
    state: State
    limits: Limits
    pace: Pace
    now: float
    base_url: str
    posted: Callable[[Message], None]

    def text(self, name: str) -> str:
        """The argument as text, "" when it is not given."""
        value = self.args.get(name)
        return "" if value is None else str(value)

    def required(self, name: str) -> str:
        """The argument as text. Raises Refused when it is missing."""
        value = self.text(name)
        if not value:
            missing = f"[ERROR] missing required field: {name}"
            raise Refused("invalid_arguments", response_metadata={"messages": [missing]})
        return value

    def flag(self, name: str) -> bool:
        """The argument as yes or no: true, "true", 1 and "1" are yes."""
        return self.text(name).lower() in ("1", "true")

    def structure(self, name: str, otherwise: Any, error: str) -> Any:
        """A JSON argument, given as JSON or as text that holds JSON; `otherwise` when missing. Raises Refused(error)."""
        value = self.args.get(name)
        if isinstance(value, str) and value:
            try:
                value = json.loads(value)
            except ValueError:
                raise Refused(error) from None
        if value is None or value == "":
            return otherwise
        if not isinstance(value, type(otherwise)):
            raise Refused(error)
        return value

    def channel(self, name: str = "channel") -> Channel:
        """The conversation named by the argument, if this token can see it. Raises Refused(channel_not_found)."""
        reference = self.required(name)
        channel = self.state.channel_named(reference)
        if channel is None and reference in self.state.users and reference != self.token.user:
            channel = self.state.im_with(reference, self.token.user)
        if channel is None or ((channel.is_private or channel.is_im) and self.token.user not in channel.members):
            raise Refused("channel_not_found")
        return channel

    def joined_channel(self, name: str = "channel") -> Channel:
        """The same, and the bot is in it. Raises Refused(channel_not_found, not_in_channel)."""
        channel = self.channel(name)
        if self.token.user not in channel.members:
            raise Refused("not_in_channel")
        return channel

    def writable_channel(self, name: str = "channel") -> Channel:
        """The same, and it can be written to. Raises Refused(channel_not_found, not_in_channel, is_archived)."""
        channel = self.joined_channel(name)
        if channel.is_archived:
            raise Refused("is_archived")
        return channel

    def page(self, items: Sequence[Any], key: str, *, default: int = 100) -> Json:
        """One page of the items under `key`, with Slack's cursor. Raises Refused(invalid_cursor, invalid_limit)."""
        size = self.text("limit") or str(default)
        if not size.isdecimal() or not 0 < int(size) <= LARGEST_PAGE:
            raise Refused("invalid_limit")
        start = _position(self.text("cursor"))
        stop = start + int(size)
        cursor = base64.b64encode(f"next:{stop}".encode()).decode() if stop < len(items) else ""
        return {key: list(items[start:stop]), "response_metadata": {"next_cursor": cursor}}


def _position(cursor: str) -> int:
    if not cursor:
        return 0
    try:
        word, _, number = base64.b64decode(cursor, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        raise Refused("invalid_cursor") from None
    if word != "next" or not number.isdecimal():
        raise Refused("invalid_cursor")
    return int(number)


def require(refusal: Refusal | None) -> None:
    """Passes when there is nothing to refuse. Raises Refused with Slack's messages otherwise."""
    if refusal is None:
        return
    if refusal.messages:
        messages = list(refusal.messages)
        raise Refused(refusal.error, errors=messages, response_metadata={"messages": messages})
    raise Refused(refusal.error)
