"""What the sources hold is found out, and a source that does not say becomes a gap."""

from collections.abc import Mapping
from dataclasses import replace

from bot.demo.memory import ManualClock
from bot.domain.logs import LogLine
from bot.domain.scope import Edge, Window
from bot.ports import Sources
from bot.workflows.discover import Survey, families, survey
from bot.workflows.looking import Lookout
from tests.bot.workflows.fakes import DOWN, NOW_S, Logs, Metrics, scope_of

WINDOW = Window(start_s=NOW_S - 21_600, end_s=NOW_S)


def lookout() -> Lookout:
    return Lookout(ManualClock(), deadline_s=30)


def series(name: str, **labels: str) -> Mapping[str, str]:
    return {"__name__": name, **labels}


def line(**labels: str) -> LogLine:
    return LogLine(ts_ns=round((NOW_S - 60) * 1e9), line="hello", labels=labels)


SHOP = (
    series("http_requests_total", service="cart", env="prod", namespace="shop"),
    series("http_requests_total", service="web", env="staging", namespace="shop"),
    series("calls_total", client="web", server="cart"),
    series("calls_total", client="cart", server="orders-db"),
    series("calls_total", client="cart", server="cart"),
)


async def found_in(*metrics: Metrics, logs: tuple[Logs, ...] = (), aliases: Mapping[str, str] | None = None) -> Survey:
    return await survey(Sources(metrics=metrics, logs=logs), WINDOW, lookout(), aliases or {})


async def test_services_calls_environments_and_namespaces_come_from_labels() -> None:
    around = (await found_in(Metrics(sets=SHOP), aliases={"basket": "cart"})).around

    assert around.services == ("cart", "orders-db", "web")
    assert around.edges == (Edge(caller="cart", callee="orders-db"), Edge(caller="web", callee="cart"))
    assert (around.environments, around.namespaces) == (("prod", "staging"), ("shop",))
    assert around.aliases == {"basket": "cart"}


async def test_the_best_label_that_names_anything_names_the_services() -> None:
    only_jobs = Metrics(sets=(series("up", job="node"), series("x", pod="cart-1")))
    both = Metrics(sets=(series("up", job="node"), series("x", service="cart")))

    assert (await found_in(only_jobs)).around.services == ("node",)
    assert (await found_in(both)).around.services == ("cart",)


async def test_environments_that_sources_are_configured_for_are_known() -> None:
    around = (await found_in(replace(Metrics(sets=()), environment="prod"), logs=(Logs(environment="test"),))).around

    assert around.environments == ("prod", "test")


async def test_either_kind_of_source_alone_names_the_services() -> None:
    logs = Logs(held=(line(service_name="cart"), line(service_name="web")))

    found = await found_in(logs=(logs,))

    assert found.around.services == ("cart", "web")
    assert [(log.label, log.values) for log in found.logs] == [("service_name", ("cart", "web"))]


async def test_services_that_only_logs_know_are_found_beside_those_of_metrics() -> None:
    found = await found_in(Metrics(sets=(series("up", job="node"),)), logs=(Logs(held=(line(app="cart"),)),))

    assert found.around.services == ("cart", "node")


async def test_a_dead_source_becomes_one_gap_and_the_others_go_on() -> None:
    over = lookout()

    found = await survey(
        Sources(metrics=(Metrics(name="dead", error=DOWN), Metrics(sets=SHOP)), logs=(Logs(name="dry", error=DOWN),)),
        WINDOW,
        over,
        {},
    )

    assert [m.source.name for m in found.metrics] == ["prometheus"]
    assert found.logs == ()
    assert found.around.services == ("cart", "orders-db", "web")
    assert sorted((gap.what, gap.why) for gap in over.gaps()) == [
        ("dead: which metrics exist", "It is down."),
        ("dry: which logs exist", "It is down."),
    ]


async def test_logs_without_a_label_for_services_are_a_gap_that_names_the_setting() -> None:
    over = lookout()

    found = await survey(Sources(logs=(Logs(held=(line(host="a"),)),)), WINDOW, over, {})

    assert found.logs == ()
    (gap,) = over.gaps()
    assert "no label names a service" in gap.why
    assert "service_labels" in gap.remedy
    assert "app, service_name" in gap.remedy


async def test_metrics_are_those_of_the_services_in_scope() -> None:
    source = Metrics(
        sets=(
            series("http_requests_total", service="orders"),
            series("http_requests_total", service="web"),
            series("container_memory_bytes", pod="orders-db-0"),
            series("container_memory_bytes", pod="orders-7d9f"),
        ),
        kinds={"http_requests_total": "counter"},
    )
    found = await found_in(source)
    around = replace(found.around, services=("orders", "orders-db", "web"))

    known = await families(found.metrics[0], scope_of("orders"), around, lookout())

    assert {family.name: dict(family.values) for family in known} == {
        "http_requests_total": {"orders": "orders"},
        "container_memory_bytes": {"orders-7d9f": "orders"},
    }
    assert {family.name: family.kind for family in known}["http_requests_total"] == "counter"


async def test_a_cut_list_of_series_is_a_gap() -> None:
    over = lookout()
    found = await found_in(Metrics(sets=SHOP, complete=False))

    await families(found.metrics[0], scope_of("cart"), found.around, over)

    assert ["more series than are listed at once" in gap.why for gap in over.gaps()] == [True]


async def test_nothing_in_scope_asks_nothing() -> None:
    found = await found_in(Metrics(sets=SHOP))

    assert await families(found.metrics[0], scope_of(), found.around, lookout()) == ()
