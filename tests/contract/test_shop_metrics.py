"""The simulated shop answers like a real Prometheus that holds the same history."""

import math
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace

import pytest

from bot.adapters.endpoint import Endpoint
from bot.adapters.prometheus import PrometheusSource
from bot.adapters.prometheus_changes import PrometheusChanges
from bot.demo.shop import topology
from bot.demo.shop.load import openmetrics
from bot.demo.shop.shop import Shop
from bot.demo.shop.sources import ShopMetrics
from bot.domain.change import ChangeKind
from bot.domain.query import Aggregate, Matcher, MetricQuery, Op, Selector, equal, one_of
from bot.domain.scope import Window
from bot.domain.series import Series
from tests.servers import Server, running_prometheus

NOW_S = 1_760_000_400.0
HISTORY = Window(start_s=NOW_S - 2100, end_s=NOW_S)
WINDOW = Window(start_s=NOW_S - 1200, end_s=NOW_S)  # what it reaches back for lies in the history
SOON_S = 10.0
CLOSE = 1e-6  # relative; the two add floats in different orders


@pytest.fixture(scope="module")
def shop() -> Shop:
    return Shop(topology.shop(), 7, "bad_deploy", NOW_S, onset_s=NOW_S - 600)


@pytest.fixture(scope="module")
def server(shop: Shop) -> Iterator[Server]:
    with running_prometheus(openmetrics(shop, [HISTORY])) as running:
        yield running


@pytest.fixture
async def prometheus(server: Server, shop: Shop) -> AsyncIterator[PrometheusSource]:
    labels = ShopMetrics(shop).service_labels
    source = PrometheusSource("test", Endpoint(url=server.url), service_labels=labels, resolution_s=15)
    yield source
    source.close()


def looking_at(metric: str | None, *matchers: Matcher) -> MetricQuery:
    return MetricQuery(selector=Selector(metric=metric, matchers=matchers), window=WINDOW, step_s=30)


def rate_of(metric: str, *matchers: Matcher, by: tuple[str, ...] = ("service",)) -> MetricQuery:
    return replace(looking_at(metric, *matchers), rate_s=120, aggregate=Aggregate.SUM, by=by)


REQUESTS = rate_of("http_requests_total")
QUERIES = {
    "requests": REQUESTS,
    "one service, by code": rate_of("http_requests_total", equal("service", "cart"), by=("service", "code")),
    "requests of everything": replace(REQUESTS, by=()),
    "99th percentile": replace(rate_of("http_request_duration_seconds_bucket"), quantile=0.99),
    "median by callers": replace(
        rate_of("traces_service_graph_request_client_seconds_bucket", by=("client", "server")), quantile=0.5
    ),
    "mean latency": replace(
        rate_of("http_request_duration_seconds_sum"), divided_by=Selector(metric="http_request_duration_seconds_count")
    ),
    "share of failed calls": replace(
        rate_of("traces_service_graph_request_failed_total", by=("client", "server")),
        divided_by=Selector(metric="traces_service_graph_request_total"),
    ),
    "memory": replace(looking_at("process_resident_memory_bytes"), aggregate=Aggregate.MAX, by=("service",)),
    "memory of its limit": replace(
        looking_at("container_memory_working_set_bytes"),
        aggregate=Aggregate.SUM,
        by=("pod",),
        divided_by=Selector(metric="container_spec_memory_limit_bytes"),
    ),
    "raw gauge": looking_at("up", equal("service", "orders")),
    "raw rate": replace(looking_at("process_cpu_seconds_total"), rate_s=60),
    "how many pods are up": replace(looking_at("up"), aggregate=Aggregate.COUNT, by=("service", "namespace")),
    "mean of two services": replace(
        looking_at("process_resident_memory_bytes", one_of("service", ("cart", "orders"))), aggregate=Aggregate.AVG
    ),
    "not one, by pattern": replace(
        looking_at("up", Matcher(label="pod", value=".*-db-.*", op=Op.NOT_MATCHES)),
        aggregate=Aggregate.MIN,
        by=("pod",),
    ),
    "earlier": replace(REQUESTS, offset_s=300),
    "busiest": replace(REQUESTS, topk=2),
    "builds": replace(looking_at("app_build_info"), aggregate=Aggregate.MAX, by=("service", "version", "commit")),
    "starts": looking_at("process_start_time_seconds"),
}


@pytest.mark.parametrize("query", QUERIES.values(), ids=QUERIES.keys())
async def test_both_give_the_same_answer(prometheus: PrometheusSource, shop: Shop, query: MetricQuery) -> None:
    simulated = await ShopMetrics(shop).range(query, timeout_s=SOON_S)

    real = await prometheus.range(query, timeout_s=SOON_S)

    assert real.series
    assert [dict(one.labels) for one in real.series] == [dict(one.labels) for one in simulated.series]
    for ours, theirs in zip(simulated.series, real.series, strict=True):
        assert (ours.start_s, ours.step_s, len(ours.values)) == (theirs.start_s, theirs.step_s, len(theirs.values))
        assert not _differences(ours, theirs)


def _differences(ours: Series, theirs: Series) -> list[tuple[float, float, float]]:
    return [
        (ours.at(i), mine, real)
        for i, (mine, real) in enumerate(zip(ours.values, theirs.values, strict=True))
        if not (math.isnan(mine) and math.isnan(real)) and not math.isclose(mine, real, rel_tol=CLOSE, abs_tol=1e-9)
    ]


async def test_both_know_the_same_labels_and_series(prometheus: PrometheusSource, shop: Shop) -> None:
    simulated = ShopMetrics(shop)
    [label] = simulated.service_labels

    for name in (label, "__name__", "namespace", "no_such_label"):
        known = await prometheus.label_values(name, HISTORY, timeout_s=SOON_S)
        assert known == await simulated.label_values(name, HISTORY, timeout_s=SOON_S)
    matchers = (equal(label, "cart"), Matcher(label="__name__", value="http_.*", op=Op.MATCHES))
    real, ours = [await source.series(matchers, HISTORY, timeout_s=SOON_S) for source in (prometheus, simulated)]
    assert _sorted(real.sets) == _sorted(ours.sets)


def _sorted(sets: tuple[object, ...]) -> list[str]:
    return sorted(str(sorted(dict(one).items())) for one in sets if isinstance(one, dict))


async def test_the_deploy_that_broke_it_is_read_from_metrics_alone(prometheus: PrometheusSource, shop: Shop) -> None:
    assert shop.truth is not None
    [guilty] = [service for service in shop.truth.services if shop.incident and service == shop.incident.target]

    changes = await PrometheusChanges(prometheus).changes((), WINDOW, timeout_s=SOON_S)

    deploys = [change for change in changes if change.kind is ChangeKind.DEPLOY and change.service == guilty]
    assert deploys
    assert any(one.startswith(deploys[0].ref) or one in deploys[0].summary for one in shop.truth.changes)
    assert abs(deploys[0].at_s - shop.onset_s) < 300
