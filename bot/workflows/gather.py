"""Collects the evidence of one investigation: all sources at once, each failure a stated gap."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from bot.domain.alert import Alert
from bot.domain.evidence import Evidence, GraphBody, MessagesBody, PatternsBody
from bot.domain.question import ThreadMessage
from bot.domain.report import Coverage, Gap
from bot.domain.scope import Scope
from bot.evidence.rank import Ranking, rank
from bot.evidence.seasonal import usual_series
from bot.ports import Sources
from bot.workflows.alerts import alerts_draft, look_at_alerts
from bot.workflows.changes import look_at_changes
from bot.workflows.discover import Survey
from bot.workflows.logs import look_at_logs
from bot.workflows.looking import Lookout
from bot.workflows.metrics import Habits, Looked, look_at_metrics, look_earlier, strongest
from bot.workflows.minting import Draft, Mint


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathered:
    """Everything collected."""

    evidence: tuple[Evidence, ...]
    coverage: Coverage
    gaps: tuple[Gap, ...]
    habits: Habits


async def gather(
    sources: Sources,
    survey: Survey,
    scope: Scope,
    *,
    messages: tuple[ThreadMessage, ...],
    mint: Mint,
    lookout: Lookout,
    metrics_lookout: Lookout,
    first_findings: Callable[[Ranking], Awaitable[None]],
) -> Gathered:
    """All evidence for the scope.

    `metrics_lookout` has the shorter deadline of the looks at metrics. `first_findings` is told what metrics, changes and
    alerts show while logs are still being read.
    """
    suspects: asyncio.Future[Sequence[str]] = asyncio.get_running_loop().create_future()
    async with asyncio.TaskGroup() as tasks:
        reading = tasks.create_task(look_at_logs(survey.logs, scope, lookout, suspects))
        looked, changes, alerts = await asyncio.gather(
            look_at_metrics(survey.metrics, scope, survey.around, metrics_lookout),
            look_at_changes(sources.changes, scope, lookout),
            look_at_alerts(sources.alerts, scope, lookout),
        )
        evidence, by_evidence = _minted(looked, mint)
        evidence += [mint(draft) for draft in (*_told(messages, scope), *_graph(scope), *alerts, *changes)]
        ranking = rank(scope, evidence)
        suspects.set_result(tuple(dict.fromkeys(finding.service for finding in ranking.findings)))
        await first_findings(ranking)
        chosen = strongest(ranking.findings, by_evidence)
        earlier = await look_earlier(chosen, metrics_lookout)
        evidence += [mint(draft) for one in earlier for draft in (look.draft() for look in one) if draft is not None]
        evidence += [mint(draft) for draft in await reading]
    ids = {id(one): evidence_id for evidence_id, one in by_evidence.items()}
    return Gathered(
        evidence=tuple(evidence),
        coverage=_coverage([*looked, *(look for one in earlier for look in one)], evidence),
        gaps=(*metrics_lookout.gaps(), *lookout.gaps()),
        habits={ids[id(now)]: _habits(now, then, scope) for now, then in zip(chosen, earlier, strict=True)},
    )


def _minted(looked: Sequence[Looked], mint: Mint) -> tuple[list[Evidence], dict[str, Looked]]:
    """Evidence of the looks that brought something, in order of the plan, and the look behind each."""
    evidence: list[Evidence] = []
    by_evidence: dict[str, Looked] = {}
    for one in looked:
        draft = one.draft()
        if draft is not None:
            evidence.append(mint(draft))
            by_evidence[evidence[-1].id] = one
    return evidence, by_evidence


def _habits(now: Looked, earlier: Sequence[Looked], scope: Scope) -> tuple[int, ...]:
    """The places of the series of a look that moved the same way in an earlier period."""
    if now.body is None:
        return ()
    return usual_series(now.body, [e.body for e in earlier if e.body is not None], scope)


def _told(messages: tuple[ThreadMessage, ...], scope: Scope) -> tuple[Draft, ...]:
    """What people and alert apps wrote in the thread."""
    if not messages:
        return ()
    alerts: list[Alert] = [alert for message in messages for alert in message.alerts]
    said = Draft(
        title=f"{len(messages)} messages of this thread",
        source="Slack",
        query="this thread",
        window=scope.window,
        body=MessagesBody(messages=messages),
    )
    alert = alerts_draft("Slack", "the alert message of this thread", alerts, scope)
    return (said, alert) if alert else (said,)


def _graph(scope: Scope) -> tuple[Draft, ...]:
    if not scope.edges:
        return ()
    inside = set(scope.services)
    edges = tuple(e for e in scope.edges if e.caller in inside and e.callee in inside)
    return (
        Draft(
            title=f"who calls whom: {len(edges)} calls between {len(inside)} services",
            source="metrics",
            query="labels of the metrics that name both ends of a call",
            window=scope.whole,
            body=GraphBody(edges=edges),
        ),
    )


def _coverage(looked: Sequence[Looked], evidence: Sequence[Evidence]) -> Coverage:
    bodies = [one.body for one in evidence if isinstance(one.body, PatternsBody)]
    patterns = [pattern for body in bodies for pattern in body.patterns]
    totals = [body.lines_total for body in bodies]
    told = [one.body for one in evidence if isinstance(one.body, MessagesBody)]
    return Coverage(
        looks_planned=len(looked),
        looks_answered=sum(1 for one in looked if one.answer is not None),
        patterns=len(patterns),
        lines_read=sum(body.lines_read for body in bodies),
        lines_total=sum(total for total in totals if total is not None) if bodies and None not in totals else None,
        messages=sum(len(body.messages) for body in told),
    )
