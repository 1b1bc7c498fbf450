"""The alert rules a shop like this has, and which of them fire: error share and latency of every program."""

import json
from collections.abc import Iterator
from dataclasses import dataclass

from bot.demo.shop.day import DAY_S
from bot.demo.shop.evaluate import evaluate
from bot.demo.shop.http import BOUNDS_S
from bot.demo.shop.render import promql
from bot.demo.shop.shop import Shop
from bot.demo.shop.topology import HttpStyle, Service
from bot.domain.alert import Alert
from bot.domain.query import Aggregate, Matcher, MetricQuery, Op, Selector, equal
from bot.domain.scope import Window

ERROR_SHARE = 0.05
SLOW_FACTOR = 6.0  # an objective lies about this far above the usual median: three times what the slowest 5 % need
FOR_S = 120  # how long a rule must hold before it fires
_RATE_S = 300
_STEP_S = 60
_LOOK_BACK_S = 6 * 3600.0  # nobody lets an alert fire longer unseen
_BUSY_RATE = 0.5  # requests a second below which nobody wants to be paged

_CODE_LABEL = {
    HttpStyle.CLASSIC: "code",
    HttpStyle.OTEL: "http_response_status_code",
    HttpStyle.OTEL_OLD: "http_status_code",
    HttpStyle.MICROMETER: "status",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One alert rule: it holds while the query's value lies above `limit`."""

    name: str
    service: str
    query: MetricQuery
    limit: float
    summary: str

    @property
    def expr(self) -> str:
        return f"{promql(self.query)} > {self.limit:g}"


def rules(shop: Shop) -> tuple[Rule, ...]:
    """The shop's rules over the hours before now: two for every program with traffic worth a page."""
    yesterday = shop.day(int(shop.onset_s // DAY_S) - 1)
    found: list[Rule] = []
    for service in shop.topology.web:
        node = yesterday.flow.nodes[service.name]
        if float(node.rate.mean()) >= _BUSY_RATE:
            objective_s = next(
                (b for b in BOUNDS_S if b >= SLOW_FACTOR * float(node.latency.median_s.mean())), BOUNDS_S[-1]
            )
            found += [_failing(shop, service), _slow(shop, service, objective_s)]
    return tuple(found)


def firing(shop: Shop) -> tuple[Alert, ...]:
    """The alerts that fire now, oldest first; they count from when their rule began to hold."""
    found = [alert for rule in rules(shop) for alert in _fired(shop, rule)]
    return tuple(sorted(found, key=lambda a: (a.started_at_s or 0.0, a.name, sorted(a.labels.items()))))


def rules_file(shop: Shop) -> str:
    """The rules as a rule file for Prometheus (JSON, which is YAML)."""
    listed = [
        {
            "alert": rule.name,
            "expr": rule.expr,
            "for": f"{FOR_S}s",
            "labels": _labels(shop, rule),
            "annotations": _annotations(rule),
        }
        for rule in rules(shop)
    ]
    return json.dumps({"groups": [{"name": shop.topology.name, "rules": listed}]}, indent=1)


def _failing(shop: Shop, service: Service) -> Rule:
    style, of_service = shop.topology.dialect.http, equal(shop.topology.dialect.service_label, service.name)
    metric = "http_requests_total" if style is HttpStyle.CLASSIC else f"{style.value}_count"
    bad = Matcher(label=_CODE_LABEL[style], value="5..", op=Op.MATCHES)
    query = MetricQuery(
        selector=Selector(metric=metric, matchers=(of_service, bad)),
        window=_window(shop),
        step_s=_STEP_S,
        rate_s=_RATE_S,
        aggregate=Aggregate.SUM,
        divided_by=Selector(metric=metric, matchers=(of_service,)),
    )
    summary = f"{service.name}: more than {ERROR_SHARE:.0%} of requests fail"
    return Rule(name="HighErrorRate", service=service.name, query=query, limit=ERROR_SHARE, summary=summary)


def _slow(shop: Shop, service: Service, objective_s: float) -> Rule:
    of_service = equal(shop.topology.dialect.service_label, service.name)
    query = MetricQuery(
        selector=Selector(metric=f"{shop.topology.dialect.http.value}_bucket", matchers=(of_service,)),
        window=_window(shop),
        step_s=_STEP_S,
        rate_s=_RATE_S,
        aggregate=Aggregate.SUM,
        quantile=0.95,
    )
    summary = f"{service.name}: 5% of requests take longer than {objective_s:g} s"
    return Rule(name="HighLatency", service=service.name, query=query, limit=objective_s, summary=summary)


def _window(shop: Shop) -> Window:
    return Window(start_s=shop.now_s - _LOOK_BACK_S, end_s=shop.now_s)


def _fired(shop: Shop, rule: Rule) -> Iterator[Alert]:
    for series in evaluate(shop, rule.query):
        since = len(series.values)
        while since and series.values[since - 1] > rule.limit:
            since -= 1
        active_s = series.at(since)
        if since < len(series.values) and active_s + FOR_S <= shop.now_s:
            yield Alert(
                name=rule.name,
                labels=_labels(shop, rule),
                annotations=_annotations(rule),
                started_at_s=active_s,
                expr=rule.expr,
            )


def _labels(shop: Shop, rule: Rule) -> dict[str, str]:
    topology = shop.topology
    return {
        topology.dialect.service_label: rule.service,
        "namespace": topology.namespace,
        topology.dialect.env_label: topology.env,
        "severity": "page",
    }


def _annotations(rule: Rule) -> dict[str, str]:
    return {"summary": rule.summary, "runbook_url": f"https://runbooks.shop.example/{rule.service}/{rule.name}"}
