"""Finds out what there is to look at: services, calls, environments, and the metrics and log streams that speak of them."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from bot.domain.query import Matcher, Op, any_of, one_of
from bot.domain.report import Gap
from bot.domain.scope import Scope, Window
from bot.ports import LabelSets, LogSource, MetricMetadata, MetricSource, Sources
from bot.reasoning.inventory import EDGE_LABELS, PART_LABELS, Family, edges_in, families_in, service_in
from bot.reasoning.planning import ENVIRONMENT_LABELS, NAMESPACE_LABELS
from bot.reasoning.scoping import Surroundings
from bot.workflows.looking import Lookout

# A source that has not said what it holds in this time will not carry an investigation: its looks are not even tried.
SURVEY_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricSurvey:
    """What one metric source holds: the names of its labels and its metadata. Only sources that answered have one."""

    source: MetricSource
    labels: frozenset[str]
    metadata: Mapping[str, MetricMetadata]
    services: tuple[str, ...]
    edge_sets: tuple[Mapping[str, str], ...]
    environments: tuple[str, ...]
    namespaces: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSurvey:
    """What one log source holds: the label that tells services apart and its values."""

    source: LogSource
    labels: frozenset[str]
    label: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """All sources that answered, and what they show together."""

    metrics: tuple[MetricSurvey, ...]
    logs: tuple[LogSurvey, ...]
    around: Surroundings


async def survey(sources: Sources, window: Window, lookout: Lookout, aliases: Mapping[str, str]) -> Survey:
    """Asks every source at once what it holds in the window."""
    metrics, logs = await asyncio.gather(
        asyncio.gather(*(_survey_metrics(source, window, lookout) for source in sources.metrics)),
        asyncio.gather(*(_survey_logs(source, window, lookout) for source in sources.logs)),
    )
    answered = tuple(m for m in metrics if m is not None)
    with_lines = tuple(log for log in logs if log is not None)
    edges = edges_in([labels for m in answered for labels in m.edge_sets])
    named = {s for m in answered for s in m.services} | {end for e in edges for end in (e.caller, e.callee)}
    services = named | {value for log in with_lines for value in log.values}
    configured = {s.environment for s in sources.metrics} | {s.environment for s in sources.logs}
    return Survey(
        metrics=answered,
        logs=with_lines,
        around=Surroundings(
            services=tuple(sorted(services)),
            edges=edges,
            environments=tuple(
                sorted({name for name in configured if name}.union(*(m.environments for m in answered)))
            ),
            namespaces=tuple(sorted(set().union(*(m.namespaces for m in answered)))),
            aliases=aliases,
        ),
    )


async def _survey_metrics(source: MetricSource, window: Window, lookout: Lookout) -> MetricSurvey | None:
    found = await lookout.look(
        source.name,
        "which metrics exist",
        partial(_labels_and_metadata, source, window),
        timeout_s=SURVEY_TIMEOUT_S,
    )
    if found is None:
        return None
    labels, metadata = found
    naming = [label for label in source.service_labels if label in labels]
    pairs = [pair for pair in EDGE_LABELS if set(pair) <= labels]
    services, edge_sets, environments, namespaces = await asyncio.gather(
        _first_values(source, naming, window, lookout),
        asyncio.gather(*(_edges(source, pair, window, lookout) for pair in pairs)),
        _named(source, [label for label in ENVIRONMENT_LABELS if label in labels], window, lookout),
        _named(source, [label for label in NAMESPACE_LABELS if label in labels], window, lookout),
    )
    return MetricSurvey(
        source=source,
        labels=labels,
        metadata=metadata,
        services=services,
        edge_sets=tuple(one for sets in edge_sets for one in sets),
        environments=environments,
        namespaces=namespaces,
    )


async def _labels_and_metadata(
    source: MetricSource, window: Window, *, timeout_s: float
) -> tuple[frozenset[str], Mapping[str, MetricMetadata]]:
    labels, metadata = await asyncio.gather(
        source.label_names(window, timeout_s=timeout_s), source.metadata(timeout_s=timeout_s)
    )
    return labels, metadata


async def _first_values(
    source: MetricSource, naming: Sequence[str], window: Window, lookout: Lookout
) -> tuple[str, ...]:
    for label in naming:  # best label first; the next one only counts where this one names nothing
        values = await lookout.look(source.name, "which services exist", partial(source.label_values, label, window))
        if values:
            return values
    return ()


async def _edges(
    source: MetricSource, pair: tuple[str, str], window: Window, lookout: Lookout
) -> tuple[Mapping[str, str], ...]:
    both = tuple(Matcher(label=label, value="", op=Op.NOT_EQUAL) for label in pair)
    found = await lookout.look(source.name, "who calls whom", partial(source.series, both, window))
    return found.sets if found else ()


async def _named(source: MetricSource, labels: Sequence[str], window: Window, lookout: Lookout) -> tuple[str, ...]:
    """The values of the best label there is."""
    for label in labels[:1]:
        found = await lookout.look(source.name, f"values of {label}", partial(source.label_values, label, window))
        return found or ()
    return ()


async def _survey_logs(source: LogSource, window: Window, lookout: Lookout) -> LogSurvey | None:
    labels = await lookout.look(
        source.name, "which logs exist", partial(source.label_names, window), timeout_s=SURVEY_TIMEOUT_S
    )
    if labels is None:
        return None
    for label in source.service_labels:
        if label in labels:
            values = await lookout.look(
                source.name,
                "which services log",
                partial(source.label_values, label, window),
            )
            if values:
                return LogSurvey(source=source, labels=labels, label=label, values=values)
    lookout.extra_gaps.append(
        Gap(
            what=f"{source.name}: logs",
            why="no label names a service there",
            remedy=f"Set service_labels of this source; it tried {', '.join(source.service_labels)}.",
        )
    )
    return None


async def families(survey_: MetricSurvey, scope: Scope, around: Surroundings, lookout: Lookout) -> tuple[Family, ...]:
    """The metrics of one source that speak of the services in scope."""
    source = survey_.source
    services = scope.services
    conditions = _conditions(survey_, services)
    answers: list[LabelSets | None] = await asyncio.gather(
        *(
            lookout.look(source.name, "which metrics a service has", partial(source.series, c, scope.whole))
            for c in conditions
        )
    )
    if any(answer is not None and not answer.complete for answer in answers):
        lookout.extra_gaps.append(
            Gap(
                what=f"{source.name}: some metrics",
                why="the services in scope have more series than are listed at once",
                remedy="Ask about one service.",
            )
        )
    sets = {tuple(sorted(one.items())): one for answer in answers if answer is not None for one in answer.sets}
    known = {*services, *around.services}  # longest-name matching needs the names that are out of scope, too
    kinds = {name: meta.kind for name, meta in survey_.metadata.items()}
    inside = [one for one in sets.values() if _concerns(one, source.service_labels, set(services), known)]
    return families_in(inside, kinds, source.service_labels, services)


def _conditions(survey_: MetricSurvey, services: Sequence[str]) -> Sequence[tuple[Matcher, ...]]:
    if not services:
        return []
    exact = [(one_of(label, tuple(services)),) for label in survey_.source.service_labels if label in survey_.labels]
    parts = [
        (Matcher(label=label, value=f".*({any_of(tuple(services))}).*", op=Op.MATCHES),)
        for label in PART_LABELS
        if label in survey_.labels and label not in survey_.source.service_labels
    ]
    return [*exact, *parts]


def _concerns(labels: Mapping[str, str], service_labels: Sequence[str], inside: set[str], known: set[str]) -> bool:
    named = next((labels[label] for label in service_labels if labels.get(label) in known), None)
    if named is not None:
        return named in inside
    parts = (service_in(labels[label], known) for label in PART_LABELS if labels.get(label))
    return any(part in inside for part in parts if part is not None)
