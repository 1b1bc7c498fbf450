"""Which looks to take: from the metrics that exist to at most so many typed queries, the most telling first."""

from collections.abc import Sequence
from dataclasses import dataclass

from bot.domain.evidence import Signal
from bot.domain.query import Matcher, equal
from bot.domain.scope import Scope, Window
from bot.reasoning.inventory import Family
from bot.reasoning.looks import Frame, Look
from bot.reasoning.measures import looks_at

# About this many points a series (facts of the backends: enough for change points, far from any server's limit).
POINTS = 240

ENVIRONMENT_LABELS = ("env", "environment", "deployment_environment")
NAMESPACE_LABELS = ("namespace", "k8s_namespace_name")

_NICE_STEPS_S = (1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21600, 86400)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The looks to take, best first, and the measures left out to stay within the limit."""

    looks: tuple[Look, ...]
    left_out: tuple[str, ...]


def step_for(window: Window, resolution_s: int) -> int:
    """The distance of points, in seconds: about 240 of them, never finer than the samples, a round number."""
    wanted = max(window.duration_s / POINTS, resolution_s)
    return next((step for step in _NICE_STEPS_S if step >= wanted), _NICE_STEPS_S[-1])


def aligned(window: Window, step_s: int) -> Window:
    """The window widened to multiples of the step, so that the same question gives the same points and hits caches."""
    start = window.start_s // step_s * step_s
    end = -(-window.end_s // step_s) * step_s
    return Window(start_s=start, end_s=end)


def within(scope: Scope) -> tuple[Matcher, ...]:
    """The conditions that keep a query inside the scope's environment and namespace, under every name such labels have."""
    found: list[Matcher] = []
    if scope.environment is not None:
        found += [equal(label, scope.environment) for label in ENVIRONMENT_LABELS]
    if scope.namespace is not None:
        found += [equal(label, scope.namespace) for label in NAMESPACE_LABELS]
    return tuple(found)


def plan_looks(families: Sequence[Family], scope: Scope, *, resolution_s: int, limit: int) -> Plan:
    """At most `limit` looks over baseline and incident of the scope for these metrics.

    What users feel (errors, latency, traffic) and what has a hard limit (pools, disks, certificates) goes before the rest;
    a metric that speaks of more services goes before one that speaks of fewer.
    """
    step_s = step_for(scope.whole, resolution_s)
    frame = Frame(
        window=aligned(scope.whole, step_s),
        step_s=step_s,
        rate_s=max(4 * resolution_s, step_s),
        within=within(scope),
    )
    by_name = {family.name: family for family in families}
    looks = [look for family in families for look in looks_at(family, by_name, frame)]
    looks.sort(key=lambda look: (_PRIORITY[look.signal], -len(look.family.services), look.measure))
    return Plan(looks=tuple(looks[:limit]), left_out=tuple(look.measure for look in looks[limit:]))


_PRIORITY = {
    signal: place
    for place, signals in enumerate(
        (
            (Signal.ERRORS, Signal.LATENCY, Signal.TRAFFIC),
            (Signal.SATURATION, Signal.DISK, Signal.CERTIFICATE, Signal.RESTARTS, Signal.CALL_LATENCY),
            (Signal.MEMORY, Signal.CPU, Signal.AVAILABILITY, Signal.CALL_ERRORS, Signal.QUEUE),
            (Signal.RUNTIME, Signal.LOGS, Signal.CHANGE, Signal.ALERT),
            (Signal.OTHER,),
        )
    )
    for signal in signals
}
