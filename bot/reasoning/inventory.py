"""What exists: services, the calls between them and the metrics that speak of them, read out of label sets."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from bot.domain.scope import Edge

# Pairs of labels that name the two ends of a call, as service graphs, meshes and clients write them.
EDGE_LABELS = (
    ("client", "server"),
    ("source_workload", "destination_workload"),
    ("source_app", "destination_app"),
    ("source_canonical_service", "destination_canonical_service"),
    ("source", "target"),
    ("source", "destination"),
    ("caller", "callee"),
    ("src", "dst"),
)

# Labels that name a part of a service: its container, pod, volume or address. The service's name stands somewhere inside.
PART_LABELS = ("container", "deployment", "statefulset", "pod", "persistentvolumeclaim", "instance", "host")

# Label values kept a family: enough to see status codes and states, too few to hold a list of users.
_VALUES_KEPT = 64

_SUFFIX = re.compile(r"_(bucket|sum|count)$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """One metric as it exists for the services in scope.

    `kind` is counter, gauge, histogram, summary or unknown. `label` is the one that tells services apart and `values` maps
    its values to services; for calls `callee_label` tells the other end. `labels` are the values seen of every label.
    """

    name: str
    kind: str
    label: str
    values: Mapping[str, str]
    labels: Mapping[str, tuple[str, ...]]
    callee_label: str | None = None

    @property
    def services(self) -> frozenset[str]:
        return frozenset(self.values.values())


def service_in(value: str, services: Iterable[str]) -> str | None:
    """The longest service name that a part's name holds whole: `data-orders-db-0` is of `orders-db`, not of `orders`."""
    plain = re.sub(r"[^a-z0-9]+", "-", value.lower())
    padded = f"-{plain}-"
    found = [s for s in services if f"-{re.sub(r'[^a-z0-9]+', '-', s.lower())}-" in padded]
    return max(found, key=lambda s: (len(s), s), default=None)


def edges_in(sets: Iterable[Mapping[str, str]]) -> tuple[Edge, ...]:
    """Who calls whom, from every label set that names two ends; sorted, without loops onto oneself."""
    pairs = {
        (labels[a], labels[b])
        for labels in sets
        for a, b in EDGE_LABELS
        if labels.get(a) and labels.get(b) and labels[a] != labels[b]
    }
    return tuple(Edge(caller=a, callee=b) for a, b in sorted(pairs) if "unknown" not in (a, b))


def families_in(
    sets: Sequence[Mapping[str, str]], kinds: Mapping[str, str], service_labels: Sequence[str], services: Sequence[str]
) -> tuple[Family, ...]:
    """The metrics that speak of these services, by name.

    `sets` are label sets with `__name__`; `kinds` gives the type by base name and may know nothing: then names and labels tell.
    """
    histograms = {labels["__name__"][: -len("_bucket")] for labels in sets if _is_bucket(labels)}
    histograms |= {name for name, kind in kinds.items() if kind in ("histogram", "summary")}
    by_metric: dict[str, list[Mapping[str, str]]] = {}
    for labels in sets:
        name = labels.get("__name__", "")
        base = _SUFFIX.sub("", name)
        by_metric.setdefault(base if base in histograms else name, []).append(labels)
    found = (_family(name, by_metric[name], kinds, service_labels, services) for name in sorted(by_metric))
    return tuple(family for family in found if family is not None)


def _is_bucket(labels: Mapping[str, str]) -> bool:
    return "le" in labels and labels.get("__name__", "").endswith("_bucket")


def _family(
    name: str,
    sets: Sequence[Mapping[str, str]],
    kinds: Mapping[str, str],
    service_labels: Sequence[str],
    services: Sequence[str],
) -> Family | None:
    labels: dict[str, dict[str, None]] = {}
    for one in sets:
        for key, value in one.items():
            kept = labels.setdefault(key, {})
            if len(kept) < _VALUES_KEPT:
                kept[value] = None
    frozen = {key: tuple(values) for key, values in labels.items()}
    kind = "histogram" if "le" in labels else kinds.get(name, _guessed_kind(name))
    pair = next(((a, b) for a, b in EDGE_LABELS if a in labels and b in labels), None)
    if pair is not None:
        ends = {one[pair[1]]: one[pair[1]] for one in sets if one.get(pair[1])}
        return Family(name=name, kind=kind, label=pair[0], callee_label=pair[1], values=ends, labels=frozen)
    for label in (*service_labels, *PART_LABELS):
        values = _services_by_value(label, sets, services, exact=label in service_labels)
        if values:
            return Family(name=name, kind=kind, label=label, values=values, labels=frozen)
    return None


def _services_by_value(
    label: str, sets: Sequence[Mapping[str, str]], services: Sequence[str], *, exact: bool
) -> dict[str, str]:
    seen = Counter(one[label] for one in sets if one.get(label))
    if exact:
        return {value: value for value in sorted(seen) if value in services}
    named = {value: service_in(value, services) for value in sorted(seen)}
    return {value: service for value, service in named.items() if service is not None}


def _guessed_kind(name: str) -> str:
    return "counter" if name.endswith(("_total", "_count", "_sum")) else "gauge"
