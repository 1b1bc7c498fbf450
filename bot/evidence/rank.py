"""From evidence to a ranking: what left its normal range, what caused it, how sure that is. No model, no I/O, no clock."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from bot.domain.evidence import AlertsBody, Evidence, SeriesBody, Signal
from bot.domain.report import Cause, Confidence, Fault, Finding, Statement
from bot.domain.scope import Scope, Window
from bot.evidence.blame import ABNORMAL, Blame, blame, telling
from bot.evidence.changes import Suspect, read_restarts, suspects
from bot.evidence.faults import CLEARLY, FROM_OUTSIDE, KNOWN_BY, Facts, kind_of, signature
from bot.evidence.graph import Graph, calls_of, graph_of, named_in
from bot.evidence.onset import joint_onset
from bot.evidence.reading import Reading, harmful
from bot.evidence.score import read_series
from bot.evidence.sentences import of_cause, of_reading, of_suspect
from bot.evidence.shift import read_patterns
from bot.evidence.surge import blame_surge, surged
from bot.evidence.symptom import felt
from bot.evidence.verdict import asked_is_normal, confidence_in, doubts, in_time, settlers

FINDINGS = 30  # more than anybody reads
SHOWN = 0.05  # a departure below this is left out, unless there is nothing better to show
_REPEATED = (
    0.6  # a second log pattern tells less than a first number: each of one kind counts six tenths of the one before
)
CLOSEST = 3  # what is shown when nothing is clearly out of normal
ALERTED = 0.5  # strength of a firing alert: somebody once thought its threshold mattered


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranking:
    """Findings best first, causes before their victims; `services` are all services, most to blame first."""

    findings: tuple[Finding, ...]
    cause: Cause | None
    confidence: Confidence
    confidence_reason: str
    onset_s: float | None
    against: tuple[Statement, ...]
    would_settle: tuple[Statement, ...]
    services: tuple[str, ...] = ()


def rank(scope: Scope, evidence: Sequence[Evidence]) -> Ranking:
    """What the evidence says about the window of the scope. Never raises on odd data: what cannot be read abstains."""
    graph = graph_of(scope, evidence)
    tolerance_s = _tolerance(scope, evidence)
    series = read_series(scope, evidence)
    aligned = _aligned(scope, series, tolerance_s)
    if aligned is not scope:
        scope, series = aligned, read_series(aligned, evidence)
    readings = (
        *series,
        *read_patterns(scope, evidence),
        *read_restarts(scope, evidence),
        *_read_alerts(scope, evidence, graph),
    )
    judged = blame_surge(blame(scope, readings, graph, tolerance_s), graph, tolerance_s)
    onset_s = _onset(judged, tolerance_s)
    tried = {one.service: _suspects(one, readings, evidence, graph, onset_s, tolerance_s) for one in judged[:CLOSEST]}
    judged = _callers_last(scope, _with_changes(judged, tried), graph)
    judged = _explaining_first(scope, judged, tolerance_s)
    top = judged[0] if judged else None
    if not readings:
        return _unclear(scope, (), None, "nothing could be looked at")
    if top is None or top.score < ABNORMAL:
        return _unclear(scope, judged, onset_s, "nothing left its normal range by much")
    if not felt(scope, top.service, readings, graph):
        return _unclear(
            scope, judged, onset_s, "something changed, but errors and latencies are normal where it could be felt"
        )
    judged = tuple(_certificate_of(judged, graph))
    if _untouched(scope, judged, graph):
        why = f"{scope.service} itself is normal; {judged[0].service}, which depends on it, is not"
        return _unclear(scope, judged, onset_s, why)
    return _clear(scope, readings, graph, judged, tried, onset_s, tolerance_s)


def _clear(
    scope: Scope,
    readings: Sequence[Reading],
    graph: Graph,
    judged: Sequence[Blame],
    suspects_of: Mapping[str, Sequence[Suspect]],
    onset_s: float | None,
    tolerance_s: float,
) -> Ranking:
    top = judged[0]
    tried = suspects_of.get(top.service, ())
    guilty = tried[0] if tried and tried[0].guilty else None
    fault = _fault(scope, judged, readings, graph, guilty)
    began = _began(top, onset_s)
    if guilty is not None and fault in FROM_OUTSIDE and (fault is Fault.TRAFFIC_SURGE or not guilty.names):
        guilty = None  # no change of ours brings users
    key = _key_readings(top, fault, [r for r in readings if r.service in graph.callers.get(top.service, ())])
    confidence, reason = confidence_in(scope, judged, graph, fault, guilty, tolerance_s)
    cause = Cause(
        service=top.service,
        fault=fault,
        statement=of_cause(top.service, fault, key, guilty, scope.service, began, graph),
        onset_s=began,
        change=guilty.change.ref if guilty else None,
    )
    return Ranking(
        findings=_findings(judged, guilty, key, scope.service),
        cause=cause,
        confidence=confidence,
        confidence_reason=reason,
        onset_s=onset_s,
        against=doubts(scope, judged, calls_of(readings), fault, tried, guilty),
        would_settle=settlers(top.service, fault, guilty),
        services=tuple(one.service for one in judged),
    )


def _unclear(scope: Scope, judged: Sequence[Blame], onset_s: float | None, reason: str) -> Ranking:
    return Ranking(
        findings=_findings(judged, None, (), scope.service)[:CLOSEST],
        cause=None,
        confidence=Confidence.UNKNOWN,
        confidence_reason=reason,
        onset_s=onset_s,
        against=tuple(asked_is_normal(scope, judged)),
        would_settle=settlers(None, None, None),
        services=tuple(one.service for one in judged),
    )


def _callers_last(scope: Scope, judged: Sequence[Blame], graph: Graph) -> tuple[Blame, ...]:
    """The same order, but what only calls the service asked about, and brings no surge, after all in trouble, if that one or
    anything it rests on is."""
    asked = scope.service
    if asked is None or not any(one.service in graph.below(asked) and one.score >= ABNORMAL for one in judged):
        return tuple(judged)

    def later(one: Blame) -> bool:
        calls = graph.only_calls(one.service, asked) and not surged(one.readings)
        return calls or one.score < ABNORMAL

    return tuple(sorted(judged, key=later))


def _untouched(scope: Scope, judged: Sequence[Blame], graph: Graph) -> bool:
    """Whether the first service only calls the one asked about, brings no surge, and that one is measured and normal."""
    top = judged[0]
    asked = next((one for one in judged if one.service == scope.service), None)
    if asked is None or not asked.readings or asked.trouble >= ABNORMAL / 2 or surged(top.readings):
        return False
    return graph.only_calls(top.service, asked.service)


def _read_alerts(scope: Scope, evidence: Sequence[Evidence], graph: Graph) -> list[Reading]:
    """A reading for every firing alert and every service one of its labels names, whatever the label is called."""
    known = {*scope.services, *graph.callees, *graph.callers}
    found = []
    for item in evidence:
        for alert in item.body.alerts if isinstance(item.body, AlertsBody) else ():
            # An alert that fired all through the baseline says nothing about what is new.
            stale = alert.started_at_s is not None and alert.started_at_s < scope.baseline.start_s
            for named in sorted(known.intersection(alert.labels.values())) if alert.firing else ():
                found.append(
                    Reading(
                        service=named,
                        signal=Signal.ALERT,
                        measure="alert",
                        evidence=item.id,
                        strength=0.0 if stale else ALERTED,
                        rising=True,
                        onset_s=None,
                        text=alert.name,
                    )
                )
    return found


def _tolerance(scope: Scope, evidence: Sequence[Evidence]) -> float:
    """How far onsets may lie apart and still be one: two samples of the coarsest usual grid, at least a minute."""
    bodies = [item.body for item in evidence if isinstance(item.body, SeriesBody)]
    steps = sorted(named.series.step_s for body in bodies for named in body.series)
    step = steps[len(steps) // 2] if steps else 0.0
    return min(max(60.0, 2 * step), scope.window.duration_s)


def _aligned(scope: Scope, series: Sequence[Reading], tolerance_s: float) -> Scope:
    """The scope with a window that begins no later than the incident does.

    People and alerts are often late. Where the series agree on an onset in the baseline, what follows it is no baseline; the
    first third of it stays one, since without a normal there is nothing to compare with.
    """
    found = [(r.onset_s, telling(r)) for r in series if r.onset_s is not None and harmful(r)]
    onset_s = joint_onset(found, 3 * tolerance_s)
    earliest = scope.baseline.start_s + scope.baseline.duration_s / 3
    if onset_s is None or not earliest <= onset_s < scope.window.start_s - tolerance_s:
        return scope
    return replace(
        scope,
        baseline=Window(start_s=scope.baseline.start_s, end_s=onset_s),
        window=Window(start_s=onset_s, end_s=scope.window.end_s),
    )


def _onset(judged: Sequence[Blame], tolerance_s: float) -> float | None:
    """One onset over the harmful readings of the services in trouble; those of the three most to blame count in full."""
    found = []
    for place, one in enumerate(judged):
        for reading in one.readings:
            if reading.onset_s is not None and harmful(reading) and telling(reading) >= SHOWN:
                found.append((reading.onset_s, telling(reading) * (1.0 if place < CLOSEST else 0.2)))
    return joint_onset(found, 3 * tolerance_s)


def _began(top: Blame, onset_s: float | None) -> float | None:
    """When the cause's own trouble began: of its telling readings the one nearest to the common onset, else the earliest."""
    own = [r for r in top.readings if r.onset_s is not None and harmful(r) and r.strength > 0]
    if not own:
        return onset_s
    most = max(telling(r) for r in own)
    onsets = [r.onset_s for r in own if r.onset_s is not None and telling(r) >= 0.5 * most]
    return min(onsets, key=lambda at: (abs(at - onset_s), at)) if onset_s is not None else min(onsets)


