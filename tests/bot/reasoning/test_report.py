"""The report without a model: sentences over evidence, one timeline, the charts that say most."""

import math
from dataclasses import replace

from bot.domain.alert import Alert
from bot.domain.change import Change, ChangeKind
from bot.domain.evidence import AlertsBody, Body, ChangesBody, Evidence, SeriesBody, ServiceSeries, Signal
from bot.domain.question import Origin, Question
from bot.domain.report import Cause, Confidence, Coverage, Fault, Finding, Gap, Ownership, Report, Statement
from bot.domain.scope import Scope, Window
from bot.domain.series import Series
from bot.domain.usage import Usage
from bot.evidence.rank import Ranking
from bot.reasoning.report import assemble, charts, timeline

NOW_S = 1_795_102_800.0
SCOPE = Scope(
    service="web",
    neighbours=("cart",),
    window=Window(start_s=NOW_S - 1800, end_s=NOW_S),
    baseline=Window(start_s=NOW_S - 5400, end_s=NOW_S - 1800),
)
CAUSE = Cause(service="cart", fault=Fault.DISK_FULL, statement=Statement(text="cart is full", evidence=("E1",)))


def evidence(number: int, body: Body) -> Evidence:
    return Evidence(id=f"E{number}", title="", source="p", query="", window=SCOPE.window, body=body)


def series(number: int, *services: str, values: tuple[float, ...] = (1.0, 2.0)) -> Evidence:
    entries = tuple(
        ServiceSeries(service=s, series=Series(labels={}, start_s=NOW_S - 630, step_s=30, values=values))
        for s in services
    )
    return evidence(number, SeriesBody(signal=Signal.ERRORS, measure="errors", unit="/s", series=entries))


def finding(service: str, *cited: str, ago_s: float | None = 600.0, text: str = "") -> Finding:
    said = text or f"{service} fails"
    onset_s = None if ago_s is None else NOW_S - ago_s
    return Finding(
        service=service,
        signal=Signal.ERRORS,
        statement=Statement(text=said, evidence=cited),
        score=1.0,
        onset_s=onset_s,
    )


def ranking(*findings: Finding, cause: Cause | None = CAUSE, onset_s: float | None = NOW_S - 600) -> Ranking:
    return Ranking(
        findings=findings,
        cause=cause,
        confidence=Confidence.LIKELY,
        confidence_reason="r",
        onset_s=onset_s,
        against=(Statement(text="but"),),
        would_settle=(Statement(text="look"),),
    )


def report(found: Ranking, *held: Evidence) -> Report:
    question = Question(
        key="k",
        team_id="T1",
        channel_id="C1",
        thread=None,
        asker_id="U1",
        text="web is slow",
        asked_at_s=NOW_S,
        origin=Origin.COMMAND,
    )
    return assemble(
        investigation="i",
        question=question,
        scope=SCOPE,
        ranking=found,
        evidence=held,
        coverage=Coverage(looks_planned=1, looks_answered=1),
        gaps=(Gap(what="w", why="y"),),
        ownership=Ownership(owner="#cart"),
        usage=Usage(duration_s=4.0),
    )


def test_a_report_holds_the_ranking_its_suggestions_and_what_could_not_be_looked_at() -> None:
    told = report(ranking(finding("cart", "E1")), series(1, "cart"))

    assert (told.cause, told.confidence, told.question) == (CAUSE, Confidence.LIKELY, "web is slow")
    assert (told.against[0].text, told.would_settle[0].text, told.gaps[0].what) == ("but", "look", "w")
    assert told.suggestions[0].service == "cart"
    assert told.ownership.owner == "#cart"


def test_more_than_eight_findings_are_left_to_the_evidence() -> None:
    told = report(ranking(*(finding(f"s{i}", "E1") for i in range(20))))

    assert [f.service for f in told.findings] == [f"s{i}" for i in range(8)]


def test_no_clear_cause_is_a_full_report() -> None:
    told = report(ranking(finding("web", "E1"), cause=None, onset_s=None), series(1, "web"))

    assert told.cause is None
    assert told.suggestions == ()
    assert len(told.charts) == 1


def change(ago_s: float, ref: str = "v2") -> Change:
    return Change(kind=ChangeKind.DEPLOY, at_s=NOW_S - ago_s, service="cart", ref=ref, summary="deploy", author="kim")


def test_the_timeline_is_one_story_in_order() -> None:
    alerts = AlertsBody(alerts=(Alert(name="CartDown", labels={"service": "cart"}, started_at_s=NOW_S - 300),))
    held = [evidence(2, ChangesBody(changes=(change(900),))), evidence(3, alerts)]

    told = timeline(SCOPE, ranking(), [finding("cart", "E1")], held)

    assert [(m.statement.text, m.statement.evidence) for m in told] == [
        ("deploy v2 of cart by kim: deploy", ("E2",)),
        ("cart fails", ("E1",)),
        ("alert CartDown fires for cart", ("E3",)),
    ]


