"""Looks: how many at once, what becomes of failures, and what a source that says nothing costs."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

from bot.adapters.clock import SystemClock
from bot.errors import SourceUnavailable
from bot.workflows.looking import LOOKS_AT_ONCE, Lookout

Ask = Callable[..., Awaitable[str]]


class Backend:
    """A source that can be told to hang; counts what it was asked, and how much of it at once."""

    def __init__(self) -> None:
        self.asked = self.at_once = self.most_at_once = 0

    async def answer(self, *, timeout_s: float) -> str:
        self.asked += 1
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(0)
        self.at_once -= 1
        return "answer"

    async def hang(self, *, timeout_s: float) -> str:
        self.asked += 1
        await asyncio.sleep(timeout_s)
        raise SourceUnavailable("MET-002", "It did not answer in time.", "Look at the server.")

    async def refuse(self, *, timeout_s: float) -> str:
        self.asked += 1
        raise SourceUnavailable("MET-001", "It is down.", "Start it.")


def lookout(deadline_s: float = 5.0) -> Lookout:
    return Lookout(SystemClock(), deadline_s=deadline_s)


async def looks(over: Lookout, ask: Ask, number: int, *, timeout_s: float = 1.0) -> list[str | None]:
    take = partial(over.look, "prometheus", ask=ask, timeout_s=timeout_s)
    return list(await asyncio.gather(*(take(f"look {i}") for i in range(number))))


async def test_so_many_looks_run_at_once_and_no_more() -> None:
    backend = Backend()

    assert await looks(lookout(), backend.answer, 30) == ["answer"] * 30

    assert backend.most_at_once == LOOKS_AT_ONCE


async def test_a_source_that_hangs_is_waited_for_once() -> None:
    backend, over = Backend(), lookout()

    answers = await looks(over, backend.hang, 30, timeout_s=0.1)

    assert answers == [None] * 30
    assert backend.asked == LOOKS_AT_ONCE
    assert over.silent == {"prometheus"}
    assert [gap.why for gap in over.gaps()] == [
        "It did not answer in time.",
        "it answered nothing when it was asked before",
    ]


async def test_a_source_that_was_silent_in_the_survey_is_not_asked_again() -> None:
    backend = Backend()
    over = Lookout(SystemClock(), deadline_s=5.0, silent=frozenset({"prometheus"}))

    assert await looks(over, backend.answer, 3) == [None] * 3

    assert backend.asked == 0
    assert [gap.what for gap in over.gaps()] == ["prometheus: look 0, look 1, look 2"]


async def test_one_slow_query_does_not_silence_a_source_that_answers_others() -> None:
    slow, backend, over = Backend(), Backend(), lookout()

    hanging = asyncio.create_task(over.look("prometheus", "heavy", slow.hang, timeout_s=0.1))
    await asyncio.sleep(0.02)
    await looks(over, backend.answer, 1)
    await hanging

    assert over.silent == frozenset()
    assert await looks(over, backend.answer, 1) == ["answer"]


async def test_a_quick_refusal_is_not_silence() -> None:
    backend, over = Backend(), lookout()

    await looks(over, backend.refuse, 10)

    assert backend.asked == 10
    assert [gap.why for gap in over.gaps()] == ["It is down."]


async def test_what_the_deadline_leaves_no_time_for_is_a_gap() -> None:
    backend = Backend()

    assert await looks(lookout(deadline_s=0.05), backend.hang, 1, timeout_s=0.04) == [None]
    assert await looks(over := lookout(deadline_s=0.0), backend.answer, 1) == [None]

    assert [gap.why for gap in over.gaps()] == ["the time for this investigation was over"]