def _suspects(
    one: Blame,
    readings: Sequence[Reading],
    evidence: Sequence[Evidence],
    graph: Graph,
    onset_s: float | None,
    tolerance_s: float,
) -> tuple[Suspect, ...]:
    return suspects(one.service, readings, evidence, graph, _began(one, onset_s), tolerance_s)


def _with_changes(judged: Sequence[Blame], tried: dict[str, tuple[Suspect, ...]]) -> tuple[Blame, ...]:
    """A guilty change of a service's own is one more reason to blame it, worth as much as a middling signal."""
    found = []
    for one in judged:
        own = next((s for s in tried.get(one.service, ()) if s.guilty and s.change.service == one.service), None)
        weighs = own is not None and one.score >= ABNORMAL / 2
        # A victim's own release explains nothing that its dependency does not explain already, unless the evidence names it.
        left = 1.0 if own is not None and own.names else 1.0 - one.explained
        worth = own.guilt * ABNORMAL * left if own is not None and weighs else 0.0
        found.append(replace(one, score=one.score + worth))
    return tuple(sorted(found, key=lambda one: (-one.score, one.service)))


def _explaining_first(scope: Scope, judged: tuple[Blame, ...], tolerance_s: float) -> tuple[Blame, ...]:
    """The same order, unless the first began after the trouble of the service asked about: a cause is not later than its effect.

    Then what explains that trouble goes first, where it is abnormal itself.
    """
    asked = next((one for one in judged if one.service == scope.service), None)
    if asked is None or asked.explained_by is None or in_time(scope, judged, tolerance_s):
        return judged
    reason = next((one for one in judged if one.service == asked.explained_by), None)
    if reason is None or reason.score < ABNORMAL:
        return judged
    return (reason, *(one for one in judged if one is not reason))


