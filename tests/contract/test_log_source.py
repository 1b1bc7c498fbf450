"""What every LogSource promises, whoever implements it.

A source under test holds lines that are known here; what it answers is compared with what those lines say. `loki` is the
fake server; `real loki` is any server named in GROUNDWIRE_TEST_LOKI_URL, where the lines are pushed under labels of their own.
"""

import asyncio
import json
import math
import os
import re
import secrets
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import aiohttp
import pytest

from bot.adapters.endpoint import Endpoint
from bot.adapters.loki import LokiSource
from bot.demo.loki.server import fake_loki, running_loki
from bot.demo.shop import topology
from bot.demo.shop.lines import Lines
from bot.demo.shop.shop import Shop
from bot.demo.shop.sources import ShopLogs
from bot.domain.logs import LogLine
from bot.domain.query import (
    FilterOp,
    LineFilter,
    LogCountQuery,
    LogQuery,
    Matcher,
    Op,
    Parser,
    Selector,
    any_of,
    equal,
    one_of,
)
from bot.domain.scope import Window
from bot.errors import QueryRefused
from bot.ports import LogSource

REAL_LOKI = os.environ.get("GROUNDWIRE_TEST_LOKI_URL", "")
SOON_S = 10.0
VISIBLE_WITHIN_S = 30.0
SECOND_NS = 1_000_000_000
SHOP_NOW_S = 1_790_000_040  # a multiple of a minute
HOSTILE = '"} or {app=~".+"} |= `x` # \\ \n \N{SNOWMAN} {{.}}'
LOUD = Matcher(label="detected_level", value="(?i)info|debug", op=Op.NOT_MATCHES)


