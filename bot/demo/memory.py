"""In-memory implementations of the ports that are not sources: they behave, they forget everything at the end.

Whatever goes in passes through JSON, as in the real journal and store, so that what cannot be stored fails here too.
"""

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from bot.domain.codec import Json, from_json, to_json
from bot.domain.evidence import Evidence
from bot.domain.question import Question, Thread, ThreadMessage
from bot.domain.report import Report
from bot.domain.scope import Scope
from bot.domain.suggestion import Click, Decision, Suggestion
from bot.errors import GroundwireError
from bot.ports import Health, Investigation, Person, Story


class ManualClock:
    """A clock that moves when told to. Starts at `now_s` (UTC unix seconds)."""

    def __init__(self, now_s: float = 1_760_000_000.0) -> None:
        self._now_s = now_s
        self._elapsed_s = 0.0

    def now_s(self) -> float:
        return self._now_s

    def elapsed_s(self) -> float:
        return self._elapsed_s

    def advance(self, seconds: float) -> None:
        """Time passes, on both clocks."""
        self._now_s += seconds
        self._elapsed_s += seconds


class RecordingMeter:
    """Keeps what was counted and timed, by metric name."""

    def __init__(self) -> None:
        self.counts: dict[tuple[str, tuple[tuple[str, str], ...]], float] = {}
        self.times: dict[tuple[str, tuple[tuple[str, str], ...]], list[float]] = {}

    def count(self, name: str, *, by: float = 1, **labels: str) -> None:
        key = (name, tuple(sorted(labels.items())))
        self.counts[key] = self.counts.get(key, 0) + by

    def time(self, name: str, seconds: float, **labels: str) -> None:
        self.times.setdefault((name, tuple(sorted(labels.items()))), []).append(seconds)

    def counted(self, name: str, **labels: str) -> float:
        """The sum of a counter over all label sets that have these labels."""
        return sum(
            by for (named, held), by in self.counts.items() if named == name and labels.items() <= dict(held).items()
        )


@dataclass(slots=True, kw_only=True)
class _Work:
    story: str
    payload: str
    steps: dict[str, str] = field(default_factory=dict)
    refusals: dict[str, GroundwireError] = field(default_factory=dict)
    ended: bool = False
    failure: BaseException | None = None
    task: asyncio.Task[None] | None = None


class MemoryJournal:
    """The Journal port on tasks of this process.

    `stop` then `start` behaves like a crash and a restart: unfinished stories begin again, finished steps keep their
    result. `failure(key)` is what a story raised.
    """

    def __init__(self) -> None:
        self._stories: Mapping[str, Story] = {}
        self._work: dict[str, _Work] = {}
        self._running = False
        self._changed = asyncio.Condition()

    async def start(self, stories: Mapping[str, Story]) -> None:
        self._stories = stories
        self._running = True
        for key, work in self._work.items():
            if not work.ended:
                self._run(key, work)

    async def accept(self, key: str, story: str, payload: Json) -> bool:
        if key in self._work:
            return False
        if self._running and story not in self._stories:
            raise ValueError(f"no story is called {story!r}")
        work = self._work[key] = _Work(story=story, payload=json.dumps(payload))
        if self._running:
            self._run(key, work)
        return True

    async def wait(self, key: str, *, timeout_s: float) -> None:
        async with asyncio.timeout(timeout_s), self._changed:
            await self._changed.wait_for(lambda: key in self._work and self._work[key].ended)

    async def unfinished(self) -> tuple[str, ...]:
        return tuple(key for key, work in self._work.items() if not work.ended)

    async def cancel(self, key: str) -> None:
        work = self._work.get(key)
        if work is None or work.ended:
            return
        await _cancelled(work)
        await self._end(work)

    async def stop(self) -> None:
        self._running = False
        for work in self._work.values():
            await _cancelled(work)

    @property
    def accepted(self) -> tuple[str, ...]:
        """Every key accepted so far, in order."""
        return tuple(self._work)

    def payload(self, key: str) -> Json:
        """What was accepted under the key."""
        return json.loads(self._work[key].payload)

    def failure(self, key: str) -> BaseException | None:
        """What the story of this key raised; None when it ended well or has not ended."""
        return self._work[key].failure

    def _run(self, key: str, work: _Work) -> None:
        work.task = asyncio.create_task(self._tell(work), name=key)

    async def _tell(self, work: _Work) -> None:
        taken: set[str] = set()

        async def step(name: str, effect: Callable[[], Awaitable[Json]]) -> Json:
            if name in taken:
                raise ValueError(f"the step {name!r} occurs twice in one story")
            taken.add(name)
            if name in work.refusals:
                raise work.refusals[name]
            if name not in work.steps:
                try:
                    work.steps[name] = json.dumps(await effect())
                except GroundwireError as error:
                    work.refusals[name] = error
                    raise
            return json.loads(work.steps[name])

        telling = asyncio.ensure_future(self._stories[work.story](json.loads(work.payload), step))
        try:
            await asyncio.wait([telling])
        except asyncio.CancelledError:
            telling.cancel()
            await asyncio.wait([telling])
            raise
        work.failure = None if telling.cancelled() else telling.exception()
        if work.failure is not None and f"{work.story} failed" in self._stories:
            with contextlib.suppress(GroundwireError):
                await self._stories[f"{work.story} failed"](json.loads(work.payload), step)
        await self._end(work)

    async def _end(self, work: _Work) -> None:
        async with self._changed:
            work.ended = True
            self._changed.notify_all()


