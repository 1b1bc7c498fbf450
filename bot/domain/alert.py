"""Alerts, as Prometheus, Alertmanager or an alert message in a channel tell them."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """One alert. `started_at_s` is UTC unix seconds, None where the message does not say; `expr` its rule where known."""

    name: str
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    started_at_s: float | None = None
    firing: bool = True
    expr: str = ""

    @property
    def runbook_url(self) -> str | None:
        return self.annotations.get("runbook_url") or self.annotations.get("runbook")
