"""The story "changes": what was changed in the last hours, as a list for everyone."""

from collections.abc import Sequence
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
from bot.reasoning.phrases import read_overrides, read_window
from bot.reasoning.scoping import zone_of
from bot.workflows.changes import changes_in
from bot.workflows.entitle import admit
from bot.workflows.looking import Lookout
from bot.workflows.minting import clean

DEFAULT_S = 2 * 3600.0
_WITHIN_S = 20.0
# More lines than this do not fit one message; the newest stay.
_LINES_MAX = 40
_NAMES_MAX = 12  # services a refusal offers
# Words that may stand between a service and a time without being either.
_FILLERS = frozenset(
    ("", *["all", "and", "by", "for", "from", "in", "of", "on", "please", "service", "services", "the", "to"])
)
_MARKS = ".,;:?!"


async def list_changes(ports: Ports, rules: AccessRules, default_zone: str, payload: Json, step: Step) -> None:
    """Answers a `Question` (as JSON) whose text names a time ("2h", "since 14:00") and perhaps services."""
    question = from_json(Question, payload)
    zone = await step("admit", partial(admit, ports, rules, default_zone, question))
    if zone is None:
        return
    text = await step("list", partial(_listed, ports, replace(question, asker_zone=zone)))
    await step("answer", partial(ports.notifier.answer, question, text))


async def _listed(ports: Ports, question: Question) -> str:
    lookout = Lookout(ports.clock, deadline_s=_WITHIN_S)
    try:
        window, names = _understood(question.text, ports.clock.now_s(), zone_of(question.asker_zone))
        found = await changes_in(ports.sources.changes, (), window, lookout)
        lines = _lines(_chosen(found, names, window), window)
    except AskError as error:
        lines = [f"{error.message} {error.remedy}"]
    lines += [f"Not known: {gap.what} ({gap.why}). {gap.remedy}" for gap in lookout.gaps()]
    if not ports.sources.changes:
        lines.append("No source of changes is configured; docs/configuration.md shows how.")
    return "\n".join(lines)


def _understood(text: str, now_s: float, zone: ZoneInfo) -> tuple[Window, tuple[str, ...]]:
    """The window, said as a phrase or as a bare length of time (`checkout 24h`), and the other words: services."""
    overrides, words = read_overrides(text)
    said = " ".join(f"{key}={overrides[key]}" for key in ("since", "until") if key in overrides)
    names = [overrides["service"]] if "service" in overrides else []
    names += [f"{key}={overrides[key]}" for key in ("env", "namespace") if key in overrides]
    window = read_window(said or words, now_s=now_s, zone=zone)
    if window is not None and not said:
        words = f"{words[: window.start]} {words[window.end :]}"
    for word in words.split():
        length = read_window(f"last {word}", now_s=now_s, zone=zone) if window is None else None
        if length is not None:
            window = length
        elif word.strip(_MARKS).lower() not in _FILLERS:
            names.append(word.strip(_MARKS))
    if window is None:
        return Window(start_s=now_s - DEFAULT_S, end_s=now_s), tuple(names)
    return Window(start_s=window.start_s, end_s=window.end_s), tuple(names)


def _chosen(found: Sequence[Change], names: Sequence[str], window: Window) -> Sequence[Change]:
    """The changes of the services named; all where none is. Raises AskError for a name no change has."""
    changed = {change.service.lower(): change.service for change in found if change.service}
    for name in names:
        if name.lower() not in changed:
            known = f" Changed: {', '.join(sorted(changed.values())[:_NAMES_MAX])}." if changed else ""
            raise AskError(
                "ASK-030",
                f"“{clean(name[:80])}” is neither a time nor a service that changed from {time_mark(window.start_s)} to "
                f"{time_mark(window.end_s)}.",
                f"Write for example `/debug changes 2h`, or name another time or service.{known}",
            )
    wanted = {name.lower() for name in names}
    return [change for change in found if not wanted or (change.service or "").lower() in wanted]


def _lines(chosen: Sequence[Change], window: Window) -> list[str]:
    lines = [f"{len(chosen)} changes from {time_mark(window.start_s)} to {time_mark(window.end_s)}"]
    if len(chosen) > _LINES_MAX:
        lines.append(f"The newest {_LINES_MAX} are shown; a narrower time shows others.")
    return lines + [_line(change) for change in chosen[-_LINES_MAX:]]


def _line(change: Change) -> str:
    of = f" of {change.service}" if change.service else ""
    by = f" by {change.author}" if change.author else ""
    return f"• {time_mark(change.at_s)} {clean(f'{change.kind.value} {change.short_ref}{of}{by}: {change.summary}')}"
