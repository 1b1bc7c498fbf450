"""Typed metric queries on simulated samples: numbers worked out by hand, and the same from a real Prometheus."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest

from bot.adapters.endpoint import Endpoint
from bot.adapters.prometheus import PrometheusSource
from bot.demo.shop.drawn import drawn
from bot.demo.shop.evaluate import evaluate
from bot.demo.shop.family import Row
from bot.demo.shop.load import openmetrics
from bot.demo.shop.render import promql
from bot.demo.shop.shop import Shop
from bot.demo.shop.sources import ShopMetrics
from bot.demo.shop.topology import EdgeStyle
from bot.domain.query import Aggregate, Matcher, MetricQuery, Op, Selector, equal
from bot.domain.scope import Window
from tests.servers import Server, running_prometheus

NOW_S = 1_790_000_000.0
STEP_S = 15
HOUR = Window(start_s=NOW_S - 3600, end_s=NOW_S)


class Written:
    """Samples written down: scrape `i` is at `i * step_s`."""

    step_s = STEP_S

    def __init__(self, *rows: tuple[str, Mapping[str, str], Sequence[float]]) -> None:
        self._rows = rows

    def named(self, sample: str | None, first: int, last: int) -> list[Row]:
        found = []
        for name, labels, values in self._rows:
            padded = [values[i] if 0 <= i < len(values) else math.nan for i in range(first, last + 1)]
            if sample in (None, name) and not all(math.isnan(v) for v in padded):
                found.append(Row(name=name, labels=labels, values=np.array(padded)))
        return found


def ask(
    rows: Written,
    metric: str,
    *,
    at_s: float,
    rate_s: int | None = None,
    aggregate: Aggregate | None = None,
    by: tuple[str, ...] = (),
    quantile: float | None = None,
    divided_by: str | None = None,
    topk: int | None = None,
    offset_s: int = 0,
    matchers: tuple[Matcher, ...] = (),
) -> dict[tuple[str, ...], float]:
    """The values at one time, by the labels' values."""
    query = MetricQuery(
        selector=Selector(metric=metric, matchers=matchers),
        window=Window(start_s=at_s, end_s=at_s + 1),
        step_s=15,
        rate_s=rate_s,
        aggregate=aggregate,
        by=by,
        quantile=quantile,
        divided_by=Selector(metric=divided_by, matchers=matchers) if divided_by else None,
        topk=topk,
        offset_s=offset_s,
    )
    found = evaluate(rows, query)
    return {tuple(v for k, v in s.labels.items() if k != "__name__"): s.values[0] for s in found}


def test_a_steady_counter_has_its_rate() -> None:
    rows = Written(("hits_total", {"s": "a"}, [3000.0 + 30.0 * i for i in range(40)]))

    assert ask(rows, "hits_total", at_s=300, rate_s=60)["a",] == pytest.approx(2.0)


def test_a_reset_counts_from_zero() -> None:
    # 100, 110, then a restart: 5, 15. Increase 10 + 5 + 10 = 25 over 45 s, stretched to the whole 60 s.
    rows = Written(("hits_total", {"s": "a"}, [math.nan, 100.0, 110.0, 5.0, 15.0]))

    assert ask(rows, "hits_total", at_s=60, rate_s=60)["a",] == pytest.approx(25 * (60 / 45) / 60)


def test_a_counter_that_began_inside_the_range_is_not_stretched_far_below_zero() -> None:
    # First sample 1 at 45 s, then 11: rise 10 in 15 s; back to zero takes 1.5 s, not half an interval.
    rows = Written(("hits_total", {"s": "a"}, [math.nan, math.nan, math.nan, 1.0, 11.0]))

    assert ask(rows, "hits_total", at_s=60, rate_s=60)["a",] == pytest.approx(10 * (15 + 1.5) / 15 / 60)


def test_one_sample_gives_no_rate() -> None:
    rows = Written(("hits_total", {"s": "a"}, [math.nan, math.nan, math.nan, math.nan, 7.0]))

    assert ask(rows, "hits_total", at_s=60, rate_s=60) == {}


def test_a_sample_stays_known_for_five_minutes() -> None:
    rows = Written(("up", {"s": "a"}, [1.0]))

    assert ask(rows, "up", at_s=300) == {("a",): 1.0}
    assert ask(rows, "up", at_s=315) == {}


def test_series_are_put_together_by_labels() -> None:
    rows = Written(
        ("m", {"s": "a", "pod": "1"}, [4.0]), ("m", {"s": "a", "pod": "2"}, [6.0]), ("m", {"s": "b", "pod": "3"}, [1.0])
    )
    wanted = {Aggregate.SUM: 10.0, Aggregate.AVG: 5.0, Aggregate.MAX: 6.0, Aggregate.MIN: 4.0, Aggregate.COUNT: 2.0}

    for how, value in wanted.items():
        assert ask(rows, "m", at_s=0, aggregate=how, by=("s",))["a",] == value
    assert ask(rows, "m", at_s=0, aggregate=Aggregate.SUM) == {(): 11.0}


