"""Links that open a query, on its window, in the tool the operator already has."""

import json
import math
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from urllib.parse import urlencode

from bot.domain.scope import Window


class ExploreKind(Enum):
    PROMETHEUS = "prometheus"
    GRAFANA = "grafana"


@dataclass(frozen=True, slots=True, kw_only=True)
class Explore:
    """Where people look at a source. `datasource_uid` and `org_id` are Grafana's names for the source and its owner."""

    kind: ExploreKind
    url: str
    datasource_uid: str = ""
    org_id: int = 1


def metrics_link(explore: Explore | None, query: str, window: Window, step_s: int) -> str | None:
    """Opens a PromQL query as a graph; None where nothing is configured."""
    if explore is None:
        return None
    if explore.kind is ExploreKind.GRAFANA:
        return grafana_explore(explore, "prometheus", query, window)
    return prometheus_graph(explore.url, query, window, step_s)


def logs_link(explore: Explore | None, query: str, window: Window) -> str | None:
    """Opens a LogQL query; None where no Grafana is configured (Loki has no page of its own)."""
    if explore is None or explore.kind is not ExploreKind.GRAFANA:
        return None
    return grafana_explore(explore, "loki", query, window)


def prometheus_graph(url: str, query: str, window: Window, step_s: int) -> str:
    """The graph page of Prometheus (2.x; 3.x sends `/graph` on to its own page with the same parameters)."""
    end = datetime.fromtimestamp(math.ceil(window.end_s), UTC)
    parameters = {
        "g0.expr": query,
        "g0.tab": "0",
        "g0.range_input": f"{math.ceil(window.duration_s)}s",
        "g0.end_input": f"{end:%Y-%m-%d %H:%M:%S}",
        "g0.step_input": str(step_s),
    }
    return f"{url.rstrip('/')}/graph?{urlencode(parameters)}"


def grafana_explore(explore: Explore, kind: str, query: str, window: Window) -> str:
    """Grafana's Explore page (schema 1, Grafana 10 and later) for a data source of this kind (`prometheus`, `loki`)."""
    asked = {
        "refId": "A",
        "expr": query,
        "editorMode": "code",
        "datasource": {"type": kind, "uid": explore.datasource_uid},
    }
    pane = {
        "datasource": explore.datasource_uid,
        "queries": [asked],
        "range": {"from": str(math.floor(window.start_s * 1000)), "to": str(math.ceil(window.end_s * 1000))},
    }
    panes = json.dumps({"groundwire": pane}, separators=(",", ":"))
    parameters = {"schemaVersion": "1", "panes": panes, "orgId": str(explore.org_id)}
    return f"{explore.url.rstrip('/')}/explore?{urlencode(parameters)}"