async def _cancelled(work: _Work) -> None:
    if work.task is not None and not work.task.done():
        work.task.cancel()
        await asyncio.wait([work.task])


class MemoryStore:
    """The Store port in dicts."""

    def __init__(self) -> None:
        self._investigations: dict[str, Json] = {}
        self._evidence: dict[tuple[str, str], dict[str, Json]] = {}
        self._reports: dict[str, Json] = {}
        self._suggestions: dict[str, tuple[Json, str]] = {}
        self._decisions: dict[str, Json] = {}
        self.feedback: dict[tuple[str, str, str], tuple[bool, float]] = {}

    async def open(self) -> None:
        """Nothing to create."""

    async def close(self) -> None:
        """Nothing to let go of."""

    async def health(self) -> Health:
        return Health(ok=True, detail="in memory")

    async def save_investigation(self, investigation: Investigation) -> None:
        self._investigations[investigation.key] = _stored(investigation)

    async def investigation(self, key: str) -> Investigation | None:
        data = self._investigations.get(key)
        return None if data is None else from_json(Investigation, data)

    async def investigation_in(self, team_id: str, thread: Thread) -> Investigation | None:
        told = [i for i in self._all(team_id) if i.thread == thread]
        return max(told, key=lambda i: i.question.asked_at_s, default=None)

    async def running(self, team_id: str) -> tuple[Investigation, ...]:
        return tuple(i for i in self._all(team_id) if i.state == "running")

    async def save_evidence(self, team_id: str, thread_key: str, evidence: Sequence[Evidence]) -> None:
        rows = self._evidence.setdefault((team_id, thread_key), {})
        rows.update({e.id: _stored(e) for e in evidence})

    async def evidence(self, team_id: str, thread_key: str) -> tuple[Evidence, ...]:
        rows = self._evidence.get((team_id, thread_key), {})
        return tuple(from_json(Evidence, rows[number]) for number in sorted(rows, key=lambda e: int(e[1:])))

    async def save_report(self, team_id: str, report: Report) -> None:
        self._reports[report.investigation] = _stored(report)
        for suggestion in report.suggestions:
            self._suggestions[suggestion.id] = (_stored(suggestion), report.investigation)

    async def report(self, investigation: str) -> Report | None:
        data = self._reports.get(investigation)
        return None if data is None else from_json(Report, data)

    async def suggestion(self, suggestion_id: str) -> tuple[Suggestion, str] | None:
        row = self._suggestions.get(suggestion_id)
        return None if row is None else (from_json(Suggestion, row[0]), row[1])

    async def decide(self, team_id: str, decision: Decision) -> Decision:
        return from_json(Decision, self._decisions.setdefault(decision.suggestion_id, _stored(decision)))

    async def decision(self, suggestion_id: str) -> Decision | None:
        data = self._decisions.get(suggestion_id)
        return None if data is None else from_json(Decision, data)

    async def save_feedback(self, team_id: str, investigation: str, user_id: str, helpful: bool, at_s: float) -> None:
        self.feedback[team_id, investigation, user_id] = (helpful, at_s)

    def _all(self, team_id: str) -> list[Investigation]:
        every = (from_json(Investigation, data) for data in self._investigations.values())
        return [i for i in every if i.question.team_id == team_id]


