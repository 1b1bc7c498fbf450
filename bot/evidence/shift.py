"""What the logs say that they did not say before, beyond what more or less traffic explains.

The text of a line is written by strangers. It is counted, never believed: a line that names a culprit weighs like any other.
"""

import math
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from bot.domain.evidence import Evidence, Pattern, PatternsBody, Signal
from bot.domain.scope import Scope
from bot.evidence.onset import weighted_median
from bot.evidence.reading import Reading
from bot.evidence.score import strength

# How much a shift counts by level: failures in full; warnings come with retries and recoveries too; info is chatter.
_WEIGHTS = {
    "fatal": 1.0,
    "critical": 1.0,
    "panic": 1.0,
    "error": 1.0,
    "warning": 0.7,
    "warn": 0.7,
    "debug": 0.2,
    "trace": 0.2,
}
_OTHER_LEVEL = 0.4  # info, notice and levels nobody told
_FAILURE = re.compile(r"exception|traceback|panic|segfault|fatal|\berror\b", re.IGNORECASE)
# Databases and proxies often log without a level what others would warn of.
_TROUBLE = re.compile(
    r"still waiting|deadlock|timed? ?out|refused|unreachable|slow (query|request)|too many|exceeded", re.IGNORECASE
)
_TROUBLED = 0.7
# Counts know their own noise, so less distance is clear than for a gauge: about seventy lines where there were none.
CLEARLY_SHIFTED = 10.0
# A failure never seen before is news however few lines it has, once they are too many for chance.
NEWS = 0.6
_FAILS = 0.8  # weight from which a pattern tells of a failure
MOST_STEPS = 1_000_000  # no window has more; bounds what a wrong step can ask for
NOTICED = (
    0.2  # of the higher rate: a pattern that came a fifth more or less often is told, one that hardly changed is not
)
_ENOUGH = 5  # lines a pattern needs in the baseline to say how much traffic grew
_UNSEEN = 0.5  # a count of nothing is compared as half a line, the usual correction


def read_patterns(scope: Scope, evidence: Sequence[Evidence]) -> tuple[Reading, ...]:
    """A reading for every pattern whose count does not fit its baseline, in the order given; `strength` may be 0."""
    found: list[Reading] = []
    for item in evidence:
        if isinstance(item.body, PatternsBody):
            found += _read_body(scope, item.id, item.body)
    return tuple(found)


def _read_body(scope: Scope, evidence: str, body: PatternsBody) -> list[Reading]:
    groups: dict[str, list[Pattern]] = defaultdict(list)
    for pattern in body.patterns:
        groups[pattern.service].append(_divided(scope, body, pattern))
    length = scope.window.duration_s / scope.baseline.duration_s
    found: list[Reading] = []
    for patterns in groups.values():
        growth = _growth(patterns, length)
        found += [_reading(scope, evidence, body, pattern, growth) for pattern in patterns]
    return found


def _divided(scope: Scope, body: PatternsBody, pattern: Pattern) -> Pattern:
    """The pattern with its counts on either side of the scope's window, where its steps cover all of its lines."""
    if not _has_steps(body) or sum(pattern.buckets) != pattern.before + pattern.after:
        return pattern
    before = sum(pattern.buckets[: _split(scope, body)])
    return replace(pattern, before=before, after=sum(pattern.buckets) - before)


def _has_steps(body: PatternsBody) -> bool:
    return math.isfinite(body.bucket_start_s) and 0 < body.bucket_step_s < math.inf


def _split(scope: Scope, body: PatternsBody) -> int:
    """How many steps lie before the window, one that straddles its start left out."""
    steps = (scope.window.start_s - body.bucket_start_s) / body.bucket_step_s
    return math.floor(min(max(steps, 0.0), MOST_STEPS))


def _growth(patterns: Sequence[Pattern], length: float) -> float:
    """How many lines the incident has for each of the baseline, by the weighted median pattern that was there before.

    It covers longer windows, more traffic and uneven sampling alike; without such patterns only the length of the windows.
    """
    ratios = [
        ((max(p.after, 0) + _UNSEEN) / (p.before + _UNSEEN), float(p.before)) for p in patterns if p.before >= _ENOUGH
    ]
    return weighted_median(sorted(ratios)) if len(ratios) >= 3 else length


