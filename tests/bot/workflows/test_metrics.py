"""The looks at metrics: so many and no more, compared with earlier days, habits kept out of the ranking."""

from collections.abc import Mapping

from bot.demo.memory import ManualClock
from bot.domain.evidence import Evidence, SeriesBody, ServiceSeries, Signal
from bot.domain.query import MetricQuery
from bot.domain.report import Finding, Statement
from bot.domain.scope import Scope, Window
from bot.domain.series import Series
from bot.errors import QueryRefused
from bot.ports import Sources
from bot.workflows.discover import Survey, survey
from bot.workflows.looking import Lookout
from bot.workflows.metrics import COMPARED, LOOKS_MAX, Looked, look_at_metrics, look_earlier, news, strongest
from tests.bot.workflows.fakes import NOW_S, Metrics, points, scope_of

SCOPE = scope_of("cart")


def many(number: int) -> tuple[Mapping[str, str], ...]:
    return tuple({"__name__": f"queue_{i}_depth", "service": "cart"} for i in range(number))


def steady(query: MetricQuery) -> tuple[Series, ...]:
    return (points(query, 1.0, 1.0, {"service": "cart"}, NOW_S),)


def lookout() -> Lookout:
    return Lookout(ManualClock(), deadline_s=30)


async def surveyed(*sources: Metrics) -> Survey:
    window = Window(start_s=NOW_S - 21_600, end_s=NOW_S)
    return await survey(Sources(metrics=sources), window, lookout(), {})


async def looked_at(*sources: Metrics, over: Lookout | None = None, scope: Scope = SCOPE) -> tuple[Looked, ...]:
    known = await surveyed(*sources)
    return await look_at_metrics(known.metrics, scope, known.around, over or lookout())


async def test_an_investigation_takes_forty_looks_comparisons_included() -> None:
    source, other, over = Metrics(sets=many(90), respond=steady), Metrics(name="b", sets=many(90)), lookout()

    looked = await looked_at(source, other, over=over)
    await look_earlier(looked[:COMPARED], over)

    assert len(source.asked) + len(other.asked) == LOOKS_MAX
    gaps = [gap for gap in over.gaps() if "less telling metrics" in gap.what]
    assert [gap.what.split(":")[0] for gap in gaps] == ["prometheus", "b"]


async def test_one_look_spans_baseline_and_incident_in_about_240_points() -> None:
    source = Metrics(sets=many(1), respond=steady)

    (looked,) = await looked_at(source)

    (query,) = source.asked
    assert query.window.start_s <= SCOPE.baseline.start_s
    assert query.window.end_s >= SCOPE.window.end_s
    assert 100 <= query.window.duration_s / query.step_s <= 260
    draft = looked.draft()
    assert draft is not None
    assert (draft.source, draft.query, draft.title) == ("prometheus", "range queue_0_depth", "queue 0 depth: cart")


async def test_no_look_is_given_more_than_ten_seconds() -> None:
    source = Metrics(sets=many(3), respond=steady)

    await looked_at(source)

    assert max(source.timeouts) <= 10


async def test_sources_of_another_environment_are_not_asked() -> None:
    here, there = Metrics(sets=many(1), environment="prod"), Metrics(name="b", sets=many(1), environment="test")

    await looked_at(here, there, scope=scope_of("cart", environment="prod"))

    assert (len(here.asked), len(there.asked)) == (1, 0)


async def test_a_refused_look_is_a_gap_and_an_empty_one_is_no_evidence() -> None:
    def respond(query: MetricQuery) -> tuple[Series, ...]:
        if query.selector.metric == "queue_0_depth":
            raise QueryRefused("MET-003", "Too many samples.", "Ask for less.")
        return ()

    over = lookout()
    looked = await looked_at(Metrics(sets=many(2), respond=respond), over=over)

    assert [(one.answer is None, one.draft()) for one in looked] == [(True, None), (False, None)]
    assert [gap.why for gap in over.gaps()] == ["Too many samples."]


async def test_the_strongest_are_asked_again_a_day_and_a_week_earlier() -> None:
    source = Metrics(sets=many(2), respond=steady)
    looked = await looked_at(source)
    source.asked.clear()

    ((day, week),) = await look_earlier(looked[:1], lookout())

    assert [query.offset_s for query in source.asked] == [86_400, 604_800]
    assert [body.earlier_s for body in (day.body, week.body) if body] == [86_400, 604_800]
    assert [one.look.measure for one in (day, week)] == [
        "queue 0 depth, a day earlier",
        "queue 0 depth, a week earlier",
    ]


async def test_the_strongest_are_those_of_the_first_findings_each_once() -> None:
    looked = await looked_at(Metrics(sets=many(9), respond=steady))
    by_evidence = {f"E{i}": one for i, one in enumerate(looked, 1)}

    def finding(*evidence: str) -> Finding:
        return Finding(service="cart", signal=Signal.QUEUE, statement=Statement(text="", evidence=evidence), score=1.0)

    chosen = strongest(
        [finding("E3"), finding("E3", "E99", "E1"), *(finding(f"E{i}") for i in range(4, 9))], by_evidence
    )

    assert list(chosen) == [by_evidence[e] for e in ("E3", "E1", "E4", "E5", "E6")]


def evidence(number: int, *services: str, earlier_s: int = 0) -> Evidence:
    series = tuple(
        ServiceSeries(service=s, series=Series(labels={"service": s}, start_s=0, step_s=30, values=(1.0,)))
        for s in services
    )
    body = SeriesBody(signal=Signal.QUEUE, measure="queue", unit="count", series=series, earlier_s=earlier_s)
    return Evidence(id=f"E{number}", title="", source="p", query="", window=Window(start_s=0, end_s=30), body=body)


def test_ranking_sees_neither_habits_nor_the_comparisons_that_show_them() -> None:
    today, day = evidence(1, "cart", "web", "cart"), evidence(2, "cart", earlier_s=86_400)

    (left,) = news([today, day], {"E1": (0,)})

    assert isinstance(left.body, SeriesBody)
    assert [entry.service for entry in left.body.series] == ["web", "cart"]
    assert news([today], {}) == (today,)
