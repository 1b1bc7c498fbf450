"""A journal that counts: what came in and what became of it, and how long each kind of request took."""

from collections.abc import Mapping

from bot.domain.codec import Json
from bot.errors import StoreError
from bot.ports import Clock, Journal, Meter, Step, Story


class CountingJournal:
    """The same journal, with `groundwire_slack_events_total` and the two `llm_developer_` metrics kept.

    The kind of an event and the type of a request are the name of its story. A request takes from its beginning to its end,
    however it ends; after a restart it counts again.
    """

    def __init__(self, journal: Journal, meter: Meter, clock: Clock) -> None:
        self._journal = journal
        self._meter = meter
        self._clock = clock

    async def start(self, stories: Mapping[str, Story]) -> None:
        await self._journal.start({name: self._timed(name, story) for name, story in stories.items()})

    async def accept(self, key: str, story: str, payload: Json) -> bool:
        try:
            new = await self._journal.accept(key, story, payload)
        except StoreError:
            self._became(story, "failed")
            raise
        self._became(story, "accepted" if new else "repeated")
        return new

    async def wait(self, key: str, *, timeout_s: float) -> None:
        await self._journal.wait(key, timeout_s=timeout_s)

    async def unfinished(self) -> tuple[str, ...]:
        return await self._journal.unfinished()

    async def cancel(self, key: str) -> None:
        await self._journal.cancel(key)

    async def stop(self) -> None:
        await self._journal.stop()

    def _became(self, kind: str, outcome: str) -> None:
        self._meter.count("groundwire_slack_events_total", kind=kind, outcome=outcome)

    def _timed(self, name: str, story: Story) -> Story:
        async def told(payload: Json, step: Step) -> None:
            began_s = self._clock.elapsed_s()
            self._meter.count("llm_developer_requests_total", request_type=name)
            try:
                await story(payload, step)
            finally:
                self._meter.time("llm_developer_latency_ms", self._clock.elapsed_s() - began_s, request_type=name)

        return told
