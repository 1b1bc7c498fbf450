"""Rendered PromQL: what it looks like, and that nothing hostile changes its shape (asked of a real Prometheus)."""

import json
import re
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from bot.adapters.promql import duration_text, render, selector_text
from bot.domain.query import Aggregate, Matcher, MetricQuery, Op, Selector, equal
from bot.domain.scope import Window
from tests.servers import Server, running_prometheus

WINDOW = Window(start_s=0, end_s=3600)
PLAIN = MetricQuery(selector=Selector(metric="http_requests_total"), window=WINDOW, step_s=60)
SUMMED = replace(PLAIN, rate_s=300, aggregate=Aggregate.SUM, by=("service",))
ERRORS = Selector(metric="http_requests_total", matchers=(Matcher(label="code", value="5..", op=Op.MATCHES),))


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running_prometheus() as running:
        yield running


def formatted(server: Server, query: str) -> str:
    """The query as the server understood it; an assertion with its words when it did not."""
    form = urllib.parse.urlencode({"query": query}).encode()
    request = urllib.request.Request(f"{server.url}/api/v1/format_query", data=form)
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            return str(json.load(response)["data"])
    except urllib.error.HTTPError as refused:
        raise AssertionError(f"{query!r} was refused: {refused.read().decode()}") from refused


@pytest.mark.parametrize(
    ("query", "text"),
    [
        (PLAIN, "http_requests_total"),
        (replace(PLAIN, offset_s=86400), "http_requests_total offset 1d"),
        (replace(PLAIN, rate_s=90), "rate(http_requests_total[90s])"),
        (replace(PLAIN, rate_s=300, offset_s=604800), "rate(http_requests_total[5m] offset 7d)"),
        (replace(PLAIN, aggregate=Aggregate.MAX), "max(http_requests_total)"),
        (SUMMED, "sum by (service) (rate(http_requests_total[5m]))"),
        (
            replace(SUMMED, selector=ERRORS, divided_by=PLAIN.selector, topk=5),
            'topk(5, sum by (service) (rate(http_requests_total{code=~"5.."}[5m]))'
            " / sum by (service) (rate(http_requests_total[5m])))",
        ),
        (
            replace(SUMMED, selector=Selector(metric="latency_bucket"), quantile=0.99, topk=3),
            "topk(3, histogram_quantile(0.99, sum by (service, le) (rate(latency_bucket[5m]))))",
        ),
        (
            replace(SUMMED, by=("le",), quantile=1e-05),
            "histogram_quantile(1e-05, sum by (le) (rate(http_requests_total[5m])))",
        ),
        (
            replace(SUMMED, divided_by=ERRORS, offset_s=60),
            "sum by (service) (rate(http_requests_total[5m] offset 1m))"
            ' / sum by (service) (rate(http_requests_total{code=~"5.."}[5m] offset 1m))',
        ),
        (replace(PLAIN, selector=Selector()), '{__name__!=""}'),
        (replace(PLAIN, selector=Selector(metric="on")), '{__name__="on"}'),
        (replace(PLAIN, selector=Selector(metric="NaN")), '{__name__="NaN"}'),
        (replace(PLAIN, selector=Selector(metric="my.metric")), '{__name__="my.metric"}'),
    ],
)
def test_a_query_reads_as_a_person_would_write_it(server: Server, query: MetricQuery, text: str) -> None:
    assert render(query) == text
    assert formatted(server, text)


def test_names_that_are_not_classic_are_quoted() -> None:
    query = replace(
        SUMMED, selector=Selector(metric="http.requests", matchers=(equal('a"b', "c"),)), by=("service.name", "inf")
    )

    assert render(query) == r'sum by ("service.name", "inf") (rate({__name__="http.requests", "a\"b"="c"}[5m]))'


def test_a_selector_that_could_match_everything_stays_acceptable(server: Server) -> None:
    anything = Selector(matchers=(Matcher(label="app", value=".*", op=Op.MATCHES),))

    assert formatted(server, selector_text(anything)) == '{__name__!="",app=~".*"}'


def test_durations_use_the_largest_unit_without_a_rest() -> None:
    assert [duration_text(s) for s in (1, 60, 90, 3600, 5400, 86400, 90000, -300)] == [
        *("1s", "1m", "90s", "1h", "90m", "1d", "25h", "-5m")
    ]


