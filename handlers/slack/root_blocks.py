"""The root message: what was understood, and how far the work is."""

from bot.domain.question import Question
from bot.domain.report import Report
from bot.domain.scope import Scope, Window
from handlers.slack.message import Message
from handlers.slack.report_blocks import confidence_words, headline
from handlers.slack.text import DAY_S, clip, context, escape, mention, moment, plain, prose, section

OVERRIDE = "Not what you meant? Ask again with `service=… env=… since=… until=…`"


def root_message(question: Question, scope: Scope, progress: str) -> Message:
    """What was understood of the question, while the work goes on."""
    return _root(question, scope, "Looking", f"_{prose(progress)}_", progress)


def finished_root(question: Question, report: Report) -> Message:
    """The same once the report stands in the thread."""
    outcome = f"{headline(report)} · {confidence_words(report)}"
    return _root(question, report.scope, "Looked", f"Done: {escape(outcome)}", outcome)


def _root(question: Question, scope: Scope, verb: str, status: str, spoken: str) -> Message:
    asked = f" (from “{escape(clip(' '.join(question.text.split()), 300))}”)" if question.text.strip() else ""
    assumptions = "".join(f"\n• {prose(clip(a, 300))}" for a in scope.assumptions[:6])
    understood = (
        f"{_title(question, scope)}\n{verb} at {_window(question, scope.window)}{asked}{assumptions}\n{OVERRIDE}"
    )
    return Message(
        text=plain(clip(f"{scope.service or 'all services'}: {spoken}", 300)),
        blocks=(section(understood), context(status)),
    )


def _title(question: Question, scope: Scope) -> str:
    where = " · ".join(escape(clip(part, 80)) for part in (scope.environment, scope.namespace) if part)
    service = escape(clip(scope.service or "All services", 120))
    return f"*{service}*{' · ' + where if where else ''} · asked by {mention(question.asker_id)}"


def _window(question: Question, window: Window) -> str:
    """The window in the reader's zone, with the day when it is not about today."""
    dated = question.asked_at_s - window.start_s > DAY_S / 2
    return f"{moment(window.start_s, dated=dated)} to {moment(window.end_s, dated=dated)} your time"
