"""More traffic than normal at the front door: a cause of trouble further down, never its victim."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from bot.domain.evidence import Signal
from bot.evidence.blame import ABNORMAL, Blame, telling
from bot.evidence.graph import Graph
from bot.evidence.reading import Reading, harmful

# Growth that capacity planning does not cover: most systems run with a third to a half of headroom.
SURGE = 1.5
_DEPARTED = 0.2  # and clearly outside the baseline's own ups and downs (about five scales)
# What more load alone can bring about. A full disk, an expired certificate or new exceptions are not explained by it.
_BY_LOAD = frozenset(
    {Signal.SATURATION, Signal.QUEUE, Signal.CPU, Signal.LATENCY, Signal.CALL_LATENCY, Signal.MEMORY, Signal.RUNTIME}
)


def blame_surge(blames: Sequence[Blame], graph: Graph, tolerance_s: float) -> tuple[Blame, ...]:
    """The same blames with services overloaded by a surge explained by the front door where it came in, most to blame first."""
    traffic = _traffic(blames)
    surging = {service: reading for service, reading in traffic.items() if _is_surge(reading)}
    fronts = _fronts(surging, traffic, graph)
    changed = {one.service: one for one in blames}
    for front in fronts:
        began = surging[front].onset_s
        below = set(graph.below(front)) if graph.known else set(surging)
        hit = [
            one
            for one in blames
            if one.service in below
            and _by_load(one, began, tolerance_s)
            and (one.service in surging or one.service not in traffic)
        ]
        worst = max((one.score for one in hit), default=0.0)
        if worst < ABNORMAL:
            continue
        for one in hit:
            if one.service != front:
                changed[one.service] = replace(one, score=one.score * 0.5, explained_by=front, explained=1.0)
        own = changed[front]
        changed[front] = replace(own, score=max(own.score, worst) + ABNORMAL, explained=0.0, explained_by=None)
    return tuple(sorted(changed.values(), key=lambda one: (-one.score, one.service)))


def _fronts(surging: Mapping[str, Reading], traffic: Mapping[str, Reading], graph: Graph) -> list[str]:
    """Where a surge came in: surging services no measured service calls; without a graph the one with most traffic."""
    if graph.known:
        return [s for s in sorted(surging) if not any(caller in traffic for caller in graph.callers.get(s, ()))]
    return sorted(surging, key=lambda s: (-(surging[s].before or 0.0), s))[:1]


def surged(readings: Sequence[Reading]) -> bool:
    """Whether a service's readings show a surge of its traffic."""
    return any(reading.signal is Signal.TRAFFIC and _is_surge(reading) for reading in readings)


def _traffic(blames: Sequence[Blame]) -> Mapping[str, Reading]:
    found: dict[str, Reading] = {}
    for one in blames:
        rates = [r for r in one.readings if r.signal is Signal.TRAFFIC]
        if rates:
            found[one.service] = max(rates, key=lambda r: (r.before or 0.0, r.measure, r.evidence))
    return found


def _is_surge(reading: Reading) -> bool:
    return reading.rising and reading.strength >= _DEPARTED and (reading.growth or 0.0) >= SURGE


def _by_load(one: Blame, began: float | None, tolerance_s: float) -> bool:
    """Whether load explains a service's trouble: its main departures are of load, most of it not long before the surge."""
    harms = [r for r in one.readings if harmful(r) and r.strength > _DEPARTED and r.signal is not Signal.TRAFFIC]
    before = [r for r in harms if began is not None and r.onset_s is not None and r.onset_s < began - tolerance_s]
    if 2 * sum(telling(r) for r in before) > sum(telling(r) for r in harms):
        return False
    hard = {Signal.DISK, Signal.CERTIFICATE}
    return any(r.signal in _BY_LOAD for r in harms) and not any(r.signal in hard for r in harms)
