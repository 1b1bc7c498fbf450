"""When to stop asking a dependency that fails, and when to try it again.

A circuit breaker as a table: closed (calls pass), open (calls are refused), half open (one probe is out, the others are
refused). Times are seconds of a clock that only grows.
"""

from dataclasses import dataclass, replace
from enum import Enum


class State(Enum):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half open"


class Pass(Enum):
    """What a call is let through as. The probe is the one call that decides when the breaker is not closed."""

    ORDINARY = "ordinary"
    PROBE = "probe"


class Outcome(Enum):
    """How a call ended. ABANDONED: cancelled by whoever asked, which says nothing about the dependency."""

    ANSWERED = "answered"
    FAILED = "failed"
    ABANDONED = "abandoned"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """Opens after `failures` failures within `window_s` if they are at least half of what was asked; stays open `open_s`.

    Five of eight looks at once: a dead source is noticed within the first round. 30 s is how long looks take in all, so
    an investigation that begins after the pause tries again.
    """

    failures: int = 5
    window_s: float = 30.0
    open_s: float = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Breaker:
    """The breaker of one dependency. `recent` are the outcomes in the window while closed: when, and whether it failed."""

    state: State = State.CLOSED
    recent: tuple[tuple[float, bool], ...] = ()
    opened_at_s: float = 0.0


# What the probe's outcome leads to. An abandoned probe leaves the breaker open, with its pause over: the next call probes.
_AFTER_PROBE = {
    Outcome.ANSWERED: State.CLOSED,
    Outcome.FAILED: State.OPEN,
    Outcome.ABANDONED: State.OPEN,
}


def admit(breaker: Breaker, now_s: float, rules: Rules) -> tuple[Breaker, Pass | None]:
    """The breaker after a call asked to pass, and what it passes as; None refuses it."""
    if breaker.state is State.CLOSED:
        return breaker, Pass.ORDINARY
    if breaker.state is State.OPEN and now_s - breaker.opened_at_s >= rules.open_s:
        return replace(breaker, state=State.HALF_OPEN), Pass.PROBE
    return breaker, None


def settle(breaker: Breaker, passed: Pass, outcome: Outcome, now_s: float, rules: Rules) -> Breaker:
    """The breaker after a call that was let through has ended."""
    if passed is Pass.PROBE:
        opened_at_s = now_s if outcome is Outcome.FAILED else breaker.opened_at_s
        return Breaker(state=_AFTER_PROBE[outcome], opened_at_s=opened_at_s)
    if breaker.state is not State.CLOSED or outcome is Outcome.ABANDONED:
        return breaker  # a call from before it opened: the probe decides
    recent = tuple(past for past in breaker.recent if now_s - past[0] < rules.window_s)
    recent += ((now_s, outcome is Outcome.FAILED),)
    failures = sum(failed for _, failed in recent)
    if failures >= rules.failures and failures * 2 >= len(recent):
        return Breaker(state=State.OPEN, opened_at_s=now_s)
    return replace(breaker, recent=recent)


def retry_in_s(breaker: Breaker, now_s: float, rules: Rules) -> float:
    """Seconds until an open breaker lets its next probe through."""
    return max(0.0, breaker.opened_at_s + rules.open_s - now_s)
