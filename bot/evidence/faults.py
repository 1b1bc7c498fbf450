"""What kind of fault it is: a table of rules over the readings of the chosen service, most specific first."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from bot.domain.change import ChangeKind
from bot.domain.evidence import Signal
from bot.domain.report import Fault
from bot.evidence.changes import Suspect, is_settings
from bot.evidence.reading import Reading, harmful
from bot.evidence.surge import surged

CLEARLY = 0.2  # about five scales: a departure that may name a kind of fault
_MULTIPLIED = 1.5  # times its usual CPU: less is what waiting and retrying cost
_NEAR_LIMIT = 0.9  # of a limit: requests begin to queue

_POOL = re.compile(
    r"pool\b.{0,40}(exhaust|timeout|timed out|full|limit|empty|drained|unavailable|saturat)|"
    r"(exhaust\w*|no (free|idle|available)|acquir\w*|too many|out of|remaining|wait(ing|ed)? for)"
    r".{0,30}\b(connections?|pool|slots)\b|"
    r"\b(get|obtain|check ?out) (an? |the )?(\w+ ){0,2}connection\b",
    re.IGNORECASE,
)
_DISK = re.compile(r"no space left|disk (is |almost |nearly )?full|\benospc\b|out of disk|disk quota", re.IGNORECASE)
_CERTIFICATE = re.compile(
    r"certificate.{0,40}(expired|not valid|invalid|verify failed)|x509|expired.{0,20}certificate|cert_has_expired",
    re.IGNORECASE,
)
_MEMORY = re.compile(
    r"out of memory|outofmemory|oom.?kill|\boom\b|heap space|cannot allocate memory|memory limit|memory pressure|gc overhead",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the rules look at. `readings` are the service's own, `callers` those of others that may speak of it.

    `dependency`: the service asked about rests on it; `front`: users come in here; `slows_others`: what it explains of others
    is lateness more than failure.
    """

    readings: tuple[Reading, ...]
    callers: tuple[Reading, ...]
    guilty: Suspect | None
    dependency: bool
    front: bool
    slows_others: bool = False

    def departed(self, *signals: Signal) -> bool:
        return any(r.signal in signals and r.strength >= CLEARLY and harmful(r) for r in self.readings)

    def says(self, what: re.Pattern[str], readings: Sequence[Reading] | None = None) -> bool:
        """Whether a log pattern that came up matches."""
        spoken = self.readings if readings is None else readings
        return any(
            r.signal is Signal.LOGS and r.rising and r.strength > 0 and what.search(r.text[:2000]) for r in spoken
        )

    def near_limit(self, signal: Signal, limit: float = _NEAR_LIMIT) -> bool:
        return any(
            r.signal is signal
            and r.unit == "ratio"
            and r.strength > 0
            and r.rising
            and r.after is not None
            and r.after >= limit
            for r in self.readings
        )

    def changed(self, *kinds: ChangeKind) -> bool:
        return self.guilty is not None and self.guilty.change.kind in kinds

    @property
    def expired(self) -> bool:
        return any(r.signal is Signal.CERTIFICATE and r.strength > 0 for r in self.readings)


def _memory(facts: Facts) -> bool:
    grows = any(r.signal is Signal.MEMORY and r.rising and r.strength >= CLEARLY for r in facts.readings)
    return grows and (
        facts.departed(Signal.RESTARTS, Signal.RUNTIME) or facts.says(_MEMORY) or _first(facts, Signal.MEMORY)
    )


def _pool(facts: Facts) -> bool:
    """Its own lines say so, or it is full and nothing else of the service's own explains that it filled up while it waited."""
    if facts.says(_POOL):
        return True
    other_words = any(
        r.signal is Signal.LOGS and r.fresh and r.rising and r.strength >= CLEARLY and r.level != "info"
        for r in facts.readings
    )
    return facts.near_limit(Signal.SATURATION) and not facts.near_limit(Signal.CPU) and not other_words


def _cpu(facts: Facts) -> bool:
    """At its limit, or, where the limit is not known, the strongest signal and a multiple of what it was."""
    multiplied = any(r.signal is Signal.CPU and (r.growth or 0.0) >= _MULTIPLIED for r in facts.readings)
    return facts.near_limit(Signal.CPU) or (_first(facts, Signal.CPU) and multiplied)


def _slow_dependency(facts: Facts) -> bool:
    """Something the asked service rests on that answers late: by its own clock, its callers' or its victims'."""
    slow = facts.departed(Signal.LATENCY, Signal.CALL_LATENCY) and not _first(facts, Signal.ERRORS)
    return facts.dependency and (slow or (facts.slows_others and not facts.departed(Signal.ERRORS)))


def _first(facts: Facts, signal: Signal) -> bool:
    """Whether this signal is the service's strongest of its own, calls and logs aside."""
    own = [
        r for r in facts.readings if harmful(r) and r.strength > 0 and r.call is None and r.signal is not Signal.LOGS
    ]
    return bool(own) and own[0].signal is signal


