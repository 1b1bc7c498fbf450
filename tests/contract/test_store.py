"""What every Store promises: one body for SQL and memory."""

import asyncio
import math
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from bot.adapters.database import database_url
from bot.adapters.store import SqlStore
from bot.demo.memory import MemoryStore
from bot.domain.evidence import (
    Evidence,
    MessagesBody,
    Pattern,
    PatternsBody,
    SeriesBody,
    ServiceSeries,
    Signal,
)
from bot.domain.question import Origin, Question, Thread, ThreadMessage
from bot.domain.report import (
    Cause,
    Chart,
    ChartSeries,
    Confidence,
    Coverage,
    Fault,
    Finding,
    Gap,
    Moment,
    Ownership,
    Report,
    Statement,
)
from bot.domain.scope import Edge, Scope, Window
from bot.domain.series import Series
from bot.domain.suggestion import Decision, Risk, Suggestion, SuggestionKind, Verdict
from bot.domain.usage import Usage
from bot.ports import Investigation, Store

HOSTILE = "'); DROP TABLE evidence;-- \x00 \ud83d half \u202e \n 😀"
THREAD = Thread(channel_id="C1", ts="1760000000.000100")
WINDOW = Window(start_s=1000.0, end_s=2000.0)
SCOPE = Scope(
    service="checkout",
    neighbours=("payments",),
    edges=(Edge(caller="checkout", callee="payments"),),
    window=WINDOW,
    baseline=WINDOW.shifted(-1000),
    assumptions=("the last hour",),
)


