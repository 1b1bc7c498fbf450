"""Asks the directory what the access policy needs to know, and the policy for its answer."""

from bot.policy.access import AccessRules, ChannelFacts, may_ask
from bot.ports import Directory


async def refusal_of(directory: Directory, rules: AccessRules, user_id: str, channel_id: str) -> str | None:
    """Why this person may not start work in this channel, as sentences for them; None when they may."""
    person = await directory.person(user_id)
    groups = await directory.groups_of(user_id) if rules.groups else frozenset()
    facts = ChannelFacts(id=channel_id, shared_outside=await directory.is_shared_outside(channel_id))
    refusal = may_ask(person, groups, facts, rules)
    return refusal.text if refusal else None
