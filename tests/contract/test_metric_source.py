"""What every MetricSource promises, whoever implements it.

The bodies use a small history whose rates and shares are known by construction. A source under test holds that history.
"""

import math
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace

import pytest

from bot.adapters.endpoint import Endpoint
from bot.adapters.prometheus import PrometheusSource
from bot.domain.query import Aggregate, Matcher, MetricQuery, Op, Selector, equal, one_of
from bot.domain.scope import Window
from bot.domain.series import Series
from bot.errors import QueryRefused
from bot.ports import MetricSource, SeriesAnswer
from tests.servers import Server, running_prometheus

START_S = 1_750_000_200  # a multiple of 60 s and of 5 min
SCRAPE_S = 15
MINUTES = 60
WINDOW = Window(start_s=START_S + 600, end_s=START_S + 3000)
SOON_S = 10.0
HOSTILE = 'a"} or vector(1) # \\ \n \N{SNOWMAN}'


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running_prometheus(history()) as running:
        yield running


@pytest.fixture(params=["prometheus"])
async def source(request: pytest.FixtureRequest) -> AsyncIterator[MetricSource]:
    running: Server = request.getfixturevalue("server")
    prometheus = PrometheusSource(
        "test", Endpoint(url=running.url), environment="prod", service_labels=("service",), resolution_s=SCRAPE_S
    )
    yield prometheus
    prometheus.close()


def history() -> Iterator[str]:
    """Steady counters, a gauge with a gap, a histogram, a share of a limit, a division by zero, a hostile label value."""
    ticks = range(START_S, START_S + MINUTES * 60 + 1, SCRAPE_S)
    per_second = {("cart", "200"): 10.0, ("cart", "500"): 2.0, ("checkout", "200"): 5.0}
    yield "# TYPE http_requests counter"
    for (service, code), rate in per_second.items():
        yield from (
            f'http_requests_total{{service="{service}",code="{code}"}} {rate * (t - START_S)} {t}' for t in ticks
        )
    yield "# TYPE up gauge"
    gap = range(START_S + 1200, START_S + 2400)  # longer than the 5 minutes a sample stays known
    yield from (f'up{{service="cart",instance="a"}} 1 {t}' for t in ticks if t not in gap)
    yield "# TYPE latency_seconds histogram"
    for le, share in (("0.1", 0.5), ("0.2", 0.9), ("0.4", 1.0), ("+Inf", 1.0)):
        yield from (
            f'latency_seconds_bucket{{service="cart",le="{le}"}} {share * 10 * (t - START_S)} {t}' for t in ticks
        )
    yield "# TYPE pool_used gauge"
    for service, used in (("cart", 8), ("checkout", 3)):
        yield from (f'pool_used{{service="{service}"}} {used} {t}' for t in ticks)
    yield "# TYPE pool_size gauge"
    for service, size in (("cart", 10), ("checkout", 0)):
        yield from (f'pool_size{{service="{service}"}} {size} {t}' for t in ticks)
    yield "# TYPE note gauge"
    escaped = HOSTILE.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    yield from (f'note{{service="cart",text="{escaped}"}} {"NaN" if t > START_S + 1800 else 1} {t}' for t in ticks)


def looking_at(metric: str, *matchers: Matcher, window: Window = WINDOW, step_s: int = 60) -> MetricQuery:
    return MetricQuery(selector=Selector(metric=metric, matchers=matchers), window=window, step_s=step_s)


def rate_of(metric: str, *matchers: Matcher, by: tuple[str, ...] = ()) -> MetricQuery:
    return replace(looking_at(metric, *matchers), rate_s=120, aggregate=Aggregate.SUM, by=by)


def by_service(answer: SeriesAnswer) -> dict[str, Series]:
    return {one.labels["service"]: one for one in answer.series}


def steady(series: Series) -> float:
    """The one value a series has all the time."""
    assert not any(map(math.isnan, series.values))
    assert max(series.values) == pytest.approx(min(series.values))
    return series.values[0]


async def test_it_says_where_it_belongs(source: MetricSource) -> None:
    assert source.name
    assert source.environment == "prod"
    assert source.service_labels == ("service",)
    assert source.resolution_s == SCRAPE_S


async def test_all_series_share_one_grid_of_multiples_of_the_step(source: MetricSource) -> None:
    window = Window(start_s=WINDOW.start_s + 7.5, end_s=WINDOW.end_s - 7.5)

    answer = await source.range(looking_at("pool_used", window=window), timeout_s=SOON_S)

    assert len(answer.series) == 2
    for one in answer.series:
        assert one.start_s == WINDOW.start_s + 60
        assert one.step_s == 60
        assert one.at(len(one.values) - 1) == WINDOW.end_s - 60
    assert answer.query


