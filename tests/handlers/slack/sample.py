"""A report with everything in it, and a way to put the same hostile text into every place that comes from data."""

from dataclasses import replace

from bot.domain.alert import Alert
from bot.domain.change import Change, ChangeKind
from bot.domain.evidence import (
    AlertsBody,
    Body,
    ChangesBody,
    Evidence,
    GraphBody,
    MessagesBody,
    Pattern,
    PatternsBody,
    SeriesBody,
    ServiceSeries,
    Signal,
)
from bot.domain.question import Origin, Question, ThreadMessage
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
    time_mark,
)
from bot.domain.scope import Edge, Scope, Window
from bot.domain.series import Series
from bot.domain.suggestion import Risk, Suggestion, SuggestionKind
from bot.domain.usage import Usage

NOW_S = 1_760_000_400.0
ONSET_S = NOW_S - 1800
WINDOW = Window(start_s=NOW_S - 2400, end_s=NOW_S)
BASELINE = Window(start_s=NOW_S - 6000, end_s=NOW_S - 2400)
KEY = "inv:T0GROUND:C0INCIDENT:1760000400.000100"

SCOPE = Scope(
    service="checkout",
    neighbours=("payments",),
    edges=(Edge(caller="checkout", callee="payments"),),
    environment="prod",
    window=WINDOW,
    baseline=BASELINE,
    zone="Europe/Berlin",
    assumptions=("“slow” means latency.",),
)

QUESTION = Question(
    key=KEY,
    team_id="T0GROUND",
    channel_id="C0INCIDENT",
    thread=None,
    asker_id="U0ASKER",
    asker_zone="Europe/Berlin",
    text="checkout is slow since 14:00",
    asked_at_s=NOW_S,
    origin=Origin.COMMAND,
)

SUGGESTION = Suggestion(
    id="5ac0ffee5ac0ffee5ac0",
    kind=SuggestionKind.REVERT,
    service="payments",
    title="Revert 3f2c1a in payments",
    detail="Takes one change back and deploys what ran before it. Undo: deploy the change again.",
    risk=Risk.MEDIUM,
    evidence=("E1", "E4"),
    change="3f2c1a",
)


def report_with(text: str = "", *, times: int = 1) -> Report:
    """The sample report; with `text` in every place that comes from data, each list `times` as long."""
    said = f" {text}" if text else ""
    times_s = tuple(BASELINE.start_s + 60 * i for i in range(100))
    charted = ChartSeries(name=f"payments{said}", values=tuple(0.2 if t < ONSET_S else 0.99 for t in times_s))
    findings = [
        Finding(
            service=f"payments{said}",
            signal=Signal.SATURATION,
            statement=Statement(
                text=f"payments · pool in use 22 % → 100 %{said} · {time_mark(ONSET_S)}", evidence=(f"E{i + 1}",)
            ),
            score=9.0 - i,
            onset_s=ONSET_S,
            before=0.22,
            after=1.0,
            unit="ratio",
        )
        for i in range(8)
    ]
    return Report(
        investigation=KEY,
        question=QUESTION.text + said,
        scope=replace(SCOPE, service="checkout" + said, assumptions=("“slow” means latency." + said,) * times),
        cause=Cause(
            service=f"payments{said}",
            fault=Fault.POOL_EXHAUSTED,
            statement=Statement(
                text=f"payments ran out of connections at about {time_mark(ONSET_S)} [E1]{said}", evidence=("E1", "E4")
            ),
            onset_s=ONSET_S,
            change="3f2c1a",
        ),
        confidence=Confidence.LIKELY,
        confidence_reason=f"3 independent signals agree{said}",
        findings=tuple(findings * times),
        timeline=tuple(
            Moment(at_s=ONSET_S + i, statement=Statement(text=f"deploy 3f2c1a of payments{said}", evidence=("E6",)))
            for i in range(3 * times)
        ),
        against=(Statement(text=f"CPU of payments is normal{said}", evidence=("E7",)),) * times,
        would_settle=(Statement(text=f"pg_stat_activity of payments-db{said}"),) * times,
        coverage=Coverage(
            looks_planned=34, looks_answered=31, patterns=9, patterns_shown=12, lines_read=4318, lines_total=4318
        ),
        gaps=(Gap(what=f"traces{said}", why=f"no source is configured{said}", remedy=f"Configure one.{said}"),) * times,
        charts=(
            Chart(
                title=f"payments: pool in use{said}",
                unit="ratio",
                times_s=times_s,
                series=(charted,),
                onset_s=ONSET_S,
                evidence="E1",
            ),
        ),
        suggestions=(replace(SUGGESTION, title=SUGGESTION.title + said, detail=SUGGESTION.detail + said),),
        ownership=Ownership(owner=f"#team-payments{said}", runbook=f"https://runbooks.test/pool{said}"),
        usage=Usage(duration_s=4.1),
    )


def unclear_report() -> Report:
    """A full answer without a cause."""
    return replace(
        report_with(),
        cause=None,
        confidence=Confidence.UNKNOWN,
        confidence_reason="nothing left its normal range by much",
        suggestions=(),
        charts=(),
    )


def evidence_with(text: str = "") -> tuple[Evidence, ...]:
    """One piece of evidence of every kind."""
    said = f" {text}" if text else ""
    values = tuple(0.22 if BASELINE.start_s + 60 * i < ONSET_S else 1.0 for i in range(100))
    bodies: tuple[Body, ...] = (
        SeriesBody(
            signal=Signal.SATURATION,
            measure="pool in use" + said,
            unit="ratio",
            series=(
                ServiceSeries(
                    service="payments" + said,
                    series=Series(start_s=BASELINE.start_s, step_s=60, values=values),
                ),
                ServiceSeries(
                    service="checkout",
                    peer="payments",
                    series=Series(start_s=BASELINE.start_s, step_s=60, values=(float("nan"),)),
                ),
            ),
        ),
        PatternsBody(
            patterns=(
                Pattern(
                    template_id="t1",
                    text="could not get connection within <n> ms" + said,
                    service="payments" + said,
                    level="error",
                    before=0,
                    after=412,
                    first_seen_s=ONSET_S,
                    last_seen_s=NOW_S,
                    examples=("could not get connection within 3000 ms" + said,),
                ),
            ),
            lines_read=4318,
            lines_total=5000,
            bucket_start_s=BASELINE.start_s,
            bucket_step_s=60,
        ),
        ChangesBody(
            changes=(
                Change(
                    kind=ChangeKind.DEPLOY,
                    at_s=ONSET_S - 200,
                    service="payments" + said,
                    ref="3f2c1a" + said,
                    summary="lower pool_timeout" + said,
                    author="CI" + said,
                    files=("db/pool.py" + said,),
                ),
            )
        ),
        AlertsBody(
            alerts=(Alert(name="CheckoutSlow" + said, labels={"service": "checkout" + said}, started_at_s=ONSET_S),)
        ),
        GraphBody(edges=(Edge(caller="checkout" + said, callee="payments" + said),)),
        MessagesBody(messages=(ThreadMessage(at_s=NOW_S, author="Kim" + said, from_app=False, text="look" + said),)),
    )
    return tuple(
        Evidence(
            id=f"E{i}",
            title="pool in use" + said,
            source="prometheus/prod" + said,
            query='pool_in_use{service="payments"}' + said,
            window=SCOPE.whole,
            body=body,
            link=f"https://grafana.test/explore?left=a&right={i}{said}",
            warnings=("partial response" + said,),
        )
        for i, body in enumerate(bodies, start=1)
    )
