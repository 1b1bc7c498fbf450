"""Changes that metrics betray: restarts, new versions and images, scaling, edited deployments.

Pure: series in, changes out. The queries that bring the series are in bot/adapters/prometheus_changes.py.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from bot.domain.change import Change, ChangeKind
from bot.domain.series import Series

# What exporters call the version in *build_info and target_info, the most telling one first.
COMMIT_LABELS = ("commit", "git_commit", "commit_sha", "revision", "sha")
VERSION_LABELS = ("version", "app_version", "service_version", "image_tag")

GENERATION_WANTED = "kube_deployment_metadata_generation"
GENERATION_SEEN = "kube_deployment_status_observed_generation"

_START_JITTER_S = 5.0  # some exporters compute the start from the uptime, and it wobbles by a second or two
_ONE_ROLLOUT_S = 180.0  # instances of one service that start this close together are one restart


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A value that became another one: at the first point (UTC unix seconds) with the new value, after the last with the old."""

    at_s: float
    last_s: float
    before: float
    after: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Appearance:
    """A variant (a version, an image) that a group did not run at its point before; `before` is what it ran then."""

    at_s: float
    group: tuple[str, ...]
    variant: str
    before: tuple[str, ...]


def steps(series: Series, *, at_least: float = 0.0) -> Iterator[Step]:
    """Where the value moves by more than `at_least`; gaps between are skipped over."""
    known = [(series.at(i), value) for i, value in enumerate(series.values) if not math.isnan(value)]
    for (last_s, before), (at_s, after) in pairwise(known):
        if abs(after - before) > at_least:
            yield Step(at_s=at_s, last_s=last_s, before=before, after=after)


def appearances(
    series: Sequence[Series], group: Callable[[Series], tuple[str, ...]], variant: Callable[[Series], str]
) -> Iterator[Appearance]:
    """Variants that are new in their group; all series share one grid.

    What a group is first seen with is not news. Times at which nothing of a group was seen are skipped over.
    """
    groups: dict[tuple[str, ...], list[Series]] = {}
    for one in series:
        groups.setdefault(group(one), []).append(one)
    for name, members in groups.items():
        running: frozenset[str] = frozenset()
        for i in range(len(members[0].values)):
            present = frozenset(variant(one) for one in members if not math.isnan(one.values[i]))
            if running:
                for new in sorted(present - running):
                    yield Appearance(at_s=members[0].at(i), group=name, variant=new, before=tuple(sorted(running)))
            running = present or running


def restarts(series: Sequence[Series], service_label: str, source: str) -> tuple[Change, ...]:
    """Restarts from `process_start_time_seconds`, one change for instances of a service that start close together.

    The value itself is the start's time, so it is exact even where the step is wide.
    """
    starts = sorted(
        (at_s, one.labels.get(service_label, ""), one.labels.get("pod") or one.labels.get("instance") or "")
        for one in series
        for at_s in _starts(one)
    )
    rollouts: list[list[tuple[float, str, str]]] = []
    newest: dict[str, list[tuple[float, str, str]]] = {}
    for start in starts:
        at_s, service, _ = start
        rollout = newest.get(service)
        if rollout is None or at_s - rollout[-1][0] > _ONE_ROLLOUT_S:
            rollout = newest[service] = []
            rollouts.append(rollout)
        rollout.append(start)
    return tuple(_restart(rollout, source) for rollout in rollouts)


def versions(series: Sequence[Series], service_label: str, source: str) -> tuple[Change, ...]:
    """Deploys from build-info metrics: a version or commit that a service did not run before."""
    labels_of = {_version(one): one.labels for one in series}
    found = []
    for new in appearances(series, lambda one: _named(one, service_label, "__name__"), _version):
        labels, service = labels_of[new.variant], new.group[0]
        ref = next((labels[name] for name in (*COMMIT_LABELS, *VERSION_LABELS) if labels.get(name)), new.variant)
        summary = f"{service} runs {new.variant} (before: {', '.join(new.before)})"
        found.append(_change(ChangeKind.DEPLOY, new.at_s, service, ref, summary, source))
    return tuple(found)


