"""The story "feedback": somebody said whether a report helped."""

from bot.domain.codec import Json, from_json
from bot.domain.question import Vote
from bot.policy.access import AccessRules
from bot.ports import Ports, Step
from bot.workflows.entitle import refusal_of


async def feedback(ports: Ports, rules: AccessRules, payload: Json, step: Step) -> None:
    """Keeps the vote and confirms it privately; one voice a person and report, the last one counts."""
    vote = from_json(Vote, payload)

    async def keep() -> None:
        await ports.store.save_feedback(vote.team_id, vote.investigation, vote.user_id, vote.helpful, vote.voted_at_s)

    refused = await step("access", lambda: refusal_of(ports.directory, rules, vote.user_id, vote.channel_id))
    if not refused:
        await step("keep", keep)
    text = refused or f"Recorded: this report was {'helpful' if vote.helpful else 'not helpful'} to you."
    await step("answer", lambda: ports.notifier.whisper(vote.channel_id, vote.user_id, text))
