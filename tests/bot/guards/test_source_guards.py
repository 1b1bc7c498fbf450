"""What the wrappers around sources promise: measured, cut off when dead, otherwise not noticed."""

import asyncio
from collections.abc import Mapping, Sequence

import pytest

from bot.demo.memory import ManualClock, RecordingMeter
from bot.domain.alert import Alert
from bot.domain.change import Change, ChangeKind
from bot.domain.query import ConfiguredLogQuery, LogCountQuery, LogQuery, Matcher, MetricQuery, Selector
from bot.domain.scope import Window
from bot.errors import QueryRefused, SourceUnavailable
from bot.guards.breaking import breaking
from bot.guards.metered import metered
from bot.policy.breaker import Rules
from bot.ports import (
    ChangeSource,
    Health,
    LabelSets,
    LinesAnswer,
    MetricMetadata,
    SeriesAnswer,
    Sources,
)

WINDOW = Window(start_s=0, end_s=10)
CHANGE = Change(kind=ChangeKind.DEPLOY, at_s=1.0, service="checkout", ref="v2", summary="deploy")
DOWN = SourceUnavailable("CHG-001", "git is down", "start git")
REFUSED = QueryRefused("CHG-002", "no such branch", "name another")


class Changes:
    """A change source that takes a second and does as it is told."""

    name = "git"
    environment = "prod"

    def __init__(self, clock: ManualClock) -> None:
        self._clock = clock
        self.error: Exception | None = None
        self.gate: asyncio.Event | None = None
        self.asked = 0

    async def changes(self, services: Sequence[str], window: Window, *, timeout_s: float) -> tuple[Change, ...]:
        self.asked += 1
        self._clock.advance(1.0)
        if self.gate is not None:
            await self.gate.wait()
        if self.error is not None:
            raise self.error
        return (CHANGE,)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def source(clock: ManualClock) -> Changes:
    return Changes(clock)


def broken_off(source: Changes, clock: ManualClock) -> ChangeSource:
    rules = Rules(failures=3, window_s=60, open_s=15)
    return breaking(Sources(changes=(source,)), clock, rules).changes[0]


async def ask(source: ChangeSource) -> tuple[Change, ...]:
    return await source.changes(("checkout",), WINDOW, timeout_s=1)


async def outcome(source: ChangeSource) -> str:
    try:
        await ask(source)
    except (SourceUnavailable, QueryRefused) as error:
        return error.code
    return "answered"


async def test_a_guarded_source_is_still_itself(source: Changes, clock: ManualClock) -> None:
    (guarded,) = metered(breaking(Sources(changes=(source,)), clock), RecordingMeter(), clock).changes

    assert (guarded.name, guarded.environment) == ("git", "prod")
    assert await ask(guarded) == (CHANGE,)


async def test_every_answer_is_timed_and_every_error_counted(source: Changes, clock: ManualClock) -> None:
    meter = RecordingMeter()
    (guarded,) = metered(Sources(changes=(source,)), meter, clock).changes

    await ask(guarded)
    source.error = DOWN
    await outcome(guarded)
    source.error = REFUSED
    await outcome(guarded)

    assert list(meter.times.values()) == [[1.0, 1.0, 1.0]]
    for code in ("CHG-001", "CHG-002"):
        assert meter.counted("groundwire_source_errors_total", source="git", kind="changes", code=code) == 1


async def test_a_cancelled_question_is_not_measured(source: Changes, clock: ManualClock) -> None:
    meter = RecordingMeter()
    (guarded,) = metered(Sources(changes=(source,)), meter, clock).changes
    source.gate = asyncio.Event()

    await _cancelled(guarded)

    assert (meter.times, meter.counts) == ({}, {})


async def _cancelled(source: ChangeSource) -> None:
    asking = asyncio.create_task(ask(source))
    await asyncio.sleep(0)
    asking.cancel()
    await asyncio.wait([asking])


async def test_a_dead_source_is_left_alone_and_says_why(source: Changes, clock: ManualClock) -> None:
    guarded = broken_off(source, clock)
    source.error = DOWN

    codes = [await outcome(guarded) for _ in range(5)]

    assert codes == ["CHG-001"] * 3 + ["SRC-001"] * 2
    assert source.asked == 3
    with pytest.raises(SourceUnavailable, match=r"git has failed .* again in 15 s"):
        await ask(guarded)


async def test_a_refused_query_is_no_failure(source: Changes, clock: ManualClock) -> None:
    guarded = broken_off(source, clock)
    source.error = REFUSED

    assert [await outcome(guarded) for _ in range(10)] == ["CHG-002"] * 10


async def test_cancelled_questions_do_not_open_it(source: Changes, clock: ManualClock) -> None:
    guarded = broken_off(source, clock)
    source.gate = asyncio.Event()
    for _ in range(10):
        await _cancelled(guarded)

    source.gate = None
    assert await outcome(guarded) == "answered"


async def test_of_twenty_questions_after_the_pause_one_is_let_through(source: Changes, clock: ManualClock) -> None:
    guarded = broken_off(source, clock)
    source.error = DOWN
    for _ in range(3):
        await outcome(guarded)
    clock.advance(15)
    source.error, source.gate = None, asyncio.Event()

    asking = [asyncio.create_task(outcome(guarded)) for _ in range(20)]
    await asyncio.sleep(0)
    source.gate.set()
    codes = await asyncio.gather(*asking)

    assert sorted(codes) == ["SRC-001"] * 19 + ["answered"]
    assert source.asked == 4
    assert await outcome(guarded) == "answered"


