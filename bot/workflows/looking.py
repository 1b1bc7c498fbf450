"""How an investigation asks its sources: so many at once, each with its own deadline, failures kept as gaps."""

import asyncio
import math
from collections.abc import Awaitable, Callable
from typing import TypeVar

from bot.domain.report import Gap
from bot.errors import SourceError, SourceUnavailable
from bot.ports import Clock
from bot.workflows.minting import clean

T = TypeVar("T")

LOOK_TIMEOUT_S = 10.0
LOOKS_AT_ONCE = 8
# A failure after more than this share of the time it was given was a wait for an answer, not a refusal.
_WHOLE = 0.9


class Lookout:
    """Runs looks against a common deadline.

    At most eight run at once. A look that fails, or that the deadline leaves no time for, becomes a gap and gives None.
    A source that said nothing at all for the whole time of a look is `silent` and not asked again: one deadline is enough.
    """

    def __init__(self, clock: Clock, *, deadline_s: float, silent: frozenset[str] = frozenset()) -> None:
        self._clock = clock
        self._ends_s = clock.elapsed_s() + deadline_s
        self._slots = asyncio.Semaphore(LOOKS_AT_ONCE)
        self._heard_s: dict[str, float] = {}
        self._failures: dict[tuple[str, str, str], list[str]] = {}
        self.silent = silent
        self.extra_gaps: list[Gap] = []

    @property
    def left_s(self) -> float:
        return self._ends_s - self._clock.elapsed_s()

    async def look(
        self, source: str, what: str, ask: Callable[..., Awaitable[T]], *, timeout_s: float = LOOK_TIMEOUT_S
    ) -> T | None:
        """The answer of `ask(timeout_s=...)`, or None and a gap that names `what`."""
        try:
            async with asyncio.timeout(self.left_s), self._slots:
                if self.left_s <= 0:
                    raise TimeoutError
                if source not in self.silent:
                    return await self._heard(source, ask, min(timeout_s, self.left_s))
            self._failed(source, what, "it answered nothing when it was asked before", "Ask again when it answers.")
        except TimeoutError:
            self._failed(
                source, what, "the time for this investigation was over", "A narrower window or service asks less."
            )
        except SourceError as error:
            self._failed(source, what, error.message, error.remedy)
        return None

    async def _heard(self, source: str, ask: Callable[..., Awaitable[T]], timeout_s: float) -> T:
        """The answer; notes when the source was heard, and whether it kept silent for as long as it was given."""
        began_s = self._clock.elapsed_s()
        try:
            answer = await ask(timeout_s=timeout_s)
        except SourceUnavailable:
            waited_s = self._clock.elapsed_s() - began_s
            if waited_s > _WHOLE * timeout_s and self._heard_s.get(source, -math.inf) < began_s:
                self.silent |= {source}
            raise
        self._heard_s[source] = self._clock.elapsed_s()
        return answer

    def _failed(self, source: str, what: str, why: str, remedy: str) -> None:
        self._failures.setdefault((source, clean(why), remedy), []).append(what)

    def gaps(self) -> tuple[Gap, ...]:
        """One gap for each source and reason, however many looks it cost."""
        failed = (
            Gap(what=f"{source}: {_some(whats)}", why=why, remedy=remedy)
            for (source, why, remedy), whats in self._failures.items()
        )
        return (*failed, *self.extra_gaps)


def _some(whats: list[str]) -> str:
    different = list(dict.fromkeys(whats))
    if len(different) <= 3:
        return ", ".join(different)
    return f"{', '.join(different[:3])} and {len(different) - 3} more"
