"""The looks at logs: counted first, read within limits, cut samples scaled, limits told."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import replace

from bot.demo.memory import ManualClock
from bot.domain.evidence import PatternsBody, SeriesBody, Signal
from bot.domain.logs import LogLine
from bot.domain.query import LogCountQuery
from bot.domain.scope import Scope
from bot.errors import QueryRefused
from bot.ports import SeriesAnswer
from bot.workflows.discover import LogSurvey
from bot.workflows.logs import BYTES_MAX, LOUD_LINES, QUIET_LINES, SERVICES_READ, SUSPECTS_READ, look_at_logs
from bot.workflows.looking import Lookout
from bot.workflows.minting import Draft
from tests.bot.workflows.fakes import DOWN, NOW_S, Logs, scope_of

START_S, TURN_S = NOW_S - 5400, NOW_S - 1800


def lookout() -> Lookout:
    return Lookout(ManualClock(), deadline_s=60)


def lines(
    text: str, every_s: float, *, app: str = "cart", level: str = "info", since_s: float = START_S
) -> list[LogLine]:
    """The same line again and again until now, never on the edge of a step: a count is open on the left."""
    number = int((NOW_S - since_s) / every_s)
    at = (round((since_s + i * every_s) * 1e9) + 1_000_000 for i in range(number))
    return [LogLine(ts_ns=ns, line=text, labels={"app": app}, level=level) for ns in at]


async def looked_at(
    source: Logs, scope: Scope, over: Lookout | None = None, suspects: Sequence[str] = ()
) -> tuple[Draft, ...]:
    values = tuple(sorted({line.labels["app"] for line in source.held}))
    known = LogSurvey(source=source, labels=frozenset({"app", "env"}), label="app", values=values)
    told: asyncio.Future[Sequence[str]] = asyncio.get_running_loop().create_future()
    told.set_result(suspects)
    return await look_at_logs([known], scope, over or lookout(), told)


def patterns(drafts: Iterable[Draft]) -> list[PatternsBody]:
    return [draft.body for draft in drafts if isinstance(draft.body, PatternsBody)]


async def test_counts_come_first_then_patterns_with_what_is_new_in_front() -> None:
    held = [*lines("request done", 10), *lines("pool exhausted", 5, level="error", since_s=TURN_S)]
    source = Logs(held=held)

    errors, told = await looked_at(source, scope_of("cart"))

    assert isinstance(errors.body, SeriesBody)
    assert (errors.body.signal, errors.body.unit) == (Signal.LOGS, "/min")
    assert max(errors.body.series[0].series.values) == 12.0
    assert errors.title == "error lines a minute of 1 services"
    assert isinstance(told.body, PatternsBody)
    loud, quiet = told.body.patterns
    assert (loud.text, loud.level, loud.before, loud.after) == ("pool exhausted", "error", 0, 360)
    assert (quiet.text, quiet.before, quiet.after) == ("request done", 360, 180)
    assert told.body.lines_read == told.body.lines_total == len(held)
    assert sum(loud.buckets) == 360
    (query,) = source.counted
    assert query.by == ("app", "detected_level")


async def test_chatter_is_a_sample_scaled_up_to_the_whole() -> None:
    held = lines("request done", 0.5)

    (body,) = patterns(await looked_at(Logs(held=held), scope_of("cart")))

    (pattern,) = body.patterns
    assert body.lines_read == 2 * QUIET_LINES
    assert body.lines_total == len(held)
    assert abs(pattern.before - 7200) <= 20
    assert abs(pattern.after - 3600) <= 20


async def test_loud_and_quiet_lines_are_asked_for_apart_and_within_their_limits() -> None:
    source = Logs(held=lines("x", 60))

    await looked_at(source, scope_of("cart"))

    assert sorted(query.limit for query in source.read) == [QUIET_LINES, QUIET_LINES, LOUD_LINES, LOUD_LINES]
    assert {query.window for query in source.read} == {scope_of("cart").baseline, scope_of("cart").window}


async def test_a_window_that_holds_too_much_is_read_in_its_newest_part() -> None:
    source, over = Logs(held=lines("x", 0.2, level="error"), bytes_held={"cart": 4 * BYTES_MAX}), lookout()

    (body,) = patterns(await looked_at(source, scope_of("cart"), over))

    assert {(query.window.end_s, query.window.duration_s) for query in source.read} == {(TURN_S, 450.0), (NOW_S, 450.0)}
    (gap,) = over.gaps()
    assert gap.what == "loki: older log lines of cart"
    assert "800 MB" in gap.why
    assert "last 8 min" in gap.why
    assert (body.patterns[0].before, body.patterns[0].after) == (18000, 9000)


async def test_the_size_of_a_few_lines_is_not_asked_for() -> None:
    source, over = Logs(held=lines("x", 2), bytes_held={"cart": 4 * BYTES_MAX}), lookout()

    await looked_at(source, scope_of("cart"), over)

    assert {query.window for query in source.read} == {scope_of("cart").baseline, scope_of("cart").window}
    assert over.gaps() == ()


async def test_a_baseline_that_would_hold_too_much_is_a_sample_of_its_newest_part() -> None:
    source, over = Logs(held=lines("x", 0.2, level="error"), bytes_held={"cart": BYTES_MAX}), lookout()

    (body,) = patterns(await looked_at(source, scope_of("cart"), over))

    assert {(query.window.end_s, query.window.duration_s) for query in source.read} == {
        (TURN_S, 1800.0),
        (NOW_S, 1800.0),
    }
    assert abs(body.patterns[0].before - 18000) <= 20
    assert over.gaps() == ()


async def test_a_server_that_cannot_say_how_much_there_is_is_asked_anyway() -> None:
    source = Logs(held=lines("x", 0.2), bytes_held={"cart": None})

    await looked_at(source, scope_of("cart"))

    assert len(source.read) == 4


async def test_lines_are_read_for_some_services_the_one_asked_about_and_those_with_new_errors() -> None:
    names = [f"svc{i:02}" for i in range(SERVICES_READ + 3)]
    held = [line for name in names for line in lines("tick", 600, app=name)]
    for name in names[3:]:
        held += lines("boom", 10, app=name, level="error", since_s=TURN_S)
    source, over = Logs(held=held), lookout()

    drafts = await looked_at(source, scope_of(*names), over)

    read = [draft.title.removeprefix("log patterns of ") for draft in drafts[1:]]
    assert len(read) == SERVICES_READ
    assert read == ["svc00", *names[3:-1]]
    (gap,) = over.gaps()
    assert gap.what == f"log lines of {names[-1]}, svc01, svc02"


async def test_lines_are_read_for_services_whose_metrics_left_their_normal_however_quiet_their_logs_are() -> None:
    names = [f"svc{i:02}" for i in range(SERVICES_READ + 3)]
    held = [line for name in names for line in lines("tick", 600, app=name)]
    for name in names[:-3]:
        held += lines("boom", 10, app=name, level="error", since_s=TURN_S)
    suspects = [names[-1], "no-logs", names[1], names[-2], names[-3]]

    drafts = await looked_at(Logs(held=held), scope_of(*names), lookout(), suspects)

    read = [draft.title.removeprefix("log patterns of ") for draft in drafts[1:]]
    assert read == [*names[: SERVICES_READ - SUSPECTS_READ], names[-1], names[-2]]


async def test_where_all_services_can_be_read_nothing_is_waited_for() -> None:
    known = LogSurvey(source=Logs(held=lines("x", 60)), labels=frozenset({"app"}), label="app", values=("cart",))
    never: asyncio.Future[Sequence[str]] = asyncio.get_running_loop().create_future()

    assert await asyncio.wait_for(look_at_logs([known], scope_of("cart"), lookout(), never), 5)


async def test_totals_of_a_service_are_not_those_of_one_with_a_longer_name() -> None:
    held = [*lines("a", 60, app="orders"), *lines("b", 10, app="orders-db")]

    bodies = patterns(await looked_at(Logs(held=held), scope_of("orders", "orders-db")))

    assert {body.patterns[0].service: body.lines_total for body in bodies} == {"orders": 90, "orders-db": 540}


async def test_streams_named_after_parts_of_a_service_are_its_own() -> None:
    held = [*lines("a", 60, app="shop-cart-7d9f"), *lines("a", 60, app="shop-cart-8b1c"), *lines("x", 60, app="other")]
    source = Logs(held=held)

    (body,) = patterns(await looked_at(source, scope_of("cart")))

    assert (body.patterns[0].service, body.lines_total) == ("cart", 180)
    assert all("other" not in query.selector.matchers[0].value for query in source.read)


async def test_a_service_without_streams_asks_nothing() -> None:
    source = Logs(held=lines("x", 60, app="web"))

    assert await looked_at(source, scope_of("cart")) == ()
    assert (source.read, source.counted) == ([], [])


async def test_labels_of_the_environment_narrow_what_is_read() -> None:
    source = Logs(held=[replace(line, labels={**line.labels, "env": "prod"}) for line in lines("x", 60)])

    await looked_at(source, scope_of("cart", environment="prod"))

    assert all(("env", "prod") in {(m.label, m.value) for m in query.selector.matchers} for query in source.read)


async def test_sources_of_another_environment_are_not_read() -> None:
    source = Logs(held=lines("x", 60), environment="test")

    assert await looked_at(source, scope_of("cart", environment="prod")) == ()


async def test_a_dead_source_is_gaps_and_no_evidence() -> None:
    source, over = Logs(held=lines("x", 60)), lookout()
    source.error = DOWN

    assert await looked_at(source, scope_of("cart"), over) == ()
    assert len(over.gaps()) == 1


class CountsRefused(Logs):
    async def count(self, query: LogCountQuery, *, timeout_s: float) -> SeriesAnswer:
        raise QueryRefused("LOG-003", "Too many series.", "Ask about one service.")


async def test_without_counts_lines_are_still_read() -> None:
    over = lookout()

    (draft,) = await looked_at(CountsRefused(held=lines("x", 60)), scope_of("cart"), over)

    assert isinstance(draft.body, PatternsBody)
    assert (draft.body.lines_read, draft.body.lines_total) == (90, None)
    assert [gap.what for gap in over.gaps()] == ["loki: line counts by level"]
