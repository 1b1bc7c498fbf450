"""The Notifier of the terminal: the very messages Slack would get, printed as text."""

from datetime import tzinfo

from bot.demo.workspace.state import Message as Shown
from bot.demo.workspace.terminal import render_thread
from bot.domain.question import Question, Thread, ThreadMessage
from bot.domain.report import Report
from bot.domain.scope import Scope
from bot.domain.suggestion import Click, Decision, Suggestion
from bot.ports import Store
from handlers.slack.message import Message
from handlers.slack.report_blocks import report_message
from handlers.slack.root_blocks import finished_root, root_message
from handlers.slack.suggestion_blocks import suggestion_message

_CHANNEL = "terminal"


class TerminalNotifier:
    """Collects what was told; `text` is the thread as it stands. Progress goes to `say` at once."""

    def __init__(self, store: Store, *, zone: tzinfo, width: int = 100) -> None:
        self._store = store
        self._zone = zone
        self._width = width
        self._messages: list[Message] = []
        self.refused: list[str] = []

    @property
    def text(self) -> str:
        return render_thread(
            [_shown(i, message) for i, message in enumerate(self._messages)], width=self._width, tz=self._zone
        )

    async def announce(self, question: Question, scope: Scope) -> Thread:
        self._messages = [root_message(question, scope, "investigating")]
        return Thread(channel_id=_CHANNEL, ts=_ts(0))

    async def progress(self, thread: Thread, question: Question, scope: Scope, text: str) -> None:
        self._messages[0] = root_message(question, scope, text)

    async def give_up(self, thread: Thread, question: Question, scope: Scope, text: str) -> None:
        self._messages = [root_message(question, scope, text)]

    async def publish(self, thread: Thread, question: Question, report: Report) -> None:
        held = await self._store.evidence(question.team_id, question.key)
        links = {one.id: one.link for one in held if one.link}
        suggestions = [suggestion_message(s, links) for s in report.suggestions]
        self._messages = [finished_root(question, report), report_message(report, links), *suggestions]

    async def answer(self, question: Question, text: str) -> None:
        self._messages.append(Message(text=text, blocks=()))

    async def whisper(self, channel_id: str, user_id: str, text: str, *, thread: str | None = None) -> None:
        self.refused.append(text)

    async def point_to(self, question: Question, thread: Thread) -> None:
        self.refused.append("This is being looked at already.")

    async def show_decision(self, click: Click, suggestion: Suggestion, decision: Decision) -> None:
        """Nothing to press in a terminal."""

    async def read_thread(self, channel_id: str, thread: str) -> tuple[ThreadMessage, ...]:
        return ()


def _shown(number: int, message: Message) -> Shown:
    return Shown(
        channel=_CHANNEL,
        ts=_ts(number),
        thread_ts=None if number == 0 else _ts(0),
        text=message.text,
        blocks=message.blocks,
        username="groundwire",
    )


def _ts(number: int) -> str:
    return f"{number}.000000"