def _stored(noun: object) -> Json:
    return json.loads(json.dumps(to_json(noun)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Whisper:
    """A sentence only one person saw."""

    channel_id: str
    user_id: str
    text: str
    thread: str | None


class RecordingNotifier:
    """The Notifier port into lists. `threads` holds what `read_thread` gives, by channel and root."""

    def __init__(self) -> None:
        self.announced: list[tuple[Question, Scope, Thread]] = []
        self.progressed: list[tuple[Thread, str]] = []
        self.published: list[tuple[Thread, Question, Report]] = []
        self.pointed: list[tuple[Question, Thread]] = []
        self.answered: list[tuple[Question, str]] = []
        self.given_up: list[tuple[Thread, str]] = []
        self.whispered: list[Whisper] = []
        self.decisions: list[tuple[Click, Suggestion, Decision]] = []
        self.threads: dict[Thread, tuple[ThreadMessage, ...]] = {}

    async def announce(self, question: Question, scope: Scope) -> Thread:
        ts = question.thread or f"{question.asked_at_s + len(self.announced):.6f}"
        thread = Thread(channel_id=question.channel_id, ts=ts)
        self.announced.append((question, scope, thread))
        return thread

    async def progress(self, thread: Thread, question: Question, scope: Scope, text: str) -> None:
        self.progressed.append((thread, text))

    async def give_up(self, thread: Thread, question: Question, scope: Scope, text: str) -> None:
        self.given_up.append((thread, text))

    async def publish(self, thread: Thread, question: Question, report: Report) -> None:
        if all(shown.investigation != report.investigation for _, _, shown in self.published):
            self.published.append((thread, question, report))

    async def point_to(self, question: Question, thread: Thread) -> None:
        self.pointed.append((question, thread))

    async def answer(self, question: Question, text: str) -> None:
        self.answered.append((question, text))

    async def whisper(self, channel_id: str, user_id: str, text: str, *, thread: str | None = None) -> None:
        self.whispered.append(Whisper(channel_id=channel_id, user_id=user_id, text=text, thread=thread))

    async def show_decision(self, click: Click, suggestion: Suggestion, decision: Decision) -> None:
        self.decisions.append((click, suggestion, decision))

    async def read_thread(self, channel_id: str, thread: str) -> tuple[ThreadMessage, ...]:
        return self.threads.get(Thread(channel_id=channel_id, ts=thread), ())


class FixedDirectory:
    """The Directory port over what it was given. The bot is in every channel that is not in `not_in`.

    With no `people` everybody is a full member with the zone UTC.
    """

    def __init__(
        self,
        people: Sequence[Person] = (),
        *,
        groups: Mapping[str, Sequence[str]] | None = None,
        not_in: Sequence[str] = (),
        shared: Sequence[str] = (),
    ) -> None:
        self._people = {person.id: person for person in people}
        self._groups = dict(groups or {})
        self._not_in = frozenset(not_in)
        self._shared = frozenset(shared)

    async def person(self, user_id: str) -> Person | None:
        if not self._people:
            return Person(id=user_id, name=user_id, zone="UTC", full_member=True)
        return self._people.get(user_id)

    async def groups_of(self, user_id: str) -> frozenset[str]:
        return frozenset(group for group, users in self._groups.items() if user_id in users)

    async def is_member(self, channel_id: str) -> bool:
        return channel_id not in self._not_in

    async def is_shared_outside(self, channel_id: str) -> bool:
        return channel_id in self._shared
