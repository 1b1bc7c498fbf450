"""The looks at metrics: plan them from what exists, take them, and compare the strongest with a day and a week before."""

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from bot.domain.evidence import Evidence, SeriesBody
from bot.domain.report import Finding, Gap
from bot.domain.scope import Scope
from bot.ports import MetricSource, SeriesAnswer
from bot.reasoning.looks import Look
from bot.reasoning.planning import plan_looks
from bot.reasoning.reading import read_answer
from bot.reasoning.scoping import Surroundings
from bot.workflows.discover import MetricSurvey, families
from bot.workflows.looking import Lookout
from bot.workflows.minting import Draft

LOOKS_MAX = 40
# The strongest signals are compared with the same hours a day and a week earlier, within the forty.
COMPARED = 5
_EARLIER = ((86400, "a day earlier"), (7 * 86400, "a week earlier"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """A look that was taken and what it brought: None when its source failed, no body when nothing answers to it."""

    source: MetricSource
    look: Look
    answer: SeriesAnswer | None
    body: SeriesBody | None

    def draft(self) -> Draft | None:
        if self.answer is None or self.body is None:
            return None
        return Draft(
            title=_title(self.body),
            source=self.source.name,
            query=self.answer.query,
            window=self.look.query.window,
            body=self.body,
            link=self.answer.link,
            warnings=self.answer.warnings,
        )


async def look_at_metrics(
    surveys: Sequence[MetricSurvey], scope: Scope, around: Surroundings, lookout: Lookout
) -> tuple[Looked, ...]:
    """All planned looks over baseline and incident, in order of the plan."""
    chosen = [s for s in surveys if scope.environment is None or s.source.environment in (None, scope.environment)]
    if not chosen:
        return ()
    limit = (LOOKS_MAX - COMPARED * len(_EARLIER)) // len(chosen)
    per_source = await asyncio.gather(*(_look_at(survey, scope, around, lookout, limit) for survey in chosen))
    return tuple(looked for source in per_source for looked in source)


async def _look_at(
    survey: MetricSurvey, scope: Scope, around: Surroundings, lookout: Lookout, limit: int
) -> list[Looked]:
    found = await families(survey, scope, around, lookout)
    plan = plan_looks(found, scope, resolution_s=survey.source.resolution_s, limit=limit)
    if plan.left_out:
        lookout.extra_gaps.append(
            Gap(
                what=f"{survey.source.name}: {len(plan.left_out)} less telling metrics ({', '.join(plan.left_out[:3])} …)",
                why=f"an investigation takes at most {LOOKS_MAX} looks",
                remedy="Ask about one service.",
            )
        )
    return list(await asyncio.gather(*(_take(survey.source, look, lookout) for look in plan.looks)))


async def _take(source: MetricSource, look: Look, lookout: Lookout) -> Looked:
    answer = await lookout.look(source.name, look.measure, partial(source.range, look.query))
    body = read_answer(look, answer.series) if answer is not None else None
    return Looked(source=source, look=look, answer=answer, body=body)


async def look_earlier(strongest: Sequence[Looked], lookout: Lookout) -> tuple[tuple[Looked, ...], ...]:
    """For each look the same hours a day and a week earlier."""
    asked = [[_take(one.source, _earlier(one.look, *when), lookout) for when in _EARLIER] for one in strongest]
    return tuple(await asyncio.gather(*(_together(pair) for pair in asked)))


async def _together(looks: Sequence[Awaitable[Looked]]) -> tuple[Looked, ...]:
    return tuple(await asyncio.gather(*looks))


def _earlier(look: Look, offset_s: int, when: str) -> Look:
    return replace(look, measure=f"{look.measure}, {when}", query=replace(look.query, offset_s=offset_s))


def strongest(findings: Sequence[Finding], by_evidence: dict[str, Looked]) -> tuple[Looked, ...]:
    """The looks behind the first findings, each once, at most five."""
    cited = dict.fromkeys(e for finding in findings for e in finding.statement.evidence if e in by_evidence)
    return tuple(by_evidence[e] for e in cited)[:COMPARED]


Habits = Mapping[str, Sequence[int]]
"""By evidence id the places of the series that moved the same way a day or a week earlier."""


def news(evidence: Sequence[Evidence], habits: Habits) -> tuple[Evidence, ...]:
    """What ranking should see: neither the comparisons themselves nor the series that they show to be a habit."""

    def trimmed(one: Evidence) -> Evidence:
        usual = habits.get(one.id)
        if not usual or not isinstance(one.body, SeriesBody):
            return one
        kept = tuple(entry for place, entry in enumerate(one.body.series) if place not in usual)
        return replace(one, body=replace(one.body, series=kept))

    return tuple(trimmed(one) for one in evidence if not (isinstance(one.body, SeriesBody) and one.body.earlier_s))


def _title(body: SeriesBody) -> str:
    services = sorted({entry.service for entry in body.series})
    return f"{body.measure}: {', '.join(services[:3])}{f' and {len(services) - 3} more' if len(services) > 3 else ''}"
