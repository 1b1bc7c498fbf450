"""The in-memory journal and store keep the promises of their ports."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from bot.demo.memory import MemoryJournal, MemoryStore
from bot.domain.codec import Json
from bot.domain.suggestion import Decision, Verdict
from bot.ports import Step


@pytest.fixture
async def journal() -> AsyncIterator[MemoryJournal]:
    journal = MemoryJournal()
    yield journal
    await journal.stop()


async def test_a_key_is_accepted_once_and_its_story_runs_once(journal: MemoryJournal) -> None:
    told: list[Json] = []

    async def story(payload: Json, step: Step) -> None:
        told.append(payload)

    await journal.start({"note": story})

    assert await journal.accept("k", "note", {"a": 1})
    assert not await journal.accept("k", "note", {"a": 2})
    await journal.wait("k", timeout_s=2)
    assert told == [{"a": 1}]
    assert await journal.unfinished() == ()


async def test_a_restart_goes_on_after_the_finished_steps(journal: MemoryJournal) -> None:
    effects: list[str] = []
    reached, gate = asyncio.Event(), asyncio.Event()

    async def story(payload: Json, step: Step) -> None:
        async def first() -> Json:
            effects.append("first")
            return "done"

        async def second() -> Json:
            reached.set()
            await gate.wait()
            effects.append("second")
            return None

        assert await step("first", first) == "done"
        await step("second", second)

    await journal.start({"two": story})
    await journal.accept("k", "two", None)
    await reached.wait()
    await journal.stop()
    assert await journal.unfinished() == ("k",)

    gate.set()
    await journal.start({"two": story})
    await journal.wait("k", timeout_s=2)
    assert effects == ["first", "second"]


async def test_a_failed_story_has_ended_and_says_why(journal: MemoryJournal) -> None:
    async def story(payload: Json, step: Step) -> None:
        raise ValueError("no")

    await journal.start({"bad": story})
    await journal.accept("k", "bad", None)
    await journal.wait("k", timeout_s=2)
    assert isinstance(journal.failure("k"), ValueError)


async def test_cancelled_work_stops_where_it_stands(journal: MemoryJournal) -> None:
    started, stopped = asyncio.Event(), asyncio.Event()

    async def story(payload: Json, step: Step) -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()

    await journal.start({"long": story})
    await journal.accept("k", "long", None)
    await started.wait()
    await journal.cancel("k")
    assert stopped.is_set()
    await journal.wait("k", timeout_s=1)
    await journal.cancel("never heard of it")


async def test_work_that_takes_too_long_is_a_timeout(journal: MemoryJournal) -> None:
    with pytest.raises(TimeoutError):
        await journal.wait("unknown", timeout_s=0.01)


async def test_the_first_decision_stands() -> None:
    store = MemoryStore()
    first = Decision(suggestion_id="s", verdict=Verdict.APPROVED, decided_by="U1", decided_at_s=1, content_hash="h")
    second = Decision(suggestion_id="s", verdict=Verdict.REJECTED, decided_by="U2", decided_at_s=2, content_hash="h")

    assert await store.decide("T", first) == first
    assert await store.decide("T", second) == first
    assert await store.decision("s") == first