def _certificate_of(judged: Sequence[Blame], graph: Graph) -> Sequence[Blame]:
    """The same order, unless the first only complains about the certificate of one service it calls: then that one is first.

    A service whose certificate expired need not notice; the lines that tell of it are its callers'.
    """
    top = judged[0]
    looks = signature(Fault.CERTIFICATE_EXPIRED)
    telling_lines = [r for r in top.readings if r.signal is Signal.LOGS and r.rising and r.strength >= CLEARLY]
    texts = [r.text for r in telling_lines if looks is not None and looks.search(r.text[:2000])]
    if not texts or any(r.signal is Signal.CERTIFICATE and r.strength > 0 for r in top.readings):
        return judged
    named = named_in(" ".join(texts), graph.callees.get(top.service, ()))
    owner = next((one for one in judged if {one.service} == named and one is not top), None)
    if owner is None:
        return judged
    first = replace(owner, score=top.score, explained_by=None)
    second = replace(top, score=owner.score, explained_by=owner.service)
    return (first, *(second if one is top else one for one in judged if one is not owner))


def _fault(
    scope: Scope, judged: Sequence[Blame], readings: Sequence[Reading], graph: Graph, guilty: Suspect | None
) -> Fault:
    top, asked = judged[0], scope.service
    callers = set(graph.callers.get(top.service, ()))
    suffered = [r for one in judged if one.explained_by == top.service for r in one.readings if harmful(r)]
    late = max((r.strength for r in suffered if r.signal is Signal.LATENCY), default=0.0)
    failed = max((r.strength for r in suffered if r.signal is Signal.ERRORS), default=0.0)
    return kind_of(
        Facts(
            readings=top.readings,
            callers=tuple(r for r in readings if r.service in callers and top.service in r.text),
            guilty=guilty,
            dependency=_is_dependency(asked, top.service, graph),
            slows_others=late >= CLEARLY and late > failed,
            front=not any(r.service in callers and r.signal is Signal.TRAFFIC for r in readings),
        )
    )


def _is_dependency(asked: str | None, service: str, graph: Graph) -> bool:
    if asked is None:
        return service in graph.callers
    return asked != service and (not graph.known or service in graph.below(asked))


