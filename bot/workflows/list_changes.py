"""The story "changes": what was changed in the last hours, as a list for everyone."""

from dataclasses import replace
from functools import partial
from zoneinfo import ZoneInfo

from bot.domain.change import Change
from bot.domain.codec import Json, from_json
from bot.domain.question import Question
from bot.domain.report import time_mark
from bot.domain.scope import Window
from bot.errors import AskError
from bot.policy.access import AccessRules
from bot.ports import Ports, Step
from bot.reasoning.phrases import read_window
from bot.reasoning.scoping import zone_of
from bot.workflows.changes import changes_in
from bot.workflows.entitle import admit
from bot.workflows.looking import Lookout
from bot.workflows.minting import clean

DEFAULT_S = 2 * 3600.0
_WITHIN_S = 20.0
# More lines than this do not fit one message; the newest stay.
_LINES_MAX = 40


async def list_changes(ports: Ports, rules: AccessRules, default_zone: str, payload: Json, step: Step) -> None:
    """Answers a `Question` (as JSON) whose text names a time ("2h", "since 14:00") and perhaps services."""
    question = from_json(Question, payload)
    zone = await step("admit", partial(admit, ports, rules, default_zone, question))
    if zone is None:
        return
    text = await step("list", partial(_listed, ports, replace(question, asker_zone=zone)))
    await step("answer", partial(ports.notifier.answer, question, text))


async def _listed(ports: Ports, question: Question) -> str:
    try:
        window = _window(question.text, ports.clock.now_s(), zone_of(question.asker_zone))
    except AskError as error:
        return f"{error.message} {error.remedy}"
    lookout = Lookout(ports.clock, deadline_s=_WITHIN_S)
    found = await changes_in(ports.sources.changes, (), window, lookout)
    words = set(question.text.lower().split())
    chosen = [change for change in found if (change.service or "").lower() in words] or found
    lines = [f"{len(chosen)} changes from {time_mark(window.start_s)} to {time_mark(window.end_s)}"]
    lines += [_line(change) for change in chosen[-_LINES_MAX:]]
    if len(chosen) > _LINES_MAX:
        lines.insert(1, f"The newest {_LINES_MAX} are shown; a narrower time shows others.")
    lines += [f"Not known: {gap.what} ({gap.why}). {gap.remedy}" for gap in lookout.gaps()]
    if not ports.sources.changes:
        lines.append("No source of changes is configured; docs/configuration.md shows how.")
    return "\n".join(lines)


def _window(text: str, now_s: float, zone: ZoneInfo) -> Window:
    """The window said in the text: as a phrase, or as a bare length of time (`checkout 24h`)."""
    phrases = (text, *(f"last {word}" for word in text.split()))
    said = next((found for phrase in phrases if (found := read_window(phrase, now_s=now_s, zone=zone))), None)
    if said is None:
        return Window(start_s=now_s - DEFAULT_S, end_s=now_s)
    return Window(start_s=said.start_s, end_s=said.end_s)


def _line(change: Change) -> str:
    of = f" of {change.service}" if change.service else ""
    by = f" by {change.author}" if change.author else ""
    return f"• {time_mark(change.at_s)} {clean(f'{change.kind.value} {change.short_ref}{of}{by}: {change.summary}')}"
