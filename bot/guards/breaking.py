"""Sources that are left alone for a while once they keep failing, instead of costing every look its whole timeout."""

import math
from collections.abc import Awaitable, Callable
from typing import TypeVar

from bot.errors import QueryRefused, SourceUnavailable
from bot.guards.sources import guarded
from bot.policy.breaker import Breaker, Outcome, Rules, admit, retry_in_s, settle
from bot.ports import Clock, Sources

T = TypeVar("T")


def breaking(sources: Sources, clock: Clock, rules: Rules | None = None) -> Sources:
    """The same sources, each behind a circuit breaker of its own (bot/policy/breaker.py).

    While it is open, questions raise SourceUnavailable (SRC-001) at once. A refused query is an answer: the source works.
    """
    return guarded(sources, lambda kind, name: CircuitBreaker(name, clock, rules or Rules()))


class CircuitBreaker:
    """The breaker of one source, kept from call to call."""

    def __init__(self, source: str, clock: Clock, rules: Rules) -> None:
        self._source = source
        self._clock = clock
        self._rules = rules
        self._breaker = Breaker()

    async def __call__(self, ask: Callable[[], Awaitable[T]]) -> T:
        self._breaker, passed = admit(self._breaker, self._clock.elapsed_s(), self._rules)
        if passed is None:
            raise self._refusal()
        outcome = Outcome.ABANDONED  # cancelled, or an error of our own
        try:
            answer = await ask()
            outcome = Outcome.ANSWERED
        except QueryRefused:
            outcome = Outcome.ANSWERED
            raise
        except SourceUnavailable:
            outcome = Outcome.FAILED
            raise
        finally:
            self._breaker = settle(self._breaker, passed, outcome, self._clock.elapsed_s(), self._rules)
        return answer

    def _refusal(self) -> SourceUnavailable:
        wait_s = max(1, math.ceil(retry_in_s(self._breaker, self._clock.elapsed_s(), self._rules)))
        return SourceUnavailable(
            "SRC-001",
            f"{self._source} has failed again and again and is not asked for now.",
            f"It is tried again in {wait_s} s; `groundwire doctor` says what is wrong with it.",
        )
