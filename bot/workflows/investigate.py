"""The main story: from a question to a report in its thread.

It reads top to bottom: may they ask, what is meant, is somebody on it already, look, rank, tell. Each block is a step of
the journal: after a restart a finished one is not repeated.
"""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial

from bot.domain.alert import Alert
from bot.domain.codec import Json, from_json, to_json
from bot.domain.evidence import AlertsBody, Evidence
from bot.domain.question import Question, Thread, ThreadMessage
from bot.domain.report import Coverage, Gap, Ownership, Report
from bot.domain.scope import Scope, Window
from bot.domain.usage import Usage
from bot.errors import AskError, SlackError
from bot.evidence.rank import Ranking, rank
from bot.policy.access import AccessRules
from bot.ports import Investigation, Ports, Step
from bot.reasoning.report import assemble
from bot.reasoning.scoping import BASELINE_MAX_S, Surroundings, changes_scope, understand
from bot.workflows.discover import Survey, survey
from bot.workflows.entitle import admit
from bot.workflows.gather import gather
from bot.workflows.looking import Lookout
from bot.workflows.metrics import Habits, news
from bot.workflows.minting import Mint, clean, clean_json

# The whole answer is due after 90 s: what exists by then is posted. The rest of the time is for ranking and posting.
INVESTIGATION_S = 75.0
METRICS_S = 30.0
# An ask joins a running one when it means the same service and at least this share of its own window.
_SAME_WINDOW = 0.5
# Longer than this an investigation does not run; one that claims to has died and must not swallow new asks.
_RUNNING_MAX_S = 180.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Investigator:
    """What the story needs beside the ports: who may ask, other names of services, and the zone where Slack tells none.

    `opening` is held by the one ask that is being announced, so that the next one finds it running.
    """

    rules: AccessRules = field(default_factory=AccessRules)
    aliases: Mapping[str, str] = field(default_factory=dict)
    default_zone: str = "UTC"
    opening: asyncio.Lock = field(default_factory=asyncio.Lock)


async def investigate(ports: Ports, settings: Investigator, payload: Json, step: Step) -> None:
    """Tells the whole story of one question (a `Question` as JSON)."""
    question = from_json(Question, payload)
    began_s = float(await step("begin", partial(_now, ports)))
    zone = await step("admit", partial(admit, ports, settings.rules, settings.default_zone, question))
    if zone is None:
        return
    question = replace(question, asker_zone=zone)
    earlier = await step("earlier", partial(_earlier, ports, question))
    before = from_json(Investigation, earlier) if earlier is not None else None
    messages = from_json(tuple[ThreadMessage, ...], await step("read", partial(_read, ports, question)))
    known = _Known(ports, settings)
    understood = await step("scope", partial(_understand, ports, known, question, before, messages))
    if understood is None:
        return
    scope = from_json(Scope, understood)
    question = replace(question, text=clean(question.text))  # people paste what they should not
    opened = await step("open", partial(_open, ports, settings.opening, question, scope, before))
    if opened is None:
        return
    investigation = from_json(Investigation, opened)
    gathered = await step("gather", partial(_gather, ports, known, investigation, scope, messages, began_s))
    await step("conclude", partial(_conclude, ports, investigation, scope, _Looked(**gathered), began_s))
    await step("publish", partial(_publish, ports, investigation))


async def _now(ports: Ports) -> Json:
    return ports.clock.now_s()


async def _earlier(ports: Ports, question: Question) -> Json:
    """The investigation this one follows up: the newest one told in the same thread."""
    if question.thread is None:
        return None
    thread = Thread(channel_id=question.channel_id, ts=question.thread)
    found = await ports.store.investigation_in(question.team_id, thread)
    return to_json(found) if found is not None else None


async def _read(ports: Ports, question: Question) -> Json:
    if question.thread is None:
        return []
    return clean_json(to_json(await ports.notifier.read_thread(question.channel_id, question.thread)))


