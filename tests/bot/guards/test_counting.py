"""The journal that counts: nothing about the journal changes, and everything is measured."""

import pytest

from bot.demo.memory import ManualClock, MemoryJournal, RecordingMeter
from bot.domain.codec import Json
from bot.errors import StoreError
from bot.guards.counting import CountingJournal
from bot.ports import Step


class FullJournal(MemoryJournal):
    """A journal whose disk is full."""

    async def accept(self, key: str, story: str, payload: Json) -> bool:
        raise StoreError("STO-004", "The disk is full.", "Free some space.")


def events(meter: RecordingMeter, outcome: str) -> float:
    return meter.counted("groundwire_slack_events_total", kind="investigate", outcome=outcome)


async def test_events_are_counted_by_what_became_of_them() -> None:
    meter = RecordingMeter()
    journal = CountingJournal(MemoryJournal(), meter, ManualClock())

    assert await journal.accept("k", "investigate", {})
    assert not await journal.accept("k", "investigate", {})
    with pytest.raises(StoreError):
        await CountingJournal(FullJournal(), meter, ManualClock()).accept("k", "investigate", {})

    assert [events(meter, outcome) for outcome in ("accepted", "repeated", "failed")] == [1, 1, 1]


async def test_requests_are_timed_to_their_end_however_they_end() -> None:
    meter, clock, inner = RecordingMeter(), ManualClock(), MemoryJournal()
    journal = CountingJournal(inner, meter, clock)

    async def story(payload: Json, step: Step) -> None:
        clock.advance(await step("look", _two))
        if payload == "bad":
            raise RuntimeError("broken")

    await journal.start({"investigate": story})
    for key in ("good", "bad"):
        await journal.accept(key, "investigate", key)
        await journal.wait(key, timeout_s=2)
    unfinished = await journal.unfinished()
    await journal.cancel("bad")
    await journal.stop()

    assert unfinished == ()
    assert isinstance(inner.failure("bad"), RuntimeError)
    assert meter.counted("llm_developer_requests_total", request_type="investigate") == 2
    assert meter.times["llm_developer_latency_ms", (("request_type", "investigate"),)] == [2.0, 2.0]


async def _two() -> Json:
    return 2.0
