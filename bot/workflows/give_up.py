"""The story "investigate failed": an investigation ended in a fault of ours, and the people who wait for it are told."""

from dataclasses import replace
from functools import partial

from bot.domain.codec import Json, from_json
from bot.domain.question import Question
from bot.ports import Ports, Step

SORRY = (
    "Groundwire failed while working on this and has stopped. What it found so far is kept, nothing was changed. "
    "Ask again; if it fails again, an administrator finds the fault in Groundwire's log."
)


async def give_up(ports: Ports, payload: Json, step: Step) -> None:
    """Marks the investigation of a `Question` (as JSON) as failed and says so where it was asked."""
    question = from_json(Question, payload)
    await step("mark failed", partial(_mark, ports, question))
    await step("say sorry", partial(_say, ports, question))


async def _mark(ports: Ports, question: Question) -> None:
    found = await ports.store.investigation(question.key)
    if found is not None:
        await ports.store.save_investigation(replace(found, state="failed"))
    ports.meter.count("groundwire_investigations_total", outcome="failed")


async def _say(ports: Ports, question: Question) -> None:
    found = await ports.store.investigation(question.key)
    if found is None or found.thread is None or found.scope is None:
        await ports.notifier.whisper(question.channel_id, question.asker_id, SORRY, thread=question.thread)
        return
    await ports.notifier.give_up(found.thread, question, found.scope, SORRY)