class _Known:
    """What the sources hold, asked once: again only when a restart lost it."""

    def __init__(self, ports: Ports, settings: Investigator) -> None:
        self._ports = ports
        self._settings = settings
        self._survey: Survey | None = None
        self.gaps: tuple[Gap, ...] = ()
        self.silent: frozenset[str] = frozenset()
        self.took_s = 0.0

    async def survey(self) -> Survey:
        if self._survey is None:
            began_s = self._ports.clock.elapsed_s()
            now_s = self._ports.clock.now_s()
            window = Window(start_s=now_s - BASELINE_MAX_S, end_s=now_s)
            lookout = Lookout(self._ports.clock, deadline_s=METRICS_S)
            self._survey = await survey(self._ports.sources, window, lookout, self._settings.aliases)
            self.gaps, self.silent = lookout.gaps(), lookout.silent
            self.took_s = self._ports.clock.elapsed_s() - began_s
        return self._survey


async def _understand(
    ports: Ports, known: _Known, question: Question, before: Investigation | None, messages: tuple[ThreadMessage, ...]
) -> Json:
    """The scope; None when the words could not be understood, and the asker was told why."""
    around = (await known.survey()).around
    now_s = ports.clock.now_s()
    alerts = [alert for message in messages for alert in message.alerts]
    try:
        if (
            before is not None
            and before.scope is not None
            and not changes_scope(before.scope, question, around, now_s=now_s)
        ):
            raise AskError(
                "ASK-020",
                "Answering this needs a language model, and none is configured.",
                "Without one a follow-up can change the service, the environment or the time, and the looks are taken again.",
            )
        told = [message.text for message in messages if not message.from_app]
        return to_json(_scope(question, around, alerts, told, before, now_s))
    except AskError as error:
        await _whisper(ports, question, f"{error.message} {error.remedy}")
        return None


def _scope(
    question: Question,
    around: Surroundings,
    alerts: Sequence[Alert],
    told: Sequence[str],
    before: Investigation | None,
    now_s: float,
) -> Scope:
    earlier = before.scope if before else None
    return understand(question, around, now_s=now_s, alerts=alerts, told=told, before=earlier)


async def _open(
    ports: Ports, opening: asyncio.Lock, question: Question, scope: Scope, before: Investigation | None
) -> Json:
    """The investigation, announced and stored; None when the ask joined one that runs already."""
    async with opening:
        running = await _running(ports, question)
        here = [other for other in running if before is not None and other.thread_key == before.thread_key]
        twin = next(
            (o.thread for o in running if before is None and o.scope is not None and _same(scope, o.scope)), None
        )
        if not here and twin is None:
            return to_json(await _announced(ports, question, scope, before))
    if twin is not None:
        await ports.notifier.point_to(question, twin)
    else:  # both would number their evidence from the same E on
        await _whisper(ports, question, "The investigation in this thread still runs. Ask again below its report.")
    return None


async def _announced(ports: Ports, question: Question, scope: Scope, before: Investigation | None) -> Investigation:
    thread = await ports.notifier.announce(question, scope)
    first = before.thread_key if before is not None else None
    investigation = Investigation(
        key=question.key, question=question, state="running", scope=scope, thread=thread, first=first
    )
    await ports.store.save_investigation(investigation)
    return investigation


async def _running(ports: Ports, question: Question) -> list[Investigation]:
    """The other investigations that run now."""
    now_s = ports.clock.now_s()
    return [
        other
        for other in await ports.store.running(question.team_id)
        if other.key != question.key and now_s - other.question.asked_at_s < _RUNNING_MAX_S
    ]


