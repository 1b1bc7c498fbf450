"""The alert rules a shop like this has, and which of them fire: error share and latency of every program."""

from collections.abc import Iterator

import numpy as np

from bot.demo.shop.day import DAY_S
from bot.demo.shop.noise import Floats
from bot.demo.shop.shop import Shop
from bot.demo.shop.topology import Service
from bot.domain.alert import Alert

ERROR_SHARE = 0.05
SLOW_FACTOR = 3.0  # a latency objective is set about this far above what a program usually needs
FOR_S = 120.0  # how long a rule must hold before it fires
_BUSY_RATE = 0.5  # rules ask for at least this many requests a second, or night and idle programs would page


def firing(shop: Shop) -> tuple[Alert, ...]:
    """The alerts that fire now, oldest first."""
    found = [alert for service in shop.topology.web for alert in _of(shop, service)]
    return tuple(sorted(found, key=lambda a: (a.started_at_s or 0.0, a.name, a.labels.get("service", ""))))


def _of(shop: Shop, service: Service) -> Iterator[Alert]:
    day = shop.day(int(shop.now_s // DAY_S))
    upto = int((shop.now_s - day.at_s[0]) // shop.step_s) + 1
    node = day.flow.nodes[service.name]
    awake = node.rate[:upto] > _BUSY_RATE
    failing = _holds_since(shop, day.at_s[:upto], (node.failed[:upto] > ERROR_SHARE) & awake)
    if failing is not None:
        yield _alert(shop, service, "HighErrorRate", failing, f"more than {ERROR_SHARE:.0%} of requests fail")
    slow = 1.0 - node.latency.below(SLOW_FACTOR * _usual_s(node.latency.median_s))
    slowing = _holds_since(shop, day.at_s[:upto], (slow[:upto] > 0.05) & awake)
    if slowing is not None:
        yield _alert(shop, service, "HighLatency", slowing, "more than 5% of requests are slower than the objective")


def _usual_s(median_s: Floats) -> float:
    """What a program usually needs: its quiet hours, so that an incident of the day does not move the objective."""
    return float(np.quantile(median_s, 0.25))


def _holds_since(shop: Shop, at_s: Floats, broken: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> float | None:
    """Since when the condition has held without a break, if long enough to fire."""
    if not len(broken) or not broken[-1]:
        return None
    fine = np.flatnonzero(~broken)
    first = int(fine[-1]) + 1 if len(fine) else 0
    fired_s = float(at_s[first]) + FOR_S
    return fired_s if fired_s <= shop.now_s else None


def _alert(shop: Shop, service: Service, name: str, since_s: float, summary: str) -> Alert:
    topology = shop.topology
    label = topology.dialect.service_label
    return Alert(
        name=name,
        labels={
            label: service.name,
            "namespace": topology.namespace,
            topology.dialect.env_label: topology.env,
            "severity": "page",
        },
        annotations={
            "summary": f"{service.name}: {summary}",
            "runbook_url": f"https://runbooks.shop.example/{service.name}/{name}",
        },
        started_at_s=since_s,
        expr=_rule(topology.dialect.service_label, service.name, name),
    )


def _rule(label: str, service: str, name: str) -> str:
    where = f'{label}="{service}"'
    if name == "HighErrorRate":
        return f"job:request_errors:ratio_rate5m{{{where}}} > {ERROR_SHARE:g}"
    return f"job:request_slow:ratio_rate5m{{{where}}} > 0.05"
