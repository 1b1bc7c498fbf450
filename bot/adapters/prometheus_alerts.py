"""Alerts that fire, from Prometheus and servers with its alerting API (Thanos, Mimir, vmalert)."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from bot.adapters.endpoint import Endpoint
from bot.adapters.prometheus_api import PrometheusApi, Said
from bot.adapters.refusals import NoSuchEndpoint
from bot.domain.alert import Alert

_ALERT_NAME = "alertname"
_PARALLEL = 2  # alerts and rules are asked together
_START_OF_ALL = "0001-01-01"  # Go's zero time: the server does not know

Rules = Mapping[frozenset[tuple[str, str]], str]


class PrometheusAlerts:
    """An AlertSource: what `/api/v1/alerts` says fires, with the expressions `/api/v1/rules` has for it."""

    def __init__(self, name: str, endpoint: Endpoint, *, environment: str | None = None) -> None:
        self._name = name
        self._environment = environment
        self._api = PrometheusApi(source=name, endpoint=endpoint, max_parallel=_PARALLEL)

    @property
    def name(self) -> str:
        return self._name

    @property
    def environment(self) -> str | None:
        return self._environment

    async def firing(self, *, timeout_s: float) -> tuple[Alert, ...]:
        alerts, rules = await asyncio.gather(
            self._api.ask(lambda client: client.read("/api/v1/alerts"), _firing, timeout_s=timeout_s),
            self._rules(timeout_s),
        )
        found = [replace(alert, expr=_expression(alert, rules)) for alert in alerts]
        return tuple(sorted(found, key=lambda alert: alert.started_at_s or 0.0))

    def close(self) -> None:
        """Lets go of threads and connections."""
        self._api.close()

    async def _rules(self, timeout_s: float) -> Rules:
        parameters = {"type": "alert"}
        try:
            return await self._api.ask(
                lambda client: client.read("/api/v1/rules", parameters), _expressions, timeout_s=timeout_s
            )
        except NoSuchEndpoint:
            return {}  # alerts without their expressions are worth telling


def _firing(said: Said) -> list[Alert]:
    return [_alert(raw) for raw in said.data["alerts"] if raw["state"] == "firing"]


def _expressions(said: Said) -> Rules:
    """The expression of each alert by its labels; the name alone leads there where only one rule has it."""
    by_labels: dict[frozenset[tuple[str, str]], str] = {}
    by_name: dict[str, set[str]] = {}
    for group in said.data["groups"]:
        for rule in group["rules"]:
            if rule.get("type", "alerting") != "alerting":
                continue
            by_name.setdefault(rule["name"], set()).add(rule["query"])
            for raw in rule.get("alerts") or ():
                by_labels[frozenset(raw["labels"].items())] = rule["query"]
    alone = {frozenset([(_ALERT_NAME, name)]): next(iter(texts)) for name, texts in by_name.items() if len(texts) == 1}
    return alone | by_labels


def _alert(raw: Mapping[str, Any]) -> Alert:
    labels = {str(name): str(value) for name, value in raw["labels"].items()}
    return Alert(
        name=labels.get(_ALERT_NAME, ""),
        labels=labels,
        annotations={str(key): str(text) for key, text in (raw.get("annotations") or {}).items()},
        started_at_s=_started_at_s(raw.get("activeAt")),
    )


def _expression(alert: Alert, rules: Rules) -> str:
    exactly = rules.get(frozenset(alert.labels.items()))
    return exactly or rules.get(frozenset([(_ALERT_NAME, alert.name)]), "")


def _started_at_s(text: str | None) -> float | None:
    """RFC 3339 with up to nine digits after the dot, of which Python keeps six."""
    if not text or text.startswith(_START_OF_ALL):
        return None
    return datetime.fromisoformat(text).timestamp()
