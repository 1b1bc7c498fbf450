"""Who may start work: the directory says who people are, the access policy decides, the asker is told."""

from bot.domain.question import Origin, Question
from bot.policy.access import AccessRules, ChannelFacts, may_ask
from bot.ports import Directory, Ports

NOT_INVITED = "Groundwire is not in this channel, so it cannot answer here. Type /invite @groundwire and ask again."


async def admit(ports: Ports, rules: AccessRules, default_zone: str, question: Question) -> str | None:
    """The asker's time zone (IANA name); None when they were refused, and told why."""
    if question.origin is Origin.TERMINAL:
        return question.asker_zone or default_zone
    refused = await refusal_of(ports.directory, rules, question.asker_id, question.channel_id)
    if refused is None and not await ports.directory.is_member(question.channel_id):
        refused = NOT_INVITED
    if refused is not None:
        await ports.notifier.whisper(question.channel_id, question.asker_id, refused, thread=question.thread)
        return None
    person = await ports.directory.person(question.asker_id)
    return (person.zone if person else "") or default_zone


async def refusal_of(directory: Directory, rules: AccessRules, user_id: str, channel_id: str) -> str | None:
    """Why this person may not start work in this channel, as sentences for them; None when they may."""
    person = await directory.person(user_id)
    groups = await directory.groups_of(user_id) if rules.groups else frozenset()
    facts = ChannelFacts(id=channel_id, shared_outside=await directory.is_shared_outside(channel_id))
    refusal = may_ask(person, groups, facts, rules)
    return refusal.text if refusal else None
