"""How an investigation asks its sources: so many at once, each with its own deadline, failures kept as gaps."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from bot.domain.report import Gap
from bot.errors import SourceError
from bot.ports import Clock

T = TypeVar("T")

LOOK_TIMEOUT_S = 10.0
LOOKS_AT_ONCE = 8


class Lookout:
    """Runs looks against a common deadline.

    At most eight run at once. A look that fails, or that the deadline leaves no time for, becomes a gap and gives None.
    """

    def __init__(self, clock: Clock, *, deadline_s: float) -> None:
        self._clock = clock
        self._ends_s = clock.elapsed_s() + deadline_s
        self._slots = asyncio.Semaphore(LOOKS_AT_ONCE)
        self._failures: dict[tuple[str, str, str], list[str]] = {}
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
                return await ask(timeout_s=min(timeout_s, max(self.left_s, 0.001)))
        except TimeoutError:
            self._failed(
                source, what, "the time for this investigation was over", "A narrower window or service asks less."
            )
        except SourceError as error:
            self._failed(source, what, error.message, error.remedy)
        return None

    def _failed(self, source: str, what: str, why: str, remedy: str) -> None:
        self._failures.setdefault((source, why, remedy), []).append(what)

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
