"""What Slack enforces, as numbers and small decisions: sizes, scopes, pace, lifetimes. Pure; `now` is an argument.

Numbers come from Slack's reference pages, from the validators in slack_sdk, or, where neither says, from what users measured
(named beside the number). The rules for single blocks are in `block_rules`.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bot.demo.workspace.block_rules import problems
from bot.demo.workspace.state import Json, ResponseUrl, State, Trigger, View


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Every number a test may want to move; the defaults are Slack's."""

    text_chars: int = 40_000  # chat.postMessage reference page
    update_text_chars: int = 4_000  # chat.update answers msg_too_long above it
    block_text_chars: int = 13_200  # undocumented; slackapi/bolt-js#2509 measured 13,297 for markdown alone
    markdown_chars: int = 12_000
    blocks_per_message: int = 50
    blocks_per_view: int = 100
    attachments_per_message: int = 100
    view_bytes: int = 250_000
    view_stack: int = 3
    trigger_s: float = 3.0
    response_url_s: float = 30 * 60.0
    response_url_uses: int = 5
    post_burst: int = 4
    posts_per_s: float = 1.0  # chat.postMessage, per channel
    per_minute: Mapping[str, int] = field(default_factory=dict)  # method -> calls; Slack's tiers are 1, 20, 50 and 100
    stream_s: float = 300.0  # not documented; slackapi/python-slack-sdk#1859 saw about five minutes
    ack_s: float = 3.0
    sockets: int = 10
    alert_block_in_messages: bool = False  # documented for modals only


ALL_SCOPES = frozenset(
    {
        *(
            "app_mentions:read",
            "assistant:write",
            "bookmarks:write",
            "canvases:write",
            "chat:write",
            "chat:write.customize",
        ),
        *("channels:history", "channels:join", "channels:read", "commands", "files:read", "files:write"),
        *("groups:history", "groups:read", "im:history", "im:read", "im:write", "links:read", "links:write"),
        *("reactions:read", "reactions:write", "team:read", "usergroups:read", "users:read"),
    }
)

# method -> the scopes of which one is enough; methods that are missing here need none. Where the scope depends on the kind of
# conversation (public, private, direct) the table holds the verb alone: see `scope_needed`.
SCOPES: Mapping[str, tuple[str, ...]] = {
    "agents.sessions.rename": ("chat:write",),
    "agents.sessions.setStatus": ("chat:write",),
    "apps.connections.open": ("connections:write",),
    "assistant.threads.setStatus": ("chat:write", "assistant:write"),
    "assistant.threads.setSuggestedPrompts": ("assistant:write",),
    "bots.info": ("users:read",),
    "chat.appendStream": ("chat:write",),
    "chat.delete": ("chat:write",),
    "chat.postEphemeral": ("chat:write",),
    "chat.postMessage": ("chat:write",),
    "chat.startStream": ("chat:write",),
    "chat.stopStream": ("chat:write",),
    "chat.update": ("chat:write",),
    "conversations.history": ("history",),
    "conversations.info": ("read",),
    "conversations.join": ("channels:join",),
    "conversations.list": ("channels:read", "groups:read", "im:read"),
    "conversations.members": ("read",),
    "conversations.open": ("im:write",),
    "conversations.replies": ("history",),
    "files.completeUploadExternal": ("files:write",),
    "files.getUploadURLExternal": ("files:write",),
    "files.info": ("files:read",),
    "reactions.add": ("reactions:write",),
    "team.info": ("team:read",),
    "usergroups.list": ("usergroups:read",),
    "usergroups.users.list": ("usergroups:read",),
    "users.conversations": ("channels:read", "groups:read", "im:read"),
    "users.info": ("users:read",),
    "users.list": ("users:read",),
}
_KIND_PREFIX = {"channel": "channels", "group": "groups", "im": "im"}


