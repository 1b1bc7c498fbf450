"""Which service is to blame: the readings of each one put together, victims set apart from causes."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from bot.domain.evidence import Signal
from bot.domain.scope import Scope
from bot.evidence.graph import Calls, Graph, added, calls_of, waits
from bot.evidence.reading import Reading, harmful, of_service

# How telling a departure is of its own service being at fault: hard limits and failures first, rates that follow load last.
_TELLING = {
    Signal.CERTIFICATE: 1.2,
    Signal.DISK: 1.0,
    Signal.SATURATION: 1.0,
    Signal.RESTARTS: 1.0,
    Signal.ERRORS: 0.9,
    Signal.LOGS: 0.9,
    Signal.AVAILABILITY: 0.9,
    Signal.LATENCY: 0.8,
    Signal.CALL_LATENCY: 0.8,
    Signal.CALL_ERRORS: 0.8,
    Signal.CPU: 0.8,
    Signal.QUEUE: 0.8,
    Signal.MEMORY: 0.7,
    Signal.RUNTIME: 0.5,
    Signal.OTHER: 0.4,
    Signal.TRAFFIC: 0.3,
    Signal.ALERT: 0.3,
}
# How much of a departure trouble further down can explain: answers all, limits that fill up while waiting most, hard facts none.
_EXPLAINABLE = {
    Signal.CERTIFICATE: 0.0,
    Signal.DISK: 0.0,
    Signal.RESTARTS: 0.2,
    Signal.CPU: 0.3,
    Signal.MEMORY: 0.4,
    Signal.RUNTIME: 0.5,
    Signal.SATURATION: 0.8,
    Signal.QUEUE: 0.8,
    Signal.AVAILABILITY: 0.6,
    Signal.LOGS: 0.8,
}
# What a caller can feel of its callee. Being busy is not yet answering badly, so the rest explains a third as well.
_FELT_BY_CALLERS = frozenset(_TELLING) - {Signal.CPU, Signal.MEMORY, Signal.RUNTIME, Signal.OTHER, Signal.TRAFFIC}
_UNFELT = 0.3
_WAITED_FOR = 0.9  # a caller that only waits has hardly another reason than the store it waits for
# What tells how a service answers; a store seldom has any of it.
_ANSWERS = frozenset({Signal.LATENCY, Signal.ERRORS, Signal.CALL_LATENCY, Signal.CALL_ERRORS})
_HARMLESS = 0.15  # a departure the good way (fewer errors, less CPU) is mostly a consequence of something else
ABNORMAL = 0.3  # blame from which a service counts as in trouble: one telling departure of about six scales
_FADING = 0.5  # each further kind of signal counts half of the one before: agreement helps, quantity does not
_IDLE_SHARE = (
    0.01  # a service with under 1 % of the busiest one's traffic is idle: its percentiles rest on few requests
)
_LEAST_BUSY = 0.2
_UNMET = 0.5  # of this service no call is known
_ONLY_CALL = 0.3
_CLEARLY_TELLING = 0.2  # about five scales: a number to date trouble by
_CALLS_A_REQUEST = 3  # a request may call the same service a few times, or try again, and waits for all of them
_ELSEWHERE = (
    0.25  # not below the asked service: a caller can be its cause only by what it sends (see `bot.evidence.surge`)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Blame:
    """How much speaks for a service being the cause.

    `trouble` is how far it is out of normal, whoever is to blame; `score` is what is left of that when the share that trouble
    of others explains (`explained`, 0..1) is taken away, by how well it can reach the service asked about.
    """

    service: str
    score: float
    readings: tuple[Reading, ...]
    trouble: float = 0.0
    explained: float = 0.0
    explained_by: str | None = None


@dataclass(slots=True, kw_only=True)
class _Court:
    """What is known while services are judged, callees before their callers."""

    graph: Graph
    calls: Calls
    readings: Mapping[str, tuple[Reading, ...]]
    tolerance_s: float
    judged: dict[str, Blame] = field(default_factory=dict)
    open: set[str] = field(default_factory=set)


def blame(scope: Scope, readings: Sequence[Reading], graph: Graph, tolerance_s: float) -> tuple[Blame, ...]:
    """Every service with readings or in the graph, most to blame first; ties by name. Onsets within `tolerance_s` are one."""
    shared = _shared(readings, graph)
    names = sorted({r.service for r in shared} | set(graph.callees) | set(graph.callers))
    court = _Court(
        graph=graph,
        calls=calls_of(readings),
        readings={name: of_service(shared, name) for name in names},
        tolerance_s=tolerance_s,
    )
    busy = _busy(readings)
    near = _nearness(scope, graph, names)
    weighed = []
    for name in names:
        judged = _judge(court, name)
        score = judged.score * near[name] * _loudness(judged, busy.get(name, 1.0))
        weighed.append(
            Blame(
                service=name,
                score=score,
                readings=judged.readings,
                trouble=judged.trouble,
                explained=judged.explained,
                explained_by=judged.explained_by,
            )
        )
    return tuple(sorted(weighed, key=lambda one: (-one.score, one.service)))


def telling(reading: Reading) -> float:
    """A reading's strength by what its signal is worth."""
    return reading.strength * _TELLING.get(reading.signal, 0.4) * (1.0 if harmful(reading) else _HARMLESS)


