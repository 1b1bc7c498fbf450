"""Log patterns of one service, counted in baseline and incident over one common set of templates."""

from collections.abc import Iterator
from dataclasses import dataclass

from bot.domain.evidence import Pattern
from bot.domain.logs import LogLine
from bot.domain.scope import Scope, Window
from bot.evidence.templates import Template, mine


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """Lines of a window. `covered_s` is how much of it they stand for: less than all of it where a limit cut them."""

    lines: tuple[LogLine, ...]
    window: Window
    covered_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Buckets:
    """An even grid over baseline and incident that patterns are counted on (seconds)."""

    start_s: float
    step_s: float
    number: int

    def edges(self) -> Iterator[float]:
        return (self.start_s + i * self.step_s for i in range(1, self.number))


def buckets_over(window: Window, step_s: float) -> Buckets:
    """Buckets from the start of the window until its end is covered."""
    return Buckets(start_s=window.start_s, step_s=step_s, number=max(1, -int(-window.duration_s // step_s)))


def patterns_in(service: str, before: Sample, after: Sample, scope: Scope, buckets: Buckets) -> tuple[Pattern, ...]:
    """The patterns of both samples, those that changed most in number first.

    Where a limit cut a sample its counts are scaled up to the whole baseline or incident, so that the two can be compared.
    """
    cuts = sorted({scope.window.start_s, *buckets.edges()})
    templates = mine((*before.lines, *after.lines), cuts_ns=[round(cut * 1e9) for cut in cuts])
    onset = cuts.index(scope.window.start_s) + 1
    scale_before = scope.baseline.duration_s / before.covered_s
    scale_after = scope.window.duration_s / after.covered_s
    found = (
        _pattern(
            service,
            template,
            before=round(sum(template.counts[:onset]) * scale_before),
            after=round(sum(template.counts[onset:]) * scale_after),
            buckets=_per_bucket(template, cuts, buckets),
        )
        for template in templates
    )
    return tuple(sorted(found, key=lambda p: (-abs(p.after - p.before), p.template_id)))


def _pattern(service: str, template: Template, *, before: int, after: int, buckets: tuple[int, ...]) -> Pattern:
    return Pattern(
        template_id=template.template_id,
        text=template.pattern,
        service=service,
        level=template.level,
        before=before,
        after=after,
        first_seen_s=template.first_seen_ns / 1e9,
        last_seen_s=template.last_seen_ns / 1e9,
        examples=template.examples,
        buckets=buckets,
    )


def _per_bucket(template: Template, cuts: list[float], buckets: Buckets) -> tuple[int, ...]:
    """Counts on the even grid: the extra cut at the window's start is taken out again."""
    counts = [0] * buckets.number
    starts = [buckets.start_s, *cuts]
    for start_s, count in zip(starts, template.counts, strict=True):
        counts[min(int((start_s - buckets.start_s) // buckets.step_s), buckets.number - 1)] += count
    return tuple(counts)