def test_a_quantile_is_interpolated_inside_its_bucket() -> None:
    # 60 requests: 30 up to 0.1 s, 54 up to 0.5 s, 60 in all. The 45th of them lies (45 - 30) / 24 into 0.1..0.5.
    rising = {"0.1": 0.5, "0.5": 0.9, "+Inf": 1.0}
    rows = Written(*(("d_bucket", {"le": le}, [60.0 * share * i for i in range(9)]) for le, share in rising.items()))

    def at(quantile: float) -> float:
        return ask(rows, "d_bucket", at_s=120, rate_s=60, aggregate=Aggregate.SUM, quantile=quantile)[()]

    assert at(0.75) == pytest.approx(0.1 + 0.4 * 15 / 24)
    assert at(0.25) == pytest.approx(0.05)
    assert at(0.99) == 0.5


def test_division_pairs_equal_labels_and_leaves_out_what_divides_by_nothing() -> None:
    rows = Written(
        ("used", {"s": "a"}, [3.0]),
        ("used", {"s": "b"}, [2.0]),
        ("used", {"s": "c"}, [2.0]),
        ("size", {"s": "a"}, [12.0]),
        ("size", {"s": "b"}, [0.0]),
    )

    found = ask(rows, "used", at_s=0, aggregate=Aggregate.SUM, by=("s",), divided_by="size")

    assert found == {("a",): 0.25}


def test_topk_keeps_the_highest_at_each_time() -> None:
    rows = Written(*(("m", {"s": s}, [v]) for s, v in (("a", 1.0), ("b", 3.0), ("c", 2.0))))

    assert ask(rows, "m", at_s=0, topk=2) == {("b",): 3.0, ("c",): 2.0}


def test_an_offset_answers_with_the_past_at_the_present() -> None:
    rows = Written(("m", {"s": "a"}, [1.0, 2.0, 3.0, 4.0, 5.0]))

    assert ask(rows, "m", at_s=60, offset_s=45) == {("a",): 2.0}


def test_matchers_know_patterns_and_missing_labels() -> None:
    rows = Written(("m", {"s": "cart"}, [1.0]), ("m", {"s": "cart-cache", "x": "1"}, [2.0]))

    def having(op: Op, value: str, label: str = "s") -> set[float]:
        return set(ask(rows, "m", at_s=0, matchers=(Matcher(label=label, value=value, op=op),)).values())

    assert having(Op.MATCHES, "cart") == {1.0}
    assert having(Op.MATCHES, "cart.*") == {1.0, 2.0}
    assert having(Op.NOT_EQUAL, "cart") == {2.0}
    assert having(Op.EQUAL, "", "x") == {1.0}
    assert having(Op.NOT_MATCHES, "1", "x") == {1.0}


def test_queries_read_as_promql() -> None:
    query = MetricQuery(
        selector=Selector(metric="d_bucket", matchers=(equal("s", 'a"b'),)),
        window=HOUR,
        step_s=60,
        rate_s=300,
        aggregate=Aggregate.SUM,
        by=("s",),
        quantile=0.95,
        offset_s=86400,
    )

    assert promql(query) == 'histogram_quantile(0.95, sum by (s, le) (rate(d_bucket{s="a\\"b"}[5m] offset 1d)))'


@pytest.fixture(scope="module")
def running() -> Shop:
    """A shop whose names are not the fixed shop's, with a mesh and with processes that are killed and start again."""
    topology = next(t for t in map(drawn, range(50)) if t.dialect.edges is EdgeStyle.ISTIO)
    return Shop(topology, 3, "memory_leak", NOW_S, step_s=STEP_S)


@pytest.fixture(scope="module")
def server(running: Shop) -> Iterator[Server]:
    with running_prometheus(openmetrics(running, [Window(start_s=HOUR.start_s - 900, end_s=HOUR.end_s)])) as loaded:
        yield loaded


def looking_at(metric: str) -> MetricQuery:
    return MetricQuery(selector=Selector(metric=metric), window=HOUR, step_s=60)


QUERIES = {
    "restarts": replace(
        looking_at("kube_pod_container_status_restarts_total"), aggregate=Aggregate.MAX, by=("container",)
    ),
    "rates over restarts": replace(looking_at("process_cpu_seconds_total"), rate_s=120),
    "mesh": replace(
        looking_at("istio_requests_total"),
        rate_s=120,
        aggregate=Aggregate.SUM,
        by=("source_workload", "destination_workload", "response_code"),
    ),
    "mesh times": replace(
        looking_at("istio_request_duration_milliseconds_bucket"),
        rate_s=300,
        aggregate=Aggregate.SUM,
        by=("destination_workload", "reporter"),
        quantile=0.95,
    ),
    "odd steps": replace(looking_at("container_cpu_usage_seconds_total"), rate_s=100, step_s=37, offset_s=600),
}


@pytest.mark.parametrize("name", QUERIES)
async def test_a_drawn_shop_answers_as_a_real_prometheus_with_its_history_does(
    name: str, running: Shop, server: Server
) -> None:
    labels = ShopMetrics(running).service_labels
    real = PrometheusSource("real", Endpoint(url=server.url), service_labels=labels, resolution_s=STEP_S)

    theirs = (await real.range(QUERIES[name], timeout_s=20)).series
    ours = (await ShopMetrics(running).range(QUERIES[name], timeout_s=20)).series
    real.close()

    assert ours
    assert [dict(s.labels) for s in ours] == [dict(s.labels) for s in theirs]
    for one, other in zip(ours, theirs, strict=True):
        assert (one.start_s, one.step_s) == (other.start_s, other.step_s)
        assert list(one.values) == pytest.approx(list(other.values), rel=1e-6, abs=1e-9, nan_ok=True), one.labels
