"""The main story on small sources: what is told, to whom, under which numbers, and what is refused."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import pytest

from bot.demo.memory import (
    FixedDirectory,
    ManualClock,
    MemoryJournal,
    MemoryStore,
    RecordingMeter,
    RecordingNotifier,
)
from bot.domain.alert import Alert
from bot.domain.change import Change, ChangeKind
from bot.domain.codec import to_json
from bot.domain.evidence import AlertsBody, ChangesBody, GraphBody, MessagesBody, PatternsBody, SeriesBody
from bot.domain.logs import LogLine
from bot.domain.query import MetricQuery
from bot.domain.question import Origin, Question, Thread, ThreadMessage
from bot.domain.report import Confidence, Ownership, Report
from bot.domain.scope import Scope, Window
from bot.domain.series import Series
from bot.errors import SlackError
from bot.policy.access import AccessRules
from bot.ports import Investigation, Person, Ports, Sources
from bot.workflows.investigate import Investigator, investigate
from tests.bot.workflows.fakes import DOWN, NOW_S, Alerts, Changes, Logs, Metrics, points, run

TURN_S = NOW_S - 1500

SETS: tuple[Mapping[str, str], ...] = (
    {"__name__": "http_requests_total", "service": "cart", "status": "200", "env": "prod"},
    {"__name__": "http_requests_total", "service": "web", "status": "200", "env": "prod"},
    {"__name__": "rpc_calls_total", "client": "web", "server": "cart"},
)


def respond(query: MetricQuery) -> tuple[Series, ...]:
    """Half of the cart's requests fail since some minutes ago; never before, on no earlier day."""
    if query.selector.metric != "http_requests_total":
        return ()
    if query.divided_by is None or query.offset_s:
        return tuple(points(query, 10.0, 10.0, {"service": service}, TURN_S) for service in ("cart", "web"))
    return (
        points(query, 0.001, 0.5, {"service": "cart"}, TURN_S),
        points(query, 0.001, 0.001, {"service": "web"}, TURN_S),
    )


def log_lines() -> tuple[LogLine, ...]:
    at = (round((TURN_S + i * 5) * 1e9) for i in range(280))
    return tuple(LogLine(ts_ns=ns, line="cannot reach ledger", labels={"app": "cart"}, level="error") for ns in at)


@dataclass(slots=True, kw_only=True)
class World:
    """All ports in memory, and shortcuts to ask and to look."""

    sources: Sources
    people: Sequence[Person] = ()
    store: MemoryStore = field(default_factory=MemoryStore)
    notifier: RecordingNotifier = field(default_factory=RecordingNotifier)
    clock: ManualClock = field(default_factory=lambda: ManualClock(NOW_S))
    meter: RecordingMeter = field(default_factory=RecordingMeter)
    directory: FixedDirectory = field(default_factory=FixedDirectory)
    investigator: Investigator = field(default_factory=Investigator)
    ownership: Mapping[str, Ownership] = field(default_factory=dict)

    @property
    def ports(self) -> Ports:
        return Ports(
            sources=self.sources,
            store=self.store,
            journal=MemoryJournal(),
            notifier=self.notifier,
            directory=self.directory,
            clock=self.clock,
            meter=self.meter,
            ownership=self.ownership,
        )

    async def ask(self, text: str, *, thread: str | None = None, key: str = "inv:1", user: str = "U1") -> Report | None:
        question = Question(
            key=key,
            team_id="T1",
            channel_id="C1",
            thread=thread,
            asker_id=user,
            text=text,
            asked_at_s=self.clock.now_s(),
            origin=Origin.MENTION,
        )
        await investigate(self.ports, self.investigator, to_json(question), run)
        return await self.store.report(key)

    async def numbers(self, key: str = "inv:1") -> list[str]:
        return [one.id for one in await self.store.evidence("T1", key)]


def world() -> World:
    return World(
        sources=Sources(
            metrics=(Metrics(sets=SETS, kinds={"http_requests_total": "counter"}, respond=respond),),
            logs=(Logs(held=log_lines()),),
            alerts=(Alerts(alerts=[Alert(name="CartErrors", labels={"service": "cart"}, started_at_s=TURN_S + 60)]),),
            changes=(
                Changes(
                    held=[
                        Change(kind=ChangeKind.DEPLOY, at_s=TURN_S - 30, service="cart", ref="v2", summary="deploy v2")
                    ]
                ),
            ),
        )
    )


async def test_a_question_is_announced_looked_at_and_answered_in_its_thread() -> None:
    here = world()

    report = await here.ask("cart fails")

    assert report is not None
    assert report.cause is not None
    assert (report.cause.service, report.confidence is Confidence.UNKNOWN) == ("cart", False)
    ((_, scope, thread),) = here.notifier.announced
    assert scope.service == "cart"
    ((where, _, shown),) = here.notifier.published
    assert (where, shown) == (thread, report)
    stored = await here.store.investigation("inv:1")
    assert stored is not None
    assert (stored.state, stored.thread) == ("done", thread)
    assert here.meter.counted("groundwire_investigations_total", outcome=report.confidence.name.lower()) == 1
    assert [name for name, _ in here.meter.times] == [
        "groundwire_first_findings_seconds",
        "groundwire_investigation_seconds",
    ]


