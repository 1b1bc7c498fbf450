"""Puts the report together without a model: every sentence is computed from evidence and points at it."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace

from bot.domain.alert import Alert
from bot.domain.change import Change
from bot.domain.evidence import AlertsBody, ChangesBody, Evidence, PatternsBody, SeriesBody, ServiceSeries, Signal
from bot.domain.question import Question
from bot.domain.report import (
    Chart,
    ChartSeries,
    Coverage,
    Finding,
    Gap,
    Moment,
    Ownership,
    Report,
    Statement,
)
from bot.domain.scope import Scope
from bot.domain.usage import Usage
from bot.evidence.rank import Ranking
from bot.reasoning.suggestions import suggest

# More than this nobody reads at night; the rest stays one tap away in the evidence.
_FINDINGS_MAX = 8
_TIMELINE_MAX = 12
_CHARTS_MAX = 2


def assemble(
    *,
    investigation: str,
    question: Question,
    scope: Scope,
    ranking: Ranking,
    evidence: Sequence[Evidence],
    coverage: Coverage,
    gaps: tuple[Gap, ...],
    ownership: Ownership,
    usage: Usage,
) -> Report:
    """The whole answer to a question."""
    findings = ranking.findings[:_FINDINGS_MAX]
    return Report(
        investigation=investigation,
        question=question.text,
        scope=scope,
        cause=ranking.cause,
        confidence=ranking.confidence,
        confidence_reason=ranking.confidence_reason,
        findings=findings,
        timeline=timeline(scope, ranking, findings, evidence),
        against=ranking.against,
        would_settle=ranking.would_settle,
        coverage=replace(coverage, patterns_shown=_patterns_told(findings, evidence)),
        gaps=gaps,
        charts=charts(scope, ranking, evidence),
        suggestions=suggest(investigation, ranking.cause, findings),
        ownership=ownership,
        usage=usage,
    )


def _patterns_told(findings: Iterable[Finding], evidence: Iterable[Evidence]) -> int:
    """How many findings are log patterns: what of the logs a reader sees without opening anything."""
    mined = {one.id for one in evidence if isinstance(one.body, PatternsBody)}
    return sum(1 for f in findings if f.signal is Signal.LOGS and not mined.isdisjoint(f.statement.evidence))


def timeline(
    scope: Scope, ranking: Ranking, findings: Iterable[Finding], evidence: Iterable[Evidence]
) -> tuple[Moment, ...]:
    """What happened when, oldest first: changes, alerts and the moments at which findings left their normal range.

    Where there is too much of it, what the cause rests on stays, and then what lies nearest to the onset.
    """
    # A guilty change is among the changes already, in its own words.
    moved = [f for f in findings if f.signal is not Signal.CHANGE]
    moments = [Moment(at_s=f.onset_s, statement=f.statement) for f in moved if f.onset_s is not None]
    for one in evidence:
        if isinstance(one.body, ChangesBody):
            moments += [_changed(one.id, change) for change in one.body.changes]
        elif isinstance(one.body, AlertsBody):
            moments += _fired(one.id, one.body.alerts, scope)
    different = {(round(m.at_s), m.statement): m for m in moments if scope.whole.covers(m.at_s)}.values()
    middle_s = scope.window.start_s if ranking.onset_s is None else ranking.onset_s
    told = set(ranking.cause.statement.evidence) if ranking.cause else set()
    nearest = sorted(
        different, key=lambda m: (told.isdisjoint(m.statement.evidence), abs(m.at_s - middle_s), m.statement.text)
    )
    return tuple(sorted(nearest[:_TIMELINE_MAX], key=lambda m: (m.at_s, m.statement.text)))


def _fired(evidence_id: str, alerts: Iterable[Alert], scope: Scope) -> list[Moment]:
    """One moment for each alert name, at its first start, with all services it fires for."""
    by_name: dict[str, list[Alert]] = {}
    for alert in alerts:
        if alert.started_at_s is not None:
            by_name.setdefault(alert.name, []).append(alert)
    moments = []
    for name, fired in sorted(by_name.items()):
        services = sorted(set(scope.services) & {value for alert in fired for value in alert.labels.values()})
        of = f" for {', '.join(services)}" if services else ""
        started_s = min(alert.started_at_s for alert in fired if alert.started_at_s is not None)
        moments.append(
            Moment(at_s=started_s, statement=Statement(text=f"alert {name} fires{of}", evidence=(evidence_id,)))
        )
    return moments


def _changed(evidence_id: str, change: Change) -> Moment:
    of = f" of {change.service}" if change.service else ""
    by = f" by {change.author}" if change.author else ""
    text = f"{change.kind.value} {change.short_ref}{of}{by}: {change.summary}"
    return Moment(at_s=change.at_s, statement=Statement(text=text, evidence=(evidence_id,)))


_HARDLY = 0.1  # of the larger side: a change below a tenth is a flat line to the eye
# What users feel of a service: of the one asked about this is drawn first.
_FELT = (Signal.LATENCY, Signal.ERRORS)


def charts(scope: Scope, ranking: Ranking, evidence: Sequence[Evidence]) -> tuple[Chart, ...]:
    """The cause's first finding that can be drawn, then the symptom of the service asked about: at most two, with the onset.

    What has no baseline and what hardly moves is not drawn.
    """
    by_id = {one.id: one for one in evidence}
    cause = ranking.cause.service if ranking.cause else None
    asked = sorted(
        (f for f in ranking.findings if f.service == scope.service), key=lambda finding: finding.signal not in _FELT
    )
    found: list[Chart] = []
    for group in ([f for f in ranking.findings if f.service == cause], asked, ranking.findings):
        drawn = (_chart(finding, by_id, scope) for finding in group if _moves(finding))
        # Two pictures of one fact tell no more than one.
        chart = next((c for c in drawn if c and c.title not in {other.title for other in found}), None)
        found += [chart] if chart else []
    return tuple(found[: _CHARTS_MAX if ranking.cause else 1])


def _moves(finding: Finding) -> bool:
    if finding.before is None or finding.after is None:
        return True
    return abs(finding.after - finding.before) > _HARDLY * max(abs(finding.before), abs(finding.after))


def _chart(finding: Finding, by_id: dict[str, Evidence], scope: Scope) -> Chart | None:
    for evidence_id in finding.statement.evidence:
        body = by_id[evidence_id].body if evidence_id in by_id else None
        if not isinstance(body, SeriesBody):
            continue
        mine = [e for e in body.series if finding.service in {e.service, e.peer} and _has_baseline(e, finding, scope)]
        if mine:
            entry = max(mine, key=_spread)
            series = entry.series
            return Chart(
                title=f"{finding.service}: {body.measure}",
                unit=body.unit,
                times_s=tuple(series.at(i) for i in range(len(series.values))),
                series=(ChartSeries(name=finding.service, values=series.values),),
                onset_s=finding.onset_s,
                evidence=evidence_id,
                before=finding.before if finding.unit == body.unit else None,
                after=finding.after if finding.unit == body.unit else None,
            )
    return None


def _has_baseline(entry: ServiceSeries, finding: Finding, scope: Scope) -> bool:
    """Whether it has samples before the onset, or before the window where no onset is known."""
    normal_s = scope.window.start_s if finding.onset_s is None else finding.onset_s
    return any(entry.series.at(i) < normal_s and not math.isnan(v) for i, v in enumerate(entry.series.values))


def _spread(entry: ServiceSeries) -> float:
    known = [v for v in entry.series.values if not math.isnan(v)]
    return max(known) - min(known) if known else 0.0