RULES: tuple[tuple[Fault, Callable[[Facts], bool]], ...] = (
    (Fault.CERTIFICATE_EXPIRED, lambda f: f.expired or f.says(_CERTIFICATE) or f.says(_CERTIFICATE, f.callers)),
    (Fault.DISK_FULL, lambda f: f.says(_DISK) or f.near_limit(Signal.DISK) or _first(f, Signal.DISK)),
    (Fault.TRAFFIC_SURGE, lambda f: f.front and surged(f.readings)),
    # A pool that says so is that, whatever setting made it small: the change is named beside it.
    (Fault.POOL_EXHAUSTED, lambda f: f.says(_POOL) and f.near_limit(Signal.SATURATION)),
    (Fault.BAD_CONFIG, lambda f: f.guilty is not None and is_settings(f.guilty.change)),
    (Fault.MEMORY_LEAK, _memory),
    (Fault.POOL_EXHAUSTED, _pool),
    (Fault.BAD_DEPLOY, lambda f: f.changed(ChangeKind.DEPLOY, ChangeKind.COMMIT)),
    (Fault.CRASHING, lambda f: f.departed(Signal.RESTARTS)),
    (Fault.CPU_SATURATED, _cpu),
    (Fault.SLOW_DEPENDENCY, _slow_dependency),
    (Fault.SLOW, lambda f: _first(f, Signal.LATENCY)),
    (Fault.FAILING, lambda f: True),
)


def kind_of(facts: Facts) -> Fault:
    """The first kind of fault whose rule holds; a service in trouble that fits none is FAILING."""
    return next(fault for fault, holds in RULES if holds(facts))


def signature(fault: Fault) -> re.Pattern[str] | None:
    """What log lines of this kind of fault look like, where they have a look of their own."""
    return _SIGNATURES.get(fault)


_SIGNATURES: Mapping[Fault, re.Pattern[str]] = {
    Fault.POOL_EXHAUSTED: _POOL,
    Fault.DISK_FULL: _DISK,
    Fault.CERTIFICATE_EXPIRED: _CERTIFICATE,
    Fault.MEMORY_LEAK: _MEMORY,
}

# Users, calendars and full volumes bring these about; a change only when the evidence names it.
FROM_OUTSIDE = frozenset({Fault.TRAFFIC_SURGE, Fault.CERTIFICATE_EXPIRED, Fault.DISK_FULL})

# The signal each kind of fault is known by: it comes first in the headline.
KNOWN_BY: Mapping[Fault, Signal] = {
    Fault.POOL_EXHAUSTED: Signal.SATURATION,
    Fault.MEMORY_LEAK: Signal.MEMORY,
    Fault.SLOW_DEPENDENCY: Signal.LATENCY,
    Fault.TRAFFIC_SURGE: Signal.TRAFFIC,
    Fault.DISK_FULL: Signal.DISK,
    Fault.CERTIFICATE_EXPIRED: Signal.CERTIFICATE,
    Fault.CPU_SATURATED: Signal.CPU,
    Fault.CRASHING: Signal.RESTARTS,
    Fault.FAILING: Signal.ERRORS,
    Fault.SLOW: Signal.LATENCY,
}

# What the headline sentence says after the service's name.
VERB: Mapping[Fault, str] = {
    Fault.BAD_DEPLOY: "broke with a deploy",
    Fault.POOL_EXHAUSTED: "ran out of connections in its pool",
    Fault.MEMORY_LEAK: "is running out of memory",
    Fault.SLOW_DEPENDENCY: "answers slowly and its callers wait",
    Fault.TRAFFIC_SURGE: "gets far more traffic than normal",
    Fault.DISK_FULL: "ran out of disk space",
    Fault.CERTIFICATE_EXPIRED: "has an expired certificate",
    Fault.BAD_CONFIG: "broke with a configuration or flag change",
    Fault.CPU_SATURATED: "is out of CPU",
    Fault.CRASHING: "keeps restarting",
    Fault.FAILING: "fails by itself",
    Fault.SLOW: "is slow by itself",
}

# What would decide the matter, for each kind of fault.
SETTLES: Mapping[Fault, str] = {
    Fault.BAD_DEPLOY: "Roll {ref} back in one instance and compare its errors with the others.",
    Fault.POOL_EXHAUSTED: "The sessions on the far side of {service}'s pool: who holds connections, and on which query.",
    Fault.MEMORY_LEAK: "A heap profile of {service} now and one ten minutes later.",
    Fault.SLOW_DEPENDENCY: "A trace of one slow request through {service}, and its own profile at that time.",
    Fault.TRAFFIC_SURGE: "The requests to {service} split by client, route and user agent.",
    Fault.DISK_FULL: "The largest and fastest growing files on {service}'s volume.",
    Fault.CERTIFICATE_EXPIRED: "The certificate {service} presents: its subject and its end date.",
    Fault.BAD_CONFIG: "The same requests with {ref} set back.",
    Fault.CPU_SATURATED: "A CPU profile of {service}, and its limit and throttled time.",
    Fault.CRASHING: "The exit code and the last lines of {service}'s previous container.",
    Fault.FAILING: "A trace of one failed request through {service}.",
    Fault.SLOW: "A trace of one slow request through {service}, and its own profile at that time.",
}
