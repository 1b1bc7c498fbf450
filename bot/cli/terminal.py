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
from handlers.slack.text import prose

_CHANNEL = "terminal"
_PRESSED = ("actions", "context_actions")  # blocks of nothing but buttons and menus


class TerminalNotifier:
    """Collects what was told; `text` is the thread as it stands, each message at `asked_at_s` (UTC unix seconds).

    Buttons and menus are left out: nothing can be pressed in a terminal.
    """

    def __init__(self, store: Store, *, asked_at_s: float, zone: tzinfo, width: int = 100) -> None:
        self._store = store
        self._asked_at_s = asked_at_s
        self._zone = zone
        self._width = width
        self._messages: list[Message] = []
        self.refused: list[str] = []

    @property
    def text(self) -> str:
        shown = [_shown(message, self._ts(i), self._ts(0)) for i, message in enumerate(self._messages)]
        return render_thread(shown, width=self._width, tz=self._zone)

    async def announce(self, question: Question, scope: Scope) -> Thread:
        self._messages = [root_message(question, scope, "investigating")]
        return Thread(channel_id=_CHANNEL, ts=self._ts(0))

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
        self._messages.append(Message(text="\n".join(prose(line) for line in text.split("\n")), blocks=()))

    async def whisper(self, channel_id: str, user_id: str, text: str, *, thread: str | None = None) -> None:
        self.refused.append(text)

    async def point_to(self, question: Question, thread: Thread) -> None:
        self.refused.append("This is being looked at already.")

    async def show_decision(self, click: Click, suggestion: Suggestion, decision: Decision) -> None:
        """Nothing to press in a terminal."""

    async def read_thread(self, channel_id: str, thread: str) -> tuple[ThreadMessage, ...]:
        return ()

    def _ts(self, number: int) -> str:
        return f"{self._asked_at_s:.0f}.{number:06}"


def _shown(message: Message, ts: str, root_ts: str) -> Shown:
    return Shown(
        channel=_CHANNEL,
        ts=ts,
        thread_ts=None if ts == root_ts else root_ts,
        text=message.text,
        blocks=tuple(block for block in message.blocks if block["type"] not in _PRESSED),
        username="groundwire",
    )
