"""What stands in the local workspace: people, channels, messages, views, files. No rules, no network, no clock.

Every noun is frozen; `State` replaces nouns, so whoever holds one holds a snapshot. Times are epoch seconds (UTC) and always
arguments. What Slack would refuse is not decided here but in `limits` and `web_api`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

Json = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """One member; `tz` is an IANA zone, `is_stranger` somebody from another company in a shared channel."""

    id: str
    name: str
    real_name: str
    tz: str = "Etc/UTC"
    team_id: str = "T0GROUND"
    is_bot: bool = False
    bot_id: str | None = None
    is_restricted: bool = False
    is_ultra_restricted: bool = False
    is_stranger: bool = False
    is_admin: bool = False
    deleted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """One conversation; for a direct message `im_user` is the person the app talks to and `name` is empty."""

    id: str
    name: str
    members: tuple[str, ...] = ()
    is_private: bool = False
    is_im: bool = False
    im_user: str | None = None
    is_ext_shared: bool = False
    is_archived: bool = False
    topic: str = ""

    @property
    def kind(self) -> str:
        """The word Slack uses in `channel_type`: channel, group or im."""
        if self.is_im:
            return "im"
        return "group" if self.is_private else "channel"


@dataclass(frozen=True, slots=True, kw_only=True)
class UserGroup:
    """A group people mention by `@handle`."""

    id: str
    handle: str
    name: str
    users: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message; `thread_ts` is set on replies only, `to_user` on messages one person alone can see.

    `stream` is "" for an ordinary message, else "open", "stopped_by_user" or "closed"; `stream_since` is when it was opened.
    """

    channel: str
    ts: str
    text: str = ""
    user: str | None = None
    bot_id: str | None = None
    username: str | None = None
    subtype: str | None = None
    thread_ts: str | None = None
    blocks: tuple[Json, ...] = ()
    attachments: tuple[Json, ...] = ()
    metadata: Json | None = None
    files: tuple[str, ...] = ()
    reactions: tuple[tuple[str, tuple[str, ...]], ...] = ()
    edited_by: str | None = None
    edited_ts: str | None = None
    to_user: str | None = None
    stream: str = ""
    stream_since: float = 0.0

    @property
    def root_ts(self) -> str:
        """The ts of the thread this message belongs to or would start."""
        return self.thread_ts or self.ts


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """A modal or a Home tab as the app last sent it; `values` is what the person has put in so far."""

    id: str
    user: str
    body: Json
    hash: str
    root_id: str
    previous_id: str | None = None
    values: Json = field(default_factory=dict)
    is_open: bool = True

    @property
    def type(self) -> str:
        """modal or home."""
        return str(self.body.get("type", ""))


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """An upload: `content` is None until the bytes arrived, `shared_in` grows when the upload is completed."""

    id: str
    name: str
    length: int
    user: str
    title: str = ""
    content: bytes | None = None
    shared_in: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Trigger:
    """The right to open one view, given with an interaction."""

    id: str
    user: str
    issued: float
    used: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseUrl:
    """The right to answer an interaction a few times without a token."""

    id: str
    user: str
    channel: str
    issued: float
    message_ts: str | None = None
    thread_ts: str | None = None
    uses: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """An agent session in a thread: its lifecycle status, title, and the passing status line under the thread."""

    status: str = ""
    title: str = ""
    line: str = ""