@pytest.fixture(params=["sql", "memory"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    store: Store = SqlStore(database_url(tmp_path / "home")) if request.param == "sql" else MemoryStore()
    await store.open()
    yield store
    await store.close()


def question(key: str, *, team_id: str = "T1", at_s: float = 100.0) -> Question:
    return Question(
        key=key,
        team_id=team_id,
        channel_id="C1",
        thread=None,
        asker_id="U1",
        text=HOSTILE,
        asked_at_s=at_s,
        origin=Origin.COMMAND,
    )


def investigation(
    key: str, *, team_id: str = "T1", at_s: float = 100.0, thread: Thread | None = THREAD, state: str = "running"
) -> Investigation:
    return Investigation(key=key, question=question(key, team_id=team_id, at_s=at_s), state=state, thread=thread)


def lines(number: int, text: str = "slow") -> Evidence:
    pattern = Pattern(
        template_id="t1",
        text=text,
        service="checkout",
        level="error",
        before=0,
        after=9,
        first_seen_s=1500.0,
        last_seen_s=1900.0,
        examples=(HOSTILE,),
        buckets=(0, 4, 5),
    )
    body = PatternsBody(patterns=(pattern,), lines_read=9, lines_total=None, bucket_start_s=1000.0, bucket_step_s=300.0)
    return Evidence(
        id=f"E{number}", title="log lines", source="loki", query='{app="checkout"}', window=WINDOW, body=body
    )


def numbers(number: int) -> Evidence:
    series = Series(labels={"service": "checkout"}, start_s=1000.0, step_s=60.0, values=(1.0, math.nan, 3.5))
    body = SeriesBody(
        signal=Signal.LATENCY,
        measure="p99",
        unit="s",
        series=(ServiceSeries(service="checkout", series=series, peer="payments"),),
    )
    return Evidence(id=f"E{number}", title="latency", source="prometheus", query="up", window=WINDOW, body=body)


def suggestion(suggestion_id: str = "s1") -> Suggestion:
    return Suggestion(
        id=suggestion_id,
        kind=SuggestionKind.REVERT,
        service="checkout",
        title="Revert abc123",
        detail=HOSTILE,
        risk=Risk.MEDIUM,
        evidence=("E1",),
        change="abc123",
    )


def report(key: str = "inv:1", *suggestions: Suggestion) -> Report:
    statement = Statement(text="p99 rose", evidence=("E1",))
    return Report(
        investigation=key,
        question=HOSTILE,
        scope=SCOPE,
        cause=Cause(service="checkout", fault=Fault.BAD_DEPLOY, statement=statement, onset_s=1500.0, change="abc123"),
        confidence=Confidence.LIKELY,
        confidence_reason="one deploy, one minute before",
        findings=(Finding(service="checkout", signal=Signal.LATENCY, statement=statement, score=3.2, onset_s=1500.0),),
        timeline=(Moment(at_s=1500.0, statement=statement),),
        against=(),
        would_settle=(statement,),
        coverage=Coverage(looks_planned=3, looks_answered=2),
        gaps=(Gap(what="loki", why="timed out", remedy="ask later"),),
        charts=(
            Chart(
                title="p99",
                unit="s",
                times_s=(1000.0, 1060.0),
                series=(ChartSeries(name="checkout", values=(1.0, 2.0)),),
                onset_s=1060.0,
                evidence="E1",
            ),
        ),
        suggestions=suggestions,
        ownership=Ownership(owner="team-shop", runbook="https://runbooks.example/checkout"),
        usage=Usage(duration_s=4.1),
    )


def decision(by: str, verdict: Verdict = Verdict.APPROVED, suggestion_id: str = "s1") -> Decision:
    return Decision(
        suggestion_id=suggestion_id, verdict=verdict, decided_by=by, decided_at_s=1234.5, content_hash="ab" * 32
    )


async def test_what_is_not_there_is_none_or_nothing(store: Store) -> None:
    assert await store.investigation("none") is None
    assert await store.investigation_in("T1", THREAD) is None
    assert await store.running("T1") == ()
    assert await store.evidence("T1", "none") == ()
    assert await store.report("none") is None
    assert await store.suggestion("none") is None
    assert await store.decision("none") is None


async def test_an_investigation_comes_back_as_it_was_saved(store: Store) -> None:
    asked = replace(investigation("inv:1"), scope=SCOPE, first="inv:0")

    await store.save_investigation(asked)

    assert await store.investigation("inv:1") == asked


async def test_saving_an_investigation_again_replaces_it(store: Store) -> None:
    await store.save_investigation(investigation("inv:1", thread=None))
    done = investigation("inv:1", state="done")

    await store.save_investigation(done)

    assert await store.investigation("inv:1") == done
    assert await store.running("T1") == ()
    assert await store.investigation_in("T1", THREAD) == done


async def test_running_investigations_are_listed_for_their_team_only(store: Store) -> None:
    mine, theirs = investigation("inv:1"), investigation("inv:2", team_id="T2")
    for saved in (mine, theirs, investigation("inv:3", state="failed")):
        await store.save_investigation(saved)

    assert await store.running("T1") == (mine,)
    assert await store.running("T2") == (theirs,)


async def test_a_thread_leads_to_its_newest_investigation(store: Store) -> None:
    newest = investigation("inv:2", at_s=300.0)
    elsewhere = Thread(channel_id="C2", ts=THREAD.ts)
    for saved in (
        investigation("inv:1", at_s=100.0),
        newest,
        investigation("inv:3", at_s=200.0),
        investigation("inv:4", at_s=400.0, thread=elsewhere),
        investigation("inv:5", at_s=500.0, team_id="T2"),
    ):
        await store.save_investigation(saved)

    assert await store.investigation_in("T1", THREAD) == newest


async def test_evidence_comes_back_whole_and_in_order_of_number(store: Store) -> None:
    await store.save_evidence("T1", "inv:1", [lines(number) for number in (10, 2, 1)])
    await store.save_evidence("T1", "inv:2", [lines(1, "another thread")])

    kept = await store.evidence("T1", "inv:1")

    assert kept == (lines(1), lines(2), lines(10))
    assert await store.evidence("T2", "inv:1") == ()


async def test_a_missing_sample_is_still_missing_when_evidence_is_read(store: Store) -> None:
    await store.save_evidence("T1", "inv:1", [numbers(1)])

    (kept,) = await store.evidence("T1", "inv:1")

    assert isinstance(kept.body, SeriesBody)
    first, gap, last = kept.body.series[0].series.values
    assert (first, math.isnan(gap), last) == (1.0, True, 3.5)


async def test_evidence_saved_twice_is_one_row(store: Store) -> None:
    await store.save_evidence("T1", "inv:1", [lines(1, "first reading")])
    await store.save_evidence("T1", "inv:1", [lines(1, "second reading")])
    await store.save_evidence("T1", "inv:1", [])

    assert await store.evidence("T1", "inv:1") == (lines(1, "second reading"),)


async def test_messages_of_people_are_kept_letter_by_letter(store: Store) -> None:
    said = MessagesBody(messages=(ThreadMessage(at_s=1.0, author="U1", from_app=False, text=HOSTILE),))
    evidence = Evidence(id="E1", title="thread", source="slack", query="", window=WINDOW, body=said)

    await store.save_evidence("T1", "inv:1", [evidence])

    assert await store.evidence("T1", "inv:1") == (evidence,)


async def test_a_report_is_kept_with_its_suggestions(store: Store) -> None:
    told = report("inv:1", suggestion("s1"), suggestion("s2"))

    await store.save_report("T1", told)
    await store.save_report("T1", told)

    assert await store.report("inv:1") == told
    assert await store.suggestion("s2") == (suggestion("s2"), "inv:1")


async def test_the_first_decision_stands(store: Store) -> None:
    first, second = decision("U1"), decision("U2", Verdict.REJECTED)

    assert await store.decide("T1", first) == first
    assert await store.decide("T1", second) == first
    assert await store.decision("s1") == first


async def test_of_many_decisions_at_once_one_stands_and_all_are_told_the_same(store: Store) -> None:
    told = await asyncio.gather(*(store.decide("T1", decision(f"U{n}")) for n in range(20)))

    assert len(set(told)) == 1
    assert await store.decision("s1") == told[0]


async def test_a_person_may_change_their_feedback(store: Store) -> None:
    await store.save_feedback("T1", "inv:1", "U1", True, 1.0)
    await store.save_feedback("T1", "inv:1", "U1", False, 2.0)
    await store.save_feedback("T1", "inv:1", "U2", True, 3.0)


async def test_an_open_store_is_healthy(store: Store) -> None:
    assert (await store.health()).ok
