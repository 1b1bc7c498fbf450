"""What every Journal promises: one body for dbos and memory."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path

import pytest
import structlog

from bot.adapters.database import database_url
from bot.adapters.journal import DbosJournal
from bot.demo.memory import MemoryJournal
from bot.domain.codec import Json
from bot.errors import SlackError, StoreError
from bot.ports import Journal, Step, Story

SOON_S = 5.0
HOSTILE = "'); DROP TABLE x;-- \x00 \ud83d half \u202e 😀"


class Bench:
    """A journal that can be stopped and started again on what it remembers."""

    def __init__(self, make: Callable[[], Journal]) -> None:
        self._make = make
        self.journal = make()

    async def start(self, **stories: Story) -> Journal:
        await self.journal.start(stories)
        return self.journal

    async def restart(self, **stories: Story) -> Journal:
        await self.journal.stop()
        self.journal = self._make()
        return await self.start(**stories)


@pytest.fixture(params=["dbos", "memory"])
async def bench(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Bench]:
    memory = MemoryJournal()
    url = database_url(tmp_path / "home")
    # A step that never ends must not hold up the restart a test asks for.
    bench = Bench(
        (lambda: memory) if request.param == "memory" else (lambda: DbosJournal(url, poll_s=0.02, finish_s=0.05))
    )
    with structlog.testing.capture_logs():  # drawing the traceback of a story's failure takes half a second
        yield bench
        await bench.journal.stop()


def giving(value: Json) -> Callable[[], Awaitable[Json]]:
    async def work() -> Json:
        return value

    return work


class Log:
    """A story that writes down what it was told."""

    def __init__(self) -> None:
        self.payloads: list[Json] = []

    async def __call__(self, payload: Json, step: Step) -> None:
        self.payloads.append(payload)


async def test_accepted_work_is_done_with_its_payload(bench: Bench) -> None:
    log = Log()
    journal = await bench.start(log=log)

    assert await journal.accept("k", "log", {"text": HOSTILE, "numbers": (1, 2.5, None)})
    await journal.wait("k", timeout_s=SOON_S)

    assert log.payloads == [{"text": HOSTILE, "numbers": [1, 2.5, None]}]
    assert await journal.unfinished() == ()


async def test_a_key_is_accepted_once_for_ever(bench: Bench) -> None:
    log = Log()
    journal = await bench.start(log=log)

    assert await journal.accept("k", "log", "first")
    assert not await journal.accept("k", "log", "while it runs")
    await journal.wait("k", timeout_s=SOON_S)
    assert not await journal.accept("k", "log", "when it has ended")
    journal = await bench.restart(log=log)
    assert not await journal.accept("k", "log", "after a restart")

    assert log.payloads == ["first"]


async def test_of_many_at_once_with_one_key_one_is_accepted(bench: Bench) -> None:
    log = Log()
    journal = await bench.start(log=log)

    accepted = await asyncio.gather(*(journal.accept("k", "log", n) for n in range(20)))
    await journal.wait("k", timeout_s=SOON_S)

    assert accepted.count(True) == 1
    assert log.payloads == [accepted.index(True)]


async def test_a_story_nobody_knows_is_not_accepted(bench: Bench) -> None:
    journal = await bench.start(log=Log())

    with pytest.raises(ValueError, match="nonsense"):
        await journal.accept("k", "nonsense", None)
    assert await journal.unfinished() == ()


class Interrupted:
    """A story of three steps that hangs in its second until `go_on` is set; `effects` are the steps that began."""

    def __init__(self) -> None:
        self.effects: list[str] = []
        self.results: list[Json] = []
        self.hanging = asyncio.Event()
        self.go_on = asyncio.Event()

    async def __call__(self, payload: Json, step: Step) -> None:
        self.results = [await step(name, self._work(name)) for name in ("a", "b", "c")]

    def _work(self, name: str) -> Callable[[], Awaitable[Json]]:
        async def work() -> Json:
            self.effects.append(name)
            if name == "b":
                self.hanging.set()
                await self.go_on.wait()
            return {"from": name, "text": HOSTILE, "count": len(self.effects)}

        return work


async def test_after_a_restart_finished_steps_give_their_result_and_the_rest_is_done(bench: Bench) -> None:
    story = Interrupted()
    journal = await bench.start(story=story)
    await journal.accept("k", "story", None)
    await asyncio.wait_for(story.hanging.wait(), SOON_S)
    assert await journal.unfinished() == ("k",)

    await journal.stop()
    story.go_on.set()
    journal = await bench.restart(story=story)
    await journal.wait("k", timeout_s=SOON_S)

    assert story.effects == ["a", "b", "b", "c"]
    assert [result["from"] for result in story.results] == ["a", "b", "c"]
    assert story.results[0] == {"from": "a", "text": HOSTILE, "count": 1}


async def test_ended_work_is_not_done_again_after_a_restart(bench: Bench) -> None:
    log = Log()
    journal = await bench.start(log=log)
    await journal.accept("k", "log", 1)
    await journal.wait("k", timeout_s=SOON_S)

    journal = await bench.restart(log=log)
    await journal.wait("k", timeout_s=SOON_S)

    assert log.payloads == [1]


async def test_a_result_is_the_same_now_as_when_it_is_read_back(bench: Bench) -> None:
    seen: list[Json] = []

    async def story(payload: Json, step: Step) -> None:
        seen.append(await step("a", giving({"pair": (1, 2)})))
        seen.append(await step("nothing", giving(None)))

    journal = await bench.start(story=story)
    await journal.accept("k", "story", None)
    await journal.wait("k", timeout_s=SOON_S)

    assert seen == [{"pair": [1, 2]}, None]


async def test_what_a_step_raised_is_remembered_with_its_type(bench: Bench) -> None:
    attempts: list[int] = []
    caught: list[tuple[str, str, str]] = []
    go_on, hanging = asyncio.Event(), asyncio.Event()

    async def refused() -> Json:
        attempts.append(1)
        raise SlackError("SLK-001", "not in channel", "invite the bot")

    async def hang() -> Json:
        hanging.set()
        await go_on.wait()
        return None

    async def story(payload: Json, step: Step) -> None:
        try:
            await step("post", refused)
        except SlackError as error:
            caught.append((error.code, error.message, error.remedy))
            await step("whisper instead", hang)

    journal = await bench.start(story=story)
    await journal.accept("k", "story", None)
    await asyncio.wait_for(hanging.wait(), SOON_S)
    await journal.stop()
    go_on.set()
    journal = await bench.restart(story=story)
    await journal.wait("k", timeout_s=SOON_S)

    assert attempts == [1]
    assert caught == [("SLK-001", "not in channel", "invite the bot")] * 2


async def test_a_story_that_fails_ends_and_disturbs_no_other(bench: Bench) -> None:
    log = Log()

    async def failing(payload: Json, step: Step) -> None:
        await step("fine", giving(1))
        raise ZeroDivisionError("a mistake of ours")

    async def cancelled_from_within(payload: Json, step: Step) -> None:
        raise asyncio.CancelledError

    journal = await bench.start(failing=failing, cancelled=cancelled_from_within, log=log)
    await journal.accept("bad", "failing", None)
    await journal.accept("worse", "cancelled", None)
    await journal.accept("good", "log", 1)
    for key in ("bad", "worse", "good"):
        await journal.wait(key, timeout_s=SOON_S)

    assert log.payloads == [1]
    assert await journal.unfinished() == ()


async def test_the_story_that_tells_of_a_failure_gets_the_same_input_and_may_fail_itself(bench: Bench) -> None:
    told = Log()

    async def broken(payload: Json, step: Step) -> None:
        await step("before", giving(1))
        raise KeyError("a fault of ours")

    async def speechless(payload: Json, step: Step) -> None:
        raise StoreError("STO-000", "nothing works", "at all")

    stories: dict[str, Story] = {"broken": broken, "broken failed": told, "mute": broken, "mute failed": speechless}
    journal = await bench.start(**stories)
    for story in ("broken", "mute"):
        await journal.accept(story, story, {"asked": story})
        await journal.wait(story, timeout_s=SOON_S)

    assert told.payloads == [{"asked": "broken"}]


async def test_a_step_whose_work_fails_in_an_unforeseen_way_fails_the_story(bench: Bench) -> None:
    reached: list[str] = []

    async def broken() -> Json:
        raise KeyError("field")

    async def story(payload: Json, step: Step) -> None:
        await step("broken", broken)
        reached.append("after")

    journal = await bench.start(story=story)
    await journal.accept("k", "story", None)
    await journal.wait("k", timeout_s=SOON_S)

    assert reached == []


async def test_a_name_that_occurs_twice_fails_the_story(bench: Bench) -> None:
    effects: list[int] = []

    async def story(payload: Json, step: Step) -> None:
        await step("same", giving(1))
        await step("same", giving(2))
        effects.append(1)

    journal = await bench.start(story=story)
    await journal.accept("k", "story", None)
    await journal.wait("k", timeout_s=SOON_S)

    assert effects == []


async def test_cancelled_work_stops_where_it_stands_and_is_not_taken_up_again(bench: Bench) -> None:
    let_go: list[str] = []
    began: list[str] = []
    hanging = asyncio.Event()

    async def hang() -> Json:
        began.append("hang")
        hanging.set()
        try:
            await asyncio.Event().wait()
        finally:
            let_go.append("hang")

    async def story(payload: Json, step: Step) -> None:
        await step("hang", hang)

    journal = await bench.start(story=story)
    await journal.accept("k", "story", None)
    await asyncio.wait_for(hanging.wait(), SOON_S)

    await journal.cancel("k")
    await journal.wait("k", timeout_s=SOON_S)
    assert let_go == ["hang"]
    assert await journal.unfinished() == ()

    journal = await bench.restart(story=story)
    await journal.wait("k", timeout_s=SOON_S)
    assert began == ["hang"]


async def test_cancelling_what_is_unknown_or_ended_does_nothing(bench: Bench) -> None:
    journal = await bench.start(log=Log())
    await journal.accept("k", "log", 1)
    await journal.wait("k", timeout_s=SOON_S)

    await journal.cancel("k")
    await journal.cancel("never heard of")

    assert not await journal.accept("k", "log", 2)
    assert await journal.accept("never heard of", "log", 3)


async def test_waiting_ends_with_a_timeout_when_the_work_does_not(bench: Bench) -> None:
    async def story(payload: Json, step: Step) -> None:
        await asyncio.Event().wait()

    journal = await bench.start(story=story)
    await journal.accept("k", "story", None)

    with pytest.raises(TimeoutError):
        await journal.wait("k", timeout_s=0.05)
    with pytest.raises(TimeoutError):
        await journal.wait("unknown", timeout_s=0.05)
    assert await journal.unfinished() == ("k",)


async def test_steps_side_by_side_run_side_by_side(bench: Bench) -> None:
    meeting = asyncio.Barrier(3)
    got: list[Json] = []

    async def story(payload: Json, step: Step) -> None:
        async def meet() -> Json:
            async with meeting:
                return "met"

        got.extend(await asyncio.gather(*(step(f"look {n}", meet) for n in range(3))))

    journal = await bench.start(story=story)
    await journal.accept("k", "story", None)
    await journal.wait("k", timeout_s=SOON_S)

    assert got == ["met", "met", "met"]


async def test_a_journal_that_was_stopped_can_be_started_again(bench: Bench) -> None:
    stories: Mapping[str, Story] = {"log": (log := Log())}
    for n in range(3):
        journal = await bench.restart(**stories) if n else await bench.start(**stories)
        await journal.accept(f"k{n}", "log", n)
        await journal.wait(f"k{n}", timeout_s=SOON_S)

    assert log.payloads == [0, 1, 2]