@dataclass(frozen=True, kw_only=True)
class Held:
    """A source and the lines it holds in a window that starts and ends on a minute, oldest first.

    `earlier` are those of the minute before, which a count's first point reaches back to.
    """

    source: LogSource
    label: str
    lines: tuple[LogLine, ...]
    window: Window
    earlier: tuple[LogLine, ...] = ()

    @property
    def services(self) -> tuple[str, ...]:
        return tuple(sorted({line.labels[self.label] for line in self.lines}))

    @property
    def everything(self) -> Selector:
        return Selector(matchers=(one_of(self.label, self.services),))

    def query(self, *filters: LineFilter, where: tuple[Matcher, ...] = (), limit: int = 5000) -> LogQuery:
        return LogQuery(selector=self.everything, window=self.window, filters=filters, where=where, limit=limit)

    def counting(self, *filters: LineFilter, by: tuple[str, ...] = (), step_s: int = 60) -> LogCountQuery:
        return LogCountQuery(selector=self.everything, window=self.window, step_s=step_s, by=by, filters=filters)

    def counted(
        self, lines: Iterable[LogLine], *, by: tuple[str, ...], step_s: int
    ) -> dict[tuple[str, ...], list[int]]:
        """Lines a step by the values of some labels, as they must be answered: a step ends at its point."""
        points = math.ceil(self.window.duration_s / step_s)
        found: dict[tuple[str, ...], list[int]] = {}
        for line in lines:
            place = -(-(line.ts_ns - round(self.window.start_s) * SECOND_NS) // (step_s * SECOND_NS))
            labels = {**line.labels, "detected_level": line.level}
            if 0 <= place < points:
                found.setdefault(tuple(labels[name] for name in by), [0] * points)[place] += 1
        return found


@pytest.fixture(scope="module")
def shop() -> Held:
    """A few minutes of the simulated shop."""
    running = Shop(topology.shop(), 7, "bad_deploy", SHOP_NOW_S, onset_s=SHOP_NOW_S - 600)
    source, lines = ShopLogs(running), Lines(running)

    def between(start_s: float, end_s: float) -> tuple[LogLine, ...]:
        return in_order(line for service in lines.services for line in lines.between(service, start_s, end_s))

    window = Window(start_s=SHOP_NOW_S - 240, end_s=SHOP_NOW_S - 60)
    return Held(
        source=source,
        label=source.service_labels[0],
        lines=between(window.start_s, window.end_s),
        window=window,
        earlier=between(window.start_s - 60, window.start_s),
    )


@pytest.fixture(params=["loki", "shop", *(["real loki"] if REAL_LOKI else [])])
async def held(request: pytest.FixtureRequest) -> AsyncIterator[Held]:
    if request.param == "shop":
        shop: Held = request.getfixturevalue("shop")
        yield shop
    elif request.param == "real loki":
        async with pushed_to(REAL_LOKI) as found:
            yield found
    else:
        async with running_loki(fake_loki()) as url, pushed_to(url) as found:
            yield found


@asynccontextmanager
async def pushed_to(url: str) -> AsyncIterator[Held]:
    """The lines of `written` on a Loki server, once they can be read there."""
    run = secrets.token_hex(6)
    start_s = int(time.time()) // 60 * 60 - 600
    lines = in_order(written(run, start_s))
    await push(url, lines)
    source = LokiSource("loki", Endpoint(url=url), environment="prod", service_labels=("app",))
    held = Held(source=source, label="app", lines=lines, window=Window(start_s=start_s, end_s=start_s + 300))
    try:
        async with asyncio.timeout(VISIBLE_WITHIN_S):
            while len((await source.lines(held.query(), timeout_s=SOON_S)).lines) < len(lines):  # noqa: ASYNC110
                await asyncio.sleep(0.2)
        yield held
    finally:
        await source.close()


def written(run: str, start_s: int) -> list[LogLine]:
    """Five minutes of three services in JSON, logfmt and plain text, with crowded nanoseconds and awkward text."""
    cart, checkout, batch = ({"app": f"{name}-{run}", "pod": f"{name}-0"} for name in ("cart", "checkout", "batch"))
    found: list[LogLine] = []
    for i in range(300):
        at_ns = (start_s + i) * SECOND_NS
        level = "error" if i % 10 == 3 else "info" if i % 2 else "debug"
        body = json.dumps({"level": level, "msg": f"item {i} added", "outcome": ("ok", "full", "gone")[i % 3]})
        found.append(LogLine(ts_ns=at_ns, line=body, labels=cart, level=level))
        level = "warn" if i % 7 == 0 else "info"
        text = f'level={level} msg="order {i} placed" took={i}ms'
        found.append(LogLine(ts_ns=at_ns + 7, line=text, labels=checkout, level=level))
    crowd_ns = (start_s + 120) * SECOND_NS
    found += [LogLine(ts_ns=crowd_ns, line=f"level=info crowd {i:02}", labels=batch, level="info") for i in range(40)]
    found += [
        LogLine(ts_ns=(start_s + 200 + i) * SECOND_NS, line=f"level=error {text}", labels=batch, level="error")
        for i, text in enumerate(
            ["größe \N{SNOWMAN} \U0001f525", 'say "no" \\ or `yes`', "{{.line}} %s $1", "tab\there"]
        )
    ]
    return found


async def push(url: str, lines: Iterable[LogLine]) -> None:
    streams: dict[str, list[list[str]]] = {}
    for line in lines:
        streams.setdefault(json.dumps(line.labels), []).append([str(line.ts_ns), line.line])
    body = {"streams": [{"stream": json.loads(labels), "values": values} for labels, values in streams.items()]}
    async with aiohttp.ClientSession() as session, session.post(f"{url}/loki/api/v1/push", json=body) as answer:
        assert answer.status == 204, await answer.text()


def in_order(lines: Iterable[LogLine]) -> tuple[LogLine, ...]:
    return tuple(sorted(lines, key=lambda line: (line.ts_ns, sorted(line.labels.items()), line.line)))


def texts(lines: Iterable[LogLine]) -> list[tuple[int, str]]:
    """What identifies lines, in an order that does not depend on which labels a server adds."""
    return sorted((line.ts_ns, line.line) for line in lines)


def a_word(lines: Sequence[LogLine]) -> str:
    """A word that some lines hold and others do not."""
    share: Counter[str] = Counter(word for line in lines for word in set(re.findall(r"[a-z]{4,}", line.line)))
    half = {word: count for word, count in share.items() if count < 0.6 * len(lines)}
    return max(sorted(half), key=half.__getitem__)


async def test_it_says_where_it_belongs(held: Held) -> None:
    assert held.source.name
    assert held.source.environment
    assert held.source.service_labels[0] == held.label
    assert held.source.level_label == "detected_level"


async def test_every_line_comes_once_oldest_first(held: Held) -> None:
    answer = await held.source.lines(held.query(), timeout_s=SOON_S)

    assert texts(answer.lines) == texts(held.lines)
    assert [line.ts_ns for line in answer.lines] == [line.ts_ns for line in held.lines]
    assert answer.complete
    assert answer.query


async def test_lines_carry_their_labels_and_level(held: Held) -> None:
    answer = await held.source.lines(held.query(), timeout_s=SOON_S)

    known = {(line.ts_ns, line.line): line for line in held.lines}
    for line in answer.lines:
        truth = known[line.ts_ns, line.line]
        assert line.labels.items() >= dict(truth.labels).items()
        assert line.level == truth.level


async def test_the_end_of_a_window_is_outside(held: Held) -> None:
    middle_s = held.window.start_s + 120
    halves = Window(start_s=held.window.start_s, end_s=middle_s), Window(start_s=middle_s, end_s=held.window.end_s)

    early, late = [await held.source.lines(replace(held.query(), window=half), timeout_s=SOON_S) for half in halves]

    assert texts((*early.lines, *late.lines)) == texts(held.lines)
    assert all(line.ts_ns < middle_s * SECOND_NS for line in early.lines)


async def test_a_limit_keeps_the_newest_lines_and_says_so(held: Held) -> None:
    answer = await held.source.lines(held.query(limit=25), timeout_s=SOON_S)

    assert [line.ts_ns for line in answer.lines] == [line.ts_ns for line in held.lines[-25:]]
    assert not answer.complete


async def test_a_limit_that_is_just_enough_cuts_nothing(held: Held) -> None:
    answer = await held.source.lines(held.query(limit=len(held.lines)), timeout_s=SOON_S)

    assert len(answer.lines) == len(held.lines)
    assert answer.complete


async def test_the_oldest_lines_can_be_asked_for(held: Held) -> None:
    answer = await held.source.lines(replace(held.query(limit=25), oldest_first=True), timeout_s=SOON_S)

    assert [line.ts_ns for line in answer.lines] == [line.ts_ns for line in held.lines[:25]]
    assert not answer.complete


async def test_no_lines_at_all_is_an_answer(held: Held) -> None:
    nobody = Selector(matchers=(equal(held.label, "nobody-of-this-name"),))

    lines = await held.source.lines(replace(held.query(), selector=nobody), timeout_s=SOON_S)
    count = await held.source.count(replace(held.counting(), selector=nobody), timeout_s=SOON_S)

    assert (lines.lines, lines.complete, count.series) == ((), True, ())


@pytest.mark.parametrize("op", list(Op))
async def test_matchers_select_streams(held: Held, op: Op) -> None:
    first, *others = held.services
    value = any_of((first, "nobody")) if op in (Op.MATCHES, Op.NOT_MATCHES) else first
    selector = Selector(matchers=(*held.everything.matchers, Matcher(label=held.label, value=value, op=op)))

    answer = await held.source.lines(replace(held.query(), selector=selector), timeout_s=SOON_S)

    expected = {first} if op in (Op.EQUAL, Op.MATCHES) else set(others)
    assert texts(answer.lines) == texts(line for line in held.lines if line.labels[held.label] in expected)


async def test_a_pattern_matches_the_whole_value(held: Held) -> None:
    part = Matcher(label=held.label, value=held.services[0][:-1], op=Op.MATCHES)

    answer = await held.source.lines(replace(held.query(), selector=Selector(matchers=(part,))), timeout_s=SOON_S)

    assert answer.lines == ()


async def test_a_hostile_value_selects_nothing_and_breaks_nothing(held: Held) -> None:
    hostile = Selector(matchers=(equal(held.label, HOSTILE),))

    by_label = await held.source.lines(replace(held.query(), selector=hostile), timeout_s=SOON_S)
    by_text = await held.source.lines(held.query(LineFilter(text=HOSTILE)), timeout_s=SOON_S)
    by_level = await held.source.lines(held.query(where=(equal("detected_level", HOSTILE),)), timeout_s=SOON_S)

    assert (by_label.lines, by_text.lines, by_level.lines) == ((), (), ())


@pytest.mark.parametrize("op", list(FilterOp))
async def test_line_filters_keep_lines(held: Held, op: FilterOp) -> None:
    word = a_word(held.lines)
    kept = [line for line in held.lines if (word in line.line) == (op in (FilterOp.CONTAINS, FilterOp.MATCHES))]

    answer = await held.source.lines(held.query(LineFilter(text=word, op=op)), timeout_s=SOON_S)

    assert texts(answer.lines) == texts(kept)
    assert 0 < len(kept) < len(held.lines)


@pytest.mark.parametrize("where", [equal("detected_level", "info"), LOUD, replace(LOUD, op=Op.MATCHES)])
async def test_levels_select_lines(held: Held, where: Matcher) -> None:
    quiet = {"info", "debug"} if where.value != "info" else {"info"}
    kept = [line for line in held.lines if (line.level in quiet) is (where.op is not Op.NOT_MATCHES)]

    answer = await held.source.lines(held.query(where=(where,)), timeout_s=SOON_S)

    assert texts(answer.lines) == texts(kept)
    assert kept


async def test_a_parser_gives_fields_to_select_by(held: Held) -> None:
    service, field, value = json_field(held)
    mine = Selector(matchers=(equal(held.label, service),))
    query = replace(held.query(where=(equal(field, value),)), selector=mine, parser=Parser.JSON)
    written = (line for line in (*held.earlier, *held.lines) if line.labels[held.label] == service)
    having = [line for line in written if json.loads(line.line).get(field) == value]

    answer = await held.source.lines(query, timeout_s=SOON_S)
    count = await held.source.count(
        LogCountQuery(
            selector=mine, window=held.window, step_s=60, by=(field,), parser=Parser.JSON, where=(equal(field, value),)
        ),
        timeout_s=SOON_S,
    )

    assert texts(answer.lines) == texts(line for line in having if line.ts_ns >= held.window.start_s * SECOND_NS)
    [series] = count.series
    assert series.labels == {field: value}
    assert list(series.values) == held.counted(having, by=(), step_s=60)[()]


def json_field(held: Held) -> tuple[str, str, str]:
    """A service that writes JSON, a field of its lines, and the value most of them have, though not all."""
    best: Counter[tuple[str, str, str]] = Counter()
    for service in held.services:
        mine = [line.line for line in held.lines if line.labels[held.label] == service]
        if all(text.startswith("{") for text in mine):
            pairs = ((service, *pair) for text in mine for pair in json.loads(text).items())
            found = Counter(one for one in pairs if isinstance(one[2], str) and one[1] not in ("level", "severity"))
            best.update({one: count for one, count in found.items() if count < len(mine)})
    [(field, _)] = best.most_common(1)
    return field


async def test_counts_are_lines_a_step_by_labels(held: Held) -> None:
    by = (held.label, "detected_level")

    answer = await held.source.count(held.counting(by=by, step_s=30), timeout_s=SOON_S)

    found = {tuple(one.labels[name] for name in by): list(one.values) for one in answer.series}
    assert found == without_zeros(held.counted((*held.earlier, *held.lines), by=by, step_s=30))
    assert all(set(one.labels) == set(by) for one in answer.series)
    assert answer.query


def without_zeros(counted: dict[tuple[str, ...], list[int]]) -> dict[tuple[str, ...], list[int]]:
    return {key: row for key, row in counted.items() if any(row)}


async def test_counts_share_one_grid_inside_the_window(held: Held) -> None:
    window = Window(start_s=held.window.start_s + 7.5, end_s=held.window.end_s - 7.5)

    answer = await held.source.count(replace(held.counting(by=(held.label,)), window=window), timeout_s=SOON_S)

    assert answer.series
    for one in answer.series:
        assert one.step_s == 60
        assert one.start_s == held.window.start_s + 60
        assert one.at(len(one.values) - 1) == held.window.end_s - 60


async def test_a_count_over_everything_has_no_labels(held: Held) -> None:
    answer = await held.source.count(held.counting(), timeout_s=SOON_S)

    [total] = answer.series
    assert total.labels == {}
    assert list(total.values) == held.counted((*held.earlier, *held.lines), by=(), step_s=60)[()]


async def test_filtered_lines_are_counted_and_a_step_without_any_is_zero(held: Held) -> None:
    word = a_word(held.lines)
    kept = [line for line in (*held.earlier, *held.lines) if word in line.line]

    answer = await held.source.count(held.counting(LineFilter(text=word), step_s=5), timeout_s=SOON_S)

    [total] = answer.series
    assert list(total.values) == held.counted(kept, by=(), step_s=5)[()]
    assert not any(math.isnan(value) for value in total.values)


async def test_a_window_without_a_multiple_of_the_step_gives_no_series(held: Held) -> None:
    between = Window(start_s=held.window.start_s + 1, end_s=held.window.start_s + 59)

    answer = await held.source.count(replace(held.counting(), window=between), timeout_s=SOON_S)

    assert answer.series == ()


async def test_label_names_and_values_are_those_of_streams(held: Held) -> None:
    names = await held.source.label_names(held.window, timeout_s=SOON_S)
    values = await held.source.label_values(held.label, held.window, timeout_s=SOON_S)

    assert names >= {held.label, "pod"}
    assert not any(name.startswith("__") for name in names)
    assert set(values) >= set(held.services)
    assert list(values) == sorted(values)


@pytest.mark.parametrize("label", ["no_such_label", "", "../../labels", "a b", "größe", 'x"} or'])
async def test_a_label_nobody_has_has_no_values(held: Held, label: str) -> None:
    assert await held.source.label_values(label, held.window, timeout_s=SOON_S) == ()


async def test_a_volume_is_about_what_the_lines_take(held: Held) -> None:
    volume = await held.source.volume_bytes(held.everything, held.window, timeout_s=SOON_S)

    size = sum(len(line.line.encode()) for line in held.lines)
    assert volume is None or size / 2 <= volume <= size * 3  # labels and metadata may count too


async def test_a_broken_pattern_is_refused(held: Held) -> None:
    broken = Selector(matchers=(Matcher(label=held.label, value="(", op=Op.MATCHES),))

    with pytest.raises(QueryRefused) as refused:
        await held.source.lines(replace(held.query(), selector=broken), timeout_s=SOON_S)

    assert refused.value.code.startswith("LOG-")
    assert refused.value.remedy


async def test_a_living_source_is_healthy(held: Held) -> None:
    health = await held.source.health(timeout_s=SOON_S)

    assert health.ok
    assert health.detail