def _judge(court: _Court, service: str) -> Blame:
    """A service's blame after its callees'. A cycle is cut where it is met: the service met again explains nothing."""
    if service in court.judged:
        return court.judged[service]
    court.open.add(service)
    mine = court.readings.get(service, ())
    explained, by = 0.0, None
    for callee in court.graph.callees.get(service, ()):
        if callee in court.open:
            continue
        share = _explains(court, service, mine, _judge(court, callee))
        if share > explained:
            explained, by = share, callee
    court.open.discard(service)
    root = (court.judged[by].explained_by or by) if by else None
    score = _fuse(mine, explained)
    victim = root is not None and explained >= 0.4 and score < court.judged[root].score
    court.judged[service] = Blame(
        service=service,
        score=score,
        readings=mine,
        trouble=_fuse(mine, 0.0),
        explained=explained,
        explained_by=root if victim else None,
    )
    return court.judged[service]


def _fuse(readings: Iterable[Reading], explained: float) -> float:
    """The strongest reading of each kind of signal, fading: two kinds that agree beat one, ten of one kind are one."""
    kinds: dict[Signal, float] = {}
    for reading in readings:
        left = 1.0 - explained * _EXPLAINABLE.get(reading.signal, 1.0)
        kinds[reading.signal] = max(kinds.get(reading.signal, 0.0), telling(reading) * left)
    return sum(value * _FADING**place for place, value in enumerate(sorted(kinds.values(), reverse=True)))


def _explains(court: _Court, caller: str, mine: Sequence[Reading], callee: Blame) -> float:
    """How much of a caller's trouble a callee explains, 0..1."""
    if callee.trouble < ABNORMAL:
        return 0.0
    answers = _fuse((r for r in callee.readings if r.signal in _FELT_BY_CALLERS), 0.0)
    waited = _waited_for(mine, callee.readings)
    enough = min(1.0, max(answers, (1.0 if waited else _UNFELT) * callee.trouble) / (2 * ABNORMAL))
    link = court.calls.link(caller, callee.service)
    share = (
        (max(link, _WAITED_FOR) if waited else link)
        * enough
        * min(_time_share(mine, callee.readings), _failure_share(mine, callee.readings))
    )
    began, its = _began(mine), _began(callee.readings)
    if began is not None and its is not None and its > began + court.tolerance_s:
        share *= 0.4
    return min(1.0, share)


def _waited_for(mine: Sequence[Reading], others: Sequence[Reading]) -> bool:
    """Whether a caller does nothing but wait for a callee whose answers nobody times, most often a store.

    It answers late and is not busier, and failures are the smaller part; what the callee says of itself must do then.
    """
    if any(r.signal in _ANSWERS for r in others):
        return False
    most = dict.fromkeys((Signal.LATENCY, Signal.ERRORS, Signal.CPU), 0.0)
    for reading in mine:
        if reading.signal in most and reading.rising:
            most[reading.signal] = max(most[reading.signal], reading.strength)
    late, failed, busy = most.values()
    return late >= _CLEARLY_TELLING and late > failed and busy < _CLEARLY_TELLING


def _time_share(mine: Sequence[Reading], others: Sequence[Reading]) -> float:
    """Of a caller's added latency the part its callee added, where both are measured in one unit; 1 where unknown."""
    caller = next((r for r in mine if r.signal is Signal.LATENCY and r.rising and r.strength > 0), None)
    if caller is None:
        return 1.0
    mine_added = added(caller) or 0.0
    theirs = [
        added(r) or 0.0 for r in others if r.signal in {Signal.LATENCY, Signal.CALL_LATENCY} and r.unit == caller.unit
    ]
    if not theirs or mine_added <= 0:
        return 1.0
    # Other failures of the callee still explain errors of the caller, so a fast callee keeps a small share.
    return min(1.0, max(0.2, _CALLS_A_REQUEST * max(theirs) / mine_added))


