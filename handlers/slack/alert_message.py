"""Alerts out of the messages Alertmanager and Grafana post.

Every company writes its own template, so this looks for what they share: a status in brackets before the name, and lines of
`name = value` or `name: value`. What is not recognised is left out; nothing here can fail on a message.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from bot.domain.alert import Alert
from handlers.slack.words import chunks, words

ALERTS = 20  # of one message; a group notification with more is a storm, and its first ones say enough

_STATUS = re.compile(r"\[\s*(FIRING|RESOLVED|ALERTING|OK|NO DATA)\s*(?::\s*\d+)?\s*\]\s*(.*)", re.IGNORECASE)
_RESOLVED = frozenset({"RESOLVED", "OK"})
# "- service = checkout", "• *service:* `checkout`", "*Description:* text", "service: checkout"
_PAIR = re.compile(r"^[\s\-•*_>`]*([A-Za-z_][A-Za-z0-9_ ]{0,60}?)[*_`]*\s*[:=][*_`]*\s*(.+?)\s*$")
_IN_BRACES = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)\s*=~?\s*\"([^\"]*)\"")
_CAMEL = re.compile(r"^(?:[A-Z]+[a-z0-9]+){2,}[A-Z]*$|^\w+_\w+$")
_RUNBOOK = re.compile(r"runbook[^<>\n]{0,12}<(https?://[^|>]+)|<(https?://[^|>]+)\|[^>]*runbook[^>]*>", re.IGNORECASE)
_STATE_LINE = re.compile(r"^[\s*_]*(firing|resolved)[\s*_:]*$", re.IGNORECASE)
_ANNOTATIONS = frozenset({"summary", "description", "message", "runbook_url", "runbook", "dashboard", "dashboard_url"})
_STARTS = frozenset(
    {"startsat", "starts_at", "started", "started_at", "start", "since", "firing_since", "triggered_at"}
)
# Lines of the usual templates that are about the message, not about the alert.
_NOISE = frozenset(
    {"source", "silence", "value", "labels", "annotations", "panel", "details", "graph", "image", "http", "https"}
)


@dataclass(slots=True, kw_only=True)
class _Draft:
    """An alert while its lines are read."""

    name: str = ""
    title: str = ""
    firing: bool = True
    labels: dict[str, str] = field(default_factory=dict)
    annotations: dict[str, str] = field(default_factory=dict)
    started_at_s: float | None = None


def alerts_in(message: Mapping[str, Any]) -> tuple[Alert, ...]:
    """The alerts a Slack message tells of, none for an ordinary one.

    A firing alert without a start of its own starts when it was posted, which is at most the group wait too late.
    """
    posted_at_s = _number(message.get("ts"))
    from_app = bool(message.get("bot_id"))
    drafts = [draft for chunk in chunks(message) for draft in _drafts(chunk)]
    found = [_alert(draft, posted_at_s) for draft in drafts if draft.title or (draft.name and from_app)]
    return tuple(alert for alert in found if not _told_better(alert, found))[:ALERTS]


def _told_better(alert: Alert, others: Sequence[Alert]) -> bool:
    """Whether the title alone was told here (in the text above an attachment, say) and the labels elsewhere."""
    return not alert.labels and any(other.labels for other in others)


def _drafts(chunk: Sequence[str]) -> Iterator[_Draft]:
    """The alerts of one chunk: a repeated alert name or a new list of labels begins the next one."""
    draft = _Draft()
    runbook = _runbook_link(chunk)
    drafts = [draft]
    for line in words("\n".join(chunk)).splitlines():
        status = _STATUS.search(line)
        if status:
            _open(draft, status)
            continue
        state = _STATE_LINE.match(line)
        name, value = _pair(line)
        if (name == "alertname" and name in draft.labels) or (state and draft.labels):
            draft = _Draft(title=draft.title, firing=draft.firing, annotations=_shared(draft))
            drafts.append(draft)
        if state:
            draft.firing = state.group(1).lower() == "firing"
        elif name:
            _note(draft, name, value)
        draft.labels.update(_IN_BRACES.findall(line))
    for one in drafts:
        if runbook and "runbook_url" not in one.annotations:
            one.annotations["runbook_url"] = runbook
    yield from drafts


def _shared(draft: _Draft) -> dict[str, str]:
    return {"summary": draft.title} if draft.title else {}


def _open(draft: _Draft, status: re.Match[str]) -> None:
    draft.firing = status.group(1).upper() not in _RESOLVED
    draft.title = status.group(2).strip(" *_`|")[:300]
    draft.annotations.setdefault("summary", draft.title)


def _pair(line: str) -> tuple[str, str]:
    """A line's name, in label spelling, and its value; ("", "") for any other line."""
    found = _PAIR.match(line)
    if not found:
        return "", ""
    name = found.group(1).strip().replace(" ", "_")
    value = found.group(2).strip(" `*_")
    return (name, value) if value and not value.startswith("//") else ("", "")


def _note(draft: _Draft, name: str, value: str) -> None:
    lower = name.lower()
    if lower == "alertname":
        draft.name = draft.labels["alertname"] = value[:200]
    elif lower == "alert":
        draft.annotations["summary"] = value[:300]
    elif lower in _STARTS:
        draft.started_at_s = _time(value)
    elif lower in _ANNOTATIONS:
        draft.annotations[lower] = value[:1000]
    elif lower not in _NOISE and len(value) <= 200 and name.count("_") < 4:
        draft.labels[name if name == lower else lower] = value


def _runbook_link(chunk: Sequence[str]) -> str | None:
    """The link that is called a runbook, or stands right behind the word."""
    found = _RUNBOOK.search("\n".join(chunk))
    return words(f"<{found.group(1) or found.group(2)}>") if found else None


def _alert(draft: _Draft, posted_at_s: float | None) -> Alert:
    started = draft.started_at_s if draft.started_at_s is not None or not draft.firing else posted_at_s
    return Alert(
        name=draft.name or _name_of(draft.title),
        labels=draft.labels,
        annotations=draft.annotations,
        started_at_s=started,
        firing=draft.firing,
    )


def _name_of(title: str) -> str:
    """Alertmanager's title goes on with the values of other labels: "HighLatency checkout (prod critical)"."""
    before = title.split(" (")[0].split("|")[0].strip() or title
    first = before.split()[0] if before.split() else before
    return first if _CAMEL.match(first) else before


def _time(value: str) -> float | None:
    """An ISO time, or Go's "2026-11-20 14:00:00.123456789 +0000 UTC"; UTC unless it says otherwise."""
    text = re.sub(r"\s*UTC$", "", value.strip())
    text = re.sub(r"\.(\d{6})\d+", r".\1", text)
    text = re.sub(r"\s+([+-]\d{2}):?(\d{2})$", r"\1:\2", text)
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, str) and re.fullmatch(r"\d{1,11}(\.\d{1,9})?", value) else None