async def test_evidence_is_numbered_metrics_first_then_words_calls_alerts_changes_comparisons_and_logs() -> None:
    here = world()
    here.notifier.threads[Thread(channel_id="C1", ts="1.0")] = (
        ThreadMessage(at_s=NOW_S - 60, author="kim", from_app=False, text="help"),
    )

    report = await here.ask("cart fails", thread="1.0")

    evidence = await here.store.evidence("T1", "inv:1")
    kinds = [(type(one.body), isinstance(one.body, SeriesBody) and one.body.earlier_s > 0) for one in evidence]
    order = list(dict.fromkeys(kinds))
    assert order == [
        (SeriesBody, False),
        (MessagesBody, False),
        (GraphBody, False),
        (AlertsBody, False),
        (ChangesBody, False),
        (SeriesBody, True),
        (PatternsBody, False),
    ]
    assert await here.numbers() == [f"E{n}" for n in range(1, len(evidence) + 1)]
    assert report is not None
    assert {e for finding in report.findings for e in finding.statement.evidence} <= set(await here.numbers())


async def test_the_first_finding_is_told_before_logs_are_read() -> None:
    here = world()

    await here.ask("cart fails")

    ((_, text),) = here.notifier.progressed
    assert text.startswith("first finding: ")
    assert text.endswith("; reading logs")


class MuteNotifier(RecordingNotifier):
    async def progress(self, thread: Thread, question: Question, scope: Scope, text: str) -> None:
        raise SlackError("SLK-006", "Slack did not answer.", "Check the network.")


async def test_progress_that_cannot_be_told_does_not_cost_the_report() -> None:
    here = replace(world(), notifier=MuteNotifier())

    assert await here.ask("cart fails") is not None


async def test_dead_sources_become_gaps_of_a_report() -> None:
    here = replace(
        world(),
        sources=Sources(
            metrics=(Metrics(error=DOWN),),
            logs=(Logs(error=DOWN),),
            alerts=(Alerts(name="alerts", error=DOWN),),
            changes=(Changes(error=DOWN),),
        ),
    )

    report = await here.ask("everything is broken")

    assert report is not None
    assert (report.cause, report.confidence) == (None, Confidence.UNKNOWN)
    assert sorted(gap.what.split(":")[0] for gap in report.gaps) == ["alerts", "git", "loki", "prometheus"]


async def test_a_secret_in_the_question_is_neither_told_nor_kept() -> None:
    here = world()

    report = await here.ask("cart fails with password=hunter2x9")

    assert "hunter2x9" not in repr((report, here.notifier.announced, await here.store.investigation("inv:1")))


async def test_owner_and_runbook_come_from_configuration_else_from_the_alert() -> None:
    here = world()
    here.ownership = {"cart": Ownership(owner="#cart")}
    alert = Alert(name="A", labels={"service": "cart"}, annotations={"runbook_url": "https://r.test/cart"})
    here.sources = replace(here.sources, alerts=(Alerts(alerts=[alert]),))

    report = await here.ask("cart fails")

    assert report is not None
    assert report.ownership == Ownership(owner="#cart", runbook="https://r.test/cart")


async def test_the_runbook_is_that_of_the_faulty_service_or_the_one_asked_about_never_anothers() -> None:
    here = world()
    other = Alert(name="A", labels={"service": "search"}, annotations={"runbook_url": "https://r.test/search"})
    asked = Alert(name="B", labels={"service": "web"}, annotations={"runbook_url": "https://r.test/web"})
    faulty = Alert(name="C", labels={"service": "cart"}, annotations={"runbook_url": "https://r.test/cart"})
    shown = []
    for number, alerts in enumerate(([other], [other, asked], [other, asked, faulty])):
        here.sources = replace(here.sources, alerts=(Alerts(alerts=alerts),))
        report = await here.ask("web fails", key=f"inv:{number}")
        assert report is not None
        assert report.cause is not None
        assert report.cause.service == "cart"
        shown.append(report.ownership.runbook)

    assert shown == ["", "https://r.test/web", "https://r.test/cart"]


async def test_a_service_that_people_named_in_the_thread_is_the_one_meant() -> None:
    here = world()
    here.notifier.threads[Thread(channel_id="C1", ts="1.0")] = (
        ThreadMessage(at_s=NOW_S - 90, author="Deployer", from_app=True, text="web deployed; service=web env=staging"),
        ThreadMessage(at_s=NOW_S - 60, author="kim", from_app=False, text="cart is failing env=staging since 5 days"),
    )

    report = await here.ask("what happened?", thread="1.0")

    assert report is not None
    assert (report.scope.service, report.scope.environment) == ("cart", "prod")
    assert report.scope.window.duration_s == 3600
    assert "cart is taken from the thread." in report.scope.assumptions