async def test_a_cancelled_probe_lets_the_next_one_try(source: Changes, clock: ManualClock) -> None:
    guarded = broken_off(source, clock)
    source.error = DOWN
    for _ in range(3):
        await outcome(guarded)
    clock.advance(15)
    source.error, source.gate = None, asyncio.Event()

    await _cancelled(guarded)
    source.gate = None

    assert await outcome(guarded) == "answered"


async def test_an_error_of_our_own_is_not_held_against_the_source(source: Changes, clock: ManualClock) -> None:
    guarded = broken_off(source, clock)
    source.error = KeyError("ours")
    for _ in range(10):
        with pytest.raises(KeyError):
            await ask(guarded)

    source.error = None
    assert await outcome(guarded) == "answered"


LABELS = LabelSets(sets=({"__name__": "up"},))
SERIES = SeriesAnswer(series=(), query="up", link="https://prometheus.example/graph")
LINES = LinesAnswer(lines=(), query='{app="checkout"}')
WELL = Health(ok=True, detail="3.7.6")
METRIC_QUERY = MetricQuery(selector=Selector(metric="up"), window=WINDOW, step_s=15)
COUNT_QUERY = LogCountQuery(selector=Selector(), window=WINDOW, step_s=15)
LOG_QUERY = LogQuery(selector=Selector(), window=WINDOW)


class Numbers:
    """A metric source with one answer for each question."""

    name = "prometheus"
    environment = None
    service_labels = ("service", "job")
    resolution_s = 15

    async def label_names(self, window: Window, *, timeout_s: float) -> frozenset[str]:
        return frozenset({"job"})

    async def label_values(self, label: str, window: Window, *, timeout_s: float) -> tuple[str, ...]:
        return (label, "checkout")

    async def series(self, matchers: tuple[Matcher, ...], window: Window, *, timeout_s: float) -> LabelSets:
        return LABELS

    async def metadata(self, *, timeout_s: float) -> Mapping[str, MetricMetadata]:
        return {"up": MetricMetadata(kind="gauge")}

    async def range(self, query: MetricQuery, *, timeout_s: float) -> SeriesAnswer:
        return SERIES

    async def health(self, *, timeout_s: float) -> Health:
        return WELL


class Lines:
    """A log source with one answer for each question."""

    name = "loki"
    environment = "prod"
    service_labels = ("service_name",)
    level_label = "detected_level"

    async def label_names(self, window: Window, *, timeout_s: float) -> frozenset[str]:
        return frozenset({"app"})

    async def label_values(self, label: str, window: Window, *, timeout_s: float) -> tuple[str, ...]:
        return (label, "checkout")

    async def volume_bytes(self, selector: Selector, window: Window, *, timeout_s: float) -> int | None:
        return 42

    async def count(self, query: LogCountQuery, *, timeout_s: float) -> SeriesAnswer:
        return SERIES

    async def lines(self, query: LogQuery | ConfiguredLogQuery, *, timeout_s: float) -> LinesAnswer:
        return LINES

    async def health(self, *, timeout_s: float) -> Health:
        return WELL


class Alerts:
    name = "prometheus"
    environment = "prod"

    async def firing(self, *, timeout_s: float) -> tuple[Alert, ...]:
        return (Alert(name="HighLatency"),)


async def test_every_question_passes_through_all_guards_unchanged(clock: ManualClock) -> None:
    meter = RecordingMeter()
    bare = Sources(metrics=(Numbers(),), logs=(Lines(),), alerts=(Alerts(),))
    guarded = metered(breaking(bare, clock), meter, clock)
    (metrics,), (logs,), (alerts,) = guarded.metrics, guarded.logs, guarded.alerts

    assert (metrics.name, metrics.service_labels, metrics.resolution_s) == ("prometheus", ("service", "job"), 15)
    assert await metrics.label_names(WINDOW, timeout_s=1) == {"job"}
    assert await metrics.label_values("job", WINDOW, timeout_s=1) == ("job", "checkout")
    assert await metrics.series((), WINDOW, timeout_s=1) == LABELS
    assert (await metrics.metadata(timeout_s=1))["up"].kind == "gauge"
    assert await metrics.range(METRIC_QUERY, timeout_s=1) == SERIES
    assert (logs.name, logs.service_labels, logs.level_label) == ("loki", ("service_name",), "detected_level")
    assert await logs.label_names(WINDOW, timeout_s=1) == {"app"}
    assert await logs.label_values("app", WINDOW, timeout_s=1) == ("app", "checkout")
    assert await logs.volume_bytes(Selector(), WINDOW, timeout_s=1) == 42
    assert await logs.count(COUNT_QUERY, timeout_s=1) == SERIES
    assert await logs.lines(LOG_QUERY, timeout_s=1) == LINES
    assert [alert.name for alert in await alerts.firing(timeout_s=1)] == ["HighLatency"]

    timed = {dict(labels)["kind"]: len(seconds) for (_, labels), seconds in meter.times.items()}
    assert timed == {"metrics": 5, "logs": 5, "alerts": 1}


async def test_health_is_asked_even_of_a_source_that_is_cut_off(clock: ManualClock) -> None:
    (metrics,) = breaking(Sources(metrics=(Numbers(),)), clock).metrics
    (logs,) = breaking(Sources(logs=(Lines(),)), clock).logs

    assert await metrics.health(timeout_s=1) == WELL
    assert await logs.health(timeout_s=1) == WELL
