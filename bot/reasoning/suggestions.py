"""What could be done about a cause: a revert where a change is guilty, the advice of the fault's kind otherwise."""

import hashlib
from collections.abc import Sequence

from bot.domain.change import short_ref
from bot.domain.report import Cause, Fault, Finding
from bot.domain.suggestion import Risk, Suggestion, SuggestionKind

# Title, what happens and how to undo it, risk. `{service}` is the faulty service.
_ADVICE: dict[Fault, tuple[str, str, Risk]] = {
    Fault.POOL_EXHAUSTED: (
        "Give {service} free connections",
        "Find what holds connections (slow queries, missing close), end it, or raise the pool's limit if the database allows "
        "more. Undo: set the old limit.",
        Risk.MEDIUM,
    ),
    Fault.DISK_FULL: (
        "Free or extend the disk of {service}",
        "Remove what may go (old logs, temporary files, dead segments) or extend the volume. Deleted files do not come back: "
        "look before you delete.",
        Risk.MEDIUM,
    ),
    Fault.CERTIFICATE_EXPIRED: (
        "Renew the certificate of {service}",
        "Issue a new certificate and reload the process that serves it; then find out why renewal did not happen by itself.",
        Risk.LOW,
    ),
    Fault.TRAFFIC_SURGE: (
        "Shed or absorb the traffic to {service}",
        "Rate-limit the clients that bring it, or add replicas. Undo: lift the limit, scale back.",
        Risk.MEDIUM,
    ),
    Fault.MEMORY_LEAK: (
        "Restart {service} one instance at a time",
        "Buys time until memory has grown again; take a heap dump first, the leak itself stays. Nothing to undo.",
        Risk.LOW,
    ),
    Fault.SLOW_DEPENDENCY: (
        "Take load off {service} while it is slow",
        "Shorten callers' timeouts or serve from cache where that is allowed, and look at what {service} itself waits for. "
        "Undo: restore the timeouts.",
        Risk.MEDIUM,
    ),
    Fault.CPU_SATURATED: (
        "Add replicas or CPU to {service}",
        "Scale out, then profile what burns the time. Undo: scale back.",
        Risk.LOW,
    ),
}


def suggest(investigation: str, cause: Cause | None, findings: Sequence[Finding]) -> tuple[Suggestion, ...]:
    """At most two suggestions for the cause, the more direct one first; none without a cause."""
    if cause is None:
        return ()
    evidence = tuple(dict.fromkeys((*cause.statement.evidence, *_of_service(findings, cause.service))))
    found = []
    if cause.change is not None:
        found.append(_undo(investigation, cause, cause.change, evidence))
    if cause.fault in _ADVICE:
        title, detail, risk = _ADVICE[cause.fault]
        found.append(
            Suggestion(
                id=_id(investigation, cause.fault.name, cause.service),
                kind=SuggestionKind.ADVICE,
                service=cause.service,
                title=title.format(service=cause.service),
                detail=detail.format(service=cause.service),
                risk=risk,
                evidence=evidence,
            )
        )
    return tuple(found)


def _undo(investigation: str, cause: Cause, change: str, evidence: tuple[str, ...]) -> Suggestion:
    config = cause.fault is Fault.BAD_CONFIG
    title = (
        f"Set {short_ref(change)} of {cause.service} back"
        if config
        else f"Revert {short_ref(change)} in {cause.service}"
    )
    detail = (
        "Restores the value from before the change. Undo: set the new value again."
        if config
        else "Takes one change back and deploys what ran before it. Undo: deploy the change again."
    )
    return Suggestion(
        id=_id(investigation, "undo", change),
        kind=SuggestionKind.REVERT,
        service=cause.service,
        title=title,
        detail=detail,
        risk=Risk.MEDIUM,
        evidence=evidence,
        change=change,
    )


def _of_service(findings: Sequence[Finding], service: str) -> tuple[str, ...]:
    return tuple(e for f in findings[:4] if f.service == service for e in f.statement.evidence)


def _id(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:20]
