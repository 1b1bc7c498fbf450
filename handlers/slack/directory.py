"""The Directory port on Slack's Web API: people, user groups and channels, remembered for a short while.

What cannot be found out is answered on the safe side: unknown people may not ask, unknown groups hold nobody, an unknown
channel counts as shared.
"""

from collections.abc import Mapping
from typing import Any, Generic, TypeVar

import structlog
from slack_sdk.web.async_client import AsyncWebClient

from bot.ports import Clock, Person
from handlers.slack.client import Identity, SlackRefusal, slack_errors

# Short enough that somebody who was just added or invited need not wait, long enough for one incident's clicks.
REMEMBER_S = 60.0
REMEMBERED = 5000

T = TypeVar("T")
_log = structlog.get_logger()


class SlackDirectory:
    """Who is who in one workspace."""

    def __init__(self, client: AsyncWebClient, identity: Identity, clock: Clock) -> None:
        self._client = client
        self._me = identity
        self._people = _Remembered[Person](clock)
        self._channels = _Remembered[Mapping[str, Any]](clock)
        self._groups = _Remembered[Mapping[str, frozenset[str]]](clock)

    async def person(self, user_id: str) -> Person | None:
        known = self._people.get(user_id)
        if known is not None:
            return known
        try:
            with slack_errors("users.info"):
                answer = await self._client.users_info(user=user_id)
        except SlackRefusal as refused:
            _log.warning("person not found", user=user_id, code=refused.code, reason=refused.reason)
            return None
        return self._people.keep(user_id, _person(answer["user"], self._me.team_id))

    async def groups_of(self, user_id: str) -> frozenset[str]:
        members = self._groups.get("all")
        if members is None:
            members = self._groups.keep("all", await self._all_groups())
        return frozenset(group for group, users in members.items() if user_id in users)

    async def is_member(self, channel_id: str) -> bool:
        if _is_direct(channel_id):
            return True
        channel = await self._channel(channel_id)
        # A private channel the bot is not in is "not found"; what cannot be asked at all is found out when posting.
        return bool(channel.get("is_member", False)) or bool(channel.get("unknown", False))

    async def is_shared_outside(self, channel_id: str) -> bool:
        if _is_direct(channel_id):
            return False
        channel = await self._channel(channel_id)
        return bool(channel.get("is_ext_shared") or channel.get("is_pending_ext_shared") or channel.get("unknown"))

    async def _channel(self, channel_id: str) -> Mapping[str, Any]:
        known = self._channels.get(channel_id)
        if known is not None:
            return known
        try:
            with slack_errors("conversations.info"):
                answer = await self._client.conversations_info(channel=channel_id)
        except SlackRefusal as refused:
            _log.warning("channel cannot be looked up", channel=channel_id, code=refused.code, reason=refused.reason)
            return {} if refused.reason == "channel_not_found" else {"unknown": True}
        channel: Mapping[str, Any] = answer["channel"]
        # Not being a member is not remembered: the next thing people do is invite the bot and ask again.
        return self._channels.keep(channel_id, channel) if channel.get("is_member") else channel

    async def _all_groups(self) -> Mapping[str, frozenset[str]]:
        try:
            with slack_errors("usergroups.list"):
                answer = await self._client.usergroups_list(include_users=True)
        except SlackRefusal as refused:
            _log.warning("user groups cannot be read", code=refused.code, reason=refused.reason)
            return {}
        return {group["id"]: frozenset(group.get("users") or ()) for group in answer["usergroups"]}


def _is_direct(channel_id: str) -> bool:
    return channel_id.startswith("D")


def _person(user: Mapping[str, Any], team_id: str) -> Person:
    profile = user.get("profile") or {}
    name = profile.get("display_name") or user.get("real_name") or profile.get("real_name") or user.get("name")
    # In an organisation of several workspaces a colleague's own one may be another; they are listed as members of ours.
    home = {user.get("team_id", team_id), *((user.get("enterprise_user") or {}).get("teams") or ())}
    outside = user.get("is_stranger") or team_id not in home
    lesser = user.get("is_restricted") or user.get("is_ultra_restricted") or user.get("is_bot") or user.get("deleted")
    return Person(
        id=str(user["id"]),
        name=str(name or user["id"]),
        zone=str(user.get("tz") or "UTC"),
        full_member=not (outside or lesser),
    )


class _Remembered(Generic[T]):
    """Values by key, each for a minute."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._held: dict[str, tuple[float, T]] = {}

    def get(self, key: str) -> T | None:
        held = self._held.get(key)
        if held is None or self._clock.elapsed_s() - held[0] > REMEMBER_S:
            return None
        return held[1]

    def keep(self, key: str, value: T) -> T:
        while len(self._held) >= REMEMBERED:
            self._held.pop(next(iter(self._held)))
        self._held[key] = (self._clock.elapsed_s(), value)
        return value
