"""The seams: what workflows may ask of the outside world, with the promises every implementation keeps.

Rules for all of them:
- Times are UTC unix seconds, durations seconds. `timeout_s` is the whole time a call may take; when it is over the call
  raises, it never hangs. Cancelling the task closes the connection.
- Sources raise SourceUnavailable (down, slow, throttled) or QueryRefused (will never work) and nothing else; the workflow
  turns either into a Gap. They retry by themselves only what is safe and only within `timeout_s`.
- Label values and names arrive and leave as plain text; escaping is the adapter's work.
- tests/contract holds one suite per port that every implementation passes, the fakes in bot/demo included.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from bot.domain.alert import Alert
from bot.domain.change import Change
from bot.domain.codec import Json
from bot.domain.evidence import Evidence
from bot.domain.logs import LogLine
from bot.domain.query import ConfiguredLogQuery, LogCountQuery, LogQuery, Matcher, MetricQuery, Selector
from bot.domain.question import Question, Thread, ThreadMessage
from bot.domain.report import Ownership, Report
from bot.domain.scope import Scope, Window
from bot.domain.series import Series
from bot.domain.suggestion import Click, Decision, Suggestion


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesAnswer:
    """What a metric or count query gave.

    `query` is the exact text that was run, `link` opens it in the operator's own tool where one is configured,
    `warnings` are what the server said about partial data. All series share one grid; no series at all is a valid answer.
    """

    series: tuple[Series, ...]
    query: str
    link: str | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LinesAnswer:
    """What a log query gave, oldest first. `complete` is False when the limit cut it."""

    lines: tuple[LogLine, ...]
    query: str
    link: str | None = None
    complete: bool = True
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelSets:
    """The label sets of the series that exist. Metrics carry their name as `__name__`. `complete` is False when cut."""

    sets: tuple[Mapping[str, str], ...]
    complete: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricMetadata:
    """What the server knows of a metric: `kind` is counter, gauge, histogram, summary or unknown."""

    kind: str
    help: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """Whether a dependency answers; `detail` is its version or what went wrong."""

    ok: bool
    detail: str
    remedy: str = ""


class MetricSource(Protocol):
    """Numbers over time (Prometheus, Thanos, Mimir, VictoriaMetrics, the demo shop)."""

    @property
    def name(self) -> str: ...
    @property
    def environment(self) -> str | None:
        """The environment it belongs to; None serves all."""

    @property
    def service_labels(self) -> tuple[str, ...]:
        """The labels that name a service, best first (`service`, `app`, `job`, ...)."""

    @property
    def resolution_s(self) -> int:
        """About how far apart its samples are, in seconds: rate windows are four times this."""

    async def label_names(self, window: Window, *, timeout_s: float) -> frozenset[str]:
        """The names of the labels that exist in the window."""

    async def label_values(self, label: str, window: Window, *, timeout_s: float) -> tuple[str, ...]:
        """The values a label has in the window, sorted; empty when nothing has that label."""

    async def series(self, matchers: tuple[Matcher, ...], window: Window, *, timeout_s: float) -> LabelSets:
        """The series that fulfil the matchers and have samples in the window."""

    async def metadata(self, *, timeout_s: float) -> Mapping[str, MetricMetadata]:
        """What is known of each metric by name; histograms under their base name. Missing ones are simply absent."""

    async def range(self, query: MetricQuery, *, timeout_s: float) -> SeriesAnswer:
        """The query's points on its window. Times lie on multiples of the step; a missing point is NaN."""

    async def health(self, *, timeout_s: float) -> Health: ...


class LogSource(Protocol):
    """Log lines (Loki, the demo shop)."""

    @property
    def name(self) -> str: ...
    @property
    def environment(self) -> str | None: ...
    @property
    def service_labels(self) -> tuple[str, ...]: ...
    @property
    def level_label(self) -> str:
        """The label a count can be split by to get levels (`detected_level` for Loki 3)."""

    async def label_names(self, window: Window, *, timeout_s: float) -> frozenset[str]: ...

    async def label_values(self, label: str, window: Window, *, timeout_s: float) -> tuple[str, ...]: ...

    async def volume_bytes(self, selector: Selector, window: Window, *, timeout_s: float) -> int | None:
        """About how many bytes a query of these streams would read; None where the server cannot say."""

    async def count(self, query: LogCountQuery, *, timeout_s: float) -> SeriesAnswer:
        """Lines per step, on multiples of the step, stamped at the step's end. A step without lines is 0."""

    async def lines(self, query: LogQuery | ConfiguredLogQuery, *, timeout_s: float) -> LinesAnswer:
        """The lines, every one once, paging as needed up to the query's limit and the source's byte budget."""

    async def health(self, *, timeout_s: float) -> Health: ...