async def test_a_follow_up_goes_on_counting_and_reports_on_its_own_evidence() -> None:
    here = world()
    first = await here.ask("cart fails")
    ((_, _, thread),) = here.notifier.announced
    held = await here.numbers()

    second = await here.ask("since 30 minutes ago", thread=thread.ts, key="inv:2")

    assert first is not None
    assert second is not None
    assert second.scope.service == "cart"
    numbers = await here.numbers()
    assert numbers == [f"E{n}" for n in range(1, len(numbers) + 1)]
    assert len(numbers) > len(held)
    assert not {e for f in second.findings for e in f.statement.evidence} & set(held)
    assert len({(m.at_s, m.statement.text) for m in second.timeline}) == len(second.timeline)


async def test_a_follow_up_that_needs_a_model_is_told_so() -> None:
    here = world()
    await here.ask("cart fails")
    ((_, _, thread),) = here.notifier.announced

    assert await here.ask("why did nobody notice?", thread=thread.ts, key="inv:2") is None

    assert "needs a language model" in here.notifier.whispered[0].text


async def test_a_follow_up_while_the_thread_is_being_looked_at_waits_for_the_report() -> None:
    here = world()
    await here.ask("cart fails")
    first = await here.store.investigation("inv:1")
    assert first is not None
    assert first.thread is not None
    await here.store.save_investigation(replace(first, state="running"))

    assert await here.ask("service=web", thread=first.thread.ts, key="inv:2") is None

    assert "still runs" in here.notifier.whispered[0].text
    assert len(here.notifier.announced) == 1


async def running_elsewhere(here: World, text: str = "cart fails", ago_s: float = 20) -> Investigation:
    await here.ask(text, key="inv:0")
    first = await here.store.investigation("inv:0")
    assert first is not None
    asked = replace(first.question, asked_at_s=NOW_S - ago_s)
    await here.store.save_investigation(replace(first, state="running", question=asked))
    return first


async def test_the_same_ask_joins_the_one_that_runs() -> None:
    here = world()
    first = await running_elsewhere(here)

    assert await here.ask("cart is slow", user="U2") is None

    assert [thread for _, thread in here.notifier.pointed] == [first.thread]
    assert len(here.notifier.announced) == 1


@pytest.mark.parametrize("text", ["web fails", "cart fails yesterday 9:00 to 10:00"])
async def test_an_ask_about_something_else_is_its_own(text: str) -> None:
    here = world()
    await running_elsewhere(here)

    assert await here.ask(text) is not None
    assert here.notifier.pointed == []


async def test_one_that_has_run_for_too_long_is_not_joined() -> None:
    here = world()
    await running_elsewhere(here, ago_s=600)

    assert await here.ask("cart fails") is not None


async def test_two_asks_at_the_same_moment_become_one() -> None:
    here = world()

    reports = await asyncio.gather(here.ask("cart fails", key="inv:1"), here.ask("cart fails", key="inv:2"))

    assert len(here.notifier.announced) == 1
    assert [report is None for report in reports].count(True) == 1


async def test_who_may_not_ask_is_told_why_and_nothing_is_looked_at() -> None:
    guest = Person(id="U1", name="Gast", zone="UTC", full_member=False)
    metrics = Metrics(sets=SETS)
    here = World(sources=Sources(metrics=(metrics,)), directory=FixedDirectory([guest]))

    assert await here.ask("cart fails") is None

    assert "full members" in here.notifier.whispered[0].text
    assert (here.notifier.announced, metrics.timeouts) == ([], [])


async def test_in_a_channel_without_the_bot_the_asker_gets_the_invite_command() -> None:
    here = replace(world(), directory=FixedDirectory(not_in=["C1"]))

    assert await here.ask("cart fails") is None

    assert "/invite @groundwire" in here.notifier.whispered[0].text


async def test_allowed_channels_are_the_only_ones() -> None:
    here = replace(world(), investigator=Investigator(rules=AccessRules(channels=frozenset({"C9"}))))

    assert await here.ask("cart fails") is None
    assert len(here.notifier.whispered) == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("service=zzz", "Known: cart, web."),
        ("service=crate", "Did you mean cart"),
        ("env=nowhere", "Known: prod."),
        ("cart since 30 days ago", "longer than 7 days"),
    ],
)
async def test_words_that_cannot_be_are_explained_to_the_asker(text: str, said: str) -> None:
    here = world()

    assert await here.ask(text) is None

    assert said in here.notifier.whispered[0].text
    assert here.notifier.announced == []


class SlowMetrics(Metrics):
    """Takes more than a minute, by the clock, to say what it holds."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__(sets=SETS, respond=respond)
        self._clock = clock

    async def label_names(self, window: Window, *, timeout_s: float) -> frozenset[str]:
        self._clock.advance(80)
        return await super().label_names(window, timeout_s=timeout_s)


async def test_finding_out_what_there_is_counts_as_time_of_the_investigation() -> None:
    here = world()
    logs = Logs(held=log_lines())
    here.sources = Sources(metrics=(SlowMetrics(here.clock),), logs=(logs,))

    report = await here.ask("cart fails since=2h")

    assert report is not None
    assert logs.read == []
    assert any("time for this investigation was over" in gap.why for gap in report.gaps)
