"""The story "decide": somebody pressed Approve or Reject.

The first decision stands. It is recorded with the content it was made on; nothing is executed.
"""

import hashlib
import json

from bot.domain.codec import Json, from_json, to_json
from bot.domain.report import time_mark
from bot.domain.suggestion import Click, Decision, Suggestion
from bot.policy.access import AccessRules
from bot.ports import Ports, Step
from bot.workflows.entitle import refusal_of


async def decide(ports: Ports, rules: AccessRules, payload: Json, step: Step) -> None:
    """Records the click as the decision, or tells the person privately why it does not count."""
    click = from_json(Click, payload)

    async def whisper(text: str) -> None:
        await ports.notifier.whisper(click.channel_id, click.user_id, text, thread=click.thread)

    refused = await step("access", lambda: refusal_of(ports.directory, rules, click.user_id, click.channel_id))
    if refused:
        await step("refuse", lambda: whisper(refused))
        return
    found = await ports.store.suggestion(click.suggestion_id)
    if found is None:
        await step("unknown", lambda: whisper("This suggestion is no longer known here. Ask again to get a new one."))
        return
    suggestion, _ = found
    mine = _decision(click, suggestion)
    standing = await _recorded(ports, click, mine, step)
    await step("show", lambda: ports.notifier.show_decision(click, suggestion, standing))
    if standing != mine:
        already = await _already(ports, standing)
        await step("late", lambda: whisper(already))


def content_hash(suggestion: Suggestion) -> str:
    """sha256 (hex) over the suggestion as canonical JSON: what exactly was decided on."""
    canonical = json.dumps(to_json(suggestion), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def _decision(click: Click, suggestion: Suggestion) -> Decision:
    return Decision(
        suggestion_id=suggestion.id,
        verdict=click.verdict,
        decided_by=click.user_id,
        decided_at_s=click.clicked_at_s,
        content_hash=content_hash(suggestion),
    )


async def _recorded(ports: Ports, click: Click, mine: Decision, step: Step) -> Decision:
    async def record() -> Json:
        return to_json(await ports.store.decide(click.team_id, mine))

    return from_json(Decision, await step("record", record))


async def _already(ports: Ports, standing: Decision) -> str:
    person = await ports.directory.person(standing.decided_by)
    who = person.name if person else standing.decided_by
    what = f"{standing.verdict.value} at {time_mark(standing.decided_at_s)}"
    return f"Already decided by {who}: {what}. Your click changed nothing."
