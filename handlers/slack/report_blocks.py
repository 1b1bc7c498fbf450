"""A report as the first message of its thread: what, since when, how sure, what next; one tap more shows why."""

from collections.abc import Iterator, Mapping, Sequence

from bot.domain.report import Coverage, Finding, Gap, Moment, Ownership, Report, Statement, time_mark
from bot.domain.usage import Usage
from bot.evidence.wording import quantity
from handlers.slack.actions import OPTION_CHARS, SHOW_EVIDENCE, VOTE, EvidenceRef, evidence_value, vote_value
from handlers.slack.chart import chart_blocks, chart_words
from handlers.slack.message import CHARS, Message, Part, fitted, text_length, within
from handlers.slack.text import (
    Block,
    clip,
    context,
    escape,
    moment,
    plain,
    plain_text,
    prose,
    safe_link,
    sections,
    sentence,
)

Links = Mapping[str, str]

# What is read on a phone; everything behind it stays one tap away in the evidence.
FINDINGS = 8
MOMENTS = 12
STATEMENTS = 5
GAPS = 6
CHARTS = 2  # Slack refuses a third chart in one message
BUTTONS = 4


def report_message(report: Report, links: Links, hosts: frozenset[str] = frozenset()) -> Message:
    """The report. `links` (already safe for Slack) opens evidence by id in the operator's own tool; links that would not
    fit are left away. A runbook is a link only on one of the `hosts`.
    """
    linked = _parts(report, links, hosts)
    whole = tuple(block for part in linked for block in part.blocks)
    # Links to queries are long: the text matters more, and the buttons open every query anyway.
    parts = linked if text_length(whole) <= CHARS else _parts(report, {}, hosts)
    return Message(text=_spoken(report), blocks=fitted(parts))


def report_text(report: Report) -> str:
    """The whole report without blocks: what is posted when Slack refuses them. Slack text, at most 12,000 characters."""
    lines = [_headline_line(report)]
    if report.cause is not None:
        lines.append(sentence(report.cause.statement))
    lines += [*_findings(report, {}), *(chart_words(chart) for chart in report.charts[:CHARTS])]
    lines += [*_timeline(report.timeline, {}), *_statements("Speaks against it", report.against, {})]
    lines += [*_statements("Would settle it", report.would_settle, {}), _coverage(report.coverage), *_gaps(report.gaps)]
    lines += [line for line in (_ownership(report.ownership, frozenset()), cost(report.usage)) if line]
    return "\n".join(within(lines))


def headline(report: Report) -> str:
    """The faulty service and the kind of fault, or that there is none; not escaped."""
    if report.cause is None:
        return f"No clear cause for “{clip(' '.join(report.question.split()), 120)}”"
    return f"{clip(report.cause.service, 120)}: {report.cause.fault.value}"


def confidence_words(report: Report) -> str:
    """How sure and by which rule; not escaped. Without a cause the headline has said it, the reason remains."""
    if report.cause is None:
        return f"{report.coverage.looks_answered} looks, {clip(report.confidence_reason, 300)}"
    return f"{report.confidence.value} ({clip(report.confidence_reason, 300)})"


def cost(usage: Usage) -> str:
    """What the answer cost: "no model used, 4.1 s"."""
    took = quantity(usage.duration_s, "s")
    if usage.model is None:
        return f"no model used, {took}"
    tokens = f"{usage.tokens_in:,} tokens in, {usage.tokens_out:,} out"
    return f"{escape(clip(usage.model, 80))} · ${usage.cost_micro_usd / 1e6:.2f} · {tokens} · {took}"


def cited(report: Report) -> tuple[str, ...]:
    """The evidence the report names, most relevant first."""
    statements: list[Statement] = [report.cause.statement] if report.cause else []
    statements += [finding.statement for finding in report.findings]
    statements += [*report.against, *report.would_settle, *(m.statement for m in report.timeline)]
    return tuple(dict.fromkeys(e for s in statements for e in s.evidence))


def _parts(report: Report, links: Links, hosts: frozenset[str]) -> list[Part]:
    """Ranks: the answer itself never goes, then what a reader can do, then why, then how it was done."""
    top = [_headline_line(report)]
    if report.cause is not None:
        top.append(sentence(report.cause.statement, links))
    charts = [block for chart in report.charts[:CHARTS] for block in chart_blocks(chart, report.scope.zone)]
    owner = _ownership(report.ownership, hosts)
    shown = [
        _part("the answer", 0, sections(top)),
        _part("the charts", 6, charts),
        _part("the findings", 2, sections(_findings(report, links))),
        _part("the timeline", 8, sections(_timeline(report.timeline, links))),
        _part("what speaks against it", 3, sections(_statements("Speaks against it", report.against, links))),
        _part("what would settle it", 5, sections(_statements("Would settle it", report.would_settle, links))),
        _part("the coverage", 4, sections([_coverage(report.coverage)])),
        _part("the gaps", 4, sections(_gaps(report.gaps))),
        _part("owner and runbook", 3, sections([owner] if owner else [])),
        _part("the evidence buttons", 1, _evidence_buttons(report)),
        _part("the feedback buttons", 7, [_feedback(report.investigation)]),
        _part("the cost", 7, [context(f"_{cost(report.usage)}_")]),
    ]
    return [part for part in shown if part.blocks]