def _same(mine: Scope, other: Scope) -> bool:
    shared_s = min(mine.window.end_s, other.window.end_s) - max(mine.window.start_s, other.window.start_s)
    return (mine.service, mine.environment, mine.namespace) == (other.service, other.environment, other.namespace) and (
        shared_s >= _SAME_WINDOW * mine.window.duration_s
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Looked:
    """What the gather step hands on. The evidence itself is in the store, behind the `held` of earlier asks in the thread."""

    held: int
    coverage: Json
    gaps: Json
    habits: Habits
    first_findings_s: float


async def _gather(
    ports: Ports,
    known: _Known,
    investigation: Investigation,
    scope: Scope,
    messages: tuple[ThreadMessage, ...],
    began_s: float,
) -> Json:
    team = investigation.question.team_id
    held = await ports.store.evidence(team, investigation.thread_key)
    first_s: list[float] = []

    async def first_findings(ranking: Ranking) -> None:
        first_s.append(max(ports.clock.now_s() - began_s, 0.0))
        ports.meter.time("groundwire_first_findings_seconds", first_s[0])
        if ranking.findings and investigation.thread is not None:
            first = f"first finding: {ranking.findings[0].statement.text}; reading logs"
            with suppress(SlackError):  # the report comes all the same
                await ports.notifier.progress(investigation.thread, investigation.question, scope, first)

    survey_ = await known.survey()
    gathered = await gather(
        ports.sources,
        survey_,
        scope,
        messages=messages,
        mint=Mint(first=len(held) + 1),
        lookout=Lookout(ports.clock, deadline_s=INVESTIGATION_S - known.took_s, silent=known.silent),
        metrics_lookout=Lookout(ports.clock, deadline_s=METRICS_S),
        first_findings=first_findings,
    )
    await ports.store.save_evidence(team, investigation.thread_key, gathered.evidence)
    return {
        "held": len(held),
        "coverage": to_json(gathered.coverage),
        "gaps": to_json((*known.gaps, *gathered.gaps)),
        "habits": gathered.habits,
        "first_findings_s": first_s[0],
    }


async def _conclude(ports: Ports, investigation: Investigation, scope: Scope, looked: _Looked, began_s: float) -> None:
    question = investigation.question
    # What earlier asks of the thread found stays open under its number, but is about another time or service.
    evidence = (await ports.store.evidence(question.team_id, investigation.thread_key))[looked.held :]
    ranking = rank(scope, news(evidence, looked.habits))
    report = assemble(
        investigation=investigation.key,
        question=question,
        scope=scope,
        ranking=ranking,
        evidence=evidence,
        coverage=from_json(Coverage, looked.coverage),
        gaps=from_json(tuple[Gap, ...], looked.gaps),
        ownership=_ownership(ports, scope, ranking, evidence),
        usage=Usage(duration_s=max(ports.clock.now_s() - began_s, 0.0), first_findings_s=looked.first_findings_s),
    )
    await ports.store.save_report(question.team_id, report)
    ports.meter.count("groundwire_investigations_total", outcome=report.confidence.name.lower())
    ports.meter.time("groundwire_investigation_seconds", report.usage.duration_s)


async def _publish(ports: Ports, investigation: Investigation) -> None:
    report: Report | None = await ports.store.report(investigation.key)
    if report is not None and investigation.thread is not None:
        await ports.notifier.publish(investigation.thread, investigation.question, report)
    await ports.store.save_investigation(replace(investigation, state="done"))


def _ownership(ports: Ports, scope: Scope, ranking: Ranking, evidence: Sequence[Evidence]) -> Ownership:
    """Owner of the faulty service, and its runbook or else that of the service asked about; never another's.

    Where none is configured the runbook of an alert that names the service stands in.
    """
    services = [s for s in (ranking.cause.service if ranking.cause else None, scope.service) if s is not None]
    alerts = [alert for one in evidence if isinstance(one.body, AlertsBody) for alert in one.body.alerts]
    runbooks = (
        runbook
        for service in services
        for runbook in (
            ports.ownership.get(service, Ownership()).runbook,
            *(alert.runbook_url for alert in alerts if service in alert.labels.values()),
        )
    )
    owner = ports.ownership.get(services[0], Ownership()) if services else Ownership()
    return replace(owner, runbook=next(filter(None, runbooks), ""))


async def _whisper(ports: Ports, question: Question, text: str) -> None:
    await ports.notifier.whisper(question.channel_id, question.asker_id, text, thread=question.thread)