class AlertSource(Protocol):
    """Alerts that fire, with their rules."""

    @property
    def name(self) -> str: ...
    @property
    def environment(self) -> str | None: ...
    async def firing(self, *, timeout_s: float) -> tuple[Alert, ...]:
        """Alerts that fire now, oldest first."""


class ChangeSource(Protocol):
    """What was changed (git, deploy events in logs, the demo shop)."""

    @property
    def name(self) -> str: ...
    @property
    def environment(self) -> str | None: ...
    async def changes(self, services: Sequence[str], window: Window, *, timeout_s: float) -> tuple[Change, ...]:
        """Changes in the window that concern these services (or nobody knows which), oldest first. No services: all."""


Step = Callable[[str, Callable[[], Awaitable[Json]]], Awaitable[Json]]
"""Runs a named piece of outside work once: after a restart a finished step gives its stored result instead of running again.

A GroundwireError it raised is stored and raised again too. A name occurs once in a story, and a story takes its steps in the
same order every time; steps side by side are begun together. Results arrive as JSON leaves them (a tuple is a list).
"""

Story = Callable[[Json, Step], Awaitable[None]]
"""A workflow as the journal runs it: its input and the way to take steps."""


class Journal(Protocol):
    """Work that survives a crash. A key names its work for ever: the same key never runs twice."""

    async def start(self, stories: Mapping[str, Story]) -> None:
        """Opens the journal and goes on with unfinished work. `stories` are all workflows by name.

        When a story raises, its work has ended; the story called "<its name> failed" is told then, where there is one, with
        the same input.
        """

    async def accept(self, key: str, story: str, payload: Json) -> bool:
        """Work is durably on its way when this returns. False: this key was accepted before, nothing was added.

        Raises ValueError for a story nobody knows, StoreError when it could not be stored (or not in time: accepting the
        same key again is always safe).
        """

    async def wait(self, key: str, *, timeout_s: float) -> None:
        """Returns when the work has ended; raises TimeoutError when it has not in time."""

    async def unfinished(self) -> tuple[str, ...]:
        """The keys of work that has not ended, oldest first. A story that raised has ended."""

    async def cancel(self, key: str) -> None:
        """Stops the work where it stands; nothing happens when it has ended or is not known."""

    async def stop(self) -> None:
        """Within 10 s. Work that has not ended goes on at the next start."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Investigation:
    """A stored investigation: what was asked, where it is told and how far it is (`running`, `done`, `failed`).

    `first` is the key of the thread's first investigation when this one is a follow-up.
    """

    key: str
    question: Question
    state: str
    scope: Scope | None = None
    thread: Thread | None = None
    first: str | None = None

    @property
    def thread_key(self) -> str:
        """The key its evidence is numbered and kept under."""
        return self.first or self.key


class Store(Protocol):
    """What Groundwire remembers. Every row carries its team; keys are unique within it."""

    async def open(self) -> None:
        """Creates or migrates the tables. Raises StoreError for a newer schema than this version knows."""

    async def close(self) -> None: ...
    async def health(self) -> Health: ...
    async def save_investigation(self, investigation: Investigation) -> None:
        """Inserts or replaces by key."""

    async def investigation(self, key: str) -> Investigation | None: ...

    async def investigation_in(self, team_id: str, thread: Thread) -> Investigation | None:
        """The newest investigation told in this thread."""

    async def running(self, team_id: str) -> tuple[Investigation, ...]: ...

    async def save_evidence(self, team_id: str, thread_key: str, evidence: Sequence[Evidence]) -> None:
        """Adds evidence to a thread's numbering (`thread_key`: the key of its first investigation); same id, same row."""

    async def evidence(self, team_id: str, thread_key: str) -> tuple[Evidence, ...]:
        """All evidence of a thread in order of number."""

    async def save_report(self, team_id: str, report: Report) -> None:
        """Keeps the report and its suggestions."""

    async def report(self, investigation: str) -> Report | None: ...

    async def suggestion(self, suggestion_id: str) -> tuple[Suggestion, str] | None:
        """The suggestion and the key of its investigation."""

    async def decide(self, team_id: str, decision: Decision) -> Decision:
        """Records the first decision on a suggestion and returns the one that stands: compare, it may be an earlier one."""

    async def decision(self, suggestion_id: str) -> Decision | None: ...

    async def save_feedback(self, team_id: str, investigation: str, user_id: str, helpful: bool, at_s: float) -> None:
        """One voice a person and investigation; the last one counts."""