def _part(name: str, rank: int, blocks: Sequence[Block]) -> Part:
    return Part(name=name, rank=rank, blocks=tuple(blocks))


def _spoken(report: Report) -> str:
    """For notifications: the headline and its first sentence."""
    said = f". {report.cause.statement.text}" if report.cause else ""
    return plain(f"{headline(report)} · {confidence_words(report)}{clip(said, 300)}")


def _headline_line(report: Report) -> str:
    return f"*{escape(headline(report))}* · {escape(confidence_words(report))}"


def _findings(report: Report, links: Links) -> list[str]:
    if not report.findings:
        return []
    title = "*Ranked findings*" if report.cause else "*Closest*"
    return [title, *(f"{n}. {_finding(f, links)}" for n, f in enumerate(report.findings[:FINDINGS], start=1))]


def _finding(finding: Finding, links: Links) -> str:
    named = finding.service in finding.statement.text
    return ("" if named else f"{escape(clip(finding.service, 80))} · ") + sentence(finding.statement, links)


def _timeline(moments: Sequence[Moment], links: Links) -> list[str]:
    if not moments:
        return []
    shown = moments[-MOMENTS:]
    earlier = len(moments) - len(shown)
    title = "*Timeline*" + (f" (the last {len(shown)} of {len(moments)})" if earlier else "")
    return [title, *(f"{moment(m.at_s)}  {sentence(_without_own_time(m), links)}" for m in shown)]


def _without_own_time(entry: Moment) -> Statement:
    """The statement without the time that already stands in front of it."""
    text = entry.statement.text.replace(f" · {time_mark(entry.at_s)}", "")
    return Statement(text=text, evidence=entry.statement.evidence)


def _statements(title: str, statements: Sequence[Statement], links: Links) -> list[str]:
    if not statements:
        return []
    if len(statements) == 1:
        return [f"*{title}*: {sentence(statements[0], links)}"]
    return [f"*{title}*", *(f"• {sentence(s, links)}" for s in statements[:STATEMENTS])]


def _coverage(coverage: Coverage) -> str:
    of = f" of {coverage.lines_total:,}" if coverage.lines_total and coverage.lines_total > coverage.lines_read else ""
    logs = (
        f"logs {coverage.patterns:,} patterns from {coverage.lines_read:,}{of} lines, {coverage.patterns_shown:,} shown"
    )
    looks = f"metrics: {coverage.looks_answered} of {coverage.looks_planned} looks answered"
    many = "s" if coverage.messages > 1 else ""
    thread = f"; this thread: {coverage.messages} message{many}" if coverage.messages else ""
    return f"*Coverage*: {logs}; {looks}{thread}"


def _gaps(gaps: Sequence[Gap]) -> list[str]:
    if not gaps:
        return []
    more = [f"• and {len(gaps) - GAPS} more"] if len(gaps) > GAPS else []
    return ["*Gaps*", *(f"• {_gap(gap)}" for gap in gaps[:GAPS]), *more]


def _gap(gap: Gap) -> str:
    why = clip(gap.why, 400).rstrip(".")
    remedy = f". {prose(clip(gap.remedy, 300))}" if gap.remedy else ""
    return f"{prose(clip(gap.what, 200))}: {prose(why)}{remedy}"


def _ownership(ownership: Ownership, hosts: frozenset[str]) -> str:
    owner = [f"Owner: {escape(clip(ownership.owner, 200))}"] if ownership.owner else []
    url = safe_link(ownership.runbook, hosts)
    runbook = f"<{url}|open>" if url else escape(clip(ownership.runbook, 500))
    return " · ".join([*owner, *([f"Runbook: {runbook}"] if runbook else [])])


def _evidence_buttons(report: Report) -> list[Block]:
    ids = cited(report)
    if not ids:
        return []
    elements = [_evidence_button(e, report.investigation) for e in ids[:BUTTONS]]
    options = list(_options(ids[BUTTONS:], report.investigation))
    if options:
        menu = {
            "type": "static_select",
            "action_id": f"{SHOW_EVIDENCE}:more",
            "placeholder": plain_text("More evidence", 75),
            "options": options,
        }
        elements.append(menu)
    return [{"type": "actions", "elements": elements}]


def _evidence_button(evidence: str, investigation: str) -> Block:
    return {
        "type": "button",
        "action_id": f"{SHOW_EVIDENCE}:{evidence}",
        "text": plain_text(f"Show {evidence}", 75),
        "value": evidence_value(EvidenceRef(evidence=evidence, investigation=investigation)),
    }


def _options(ids: Sequence[str], investigation: str) -> Iterator[Block]:
    """Slack takes at most 100 options."""
    for evidence in ids[:100]:
        value = evidence_value(EvidenceRef(evidence=evidence, investigation=investigation))
        if len(value) <= OPTION_CHARS:
            yield {"text": plain_text(f"Show {evidence}", 75), "value": value}


def _feedback(investigation: str) -> Block:
    buttons = {
        "type": "feedback_buttons",
        "action_id": VOTE,
        "positive_button": _voice("Helpful", vote_value(investigation, helpful=True)),
        "negative_button": _voice("Not helpful", vote_value(investigation, helpful=False)),
    }
    return {"type": "context_actions", "elements": [buttons]}


def _voice(text: str, value: str) -> Block:
    return {"text": plain_text(text, 75), "value": value, "accessibility_label": text}
