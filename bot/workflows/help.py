"""The story "help": somebody wrote to the bot without asking anything."""

from bot.domain.codec import Json, from_json
from bot.domain.question import Question
from bot.ports import Ports, Step

HELP = (
    "Ask in plain words what is broken, and Groundwire looks at metrics, logs and recent changes.\n"
    "• /debug checkout is slow since 14:00\n"
    "• /debug errors in payments last 2h env=prod\n"
    "• /debug changes 2h lists what was changed\n"
    "• /debug help shows this\n"
    "Say it exactly with service=… env=… since=… until=… . In a thread, or under an alert, mention the bot instead: "
    "slash commands do not work there. In a direct message just write the question.\n"
    "The report comes in a thread; every statement names the evidence it rests on, like [E3]."
)


async def explain(ports: Ports, payload: Json, step: Step) -> None:
    """Tells the asker, and only them, what can be asked."""
    question = from_json(Question, payload)
    await step(
        "explain",
        lambda: ports.notifier.whisper(question.channel_id, question.asker_id, HELP, thread=question.thread),
    )