class Notifier(Protocol):
    """Where people read answers. Every method may raise SlackError with a remedy."""

    async def announce(self, question: Question, scope: Scope) -> Thread:
        """Says what was understood; gives the thread the answer will be told in."""

    async def progress(self, thread: Thread, question: Question, scope: Scope, text: str) -> None:
        """Updates what the root message says about the work. May be dropped when it comes too often."""

    async def give_up(self, thread: Thread, question: Question, scope: Scope, text: str) -> None:
        """Says on the root message, whatever stood there, that the work has ended without a report."""

    async def publish(self, thread: Thread, question: Question, report: Report) -> None:
        """Tells the report and its suggestions in the thread. Repeated for one report, it is shown once."""

    async def point_to(self, question: Question, thread: Thread) -> None:
        """Tells the asker that this is being looked at already, and where."""

    async def answer(self, question: Question, text: str) -> None:
        """A plain answer for everyone where the question was asked: in its thread, or in the channel. May hold time marks."""

    async def whisper(self, channel_id: str, user_id: str, text: str, *, thread: str | None = None) -> None:
        """A sentence only this person sees: in the channel, or as a direct message where the bot is not a member."""

    async def show_decision(self, click: Click, suggestion: Suggestion, decision: Decision) -> None:
        """Replaces the buttons of a suggestion by who decided what, for everyone."""

    async def read_thread(self, channel_id: str, thread: str) -> tuple[ThreadMessage, ...]:
        """The root message and recent replies, oldest first; empty where it cannot be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Somebody in the workspace. `zone` is an IANA name. `full_member` is False for guests, strangers and apps."""

    id: str
    name: str
    zone: str
    full_member: bool


class Directory(Protocol):
    """People, groups and channels."""

    async def person(self, user_id: str) -> Person | None: ...
    async def groups_of(self, user_id: str) -> frozenset[str]:
        """Ids of the user groups the person is in now."""

    async def is_member(self, channel_id: str) -> bool:
        """Whether the bot can post in the channel."""

    async def is_shared_outside(self, channel_id: str) -> bool:
        """Whether people of other companies read the channel."""


class Clock(Protocol):
    """Time. `now_s` is UTC unix seconds and may jump; `elapsed_s` only ever grows and is for durations."""

    def now_s(self) -> float: ...
    def elapsed_s(self) -> float: ...


class Meter(Protocol):
    """The bot's own metrics. Names and labels are listed in docs/operate.md."""

    def count(self, name: str, *, by: float = 1, **labels: str) -> None: ...
    def time(self, name: str, seconds: float, **labels: str) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """Everything evidence comes from."""

    metrics: tuple[MetricSource, ...] = ()
    logs: tuple[LogSource, ...] = ()
    alerts: tuple[AlertSource, ...] = ()
    changes: tuple[ChangeSource, ...] = ()

    @property
    def servers(self) -> tuple[MetricSource | LogSource, ...]:
        """The sources that stand for a server each and can say how it is."""
        return (*self.metrics, *self.logs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """All seams in one bundle, built once by wiring."""

    sources: Sources
    store: Store
    journal: Journal
    notifier: Notifier
    directory: Directory
    clock: Clock
    meter: Meter
    ownership: Mapping[str, Ownership] = field(default_factory=dict)