async def test_the_end_of_a_window_is_outside(source: MetricSource) -> None:
    answer = await source.range(looking_at("up", window=Window(start_s=START_S, end_s=START_S + 120)), timeout_s=SOON_S)

    assert len(answer.series[0].values) == 2


async def test_a_window_without_a_multiple_of_the_step_gives_no_series(source: MetricSource) -> None:
    between = Window(start_s=START_S + 1, end_s=START_S + 59)

    assert (await source.range(looking_at("up", window=between), timeout_s=SOON_S)).series == ()


async def test_no_series_at_all_is_an_answer(source: MetricSource) -> None:
    assert (await source.range(looking_at("no_such_metric"), timeout_s=SOON_S)).series == ()


async def test_a_missing_point_is_nan(source: MetricSource) -> None:
    answer = await source.range(looking_at("up"), timeout_s=SOON_S)

    [up] = answer.series
    assert up.labels["instance"] == "a"
    assert up.values[0] == 1
    assert math.isnan(up.values[(1200 + 600 - 600) // 60])  # ten minutes into the gap
    assert up.values[-1] == 1


async def test_a_nan_sample_is_a_missing_point(source: MetricSource) -> None:
    [note] = (await source.range(looking_at("note"), timeout_s=SOON_S)).series

    assert note.values[0] == 1
    assert math.isnan(note.values[-1])
    assert note.labels["text"] == HOSTILE


async def test_a_rate_is_per_second(source: MetricSource) -> None:
    answer = await source.range(
        rate_of("http_requests_total", equal("service", "cart"), by=("service", "code")), timeout_s=SOON_S
    )

    assert {one.labels["code"]: round(steady(one), 6) for one in answer.series} == {"200": 10.0, "500": 2.0}


async def test_an_aggregate_keeps_only_the_labels_asked_for(source: MetricSource) -> None:
    answer = await source.range(rate_of("http_requests_total", by=("service",)), timeout_s=SOON_S)

    assert [dict(one.labels) for one in answer.series] == [{"service": "cart"}, {"service": "checkout"}]
    assert steady(by_service(answer)["cart"]) == pytest.approx(12)


async def test_an_aggregate_over_everything_has_no_labels(source: MetricSource) -> None:
    [total] = (await source.range(rate_of("http_requests_total"), timeout_s=SOON_S)).series

    assert total.labels == {}
    assert steady(total) == pytest.approx(17)


@pytest.mark.parametrize(
    ("aggregate", "expected"),
    [(Aggregate.AVG, 5.5), (Aggregate.MAX, 8), (Aggregate.MIN, 3), (Aggregate.COUNT, 2), (Aggregate.SUM, 11)],
)
async def test_aggregates_mean_what_they_say(source: MetricSource, aggregate: Aggregate, expected: float) -> None:
    [one] = (await source.range(replace(looking_at("pool_used"), aggregate=aggregate), timeout_s=SOON_S)).series

    assert steady(one) == pytest.approx(expected)


async def test_a_share_divides_series_with_the_same_labels(source: MetricSource) -> None:
    query = replace(
        rate_of("http_requests_total", equal("code", "500"), by=("service",)),
        divided_by=Selector(metric="http_requests_total"),
    )

    answer = await source.range(query, timeout_s=SOON_S)

    assert steady(by_service(answer)["cart"]) == pytest.approx(2 / 12)


async def test_a_division_by_zero_is_a_missing_point(source: MetricSource) -> None:
    query = replace(
        looking_at("pool_used"), aggregate=Aggregate.SUM, by=("service",), divided_by=Selector(metric="pool_size")
    )

    answer = await source.range(query, timeout_s=SOON_S)

    assert set(by_service(answer)) == {"cart"}  # a series without any value does not exist
    assert steady(by_service(answer)["cart"]) == pytest.approx(0.8)


async def test_a_quantile_reads_the_histogram(source: MetricSource) -> None:
    query = replace(rate_of("latency_seconds_bucket", by=("service",)), quantile=0.9)

    answer = await source.range(query, timeout_s=SOON_S)

    assert [dict(one.labels) for one in answer.series] == [{"service": "cart"}]
    assert steady(answer.series[0]) == pytest.approx(0.2)


async def test_topk_keeps_the_largest(source: MetricSource) -> None:
    query = replace(rate_of("http_requests_total", by=("service", "code")), topk=1)

    [largest] = (await source.range(query, timeout_s=SOON_S)).series

    assert largest.labels == {"service": "cart", "code": "200"}


async def test_an_offset_asks_earlier_and_stamps_with_now(source: MetricSource) -> None:
    later = WINDOW.shifted(1800)
    past = await source.range(looking_at("up"), timeout_s=SOON_S)

    shifted = await source.range(replace(looking_at("up", window=later), offset_s=1800), timeout_s=SOON_S)

    assert shifted.series[0].start_s == later.start_s
    assert str(shifted.series[0].values) == str(past.series[0].values)  # NaN is not equal to itself


@pytest.mark.parametrize(
    ("matcher", "services"),
    [
        (equal("service", "cart"), {"cart"}),
        (Matcher(label="service", value="cart", op=Op.NOT_EQUAL), {"checkout"}),
        (Matcher(label="service", value="c.*t", op=Op.MATCHES), {"cart", "checkout"}),
        (Matcher(label="service", value="car", op=Op.MATCHES), set()),  # a pattern matches the whole value
        (Matcher(label="service", value="ch.*", op=Op.NOT_MATCHES), {"cart"}),
        (one_of("service", ("cart", "c.*")), {"cart"}),  # taken literally
        (equal("service", HOSTILE), set()),
    ],
)
async def test_matchers_select(source: MetricSource, matcher: Matcher, services: set[str]) -> None:
    answer = await source.range(looking_at("pool_used", matcher), timeout_s=SOON_S)

    assert set(by_service(answer)) == services


async def test_any_metric_can_be_asked_for(source: MetricSource) -> None:
    query = MetricQuery(
        selector=Selector(matchers=(equal("service", "checkout"),)),
        window=WINDOW,
        step_s=60,
        aggregate=Aggregate.COUNT,
        by=("__name__",),
    )

    answer = await source.range(query, timeout_s=SOON_S)

    assert {one.labels["__name__"] for one in answer.series} == {"http_requests_total", "pool_size", "pool_used"}


async def test_label_names_are_those_in_the_window(source: MetricSource) -> None:
    assert await source.label_names(WINDOW, timeout_s=SOON_S) >= {"service", "code", "le", "instance", "text"}
    assert await source.label_names(WINDOW.shifted(-30 * 86400), timeout_s=SOON_S) == frozenset()


async def test_label_values_are_sorted_and_empty_for_an_unknown_label(source: MetricSource) -> None:
    assert await source.label_values("service", WINDOW, timeout_s=SOON_S) == ("cart", "checkout")
    assert await source.label_values("no_such_label", WINDOW, timeout_s=SOON_S) == ()
    assert await source.label_values("../../query?query=up", WINDOW, timeout_s=SOON_S) == ()


async def test_series_are_found_by_any_label(source: MetricSource) -> None:
    answer = await source.series((equal("service", "checkout"),), WINDOW, timeout_s=SOON_S)

    assert {labels["__name__"] for labels in answer.sets} == {"http_requests_total", "pool_used", "pool_size"}
    assert answer.complete


async def test_a_hostile_value_comes_back_as_it_went_in(source: MetricSource) -> None:
    answer = await source.series((equal("text", HOSTILE),), WINDOW, timeout_s=SOON_S)

    assert [labels["text"] for labels in answer.sets] == [HOSTILE]


async def test_no_series_exist_outside_the_history(source: MetricSource) -> None:
    long_ago = WINDOW.shifted(-30 * 86400)

    assert (await source.series((equal("service", "cart"),), long_ago, timeout_s=SOON_S)).sets == ()


async def test_metadata_is_a_mapping_from_names_to_kinds(source: MetricSource) -> None:
    known = await source.metadata(timeout_s=SOON_S)

    assert all(entry.kind in {"counter", "gauge", "histogram", "summary", "unknown"} for entry in known.values())


async def test_a_broken_pattern_is_refused(source: MetricSource) -> None:
    broken = Matcher(label="service", value="(", op=Op.MATCHES)

    with pytest.raises(QueryRefused) as refused:
        await source.range(looking_at("up", broken), timeout_s=SOON_S)

    assert refused.value.code.startswith("MET-")
    assert refused.value.remedy


async def test_a_living_source_is_healthy(source: MetricSource) -> None:
    health = await source.health(timeout_s=SOON_S)

    assert health.ok
    assert health.detail
