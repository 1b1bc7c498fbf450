"""What every AlertSource promises, asked of a real Prometheus whose rules fire."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator

import pytest

from bot.adapters.endpoint import Endpoint
from bot.adapters.prometheus_alerts import PrometheusAlerts
from bot.domain.alert import Alert
from bot.ports import AlertSource
from tests.servers import Server, running_alertmanager, running_prometheus

SOON_S = 10.0
RULES = """
groups:
- name: shop
  rules:
  - {record: shop:one, expr: vector(1)}
  - alert: CartSlow
    expr: label_replace(vector(0.9), "service", "cart", "", "") > 0.5
    labels: {severity: page}
    annotations: {summary: "Cart is slow: {{ $value }}", runbook_url: "https://runbooks.example/cart"}
  - alert: Down
    expr: label_replace(vector(1), "service", "cart", "", "")
  - alert: Down
    expr: label_replace(vector(2), "service", "checkout", "", "")
  - {alert: Waiting, expr: vector(1), for: 1h}
  - {alert: Quiet, expr: vector(1) > 2}
"""


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with (
        running_alertmanager() as alertmanager,
        running_prometheus(rules=RULES, alertmanager=alertmanager.url) as running,
    ):
        yield running


@pytest.fixture
async def source(server: Server) -> AsyncIterator[AlertSource]:
    alerts = PrometheusAlerts("test", Endpoint(url=server.url), environment="prod")
    yield alerts
    alerts.close()


async def firing(source: AlertSource) -> list[Alert]:
    """All three alerts, as soon as the rules were evaluated."""
    deadline_s = time.monotonic() + SOON_S
    while time.monotonic() < deadline_s:
        alerts = await source.firing(timeout_s=SOON_S)
        if len(alerts) >= 3:
            return list(alerts)
        await asyncio.sleep(0.05)
    raise AssertionError("the rules never fired")


async def test_alerts_that_fire_come_with_their_rules_oldest_first(source: AlertSource) -> None:
    alerts = await firing(source)

    assert source.name
    assert source.environment == "prod"
    assert [alert.started_at_s for alert in alerts] == sorted(alert.started_at_s or 0 for alert in alerts)
    assert all(alert.firing and abs((alert.started_at_s or 0) - time.time()) < 60 for alert in alerts)
    [slow] = [alert for alert in alerts if alert.name == "CartSlow"]
    assert slow.labels == {"alertname": "CartSlow", "service": "cart", "severity": "page"}
    assert slow.annotations["summary"] == "Cart is slow: 0.9"
    assert slow.runbook_url == "https://runbooks.example/cart"
    assert slow.expr.endswith("> 0.5")


async def test_rules_that_share_a_name_are_told_apart(source: AlertSource) -> None:
    down = {alert.labels["service"]: alert.expr for alert in await firing(source) if alert.name == "Down"}

    assert "vector(1)" in down["cart"]
    assert "vector(2)" in down["checkout"]


async def test_alerts_that_wait_or_are_quiet_are_not_told(source: AlertSource) -> None:
    assert {alert.name for alert in await firing(source)} == {"CartSlow", "Down"}
