"""One piece of evidence as a modal: the query, where and when it was asked, and what came back."""

import math
import statistics
from collections.abc import Iterator, Sequence
from typing import assert_never

from bot.domain.alert import Alert
from bot.domain.change import Change
from bot.domain.evidence import (
    AlertsBody,
    Body,
    ChangesBody,
    Evidence,
    GraphBody,
    MessagesBody,
    Pattern,
    PatternsBody,
    SeriesBody,
    ServiceSeries,
)
from bot.domain.question import ThreadMessage
from bot.domain.scope import Window
from bot.evidence.wording import quantity
from handlers.slack.actions import OPEN_LINK
from handlers.slack.text import (
    Block,
    allowed_url,
    clip,
    context,
    escape,
    label,
    moment,
    plain_text,
    prose,
    section,
    verbatim,
)

ROWS = 15
PATTERNS = 8
EXAMPLES = 3
TITLE_CHARS = 24  # Slack's limit for the title of a modal


def evidence_view(evidence: Evidence, incident_start_s: float | None, hosts: frozenset[str]) -> Block:
    """The modal. `incident_start_s` splits a series into before and after, where the incident's start is known."""
    head = [section(f"*{prose(clip(evidence.title, 300))}*"), context(_origin(evidence))]
    if evidence.query:
        head.append(verbatim(evidence.query, 2900))
    warnings = [context(f"The source warned: {escape(clip(w, 500))}") for w in evidence.warnings[:3]]
    body = list(_body(evidence.body, incident_start_s))
    return _modal(f"Evidence {evidence.id}", [*head, *_open(evidence, hosts), *warnings, *body])


def missing_view(evidence_id: str) -> Block:
    """What is shown when the evidence is not there any more."""
    return _modal(
        f"Evidence {evidence_id}", [section("This evidence is no longer kept. Ask again to get new evidence.")]
    )


def _modal(title: str, blocks: Sequence[Block]) -> Block:
    return {
        "type": "modal",
        "title": plain_text(title, TITLE_CHARS),
        "close": plain_text("Close", TITLE_CHARS),
        "blocks": list(blocks),
    }


def _origin(evidence: Evidence) -> str:
    window = evidence.window
    return f"{escape(clip(evidence.source, 100))} · {moment(window.start_s, dated=True)} to {moment(window.end_s, dated=True)}"


def _open(evidence: Evidence, hosts: frozenset[str]) -> list[Block]:
    url = allowed_url(evidence.link, hosts)
    if url is None:
        return []
    button = {"type": "button", "action_id": OPEN_LINK, "text": plain_text("Open the query", 75), "url": url}
    return [{"type": "actions", "elements": [button]}]


def _body(body: Body, incident_start_s: float | None) -> Iterator[Block]:
    match body:
        case SeriesBody():
            yield verbatim(_table(_series_rows(body, incident_start_s)), 6000)
            yield from _more(len(body.series), ROWS, "series")
        case PatternsBody():
            yield context(_read(body))
            for pattern in body.patterns[:PATTERNS]:
                yield from _pattern(pattern)
            yield from _more(len(body.patterns), PATTERNS, "patterns")
        case ChangesBody():
            yield from _listed([_change(c) for c in body.changes], "changes")
        case AlertsBody():
            yield from _listed([_alert(a) for a in body.alerts], "alerts")
        case GraphBody():
            yield from _listed(
                [f"{escape(clip(e.caller, 80))} → {escape(clip(e.callee, 80))}" for e in body.edges], "calls"
            )
        case MessagesBody():
            yield from _listed([_message(m) for m in body.messages], "messages")
        case _:
            assert_never(body)


def _series_rows(body: SeriesBody, incident_start_s: float | None) -> list[list[str]]:
    sides = ["before", "after"] if incident_start_s is not None else ["typical"]
    rows = [[f"{label(body.measure, 30)} of", "first", *sides, "max", "last"]]
    for entry in body.series[:ROWS]:
        rows.append([label(_whose(entry), 40), *_figures(entry, body.unit, incident_start_s)])
    return rows