def images(series: Sequence[Series], source: str) -> tuple[Change, ...]:
    """Deploys from `kube_pod_container_info`: a container that runs another image. The container's name is the service."""
    found = []
    for new in appearances(
        series, lambda one: _named(one, "container", "namespace"), lambda one: _named(one, "image")[0]
    ):
        service = new.group[0]
        summary = f"{service} runs image {new.variant} (before: {', '.join(new.before)})"
        found.append(_change(ChangeKind.DEPLOY, new.at_s, service, _image_tag(new.variant), summary, source))
    return tuple(found)


def scalings(series: Sequence[Series], source: str) -> tuple[Change, ...]:
    """Changes of `kube_deployment_spec_replicas`."""
    found = []
    for one in series:
        service = one.labels.get("deployment", "")
        for step in steps(one):
            ref = f"{step.before:g} -> {step.after:g}"
            summary = f"{service} scaled from {step.before:g} to {step.after:g} replicas"
            found.append(_change(ChangeKind.SCALE, step.at_s, service, ref, summary, source))
    return tuple(found)


def edits(series: Sequence[Series], source: str) -> tuple[Change, ...]:
    """Changes of a deployment's specification, from its generation: the wanted one where known, else the one seen."""
    wanted = {one.labels.get("deployment") for one in series if one.labels.get("__name__") == GENERATION_WANTED}
    found = []
    for one in series:
        service = one.labels.get("deployment", "")
        if one.labels.get("__name__") == GENERATION_SEEN and service in wanted:
            continue
        for step in steps(one):
            ref = f"generation {step.after:g}"
            found.append(
                _change(ChangeKind.CONFIG, step.at_s, service, ref, f"deployment {service} was edited, {ref}", source)
            )
    return tuple(found)


def without_echoes(changes: Iterable[Change], *, within_s: float) -> tuple[Change, ...]:
    """The changes in order of time, each act once.

    A second sign of a deploy or a scaling, and the edit every one of them comes with, are dropped where a change of the
    same service that stands earlier in `changes` lies within `within_s`. Restarts stay: they tell what people felt.
    """
    kept: list[Change] = []
    for change in changes:
        near = [k for k in kept if k.service == change.service and abs(k.at_s - change.at_s) <= within_s]
        told = {k.kind for k in near} - {ChangeKind.RESTART}
        if change.kind not in told and not (told and change.kind is ChangeKind.CONFIG):
            kept.append(change)
    return tuple(sorted(kept, key=lambda change: change.at_s))


def _starts(series: Series) -> Iterator[float]:
    """Times at which this instance started inside the series."""
    first = next((i for i, value in enumerate(series.values) if not math.isnan(value)), None)
    if first is None:
        return
    if series.start_s < series.values[first] <= series.at(first):  # came into being inside the window
        yield series.values[first]
    for step in steps(series, at_least=_START_JITTER_S):
        trusted = step.last_s - series.step_s <= step.after <= step.at_s
        yield step.after if trusted else step.at_s  # a wrong clock on that machine


def _restart(rollout: Sequence[tuple[float, str, str]], source: str) -> Change:
    at_s, service, instance = rollout[0]
    instances = {name for _, _, name in rollout}
    if len(rollout) == 1:
        summary = f"{service} restarted" + (f" ({instance})" if instance else "")
    else:
        summary = f"{service} restarted: {len(rollout)} starts of {len(instances)} instance{'s' * (len(instances) > 1)}"
    return _change(ChangeKind.RESTART, at_s, service, instance, summary, source)


def _named(series: Series, *labels: str) -> tuple[str, ...]:
    return tuple(series.labels.get(label, "") for label in labels)


def _version(series: Series) -> str:
    said = [series.labels.get(name, "") for name in (*VERSION_LABELS, *COMMIT_LABELS)]
    return " ".join(dict.fromkeys(filter(None, said)))


def _image_tag(image: str) -> str:
    """`1.4.2` of `registry:5000/shop/cart:1.4.2`; the digest where there is no tag."""
    name = image.rsplit("/", 1)[-1]
    plain, _, digest = name.partition("@")
    return plain.partition(":")[2] or digest or image


def _change(kind: ChangeKind, at_s: float, service: str, ref: str, summary: str, source: str) -> Change:
    return Change(kind=kind, at_s=at_s, service=service or None, ref=ref, summary=summary, source=source)