class State:
    """The whole workspace in memory; every method either answers or replaces one noun."""

    def __init__(self, *, team_id: str, team_name: str, domain: str) -> None:
        self.team_id = team_id
        self.team_name = team_name
        self.domain = domain
        self.users: dict[str, User] = {}
        self.channels: dict[str, Channel] = {}
        self.groups: dict[str, UserGroup] = {}
        self.messages: dict[tuple[str, str], Message] = {}
        self.views: dict[str, View] = {}
        self.files: dict[str, File] = {}
        self.triggers: dict[str, Trigger] = {}
        self.response_urls: dict[str, ResponseUrl] = {}
        self.sessions: dict[tuple[str, str], Session] = {}
        self.prompts: dict[str, Json] = {}
        self._count = 0
        self._last_us = 0

    def next_id(self, prefix: str) -> str:
        """A new id such as F0000000C; counted, so a run repeats exactly."""
        self._count += 1
        return f"{prefix}{self._count:08X}"

    def next_ts(self, now: float) -> str:
        """A message time later than every one before it, as Slack writes it: seconds, a dot, six digits."""
        self._last_us = max(round(now * 1_000_000), self._last_us + 1)
        seconds, micros = divmod(self._last_us, 1_000_000)
        return f"{seconds}.{micros:06d}"

    def channel_named(self, reference: str) -> Channel | None:
        """The channel with this id or name, with or without a leading #."""
        if reference in self.channels:
            return self.channels[reference]
        name = reference.removeprefix("#")
        return next((c for c in self.channels.values() if c.name and c.name == name), None)

    def user_named(self, reference: str) -> User | None:
        """The person with this id or handle, with or without a leading @."""
        name = reference.removeprefix("@")
        return self.users.get(reference) or next((u for u in self.users.values() if u.name == name), None)

    def im_with(self, user: str, bot: str) -> Channel:
        """The direct message between a person and the app, opened when it did not exist."""
        for channel in self.channels.values():
            if channel.im_user == user:
                return channel
        channel = Channel(id=self.next_id("D"), name="", members=(user, bot), is_im=True, im_user=user)
        self.channels[channel.id] = channel
        return channel

    def change_channel(self, channel: str, **changes: Any) -> Channel:
        """The channel after the change."""
        self.channels[channel] = replace(self.channels[channel], **changes)
        return self.channels[channel]

    def join(self, channel: str, user: str) -> Channel:
        """The channel with this member in it."""
        members = self.channels[channel].members
        return self.channels[channel] if user in members else self.change_channel(channel, members=(*members, user))

    def leave(self, channel: str, user: str) -> Channel:
        """The channel without this member."""
        return self.change_channel(channel, members=tuple(m for m in self.channels[channel].members if m != user))

    def post(self, *, now: float, channel: str, blocks: Iterable[Json] = (), **fields: Any) -> Message:
        """A new message, its blocks given ids where they had none."""
        message = Message(channel=channel, ts=self.next_ts(now), blocks=self.with_block_ids(blocks), **fields)
        self.messages[(channel, message.ts)] = message
        return message

    def change_message(self, message: Message, **changes: Any) -> Message:
        """The message after the change; `blocks` get ids where they have none."""
        if "blocks" in changes:
            changes["blocks"] = self.with_block_ids(changes["blocks"])
        changed = replace(self.messages[(message.channel, message.ts)], **changes)
        self.messages[(message.channel, message.ts)] = changed
        return changed

    def with_block_ids(self, blocks: Iterable[Json]) -> tuple[Json, ...]:
        """The same blocks, each with a block_id: Slack makes one up where the app gave none."""
        return tuple(block if block.get("block_id") else {**block, "block_id": self.next_id("b")} for block in blocks)

    def message(self, channel: str, ts: str) -> Message | None:
        """The message everybody can see under this ts; ephemeral ones are not found, as in Slack."""
        found = self.messages.get((channel, ts))
        return None if found is None or found.to_user else found

    def history(self, channel: str) -> list[Message]:
        """What stands in the channel itself, oldest first: no thread replies (but broadcast ones), no ephemeral messages."""
        return [m for m in self._visible(channel) if m.thread_ts is None or m.subtype == "thread_broadcast"]

    def thread(self, channel: str, root_ts: str) -> list[Message]:
        """The root and its replies, oldest first; empty when there is no such root."""
        return [m for m in self._visible(channel) if m.root_ts == root_ts]

    def ephemerals(self, user: str) -> list[Message]:
        """What only this person can see, oldest first."""
        return [m for m in self.messages.values() if m.to_user == user]

    def open_views(self, user: str) -> list[View]:
        """The modals this person has open, the top one last; the Home tab is not among them."""
        return [v for v in self.views.values() if v.user == user and v.type == "modal" and v.is_open]

    def change_view(self, view: str, **changes: Any) -> View:
        """The view after the change; a new `body` gets a new hash."""
        if "body" in changes:
            changes["body"] = {
                **changes["body"],
                "blocks": list(self.with_block_ids(changes["body"].get("blocks", ()))),
            }
            changes["hash"] = self.next_id("h")
        self.views[view] = replace(self.views[view], **changes)
        return self.views[view]

    def add_view(self, *, user: str, body: Json, previous: View | None = None) -> View:
        """A new view on top of `previous`, or alone."""
        body = {**body, "blocks": list(self.with_block_ids(body.get("blocks", ())))}
        identity = self.next_id("V")
        root = previous.root_id if previous else identity
        view = View(
            id=identity,
            user=user,
            body=body,
            hash=self.next_id("h"),
            root_id=root,
            previous_id=previous.id if previous else None,
        )
        self.views[identity] = view
        return view

    def session(self, channel: str, thread_ts: str, changes: Mapping[str, str] | None = None) -> Session:
        """The agent session of a thread after the change."""
        key = (channel, thread_ts)
        self.sessions[key] = replace(self.sessions.get(key, Session()), **dict(changes or {}))
        return self.sessions[key]

    def add(self, *nouns: User | Channel | UserGroup) -> None:
        """Puts people, channels and groups into the workspace; one with the same id is replaced."""
        for noun in nouns:
            if isinstance(noun, User):
                self.users[noun.id] = noun
            elif isinstance(noun, Channel):
                self.channels[noun.id] = noun
            else:
                self.groups[noun.id] = noun

    def _visible(self, channel: str) -> Sequence[Message]:
        return [m for m in self.messages.values() if m.channel == channel and not m.to_user]