def _whose(entry: ServiceSeries) -> str:
    return f"{entry.service} → {entry.peer}" if entry.peer else entry.service


def _figures(entry: ServiceSeries, unit: str, incident_start_s: float | None) -> list[str]:
    known = [v for v in entry.series.values if math.isfinite(v)]
    if not known:
        return ["no samples"]
    typical = [_typical(side, unit) for side in _sides(entry, incident_start_s)]
    return [quantity(known[0], unit), *typical, quantity(max(known), unit), quantity(known[-1], unit)]


def _sides(entry: ServiceSeries, incident_start_s: float | None) -> list[tuple[float, ...]]:
    series = entry.series
    end_s = series.at(len(series.values))
    if incident_start_s is None:
        return [series.values]
    before = Window(start_s=min(series.start_s, incident_start_s) - 1, end_s=incident_start_s)
    after = Window(start_s=incident_start_s, end_s=max(end_s, incident_start_s) + 1)
    return [series.within(before), series.within(after)]


def _typical(values: Sequence[float], unit: str) -> str:
    known = [v for v in values if math.isfinite(v)]
    return quantity(statistics.median(known), unit) if known else "–"


def _table(rows: Sequence[Sequence[str]]) -> str:
    """Columns as wide as their widest cell; a short row keeps its first cells."""
    columns = max(len(row) for row in rows)
    widths = [max(len(row[i]) for row in rows if i < len(row)) for i in range(columns)]
    return "\n".join("  ".join(cell.ljust(widths[i]) for i, cell in enumerate(row)).rstrip() for row in rows)


def _read(body: PatternsBody) -> str:
    of = f" of {body.lines_total:,}" if body.lines_total is not None else ""
    return f"{len(body.patterns):,} patterns from {body.lines_read:,}{of} lines"


def _pattern(pattern: Pattern) -> Iterator[Block]:
    counts = f"{pattern.before:,} → {pattern.after:,} lines"
    seen = f"first {moment(pattern.first_seen_s)}, last {moment(pattern.last_seen_s)}"
    yield context(f"*{escape(clip(pattern.service, 80))}* · {escape(clip(pattern.level, 20))} · {counts} · {seen}")
    lines = [clip(pattern.text, 500), *(f"  e.g. {clip(e, 400)}" for e in pattern.examples[:EXAMPLES])]
    yield verbatim("\n".join(lines), 2000)


def _change(change: Change) -> str:
    of = f" of {escape(clip(change.service, 80))}" if change.service else ""
    by = f" by {escape(clip(change.author, 80))}" if change.author else ""
    files = f" ({escape(clip(', '.join(change.files), 200))})" if change.files else ""
    what = f"{change.kind.value} {escape(clip(change.ref, 80))}{of}{by}: {escape(clip(change.summary, 300))}{files}"
    return f"{moment(change.at_s, dated=True)} {what}"


def _alert(alert: Alert) -> str:
    labels = ", ".join(f"{k}={v}" for k, v in alert.labels.items())
    since = f" since {moment(alert.started_at_s, dated=True)}" if alert.started_at_s is not None else ""
    state = "firing" if alert.firing else "resolved"
    return f"*{escape(clip(alert.name, 120))}* {state}{since} {escape(clip(labels, 400))}"


def _message(message: ThreadMessage) -> str:
    return f"{moment(message.at_s, dated=True)} {escape(clip(message.author, 60))}: {escape(clip(message.text, 400))}"


def _listed(lines: Sequence[str], what: str) -> Iterator[Block]:
    yield from (section(f"• {line}") for line in lines[:ROWS])
    yield from _more(len(lines), ROWS, what)


def _more(there: int, shown: int, what: str) -> Iterator[Block]:
    if there == 0:
        yield context(f"No {what}.")
    elif there > shown:
        yield context(f"{there - shown:,} more {what} are not shown here.")
