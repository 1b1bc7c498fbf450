"""From words to a scope: which service, which environment, which window, and what was assumed."""

import difflib
import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from bot.domain.alert import Alert
from bot.domain.question import Question
from bot.domain.report import time_mark
from bot.domain.scope import Edge, Scope, Window
from bot.errors import AskError
from bot.reasoning.phrases import read_overrides, read_window

# Without a time in the question the last hour is meant: long enough to hold the start of what somebody just noticed.
DEFAULT_WINDOW_S = 3600.0
# Normal is learned from at least an hour before the window, and from at most six: longer ones mix in other times of day.
BASELINE_MIN_S = 3600.0
BASELINE_MAX_S = 6 * 3600.0
# An alert fires some minutes after its cause: rules average and wait ("for: 5m" is the common choice).
ALERT_LEAD_S = 600.0
# Services looked at beside the one asked about. Beyond that a look's answer gets too wide to be read.
NEIGHBOURS_MAX = 24
# A typo is close enough at this similarity (difflib's ratio): one or two letters in a name of eight.
_CLOSE = 0.8
# Asked back only below that: at least so alike that a person sees why, `order-service` and `orders`.
_SIMILAR = 0.6
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*[A-Za-z0-9]|[A-Za-z0-9]")
_SERVICE_LABELS_OF_ALERTS = (
    "service",
    "service_name",
    "app",
    "job",
    "deployment",
    "container",
    "workload",
    "destination_workload",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What discovery found: services, calls between them, environments and namespaces by name; aliases are people's names."""

    services: tuple[str, ...] = ()
    edges: tuple[Edge, ...] = ()
    environments: tuple[str, ...] = ()
    namespaces: tuple[str, ...] = ()
    aliases: Mapping[str, str] | None = None


def understand(
    question: Question,
    around: Surroundings,
    *,
    now_s: float,
    alerts: Sequence[Alert] = (),
    told: Sequence[str] = (),
    before: Scope | None = None,
) -> Scope:
    """The scope of a question.

    `alerts` are those of the message the bot was asked under: their labels and start time stand in where the words say nothing.
    `before` is the scope of an earlier ask in the thread, whose parts stay unless the words change them.
    `told` is what people wrote in the thread, first message first: a service it names stands in where nothing else names one.
    Nothing else is read from it.
    Raises AskError for a service, environment or window that cannot be.
    """
    zone = zone_of(question.asker_zone)
    overrides, words = read_overrides(question.text)
    phrase = _phrase(overrides, words, now_s, zone)
    rest = words if phrase is None else words[: phrase.start] + " " + words[phrase.end :]
    assumptions: list[str] = [_alert_said(alerts)] if alerts else []
    service = _service(overrides, rest, around, alerts, told, before, assumptions)
    near = neighbours(service, around)
    assumptions += _left_aside(service, near, around)
    environment = _choice("env", overrides, rest, around.environments, before.environment if before else None, alerts)
    window = _window(phrase, alerts, before, now_s, assumptions)
    return Scope(
        service=service,
        neighbours=near,
        edges=around.edges,
        environment=environment,
        namespace=_choice("namespace", overrides, "", around.namespaces, before.namespace if before else None, alerts),
        window=window,
        baseline=baseline_for(window),
        zone=str(zone),
        assumptions=tuple(assumptions),
    )


def changes_scope(earlier: Scope, question: Question, around: Surroundings, *, now_s: float) -> bool:
    """Whether a follow-up says anything about where or when; other questions need a model."""
    overrides, words = read_overrides(question.text)
    if overrides or _phrase({}, words, now_s, zone_of(question.asker_zone)) is not None:
        return True
    named = _named_service(words, around)
    environment = _said(words, around.environments)
    return (named is not None and named[0] != earlier.service) or environment not in (None, earlier.environment)


def baseline_for(window: Window) -> Window:
    """The time right before the window that stands for normal."""
    length = min(max(window.duration_s, BASELINE_MIN_S), BASELINE_MAX_S)
    return Window(start_s=window.start_s - length, end_s=window.start_s)


def neighbours(service: str | None, around: Surroundings) -> tuple[str, ...]:
    """What the service depends on, nearest first, then who calls it; every service when none is asked about."""
    if service is None:
        return around.services[:NEIGHBOURS_MAX]
    found: dict[str, None] = {}
    layer = [service]
    while layer:
        layer = sorted({e.callee for e in around.edges if e.caller in layer} - found.keys() - {service})
        found.update(dict.fromkeys(layer))
    layer = [service]
    while layer:
        layer = sorted({e.caller for e in around.edges if e.callee in layer} - found.keys() - {service})
        found.update(dict.fromkeys(layer))
    told = {end for edge in around.edges for end in (edge.caller, edge.callee)}
    # Nobody told who calls these (a database without metrics of its own calls): they may be what the service rests on.
    found.update(dict.fromkeys(s for s in around.services if s != service and s not in told))
    return tuple(found)[:NEIGHBOURS_MAX]


def zone_of(name: str) -> ZoneInfo:
    """The time zone of an IANA name; UTC for a name that is none."""
    try:
        return ZoneInfo(name or "UTC")
    except (KeyError, ValueError, OSError):  # an unknown, malformed or directory-like name
        return ZoneInfo("UTC")


@dataclass(frozen=True, slots=True, kw_only=True)
class _SaidWindow:
    window: Window
    start: int
    end: int
    assumption: str


def _phrase(overrides: Mapping[str, str], words: str, now_s: float, zone: ZoneInfo) -> _SaidWindow | None:
    said = " ".join(f"{key}={overrides[key]}" for key in ("since", "until") if key in overrides)
    found = read_window(said or words, now_s=now_s, zone=zone)
    if found is None:
        return None
    at = (0, 0) if said else (found.start, found.end)
    window = Window(start_s=found.start_s, end_s=found.end_s)
    return _SaidWindow(window=window, start=at[0], end=at[1], assumption=found.assumption)


def _window(
    phrase: _SaidWindow | None, alerts: Sequence[Alert], before: Scope | None, now_s: float, assumptions: list[str]
) -> Window:
    if phrase is not None:
        if phrase.assumption:
            assumptions.append(phrase.assumption)
        return phrase.window
    started = min(
        (a.started_at_s for a in alerts if a.started_at_s is not None and a.started_at_s < now_s), default=None
    )
    if started is not None:
        assumptions.append(f"The window begins {round(ALERT_LEAD_S / 60)} min before the alert started.")
        return Window(start_s=max(started - ALERT_LEAD_S, now_s - BASELINE_MAX_S), end_s=now_s)
    if before is not None:
        return before.window
    assumptions.append("No time was given, so the last hour is meant.")
    return Window(start_s=now_s - DEFAULT_WINDOW_S, end_s=now_s)


def _alert_said(alerts: Sequence[Alert]) -> str:
    """The first alert somebody asked under, as it was read: name, start, labels and runbook."""
    alert = alerts[0]
    since = f" since {time_mark(alert.started_at_s)}" if alert.started_at_s is not None else ""
    labels = ", ".join(f"{key}={value}" for key, value in alert.labels.items() if key != "alertname")
    runbook = f"; runbook {alert.runbook_url}" if alert.runbook_url else ""
    more = f"; and {len(alerts) - 1} more" if len(alerts) > 1 else ""
    return f"Asked under the alert {alert.name}{since}{runbook}{f' ({labels})' if labels else ''}{more}."


def _service(
    overrides: Mapping[str, str],
    words: str,
    around: Surroundings,
    alerts: Sequence[Alert],
    told: Sequence[str],
    before: Scope | None,
    assumptions: list[str],
) -> str | None:
    asked = overrides.get("service")
    if asked is not None:
        known = _known(asked, around)
        if _plain(known) != _plain(asked):
            assumptions.append(f"“{asked}” is read as {known}.")
        return known
    named = _named_service(words, around)
    if named is not None:
        service, word = named
        if word.lower() != service.lower():
            assumptions.append(f"“{word}” is read as {service}.")
        return service
    for alert in alerts:
        for label in _SERVICE_LABELS_OF_ALERTS:
            if alert.labels.get(label) in around.services:
                return alert.labels[label]
    if before is not None:
        return before.service
    names = {_plain(s): s for s in around.services}
    for text in told:
        found = _exact(text, names)
        if found is not None:
            assumptions.append(f"{found[0]} is taken from the thread.")
            return found[0]
    if around.services:
        every = len(around.services) <= NEIGHBOURS_MAX  # else what is left aside is said, too
        assumptions.append(f"No service was named{', so every service is looked at' if every else ''}.")
    return None


def _left_aside(service: str | None, near: Sequence[str], around: Surroundings) -> list[str]:
    """Says that services are out of scope, where some are."""
    others = len(set(around.services) - {service, *near})
    if not others:
        return []
    if service is None:
        return [f"Only the first {len(near)} services are looked at, {others} are not."]
    return [f"Only {service}, what it calls and who calls it are looked at; {others} other services are not."]


def _known(asked: str, around: Surroundings) -> str:
    named = _named_service(asked, around)
    if named is not None:
        return named[0]
    if not around.services:  # no source could tell any: then the asker's word is the best there is
        return asked
    close = difflib.get_close_matches(asked, around.services, n=3, cutoff=_SIMILAR)
    some = ", ".join(around.services[:12]) + (" and more" if len(around.services) > 12 else "")
    hint = f"Did you mean {', '.join(close)}?" if close else f"Known: {some}."
    raise AskError("ASK-010", f"No service called “{asked}” is known.", hint)


def _named_service(words: str, around: Surroundings) -> tuple[str, str] | None:
    """The service named first in the words and the word that named it: exact names win over aliases over typos."""
    names = {_plain(s): s for s in around.services}
    aliases = {
        _plain(alias): service for alias, service in (around.aliases or {}).items() if service in around.services
    }
    exact = _exact(words, {**aliases, **names})
    if exact is not None:
        service, token = exact
        return service, token if _plain(token) in aliases else service
    for token in _WORD.findall(words):
        if len(token) >= 4:  # shorter words resemble too many names
            close = difflib.get_close_matches(_plain(token), list(names), n=1, cutoff=_CLOSE)
            if close:
                return names[close[0]], token
    return None


def _exact(words: str, names: Mapping[str, str]) -> tuple[str, str] | None:
    """The first name in the words, of the plain names given, as the service it stands for and the words that said it."""
    tokens = _WORD.findall(words)
    pairs = [f"{a} {b}" for a, b in itertools.pairwise(tokens)]
    said = (token for token in (*pairs, *tokens) if _plain(token) in names)  # "orders db" before "orders"
    token = next(said, None)
    return (names[_plain(token)], token) if token is not None else None


def _plain(name: str) -> str:
    return re.sub(r"[\s_.-]+", "-", name.lower())


def _choice(
    key: str,
    overrides: Mapping[str, str],
    words: str,
    known: Sequence[str],
    before: str | None,
    alerts: Sequence[Alert],
) -> str | None:
    asked = overrides.get(key)
    if asked is not None:
        if known and asked not in known:
            raise AskError("ASK-011", f"No {key} called “{asked}” is known.", f"Known: {', '.join(known[:12])}.")
        return asked
    said = _said(words, known)
    from_alert = next((a.labels[key] for a in alerts if a.labels.get(key) in known), None)
    return said or from_alert or before or (known[0] if len(known) == 1 else None)


def _said(words: str, known: Sequence[str]) -> str | None:
    tokens = {token.lower() for token in _WORD.findall(words)}
    return next((name for name in known if name.lower() in tokens), None)