def _reading(scope: Scope, evidence: str, body: PatternsBody, pattern: Pattern, growth: float) -> Reading:
    before, after = max(pattern.before, 0), max(pattern.after, 0)
    distance = shift(before, after, growth) / math.sqrt(_burstiness(scope, body, pattern))
    minutes_before, minutes_after = scope.baseline.duration_s / 60, scope.window.duration_s / 60
    # Less than growth lets expect, yet more often than before (or the other way round), is nothing people call a shift.
    rose_by = after / minutes_after - before / minutes_before
    level = max(after / minutes_after, before / minutes_before)
    moved = (rose_by > 0) == (distance > 0) and abs(rose_by) >= NOTICED * level
    felt = strength(abs(distance), CLEARLY_SHIFTED) * _weight(pattern) if moved else 0.0
    if before == 0 and felt > 0 and _weight(pattern) >= _FAILS:
        felt = max(felt, NEWS)
    return Reading(
        service=pattern.service,
        signal=Signal.LOGS,
        measure="log pattern",
        unit="/min",
        evidence=evidence,
        strength=felt,
        rising=distance > 0,
        before=before / minutes_before,
        after=after / minutes_after,
        onset_s=_onset(scope, body, pattern, distance > 0) if felt > 0 else None,
        text=pattern.text,
        level=pattern.level,
        fresh=before == 0,
    )


def shift(before: float, after: float, growth: float) -> float:
    """Signed distance of a count from what the baseline lets expect: the root of the Poisson deviance (G-test).

    It is about normal in sigmas for a count that did not shift. Where the baseline has few lines, what is expected is itself
    uncertain: both sides enter as a two-sample test.
    """
    total = before + after
    if total <= 0:
        return 0.0
    expected_after = total * growth / (1 + growth)
    expected_before = total - expected_after
    deviance = _cell(after, expected_after) + _cell(before, expected_before)
    return math.copysign(math.sqrt(2 * max(deviance, 0.0)), after - expected_after)


def _cell(seen: float, expected: float) -> float:
    return seen * math.log(seen / expected) if seen > 0 and expected > 0 else 0.0


def _weight(pattern: Pattern) -> float:
    weight = _WEIGHTS.get(pattern.level.lower(), _OTHER_LEVEL)
    # An exception is a failure whatever level it was logged at; where no level is told, so is a line that says error.
    if weight < 1.0 and pattern.level.lower() not in {"warn", "warning"} and _FAILURE.search(pattern.text[:500]):
        return 0.8
    if weight < _TROUBLED and _TROUBLE.search(pattern.text[:500]):
        return _TROUBLED
    return weight


def _burstiness(scope: Scope, body: PatternsBody, pattern: Pattern) -> float:
    """Variance over mean of the counts per step in the baseline: 1 for steady lines, more for lines that come in bursts."""
    if not _has_steps(body):
        return 1.0
    counts = pattern.buckets[: _split(scope, body)]
    if len(counts) < _ENOUGH or sum(counts) == 0:
        return 1.0
    mean = sum(counts) / len(counts)
    variance = sum((count - mean) ** 2 for count in counts) / len(counts)
    return max(1.0, variance / mean)


def _onset(scope: Scope, body: PatternsBody, pattern: Pattern, rising: bool) -> float | None:
    """When a pattern began or stopped: its first line for new ones, else the step that divides its counts best."""
    if not rising:
        return _known(pattern.last_seen_s) if pattern.after == 0 else None
    if pattern.before == 0:
        return _known(pattern.first_seen_s)
    if not _has_steps(body) or len(pattern.buckets) < _ENOUGH:
        return None
    mean = sum(pattern.buckets) / len(pattern.buckets)
    highest, sum_now, begun, best = 0.0, 0.0, 0, None
    for at, count in enumerate(pattern.buckets):
        if sum_now <= 0:
            sum_now, begun = 0.0, at
        sum_now += count - mean
        if sum_now > highest:
            highest, best = sum_now, begun
    return None if best is None else _known(body.bucket_start_s + best * body.bucket_step_s)


def _known(at_s: float) -> float | None:
    return at_s if math.isfinite(at_s) else None
