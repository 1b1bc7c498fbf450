"""Whether anybody feels it: without a symptom a new log line beside a deploy is no incident, only a busy afternoon."""

from collections.abc import Sequence

from bot.domain.evidence import Signal
from bot.domain.scope import Scope
from bot.evidence.graph import Graph
from bot.evidence.reading import Reading, harmful

FELT = 0.1  # strength from which a departure of a symptom counts: about four scales
# What users of a service feel, and what stops it working whoever is looking.
_SYMPTOMS = frozenset({Signal.ERRORS, Signal.LATENCY, Signal.CALL_LATENCY, Signal.CALL_ERRORS})
_HARD = frozenset(
    {Signal.AVAILABILITY, Signal.RESTARTS, Signal.CERTIFICATE, Signal.DISK, Signal.SATURATION, Signal.ALERT}
)
_FULL = 0.9  # of a limit: below it a pool or a disk that fills up hurts nobody yet


def felt(scope: Scope, service: str, readings: Sequence[Reading], graph: Graph) -> bool:
    """Whether trouble of `service` shows in what users feel: its answers, its callers' and those of the service asked about.

    Their alerts count, too: somebody said beforehand what hurts.
    True as well where no errors and no latencies of these are measured: what is not measured cannot be called fine.
    """
    concerned = {service, *graph.above(service), *((scope.service,) if scope.service else ())}
    symptoms = [r for r in readings if r.signal in _SYMPTOMS and {r.service, r.peer} & concerned]
    if not symptoms:
        return True
    return any(r.strength >= FELT and harmful(r) for r in symptoms) or any(
        (r.service == service or (r.signal is Signal.ALERT and r.service in concerned))
        and r.signal in _HARD
        and r.strength > 0
        and harmful(r)
        and _at_its_limit(r)
        for r in readings
    )


def _at_its_limit(reading: Reading) -> bool:
    if reading.signal not in {Signal.DISK, Signal.SATURATION} or reading.unit != "ratio":
        return True
    return reading.after is not None and reading.after >= _FULL
