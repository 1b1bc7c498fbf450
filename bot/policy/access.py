"""Who may start work, and where.

Guests, people of other companies and apps never may. With nothing configured every full member may, wherever the bot was
invited; each configured list narrows that. Unknown people are refused: a directory that cannot answer must not open doors.
"""

from dataclasses import dataclass
from typing import Protocol


class Asker(Protocol):
    """What the decision needs to know of a person; `full_member` is False for guests, strangers and apps."""

    @property
    def id(self) -> str: ...
    @property
    def full_member(self) -> bool: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessRules:
    """Ids of the channels, user groups and users that may ask; an empty list does not narrow.

    `channels` says where, `groups` and `users` say who (either is enough). `allow_shared` opens channels that people of
    other companies read.
    """

    channels: frozenset[str] = frozenset()
    groups: frozenset[str] = frozenset()
    users: frozenset[str] = frozenset()
    allow_shared: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelFacts:
    """What the decision needs to know of a channel."""

    id: str
    shared_outside: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why not, and what would change it: sentences for the person who asked."""

    reason: str
    remedy: str

    @property
    def text(self) -> str:
        return f"{self.reason} {self.remedy}"


def may_ask(person: Asker | None, groups: frozenset[str], channel: ChannelFacts, rules: AccessRules) -> Refusal | None:
    """None when this person, who is in these user groups, may start work in this channel; else why not."""
    if person is None:
        return Refusal(
            reason="Groundwire could not find out who you are, so nothing was started.",
            remedy="Try again; if it stays like this, an administrator checks the scope users:read.",
        )
    if not person.full_member:
        return Refusal(
            reason="Groundwire works for full members of this workspace only; guests, other companies and apps cannot ask.",
            remedy="Ask a member of the workspace to do it.",
        )
    if channel.shared_outside and not rules.allow_shared:
        return Refusal(
            reason="People of other companies read this channel, so Groundwire does not answer here.",
            remedy="Ask in a channel of your own company.",
        )
    if rules.channels and channel.id not in rules.channels:
        return Refusal(
            reason="Groundwire is not enabled in this conversation.",
            remedy="Ask in one of the channels your administrator has allowed.",
        )
    if (rules.groups or rules.users) and person.id not in rules.users and not groups & rules.groups:
        return Refusal(
            reason="You are not among the people who may use Groundwire.",
            remedy="Ask your administrator to add you or one of your user groups.",
        )
    return None