CLASSIC_LABEL = st.from_regex(r"\A[a-zA-Z_][a-zA-Z0-9_]{0,8}\Z")
METRIC = st.one_of(st.from_regex(r"\A[a-zA-Z_:][a-zA-Z0-9_:]{0,10}\Z"), st.text(max_size=12), st.none())
VALUE = st.one_of(
    st.text(max_size=30),
    st.text(alphabet="\"\\\n`'{}()[],=~!#$ \0\r\t\N{REPLACEMENT CHARACTER}\u2028aé", max_size=20),
)
MATCHERS = st.lists(
    st.builds(
        Matcher,
        label=CLASSIC_LABEL.filter(lambda name: name.lower() not in ("inf", "nan")),
        value=VALUE,
        op=st.sampled_from([Op.EQUAL, Op.NOT_EQUAL]),
    ),
    max_size=4,
).map(tuple)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(metric=METRIC, matchers=MATCHERS)
@example(metric="up", matchers=(equal("pod", 'x"} or vector(1) #'),))
@example(metric='up{a="b"}) or vector(1', matchers=())
@example(metric="up", matchers=(equal("__name__", "down"),))
@example(metric="up", matchers=(equal("a", "\\"), equal("b", '"')))
@example(metric="group_left", matchers=(equal("by", "\x00\ud800\ufffd"),))
def test_no_name_or_value_breaks_out_of_its_place(
    server: Server, metric: str | None, matchers: tuple[Matcher, ...]
) -> None:
    text = selector_text(Selector(metric=metric, matchers=matchers))

    understood = formatted(server, text)

    expected = {(m.label, m.op.value, _storable(m.value)) for m in matchers}
    if metric:
        expected.add(("__name__", "=", _storable(metric)))
    assert _conditions(understood) - {("__name__", "!=", "")} == expected - {("__name__", "!=", "")}


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    metric=METRIC,
    matchers=MATCHERS,
    by=st.lists(CLASSIC_LABEL.filter(lambda name: name.lower() not in ("inf", "nan")), max_size=3).map(tuple),
    rate_s=st.sampled_from([None, 60, 300, 7201]),
    aggregate=st.sampled_from([None, *Aggregate]),
    divided=st.booleans(),
    topk=st.sampled_from([None, 1, 10]),
    offset_s=st.sampled_from([0, 90, 604800]),
)
def test_every_combination_is_understood(
    server: Server,
    metric: str | None,
    matchers: tuple[Matcher, ...],
    by: tuple[str, ...],
    rate_s: int | None,
    aggregate: Aggregate | None,
    divided: bool,
    topk: int | None,
    offset_s: int,
) -> None:
    selector = Selector(metric=metric, matchers=matchers)
    query = MetricQuery(
        selector=selector,
        window=WINDOW,
        step_s=60,
        rate_s=rate_s,
        aggregate=aggregate,
        by=by,
        divided_by=selector if divided else None,
        topk=topk,
        offset_s=offset_s,
    )

    text = formatted(server, render(query))

    assert text.startswith("topk(") == (topk is not None)


def _storable(text: str) -> str:
    """What a label can hold: surrogates become U+FFFD on the way."""
    return re.sub("[\ud800-\udfff]", "\N{REPLACEMENT CHARACTER}", text)


# The server's own spelling of a selector: name{label="value",...} with Go-quoted strings.
_STRING = r'"(?:[^"\\]|\\.)*"'
_SELECTOR = re.compile(rf"([a-zA-Z_:][\w:]*)?(?:\{{((?:\w+(?:=|!=){_STRING},?)*)\}})?", re.ASCII | re.DOTALL)
_CONDITION = re.compile(rf"(\w+)(=|!=)({_STRING}),?", re.ASCII | re.DOTALL)
_ESCAPE = re.compile(r'\\(?:x([0-9a-f]{2})|u([0-9a-f]{4})|U([0-9a-f]{8})|([abfnrtv\\"]))')
_SIMPLE = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\", '"': '"'}


def _conditions(selector: str) -> set[tuple[str, str, str]]:
    whole = _SELECTOR.fullmatch(selector)
    assert whole, f"not one selector: {selector}"
    name, braces = whole.groups()
    found = {(label, op, _unquoted(value)) for label, op, value in _CONDITION.findall(braces or "")}
    return found | ({("__name__", "=", name)} if name else set())


def _unquoted(literal: str) -> str:
    def meant(escape: re.Match[str]) -> str:
        byte, short, long, simple = escape.groups()
        return _SIMPLE[simple] if simple else chr(int(byte or short or long, 16))

    return _ESCAPE.sub(meant, literal[1:-1])
