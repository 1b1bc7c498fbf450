"""What the fake Loki offers beyond its answers: faults to switch on, a record of requests, and speed."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from bot.demo.loki.faults import Faults
from bot.demo.loki.limits import Limits
from bot.demo.loki.parser import parse_query
from bot.demo.loki.server import FLAGS_HEADER, FakeLoki, fake_loki, running_loki
from bot.demo.loki.units import SECOND_NS, parse_time

START_NS = parse_time("2026-11-19T12:00:00Z")
NOW_NS = START_NS + 8 * 3600 * SECOND_NS
LINES = [(START_NS + i * SECOND_NS, f'level=info msg="request {i}" status=200') for i in range(20)]
QUERY = {"query": '{app="web"}', "start": str(START_NS), "end": str(START_NS + 3600 * SECOND_NS), "limit": "20"}


def body(lines: list[tuple[int, str]], **labels: str) -> bytes:
    values = [[str(time_ns), line] for time_ns, line in lines]
    return json.dumps({"streams": [{"stream": labels, "values": values}]}).encode()


class Client:
    """Asks one running server."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self.session = session
        self.url = url

    async def push(self, lines: list[tuple[int, str]], **labels: str) -> None:
        headers = {"Content-Type": "application/json"}
        async with self.session.post(
            self.url + "/loki/api/v1/push", data=body(lines, **labels), headers=headers
        ) as response:
            assert response.status == 204, await response.text()

    async def get(
        self, path: str = "query_range", params: dict[str, str] | None = None, headers: dict[str, str] | None = None
    ) -> "Answer":
        async with self.session.get(
            f"{self.url}/loki/api/v1/{path}", params=params or QUERY, headers=headers
        ) as response:
            return Answer(response.status, response.headers, await response.text())


class Answer:
    """Status, headers and text of a response."""

    def __init__(self, status: int, headers: Any, text: str) -> None:
        self.status = status
        self.headers = headers
        self.text = text

    def data(self) -> Any:
        assert self.status == 200, self.text
        return json.loads(self.text)["data"]


@pytest.fixture
def loki() -> FakeLoki:
    return fake_loki(now_ns=lambda: NOW_NS)


@pytest.fixture
async def client(loki: FakeLoki) -> AsyncIterator[Client]:
    async with running_loki(loki) as url, aiohttp.ClientSession() as session:
        found = Client(session, url)
        await found.push(LINES, app="web")
        yield found


@pytest.mark.parametrize("status", [429, 500, 503, 504])
async def test_the_next_requests_are_refused_and_those_after_them_answered(
    loki: FakeLoki, client: Client, status: int
) -> None:
    loki.faults.refuse_next(status, times=2, retry_after_s=3)

    answers = [await client.get() for _ in range(3)]

    assert [answer.status for answer in answers] == [status, status, 200]
    assert answers[0].headers["Content-Type"] == "text/plain; charset=utf-8"
    assert answers[0].headers["Retry-After"] == "3"


async def test_a_gateway_answers_with_a_page(loki: FakeLoki, client: Client) -> None:
    loki.faults.gateway_error_next(502)

    answer = await client.get()

    assert (answer.status, answer.headers["Content-Type"]) == (502, "text/html")
    assert answer.text.startswith("<html>")


async def test_a_cut_connection_breaks_the_body(loki: FakeLoki, client: Client) -> None:
    loki.faults.cut_after_bytes = 100

    with pytest.raises(aiohttp.ClientPayloadError):
        await client.get()


async def test_a_dropped_header_gives_the_plain_form(loki: FakeLoki, client: Client) -> None:
    flags = {FLAGS_HEADER: "categorize-labels"}
    categorized = (await client.get(headers=flags)).data()

    loki.faults.drop_encoding_flags = True
    plain = (await client.get(headers=flags)).data()

    assert categorized["encodingFlags"] == ["categorize-labels"]
    assert len(categorized["result"][0]["values"][0]) == 3
    assert "encodingFlags" not in plain
    assert plain["result"][0]["stream"]["detected_level"] == "info"


@pytest.mark.parametrize(
    ("switch", "path"),
    [
        ("volume", "index/volume"),
        ("volume", "index/volume_range"),
        ("stats", "index/stats"),
        ("format_query", "format_query"),
        ("patterns", "patterns"),
        ("detected", "detected_fields"),
        ("detected", "detected_field/level/values"),
    ],
)
async def test_an_optional_endpoint_can_be_missing(loki: FakeLoki, client: Client, switch: str, path: str) -> None:
    assert (await client.get(path)).status == 200

    loki.faults.disabled.add(switch)
    answer = await client.get(path)

    assert (answer.status, answer.text) == (404, "404 page not found\n")
    assert (await client.get()).status == 200


async def test_latency_delays_the_answer(loki: FakeLoki, client: Client) -> None:
    loki.faults.latency_s = 0.05

    before = time.monotonic()
    await client.get()

    assert time.monotonic() - before >= 0.05


async def test_a_client_that_goes_away_is_counted(loki: FakeLoki, client: Client) -> None:
    loki.faults.hang = True

    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(client.get(), timeout=0.05)

    async with asyncio.timeout(2):
        while not loki.disconnected:  # noqa: ASYNC110 - the server tells by a count, not by an event
            await asyncio.sleep(0.005)
    assert loki.disconnected == 1


async def test_every_request_is_recorded_with_its_parameters_and_headers(loki: FakeLoki, client: Client) -> None:
    await client.get("labels", {"start": str(START_NS)}, {"X-Query-Tags": "Source=test"})
    async with client.session.post(client.url + "/loki/api/v1/series", data={"match[]": '{app="web"}'}) as response:
        assert response.status == 200

    labels, series = loki.received[-2:]
    assert (labels.method, labels.path) == ("GET", "/loki/api/v1/labels")
    assert labels.parameters == (("start", str(START_NS)),)
    assert labels.headers["x-query-tags"] == "Source=test"
    assert series.parameters == (("match[]", '{app="web"}'),)