def scope_needed(method: str, channel_kind: str | None, granted: frozenset[str]) -> str | None:
    """The scope that is missing for this call, or None when the token may make it.

    `channel_kind` (channel, group, im) matters where Slack has one scope per kind; without a known channel any of them does.
    """
    wanted = SCOPES.get(method, ())
    if wanted in (("history",), ("read",)):
        kinds = [_KIND_PREFIX[channel_kind]] if channel_kind else list(_KIND_PREFIX.values())
        wanted = tuple(f"{kind}:{wanted[0]}" for kind in kinds)
    return None if not wanted or granted.intersection(wanted) else wanted[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Slack's error name for a payload and, where it gives them, the messages that say what is wrong."""

    error: str
    messages: tuple[str, ...] = ()


def refused_message(
    text: str, blocks: Sequence[Any], attachments: Sequence[Any], *, limits: Limits, updating: bool = False
) -> Refusal | None:
    """Why Slack would not take this message content, or None."""
    if not text and not blocks and not attachments:
        return Refusal(error="no_text")
    if len(text) > (limits.update_text_chars if updating else limits.text_chars):
        return Refusal(error="msg_too_long")
    if len(attachments) > limits.attachments_per_message:
        return Refusal(error="too_many_attachments")
    return refused_blocks(blocks, limits=limits) or _refused_attachments(attachments, limits)


def refused_blocks(blocks: Sequence[Any], *, limits: Limits) -> Refusal | None:
    """Why these blocks may not stand in a message, or None."""
    if len(blocks) > limits.blocks_per_message:
        too_many = f"[ERROR] no more than {limits.blocks_per_message} items allowed [json-pointer:/blocks]"
        return Refusal(error="invalid_blocks", messages=(too_many,))
    alerts = limits.alert_block_in_messages
    found = tuple(problems(blocks, surface="message", alert_in_messages=alerts))
    if found:
        return Refusal(error="invalid_blocks", messages=found)
    if block_text_length(blocks) > limits.block_text_chars:
        return Refusal(error="msg_blocks_too_long")
    return None


def _refused_attachments(attachments: Sequence[Any], limits: Limits) -> Refusal | None:
    for attachment in attachments:
        if not isinstance(attachment, dict):
            return Refusal(error="invalid_attachments")
        refusal = refused_blocks(attachment.get("blocks", ()), limits=limits)
        if refusal is not None:
            return Refusal(error="invalid_attachments", messages=refusal.messages)
    return None


def block_text_length(blocks: Sequence[Any]) -> int:
    """Characters of text in the blocks, however deep: what Slack appears to count against its message budget."""
    return sum(len(text) for text in _texts(list(blocks)))


def _texts(node: Any) -> Iterator[str]:
    if isinstance(node, list):
        for item in node:
            yield from _texts(item)
    elif isinstance(node, dict):
        for key, value in node.items():
            if key == "text" and isinstance(value, str):
                yield value
            elif isinstance(value, dict | list):
                yield from _texts(value)


def refused_view(view: Any, *, surface: str, limits: Limits) -> Refusal | None:
    """Why Slack would not show this view on this surface (modal or home), or None."""
    if not isinstance(view, dict) or view.get("type") != surface:
        return _view_refusal(f"must be a view of type {surface}", "/view/type")
    if len(json.dumps(view)) > limits.view_bytes:
        return Refusal(error="view_too_large")
    blocks = view.get("blocks")
    if not isinstance(blocks, list) or not 0 < len(blocks) <= limits.blocks_per_view:
        return _view_refusal(f"must have between 1 and {limits.blocks_per_view} blocks", "/view/blocks")
    messages = (*_view_field_problems(view, surface), *problems(blocks, surface=surface, pointer="/view/blocks"))
    return Refusal(error="invalid_arguments", messages=messages) if messages else None


def _view_refusal(what: str, pointer: str) -> Refusal:
    return Refusal(error="invalid_arguments", messages=(f"[ERROR] {what} [json-pointer:{pointer}]",))


def _view_field_problems(view: Json, surface: str) -> Iterator[str]:
    if surface == "modal" and not isinstance(view.get("title"), dict):
        yield "[ERROR] missing required field: title [json-pointer:/view]"
    for name in ("title", "submit", "close"):
        label = view.get(name)
        if isinstance(label, dict) and not 0 < len(label.get("text", "")) <= 24:
            yield f"[ERROR] must be between 1 and 24 characters [json-pointer:/view/{name}/text]"
    for name, longest in (("private_metadata", 3000), ("callback_id", 255)):
        if len(view.get(name) or "") > longest:
            yield f"[ERROR] must be less than {longest + 1} characters [json-pointer:/view/{name}]"
    has_input = any(isinstance(b, dict) and b.get("type") == "input" for b in view["blocks"])
    if surface == "modal" and has_input and "submit" not in view:
        yield "[ERROR] a submit button is required when an input block is used [json-pointer:/view]"


def trigger_error(trigger: Trigger | None, now: float, limits: Limits) -> str | None:
    """Slack's error for opening a view with this trigger, or None."""
    if trigger is None:
        return "invalid_trigger_id"
    if trigger.used:
        return "exchanged_trigger_id"
    return "expired_trigger_id" if now - trigger.issued > limits.trigger_s else None


def response_url_error(url: ResponseUrl | None, now: float, limits: Limits) -> str | None:
    """Slack's error for another use of a response_url, or None."""
    if url is None or now - url.issued > limits.response_url_s:
        return "expired_url"
    return "used_url" if url.uses >= limits.response_url_uses else None


def stack_is_full(state: State, view: View, limits: Limits) -> bool:
    """Whether another modal on top of this one would be one too many."""
    return len([v for v in state.open_views(view.user) if v.root_id == view.root_id]) >= limits.view_stack


class Pace:
    """How fast each channel may be posted to: a bucket that holds `burst` posts and refills steadily."""

    def __init__(self, *, burst: int, per_s: float) -> None:
        self._burst = float(burst)
        self._per_s = per_s
        self._buckets: dict[str, tuple[float, float]] = {}

    def wait_s(self, key: str, now: float) -> float:
        """0.0 and one post taken, or the seconds until the next one is allowed (nothing is taken then)."""
        level, since = self._buckets.get(key, (self._burst, now))
        level = min(self._burst, level + max(0.0, now - since) * self._per_s)
        if level < 1.0:
            self._buckets[key] = (level, now)
            return (1.0 - level) / self._per_s
        self._buckets[key] = (level - 1.0, now)
        return 0.0