def _key_readings(top: Blame, fault: Fault, of_callers: Sequence[Reading]) -> tuple[Reading, ...]:
    """The three readings a headline rests on: what the fault is known by, its own words, then the strongest other signals.

    A fault with words of its own that the service itself does not say is told by its callers' words.
    """
    own = [r for r in _by_telling(top.readings) if r.signal is KNOWN_BY.get(fault) and (r.strength > SHOWN or _over(r))]
    strong = [r for r in _by_telling(top.readings) if r.strength > SHOWN and harmful(r)]
    strong.sort(key=lambda r: r.signal is Signal.OTHER)  # numbers nobody gave a meaning convince nobody
    words = _words_of(fault, strong)
    if not words and (not own or fault is Fault.CERTIFICATE_EXPIRED):
        words = _words_of(fault, _by_telling(of_callers))
    chosen: dict[Signal, Reading] = {}
    for reading in (*own, *words, *strong):
        chosen.setdefault(reading.signal, reading)
    return tuple(chosen.values())[:3]


def _by_telling(readings: Sequence[Reading]) -> list[Reading]:
    return sorted(readings, key=lambda r: (-telling(r), r.measure, r.evidence, r.text))


def _words_of(fault: Fault, readings: Sequence[Reading]) -> list[Reading]:
    looks = signature(fault)
    lines = [r for r in readings if r.signal is Signal.LOGS and r.rising and r.strength > SHOWN]
    return [r for r in lines if looks is not None and looks.search(r.text[:2000])]


def _over(reading: Reading) -> bool:
    """Whether it is a certificate past its end: that is proof, however near the end was before."""
    return reading.signal is Signal.CERTIFICATE and reading.after is not None and reading.after <= 0


_OTHERS_TOLD = 2  # of numbers nobody gave a meaning more than these are noise
_LEADING = 2  # findings of the cause before the symptom that was asked about


def _findings(
    judged: Sequence[Blame], guilty: Suspect | None, key: Sequence[Reading], asked: str | None
) -> tuple[Finding, ...]:
    """Causes before victims, services by blame, within a service by strength; a call told from both ends is told once.

    The guilty change and the readings of the headline (`key`) lead; then comes the main symptom of the service asked about.
    """
    ordered = sorted(judged, key=lambda one: one.explained_by is not None)
    told: set[tuple[object, ...]] = set()
    found: list[Finding] = []
    for one in ordered:
        for reading in _varied(one.readings, key):
            same = (reading.evidence, reading.measure, reading.call or reading.service, reading.text)
            if same not in told:
                told.add(same)
                found.append(_finding(one, reading))
    plain = _symptom_early([f for f in found if f.signal is not Signal.OTHER], asked)
    if guilty is not None:
        plain.insert(0, _change_finding(ordered[0], guilty))
    return (*plain, *[f for f in found if f.signal is Signal.OTHER][:_OTHERS_TOLD])[:FINDINGS]


def _symptom_early(found: Sequence[Finding], asked: str | None) -> list[Finding]:
    """The same findings with the first latency or errors of the service asked about after the two that lead."""
    symptoms = [f for f in found[_LEADING:] if f.service == asked and f.signal in {Signal.LATENCY, Signal.ERRORS}]
    lead, rest = found[:_LEADING], [f for f in found[_LEADING:] if f not in symptoms[:1]]
    shown = any(f.service == asked and f.signal in {Signal.LATENCY, Signal.ERRORS} for f in lead)
    return list(found) if shown else [*lead, *symptoms[:1], *rest]


def _varied(readings: Sequence[Reading], key: Sequence[Reading]) -> list[Reading]:
    """The readings worth telling, the headline's first, then by strength; of one kind of signal each further one later.

    What moved the good way is left out, save for traffic: that less of it arrives is news, too.
    """
    seen: Counter[Signal] = Counter(reading.signal for reading in key if reading in readings)
    weighed: list[tuple[float, Reading]] = []
    for reading in _by_telling([r for r in readings if r not in key]):
        if reading.strength >= SHOWN and (harmful(reading) or reading.signal is Signal.TRAFFIC):
            weighed.append((-telling(reading) * _REPEATED ** seen[reading.signal], reading))
            seen[reading.signal] += 1
    return [*(r for r in key if r in readings), *(reading for _, reading in sorted(weighed, key=lambda e: e[0]))]


def _finding(one: Blame, reading: Reading) -> Finding:
    return Finding(
        service=one.service,
        signal=reading.signal,
        statement=of_reading(reading, one.explained_by),
        score=one.score + telling(reading),
        onset_s=reading.onset_s,
        before=reading.before,
        after=reading.after,
        unit=reading.unit,
        explained_by=one.explained_by,
    )


def _change_finding(one: Blame, guilty: Suspect) -> Finding:
    return Finding(
        service=one.service,
        signal=Signal.CHANGE,
        statement=of_suspect(guilty, one.service),
        score=one.score + guilty.guilt,
        onset_s=guilty.change.at_s,
    )
