"""Changes as a metric source shows them: restarts, versions, and what kube-state-metrics says of deployments."""

import asyncio
import math
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, TypeVar

from bot.domain.change import Change
from bot.domain.query import Aggregate, Matcher, MetricQuery, Op, Selector, one_of
from bot.domain.scope import Window
from bot.domain.series import Series
from bot.evidence import transitions
from bot.ports import MetricSource

_POINTS = 480  # over the window: 6 h are seen every 45 s, which is closer than most rollouts take
_SHORTEST_STEP_S = 15  # the usual scrape interval; more points would show nothing new
_INFO_METRICS = "(.+_)?build_info|target_info"

T = TypeVar("T")
Read = Callable[[Sequence[Series]], tuple[Change, ...]]


class PrometheusChanges:
    """A ChangeSource over any MetricSource; it asks typed queries alone."""

    def __init__(self, metrics: MetricSource) -> None:
        self._metrics = metrics

    @property
    def name(self) -> str:
        return self._metrics.name

    @property
    def environment(self) -> str | None:
        return self._metrics.environment

    async def changes(self, services: Sequence[str], window: Window, *, timeout_s: float) -> tuple[Change, ...]:
        """As the port says. One query that fails fails the whole: half of the changes would look like all of them."""
        deadline_s = time.monotonic() + timeout_s
        step_s = max(_SHORTEST_STEP_S, math.ceil(window.duration_s / _POINTS))
        # Two steps earlier, because a change is seen as the difference to a point before it.
        wider = Window(start_s=window.start_s - 2 * step_s, end_s=window.end_s)
        naming = await self._naming(services, wider, timeout_s)

        async def look(selector: Selector, by: tuple[str, ...], read: Read) -> tuple[Change, ...]:
            query = MetricQuery(selector=selector, window=wider, step_s=step_s, aggregate=Aggregate.MAX, by=by)
            answer = await self._metrics.range(query, timeout_s=deadline_s - time.monotonic())
            return read(answer.series)

        looks = [look(*one) for one in (*self._process_looks(naming), *self._kubernetes_looks(services))]
        found = [change for part in await _all(looks) for change in part]
        return tuple(
            change for change in transitions.without_echoes(found, within_s=2 * step_s) if window.covers(change.at_s)
        )

    async def _naming(self, services: Sequence[str], window: Window, timeout_s: float) -> Mapping[str, tuple[str, ...]]:
        """Which services each label names; all of them where none is asked for. A service goes to its best label."""
        labels = self._metrics.service_labels
        values = await _all([self._metrics.label_values(label, window, timeout_s=timeout_s) for label in labels])
        known = list(zip(labels, values, strict=True))
        if not services:
            return dict.fromkeys([label for label, names in known if names][:1], ())
        naming: dict[str, tuple[str, ...]] = {}
        for service in services:
            best = next((label for label, names in known if service in names), None)
            if best is not None:
                naming[best] = (*naming.get(best, ()), service)
        return naming

    def _process_looks(self, naming: Mapping[str, tuple[str, ...]]) -> list[tuple[Selector, tuple[str, ...], Read]]:
        """Versions and restarts, for each label that names services."""
        looks: list[tuple[Selector, tuple[str, ...], Read]] = []
        told = (*transitions.VERSION_LABELS, *transitions.COMMIT_LABELS)
        for label, names in naming.items():
            mine = (one_of(label, names),) if names else (Matcher(label=label, value="", op=Op.NOT_EQUAL),)
            info = Matcher(label="__name__", value=_INFO_METRICS, op=Op.MATCHES)
            looks.append((Selector(matchers=(info, *mine)), ("__name__", label, *told), self._versions(label)))
            started = Selector(metric="process_start_time_seconds", matchers=mine)
            looks.append((started, (label, "instance", "pod"), self._restarts(label)))
        return looks

    def _kubernetes_looks(self, services: Sequence[str]) -> list[tuple[Selector, tuple[str, ...], Read]]:
        """Images, replicas and edits. Deployments and containers are taken to be named like their service."""
        wanted = tuple(services)
        deployments = (one_of("deployment", wanted),) if wanted else ()
        containers = (one_of("container", wanted),) if wanted else ()
        generations = f"{transitions.GENERATION_WANTED}|{transitions.GENERATION_SEEN}"
        generation = Matcher(label="__name__", value=generations, op=Op.MATCHES)
        by = ("namespace", "deployment")
        return [
            (
                Selector(metric="kube_pod_container_info", matchers=containers),
                ("namespace", "container", "image"),
                lambda series: transitions.images(series, self.name),
            ),
            (
                Selector(metric="kube_deployment_spec_replicas", matchers=deployments),
                by,
                lambda series: transitions.scalings(series, self.name),
            ),
            (
                Selector(matchers=(generation, *deployments)),
                ("__name__", *by),
                lambda series: transitions.edits(series, self.name),
            ),
        ]

    def _versions(self, label: str) -> Read:
        return lambda series: transitions.versions(series, label, self.name)

    def _restarts(self, label: str) -> Read:
        return lambda series: transitions.restarts(series, label, self.name)


async def _all(calls: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
    """All results; the first failure ends the others and is raised as it is."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(call) for call in calls]
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from failed
    return [task.result() for task in tasks]