def test_what_lies_outside_or_has_no_time_is_not_on_the_timeline() -> None:
    alerts = AlertsBody(alerts=(Alert(name="Old", started_at_s=NOW_S - 90_000), Alert(name="Timeless")))
    held = [evidence(2, ChangesBody(changes=(change(90_000), change(-60)))), evidence(3, alerts)]

    assert timeline(SCOPE, ranking(onset_s=None), [finding("cart", "E1", ago_s=None)], held) == ()


def test_a_crowded_timeline_keeps_what_is_nearest_to_the_onset() -> None:
    held = [evidence(i, ChangesBody(changes=(change(60.0 * i, f"v{i}"),))) for i in range(1, 60)]

    told = timeline(SCOPE, ranking(cause=None), [], held)

    assert [round(NOW_S - m.at_s) // 60 for m in told] == list(range(16, 4, -1))


def test_what_the_cause_rests_on_stays_on_a_crowded_timeline() -> None:
    held = [evidence(i, ChangesBody(changes=(change(60.0 * i, f"v{i}"),))) for i in range(1, 60)]

    told = timeline(SCOPE, ranking(cause=replace(CAUSE, statement=Statement(text="", evidence=("E59",)))), [], held)

    assert told[0].statement.evidence == ("E59",)
    assert len(told) == 12


def test_an_alert_that_fires_for_many_is_told_once_at_its_first_start() -> None:
    alerts = tuple(
        Alert(name="Slow", labels={"service": service}, started_at_s=NOW_S - ago_s)
        for service, ago_s in (("web", 100), ("cart", 200), ("elsewhere", 300))
    )

    (told,) = timeline(SCOPE, ranking(), [], [evidence(2, AlertsBody(alerts=alerts))])

    assert (told.at_s, told.statement.text) == (NOW_S - 300, "alert Slow fires for cart, web")


def test_charts_show_the_cause_and_the_service_asked_about_with_the_onset() -> None:
    found = ranking(finding("other", "E3"), finding("cart", "E1"), finding("web", "E2"))

    first, second = charts(SCOPE, found, [series(1, "cart", "web"), series(2, "web"), series(3, "other")])

    assert (first.title, first.evidence, first.onset_s) == ("cart: errors", "E1", NOW_S - 600)
    assert (second.title, second.evidence) == ("web: errors", "E2")
    assert first.times_s == (NOW_S - 630, NOW_S - 600)


def test_of_several_series_the_one_that_moves_most_is_drawn_gaps_and_all() -> None:
    flat, moving = series(1, "cart").body, series(1, "cart", values=(1.0, math.nan, 9.0)).body
    assert isinstance(flat, SeriesBody)
    assert isinstance(moving, SeriesBody)
    both = evidence(1, replace(flat, series=(*flat.series, *moving.series)))

    (chart,) = charts(SCOPE, ranking(finding("cart", "E1")), [both])

    assert chart.series[0].values[::2] == (1.0, 9.0)
    assert math.isnan(chart.series[0].values[1])


def measured(service: str, number: int, before: float, after: float) -> Finding:
    return replace(finding(service, f"E{number}"), before=before, after=after, unit="/s")


def test_a_chart_carries_the_values_of_its_finding() -> None:
    (chart,) = charts(SCOPE, ranking(measured("cart", 1, 1.0, 2.0)), [series(1, "cart")])

    assert (chart.before, chart.after) == (1.0, 2.0)


def test_what_hardly_moves_or_has_no_baseline_is_not_drawn() -> None:
    found = ranking(measured("cart", 1, 1.0, 1.05), measured("cart", 2, 0.0, 2.0), measured("cart", 3, 1.0, 2.0))
    held = [series(1, "cart"), series(2, "cart", values=(math.nan, 2.0)), series(3, "cart")]

    assert [chart.evidence for chart in charts(SCOPE, found, held)] == ["E3"]


def test_of_the_service_asked_about_the_symptom_is_drawn() -> None:
    cpu = replace(measured("web", 2, 1.0, 3.0), signal=Signal.CPU)
    held = [series(1, "cart"), series(2, "web"), series(3, "web")]

    told = charts(SCOPE, ranking(measured("cart", 1, 1.0, 2.0), cpu, measured("web", 3, 1.0, 2.0)), held)

    assert [chart.evidence for chart in told] == ["E1", "E3"]


def test_a_guilty_change_is_told_once() -> None:
    guilty = replace(finding("cart", "E2", ago_s=900, text="cart · deploy v2"), signal=Signal.CHANGE)

    told = timeline(SCOPE, ranking(guilty), [guilty], [evidence(2, ChangesBody(changes=(change(900),)))])

    assert [m.statement.text for m in told] == ["deploy v2 of cart by kim: deploy"]


def test_findings_without_numbers_draw_nothing() -> None:
    held = [evidence(1, ChangesBody(changes=())), series(2, "web", values=(math.nan,))]

    assert charts(SCOPE, ranking(finding("cart", "E1", "E2", "E99")), held) == ()