async def test_faults_given_at_the_start_are_the_ones_in_force() -> None:
    faults = Faults()
    faults.refuse_next(503)

    async with running_loki(fake_loki(faults=faults)) as url, aiohttp.ClientSession() as session:
        assert (await Client(session, url).get()).status == 503


async def test_lower_limits_are_named_in_the_refusal() -> None:
    loki = fake_loki(limits=Limits(max_entries=10, max_query_bytes=500), now_ns=lambda: NOW_NS)
    async with running_loki(loki) as url, aiohttp.ClientSession() as session:
        client = Client(session, url)
        await client.push(LINES, app="web")

        too_many = await client.get()
        too_large = await client.get(params={**QUERY, "limit": "10"})

    assert "(20 > 10)" in too_many.text
    assert too_large.text.startswith("the query would read too many bytes (query: ")
    assert "limit: 500 B);" in too_large.text


async def test_lines_no_one_would_write_are_stored_and_given_back(client: Client) -> None:
    odd = ['{"a":' * 5000, '{"a": "\ud800"}', "=" * 50, '"', "\x00", "{{", "[" * 50_000]
    await client.push([(START_NS + i, line) for i, line in enumerate(odd)], app="odd")

    for stages in ("", "| json", "| logfmt", '| pattern "<a>:<b>"', "| unpack", '|~ "a+"'):
        answer = await client.get(params={**QUERY, "query": '{app="odd"} ' + stages})
        assert answer.status == 200


@pytest.mark.parametrize(
    "query",
    [
        '{app="web"} |= ip("nowhere")',
        '{app="web"} | line_format "{{replace .a}}"',
        '{app="web"} | line_format "{{nothing .a}}"',
        '{app="web"} | regexp "(?P<a"',
        "2 ^ 10000 and 1",
        "{" * 300,
        "(" * 3000,
        "\x00",
    ],
)
async def test_a_query_that_makes_no_sense_is_refused(client: Client, query: str) -> None:
    answer = await client.get(params={**QUERY, "query": query})

    assert answer.status == 400
    assert answer.text.startswith("parse error")


@pytest.mark.parametrize(
    "query",
    [
        '{app="a", pod=~"x.*"} |= "b" or "c" != "d" | json x="y.z" | level="error" and status>=500 or took>1.5s',
        '{app="a"} | logfmt --strict | label_format x=y,z="{{.a}}" | keep a,b=~"c" | decolorize',
        'sum by (app)(rate({app="a"} |~ "x" [5m] offset 1h)) / on (app) group_left (team) count_over_time({app="b"}[1h])',
        'topk(3,sum without (pod)(bytes_rate({app="a"}[1h30m]))) > bool 2 or vector(0)',
        'quantile_over_time(0.95,{app="a"} | json | unwrap duration(took) | __error__="" [5m]) by (app)',
    ],
)
def test_a_formatted_query_means_the_same(query: str) -> None:
    parsed = parse_query(query)

    again = parse_query(str(parsed))

    assert again == parsed


async def test_series_and_numbers_combine_by_precedence(client: Client) -> None:
    """A comparison between two sides keeps the left value; `unless` and `and` go point by point."""
    at = {"time": str(START_NS + 30 * SECOND_NS)}
    count = 'sum by (app) (count_over_time({app="web"}[1m]))'
    expected = {
        f"{count} > {count} - 1": ["20"],
        f"{count} and {count}": ["20"],
        f"{count} unless {count}": [],
        f"5 < {count}": ["20"],
        f"{count} % 7": ["6"],
        f"2 ^ 3 ^ 2 + 0 * {count}": ["512"],
    }

    found = {query: (await client.get("query", {"query": query, **at})).data()["result"] for query in expected}

    assert {query: [row["value"][1] for row in rows] for query, rows in found.items()} == expected


def shop_lines(count: int) -> dict[str, list[tuple[int, str]]]:
    """Lines of eight services, ten a second."""
    found: dict[str, list[tuple[int, str]]] = {f"app{i}": [] for i in range(8)}
    for i in range(count):
        level, status = ("error", 500) if i % 50 == 0 else ("info", 200)
        line = f'level={level} msg="request {i} done" path=/item/{i % 97} status={status} duration={i % 900}.5ms'
        found[f"app{i % 8}"].append((START_NS + i * SECOND_NS // 10, line))
    return found


@pytest.mark.long
async def test_it_is_fast_enough_for_a_demo(client: Client) -> None:
    """Bounds are twice to five times what two cores of a small machine need, to stay clear of their neighbours."""
    shop = shop_lines(200_000)
    span = {"start": str(START_NS), "end": str(START_NS + 20_000 * SECOND_NS)}
    by_status = 'sum by (status) (count_over_time({env="shop", app=~"app[0-3]"} | logfmt [5m]))'

    before = time.monotonic()
    for app, lines in shop.items():
        for i in range(0, len(lines), 5000):
            await client.push(lines[i : i + 5000], app=app, env="shop")
    pushed = time.monotonic()
    page = await client.get(params={"query": '{env="shop"}', "limit": "5000", **span})
    paged = time.monotonic()
    series = await client.get(params={"query": by_status, "step": "300", **span})
    counted = time.monotonic()

    assert sum(len(row["values"]) for row in page.data()["result"]) == 5000
    assert {row["metric"]["status"] for row in series.data()["result"]} == {"200", "500"}
    assert pushed - before < 10
    assert paged - pushed < 0.5
    assert counted - paged < 4
