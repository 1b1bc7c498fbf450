"""Where and when an investigation looks."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A span of time, `start_s <= t < end_s`, in UTC unix seconds."""

    start_s: float
    end_s: float

    def __post_init__(self) -> None:
        if not self.start_s < self.end_s:
            raise ValueError(f"a window must end after it starts: {self.start_s} .. {self.end_s}")

    @property
    def duration_s(self) -> float:
        return self.end_s - self.start_s

    def shifted(self, by_s: float) -> "Window":
        """The same length of time, `by_s` seconds later (earlier when negative)."""
        return Window(start_s=self.start_s + by_s, end_s=self.end_s + by_s)

    def covers(self, at_s: float) -> bool:
        return self.start_s <= at_s < self.end_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """`caller` sends requests to `callee`."""

    caller: str
    callee: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What was understood of a question.

    `service` is the one asked about (None: everything), `neighbours` the services it depends on or that depend on it,
    nearest first. `baseline` lies before `window` and is what normal looks like. `assumptions` are sentences for people.
    """

    service: str | None
    neighbours: tuple[str, ...] = ()
    edges: tuple[Edge, ...] = ()
    environment: str | None = None
    namespace: str | None = None
    window: Window
    baseline: Window
    zone: str = "UTC"
    assumptions: tuple[str, ...] = ()

    @property
    def services(self) -> tuple[str, ...]:
        """Every service in scope, the one asked about first."""
        return ((self.service,) if self.service else ()) + self.neighbours

    @property
    def whole(self) -> Window:
        """Baseline and incident as one window, as a look queries it."""
        return Window(start_s=self.baseline.start_s, end_s=self.window.end_s)
