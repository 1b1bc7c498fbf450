"""How sure the engine is, what speaks against its cause, and what would settle it: rules, no probabilities."""

from collections.abc import Sequence

from bot.domain.evidence import Signal
from bot.domain.report import Confidence, Fault, Statement, time_mark
from bot.domain.scope import Scope
from bot.evidence.blame import Blame, telling
from bot.evidence.changes import Suspect
from bot.evidence.faults import SETTLES
from bot.evidence.graph import TROUBLED, Calls, Graph
from bot.evidence.reading import Reading, harmful
from bot.evidence.sentences import title

AGREEING = 0.2  # telling strength from which a signal counts as one of those that agree: about five scales
_RIVAL = 0.9  # a second unexplained service this close to the first makes the first only possible
_UNSORTED = 0.5  # without a call graph a second service half as abnormal may as well be the cause
_NORMAL = 0.05  # below this a reading counts as normal when it speaks against a cause


def confidence_in(
    scope: Scope, judged: Sequence[Blame], graph: Graph, fault: Fault, guilty: Suspect | None, tolerance_s: float
) -> tuple[Confidence, str]:
    """LIKELY: two independent signals agree, time and graph fit, no rival. POSSIBLE: less than that but clearly abnormal."""
    top = judged[0]
    agreeing = {r.signal for r in top.readings if harmful(r) and telling(r) >= AGREEING}
    count = len(agreeing) + (1 if guilty is not None else 0)
    rival = next((o for o in judged[1:] if o.explained_by is None and o.score >= _RIVAL * top.score), None)
    if count < 2:
        return Confidence.POSSIBLE, "one signal alone speaks for it"
    if rival is not None:
        return Confidence.POSSIBLE, f"{rival.service} is about as abnormal"
    unsorted = next((o for o in judged[1:] if not graph.known and o.score >= _UNSORTED * top.score), None)
    if unsorted is not None:
        return Confidence.POSSIBLE, f"it is not known who calls whom, and {unsorted.service} is abnormal, too"
    if scope.service and graph.only_calls(top.service, scope.service) and fault is not Fault.TRAFFIC_SURGE:
        return Confidence.POSSIBLE, f"{top.service} calls {scope.service}, not the other way round"
    if fault is not Fault.TRAFFIC_SURGE and not _reaches(scope, top.service, graph):
        return Confidence.POSSIBLE, f"no known call leads from {scope.service} to {top.service}"
    if not in_time(scope, judged, tolerance_s):
        return Confidence.POSSIBLE, f"{scope.service} was in trouble before {top.service}"
    return Confidence.LIKELY, f"{count} independent signals agree"


def _reaches(scope: Scope, service: str, graph: Graph) -> bool:
    if scope.service is None or scope.service == service or not graph.known:
        return True
    known = {*graph.callees, *graph.callers}
    if scope.service not in known or service not in known:
        return True
    return service in graph.below(scope.service)


def in_time(scope: Scope, judged: Sequence[Blame], tolerance_s: float) -> bool:
    """Whether the cause's first clear reading is not later than that of the service asked about."""
    asked = next((one for one in judged if one.service == scope.service), None)
    if asked is None or asked.service == judged[0].service:
        return True
    first, its = _first(judged[0].readings), _first(asked.readings)
    return first is None or its is None or first <= its + 2 * tolerance_s


def _first(readings: Sequence[Reading]) -> float | None:
    onsets = [r.onset_s for r in readings if r.onset_s is not None and harmful(r) and telling(r) >= AGREEING]
    return min(onsets, default=None)


def doubts(
    scope: Scope,
    judged: Sequence[Blame],
    calls: Calls,
    fault: Fault,
    tried: Sequence[Suspect],
    guilty: Suspect | None,
) -> tuple[Statement, ...]:
    """What speaks against the cause: normal signals of it and of the service asked about, callers that are fine, a rival, changes
    that do not line up; where there is none of that, what else of the cause is normal."""
    top = judged[0]
    found = [*_normal(top, _COSTS if fault in _COSTLY else ()), *_fine_callers(top.service, calls)]
    if scope.service != top.service:
        found += asked_is_normal(scope, judged)
    rival = next((o for o in judged[1:] if o.explained_by is None and o.score >= _RIVAL * top.score), None)
    if rival is not None and rival.readings:
        cited = tuple(dict.fromkeys(r.evidence for r in rival.readings[:2]))
        found.append(
            Statement(text=f"{rival.service} is about as abnormal, and nothing here explains it.", evidence=cited)
        )
    if guilty is None:
        found += [_misfit(s) for s in tried if s.change.service == top.service][:1]
    return tuple(found or _normal(top, (*_ANSWERS, *_COSTS, (Signal.TRAFFIC, "traffic"))))


def asked_is_normal(scope: Scope, judged: Sequence[Blame]) -> list[Statement]:
    """That errors or latency of the service asked about are normal, where they are measured."""
    return [said for one in judged if one.service == scope.service for said in _normal(one, _ANSWERS)]


# Kinds of fault that usually cost the service itself CPU or memory; for the others it is no surprise that both are normal.
_COSTLY = frozenset({Fault.SLOW, Fault.SLOW_DEPENDENCY, Fault.POOL_EXHAUSTED, Fault.TRAFFIC_SURGE, Fault.FAILING})


_COSTS = ((Signal.CPU, "CPU"), (Signal.MEMORY, "memory"))
_ANSWERS = ((Signal.LATENCY, "latency"), (Signal.ERRORS, "errors"))


def _normal(one: Blame, kinds: Sequence[tuple[Signal, str]]) -> list[Statement]:
    """Which of these kinds of signal are measured for a service and normal, as one sentence."""
    names, cited = [], []
    for signal, name in kinds:
        mine = [r for r in one.readings if r.signal is signal]
        if mine and all(r.strength < _NORMAL for r in mine):
            names.append(name)
            cited.append(mine[0].evidence)
    if not names:
        return []
    listed = ", ".join(names[:-1]) + " and " * (len(names) > 1) + names[-1]
    verb = "are" if len(names) > 1 or names[0] == "errors" else "is"
    return [Statement(text=f"{listed} of {one.service} {verb} normal.", evidence=tuple(dict.fromkeys(cited)))]


def _fine_callers(service: str, calls: Calls) -> list[Statement]:
    fine = sorted(caller for (caller, callee), felt in calls.seen.items() if callee == service and felt < TROUBLED)
    if not fine:
        return []
    cited = {r.evidence for r in calls.readings if r.service in fine and r.peer == service}
    names = ", ".join(fine[:3])
    verb = "calls" if len(fine) == 1 else "call"
    return [Statement(text=f"{names} {verb} {service}, too, without trouble.", evidence=tuple(sorted(cited)))]


def _misfit(suspect: Suspect) -> Statement:
    change = suspect.change
    text = (
        f"{change.service}: {title(change)} at {time_mark(change.at_s)} does not line up with the onset or its signs."
    )
    return Statement(text=text, evidence=suspect.evidence)


def settlers(service: str | None, fault: Fault | None, guilty: Suspect | None) -> tuple[Statement, ...]:
    """What data would decide the matter."""
    if service is None or fault is None:
        return (Statement(text="A narrower window, or one of the services it depends on."),)
    ref = title(guilty.change) if guilty is not None else "the last change"
    return (Statement(text=SETTLES[fault].format(service=service, ref=ref)),)
