"""The limits Loki tells to exploring front ends."""

from typing import Any

from bot.demo.loki.level import LEVEL_FIELDS
from bot.demo.loki.limits import Limits
from bot.demo.loki.push import SERVICE_LABELS
from bot.demo.loki.units import prometheus_duration

# Resource attributes that become stream labels when lines come in by OpenTelemetry.
_INDEXED_ATTRIBUTES = (
    "service.name",
    "service.namespace",
    "service.instance.id",
    "deployment.environment",
    "deployment.environment.name",
    "cloud.region",
    "cloud.availability_zone",
    *(f"k8s.{kind}.name" for kind in ("cluster", "namespace", "pod", "container")),
    "container.name",
    *(f"k8s.{kind}.name" for kind in ("replicaset", "deployment", "statefulset", "daemonset", "cronjob", "job")),
)


def drilldown_limits(limits: Limits, version: str) -> dict[str, Any]:
    """The answer of drilldown-limits."""
    return {
        "limits": {
            "discover_log_levels": True,
            "discover_service_name": list(SERVICE_LABELS),
            "log_level_fields": list(LEVEL_FIELDS),
            "max_entries_limit_per_query": limits.max_entries,
            "max_line_size_truncate": False,
            "max_query_bytes_read": f"{limits.max_query_bytes or 0}B",
            "max_query_length": prometheus_duration(limits.max_query_length_ns),
            "max_query_lookback": "0s",
            "max_query_range": "0s",
            "max_query_series": limits.max_series,
            "metric_aggregation_enabled": False,
            "otlp_config": {
                "resource_attributes": {
                    "attributes_config": [{"action": "index_label", "attributes": list(_INDEXED_ATTRIBUTES)}]
                }
            },
            "pattern_persistence_enabled": False,
            "query_timeout": "1m",
            "retention_period": "0s",
            "volume_enabled": True,
            "volume_max_series": 1000,
        },
        "pattern_ingester_enabled": True,
        "version": version,
    }
