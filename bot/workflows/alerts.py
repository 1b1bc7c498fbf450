"""Alerts that fire for the services in scope, and those in the message somebody asked under."""

import asyncio
from collections.abc import Sequence

from bot.domain.alert import Alert
from bot.domain.evidence import AlertsBody
from bot.domain.scope import Scope
from bot.ports import AlertSource
from bot.workflows.looking import Lookout
from bot.workflows.minting import Draft


async def look_at_alerts(sources: Sequence[AlertSource], scope: Scope, lookout: Lookout) -> tuple[Draft, ...]:
    """One draft for each source that has an alert firing in scope."""
    chosen = [s for s in sources if scope.environment is None or s.environment in (None, scope.environment)]
    answers = await asyncio.gather(*(lookout.look(s.name, "firing alerts", s.firing) for s in chosen))
    drafts = (
        alerts_draft(s.name, "alerts that fire", concerning(answer, scope), scope)
        for s, answer in zip(chosen, answers, strict=True)
        if answer
    )
    return tuple(draft for draft in drafts if draft is not None)


def alerts_draft(source: str, query: str, alerts: Sequence[Alert], scope: Scope) -> Draft | None:
    """These alerts as one piece of evidence; None where there are none."""
    if not alerts:
        return None
    names = sorted({alert.name for alert in alerts})
    return Draft(
        title=f"alert{'s' if len(names) > 1 else ''} {', '.join(names[:4])}",
        source=source,
        query=query,
        window=scope.window,
        body=AlertsBody(alerts=tuple(alerts)),
    )


def concerning(alerts: Sequence[Alert], scope: Scope) -> tuple[Alert, ...]:
    """The alerts with a label that names a service in scope, or that name no service at all."""
    services = set(scope.services)
    known = services | {end for e in scope.edges for end in (e.caller, e.callee)}
    return tuple(a for a in alerts if services & set(a.labels.values()) or not known & set(a.labels.values()))
