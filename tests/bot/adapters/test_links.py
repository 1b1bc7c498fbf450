"""Links open the right query on the right window."""

import json
from urllib.parse import parse_qs, urlsplit

from bot.adapters.links import Explore, ExploreKind, logs_link, metrics_link
from bot.domain.scope import Window

WINDOW = Window(start_s=1_750_000_000.25, end_s=1_750_003_600)
GRAFANA = Explore(kind=ExploreKind.GRAFANA, url="https://grafana.example/team/", datasource_uid="uid&1", org_id=7)
PROMETHEUS = Explore(kind=ExploreKind.PROMETHEUS, url="https://prom.example/prefix/")
HOSTILE = 'up{a="&g0.expr=x#\n\N{SNOWMAN}"}'


def parameters(link: str | None) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(link or "").query).items()}


def test_grafana_explore_opens_the_query_on_its_source_and_window() -> None:
    link = logs_link(GRAFANA, HOSTILE, WINDOW)

    assert (link or "").startswith("https://grafana.example/team/explore?")
    assert parameters(link)["orgId"] == "7"
    [pane] = json.loads(parameters(link)["panes"]).values()
    assert pane["datasource"] == "uid&1"
    assert pane["queries"][0]["expr"] == HOSTILE
    assert pane["queries"][0]["datasource"] == {"type": "loki", "uid": "uid&1"}
    assert pane["range"] == {"from": "1750000000250", "to": "1750003600000"}


def test_the_graph_page_of_prometheus_opens_the_query_on_its_window() -> None:
    link = metrics_link(PROMETHEUS, HOSTILE, WINDOW, 15)

    assert (link or "").startswith("https://prom.example/prefix/graph?")
    assert parameters(link) == {
        "g0.expr": HOSTILE,
        "g0.tab": "0",
        "g0.range_input": "3600s",
        "g0.end_input": "2025-06-15 16:06:40",
        "g0.step_input": "15",
    }


def test_metrics_open_in_grafana_too() -> None:
    [pane] = json.loads(parameters(metrics_link(GRAFANA, "up", WINDOW, 15))["panes"]).values()

    assert pane["queries"][0]["datasource"]["type"] == "prometheus"


def test_there_is_no_link_where_nothing_could_open_it() -> None:
    assert metrics_link(None, "up", WINDOW, 15) is None
    assert logs_link(None, "{}", WINDOW) is None
    assert logs_link(PROMETHEUS, "{}", WINDOW) is None
