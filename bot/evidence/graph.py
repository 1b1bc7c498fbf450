"""Who calls whom: what a service rests on, and what its callers see of it."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from bot.domain.evidence import Evidence, GraphBody, PatternsBody, SeriesBody, Signal
from bot.domain.scope import Scope
from bot.evidence.reading import Reading, harmful


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    """The call graph both ways. Cycles are allowed; a service may be in no edge.

    `partial` says that it was pieced together from log lines: an edge is one, a missing edge means nothing.
    """

    callees: Mapping[str, tuple[str, ...]]
    callers: Mapping[str, tuple[str, ...]]
    partial: bool = False

    @property
    def known(self) -> bool:
        return bool(self.callees) and not self.partial

    def below(self, service: str) -> Mapping[str, int]:
        """Everything the service rests on, with the number of calls between; itself at 0."""
        return _distances(self.callees, service)

    def only_calls(self, service: str, other: str) -> bool:
        """Whether `service` rests on `other`, directly or not, and not the other way round."""
        return service != other and other in self.below(service) and service not in self.below(other)

    def above(self, service: str) -> Mapping[str, int]:
        """Everything that rests on the service, with the number of calls between; itself at 0."""
        return _distances(self.callers, service)


def graph_of(scope: Scope, evidence: Sequence[Evidence]) -> Graph:
    """The call graph from the scope, from graph evidence and from series that name a caller and a callee.

    For services in none of them it is completed by what log lines name.
    """
    pairs = {(edge.caller, edge.callee) for edge in scope.edges}
    for item in evidence:
        if isinstance(item.body, GraphBody):
            pairs |= {(edge.caller, edge.callee) for edge in item.body.edges}
        if isinstance(item.body, SeriesBody) and item.body.signal in {Signal.CALL_LATENCY, Signal.CALL_ERRORS}:
            pairs |= {(named.service, named.peer) for named in item.body.series if named.peer}
    partial = not pairs
    met = {end for pair in pairs for end in pair}
    # Metrics often leave out stores; the lines of those who call them do not.
    pairs |= {(caller, callee) for caller, callee in _told_in_logs(scope, evidence) if callee not in met}
    callees: dict[str, list[str]] = defaultdict(list)
    callers: dict[str, list[str]] = defaultdict(list)
    for caller, callee in sorted(pairs):
        if caller != callee:
            callees[caller].append(callee)
            callers[callee].append(caller)
    return Graph(
        callees={name: tuple(others) for name, others in callees.items()},
        callers={name: tuple(others) for name, others in callers.items()},
        partial=partial,
    )


def _told_in_logs(scope: Scope, evidence: Sequence[Evidence]) -> set[tuple[str, str]]:
    """Calls that log lines name, for systems of which no call is known. An edge only explains trouble, it never makes any."""
    bodies = [item.body for item in evidence if isinstance(item.body, PatternsBody)]
    known = {*scope.services, *(pattern.service for body in bodies for pattern in body.patterns)}
    if not bodies or not known:
        return set()
    pairs = {
        (pattern.service, name)
        for body in bodies
        for pattern in body.patterns
        for name in named_in(" ".join((pattern.text, *pattern.examples))[:4000], known)
    }
    # Two services that name each other say nothing about who calls whom.
    return {(caller, callee) for caller, callee in pairs if (callee, caller) not in pairs}


def named_in(text: str, services: Iterable[str]) -> frozenset[str]:
    """The services a text names as whole words."""
    words = set(re.findall(r"[A-Za-z0-9][A-Za-z0-9_-]*", text))
    return frozenset(service for service in services if service in words)


def _distances(next_of: Mapping[str, tuple[str, ...]], start: str) -> Mapping[str, int]:
    found = {start: 0}
    waiting = [start]
    for service in waiting:
        for other in next_of.get(service, ()):
            if other not in found:
                found[other] = found[service] + 1
                waiting.append(other)
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Calls:
    """What callers measure per (caller, callee): the strongest harmful reading, 0 when normal, and which signals they have."""

    seen: Mapping[tuple[str, str], float]
    measured: Mapping[tuple[str, str], frozenset[Signal]]
    readings: tuple[Reading, ...]

    def link(self, caller: str, callee: str) -> float:
        """How well trouble of `callee` explains trouble of `caller`, 0..1.

        Calls that are measured in trouble speak for themselves, the less the more other callers are fine with the callee. A call
        whose time and failures are both normal explains next to nothing; with one of them measured, the other may be the bad one.
        For calls nobody measured an edge alone is a good but not a full reason.
        """
        kinds = self.measured.get((caller, callee), frozenset())
        seen = self.seen.get((caller, callee), 0.0)
        unseen = {0: 0.8, 1: 0.6, 2: 0.15}[len(kinds)]
        return max(unseen, min(1.0, 0.15 + seen / 0.3) * self.blamed_on(callee))

    def blamed_on(self, callee: str) -> float:
        """The share of measured callers that see trouble with this callee; 0 when nobody measures it."""
        strengths = [strength for (_, other), strength in self.seen.items() if other == callee]
        return _share(strengths)

    def blamed_by(self, caller: str) -> float:
        """The share of this caller's measured calls that are in trouble."""
        strengths = [strength for (other, _), strength in self.seen.items() if other == caller]
        return _share(strengths)


# A call in trouble: a fifth of a clear departure, about five scales.
TROUBLED = 0.2


def _share(strengths: Sequence[float]) -> float:
    return sum(strength >= TROUBLED for strength in strengths) / len(strengths) if strengths else 0.0


def calls_of(readings: Iterable[Reading]) -> Calls:
    """Collects the readings that callers took of their calls."""
    mine = tuple(r for r in readings if r.signal in {Signal.CALL_LATENCY, Signal.CALL_ERRORS} and r.peer)
    seen: dict[tuple[str, str], float] = {}
    measured: dict[tuple[str, str], frozenset[Signal]] = {}
    for reading in mine:
        pair = (reading.service, reading.peer or "")
        felt = reading.strength if harmful(reading) else 0.0
        seen[pair] = max(seen.get(pair, 0.0), felt)
        measured[pair] = measured.get(pair, frozenset()) | {reading.signal}
    return Calls(seen=seen, measured=measured, readings=mine)


def waits(readings: Sequence[Reading]) -> Mapping[tuple[str, str], float]:
    """The share of a call's added time that the callee did not spend itself, per (caller, callee), 0..1.

    Client time minus server time. Near 1 the time goes to waiting (network, connection, queue), near 0 to the callee's work.
    Server time is the callee's latency as its caller sees it at the far end, or its latency as a whole; same unit only.
    """
    served: dict[tuple[str, str | None], Reading] = {}
    for reading in readings:
        if reading.signal is Signal.LATENCY:
            key = (reading.service, reading.peer)
            if key not in served or reading.strength > served[key].strength:
                served[key] = reading
    found: dict[tuple[str, str], float] = {}
    for call in readings:
        if call.signal is not Signal.CALL_LATENCY or not call.peer or not call.strength:
            continue
        server = served.get((call.peer, call.service)) or served.get((call.peer, None))
        waited = added(call)
        if server is None or server.unit != call.unit or not waited or waited <= 0:
            continue
        found[call.service, call.peer] = min(1.0, max(0.0, 1 - max(added(server) or 0.0, 0.0) / waited))
    return found


def added(reading: Reading) -> float | None:
    """After minus before, in the reading's unit."""
    return None if reading.before is None or reading.after is None else reading.after - reading.before