def _failure_share(mine: Sequence[Reading], others: Sequence[Reading]) -> float:
    """Of a caller's added share of failures the part a callee can have handed on; 1 where it is in trouble of another kind."""
    caller = next((r for r in mine if r.signal is Signal.ERRORS and r.rising and r.strength > 0), None)
    main = max((r for r in others if harmful(r)), key=lambda r: (telling(r), r.measure, r.evidence), default=None)
    if caller is None or main is None or main.signal is not Signal.ERRORS or main.unit != caller.unit:
        return 1.0
    mine_added = added(caller) or 0.0
    return min(1.0, max(0.2, _CALLS_A_REQUEST * (added(main) or 0.0) / mine_added)) if mine_added > 0 else 1.0


def _began(readings: Sequence[Reading]) -> float | None:
    """When a service's trouble began: the earliest onset among its clear readings.

    Numbers before lines: lines are often read in part only, so that the first one seen need not be the first one.
    """
    strong = [r for r in readings if r.onset_s is not None and harmful(r) and telling(r) > 0]
    numbers = [r for r in strong if r.signal is not Signal.LOGS and telling(r) >= _CLEARLY_TELLING]
    told = numbers or strong
    most = max((telling(r) for r in told), default=0.0)
    return min((r.onset_s for r in told if r.onset_s is not None and telling(r) >= 0.5 * most), default=None)


def _shared(readings: Sequence[Reading], graph: Graph) -> tuple[Reading, ...]:
    """Readings of calls are handed to both ends, by how many of each end's calls are in trouble."""
    calls, waiting = calls_of(readings), waits(readings)
    found: list[Reading] = [
        r for r in readings if r.signal not in {Signal.CALL_LATENCY, Signal.CALL_ERRORS} or not r.peer
    ]
    for call in calls.readings:
        caller, callee = call.service, call.peer or ""
        # A caller whose only call is in trouble is no suspect for that alone.
        at_caller = calls.blamed_by(caller) if len(graph.callees.get(caller, ())) > 1 else _ONLY_CALL
        # Each caller that is fine speaks twice for the callee: it answers, and it answers others.
        for end, share in ((callee, calls.blamed_on(callee) ** 2), (caller, at_caller)):
            waited = waiting.get((caller, callee)) if call.signal is Signal.CALL_LATENCY else None
            found.append(
                replace(call, service=end, call=(caller, callee), strength=call.strength * share, waiting=waited)
            )
    return tuple(found)


def _busy(readings: Sequence[Reading]) -> Mapping[str, float]:
    """How much a service's noise counts by its traffic, 0..1; services without a known rate are not in it."""
    rates: dict[tuple[str, str], dict[str, float]] = {}
    for reading in readings:
        if reading.signal is Signal.TRAFFIC and reading.before is not None and reading.after is not None:
            of_measure = rates.setdefault((reading.measure, reading.unit), {})
            of_measure[reading.service] = of_measure.get(reading.service, 0.0) + max(reading.before, reading.after)
    busy: dict[str, float] = {}
    for of_measure in rates.values():
        most = max(of_measure.values())
        for service, rate in of_measure.items():
            share = rate / most if most > 0 else 1.0
            weight = max(_LEAST_BUSY, min(1.0, (max(share, 0.0) / _IDLE_SHARE) ** 0.5))
            busy[service] = max(busy.get(service, 0.0), weight)
    return busy


def _loudness(judged: Blame, busy: float) -> float:
    """Idleness damps what rests on requests; a full disk or an expired certificate needs no traffic."""
    hard = {Signal.DISK, Signal.CERTIFICATE, Signal.RESTARTS, Signal.SATURATION}
    return 1.0 if any(r.signal in hard and r.strength >= 1.0 and harmful(r) for r in judged.readings) else busy


def _nearness(scope: Scope, graph: Graph, names: Sequence[str]) -> Mapping[str, float]:
    """How well a service can reach the one asked about.

    All it rests on fully; those of which no call is known half; others a quarter, its callers among them.
    """
    if scope.service is None or graph.partial or scope.service not in {*graph.callees, *graph.callers}:
        return dict.fromkeys(names, 1.0)
    below, met = graph.below(scope.service), {*graph.callees, *graph.callers}
    return {name: 1.0 if name in below else _ELSEWHERE if name in met else _UNMET for name in names}
