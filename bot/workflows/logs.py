"""The looks at logs: counts by level first, then lines of the services that matter, mined into patterns."""

import asyncio
import math
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from bot.domain.evidence import Pattern, PatternsBody, SeriesBody, ServiceSeries, Signal
from bot.domain.query import LogCountQuery, LogQuery, Matcher, Op, Selector, one_of
from bot.domain.report import Gap
from bot.domain.scope import Scope, Window
from bot.domain.series import Series
from bot.evidence.patterns import Sample, buckets_over, patterns_in
from bot.evidence.seasonal import level_shift
from bot.ports import LinesAnswer, LogSource, SeriesAnswer
from bot.reasoning.inventory import service_in
from bot.reasoning.planning import aligned, step_for, within
from bot.workflows.discover import LogSurvey
from bot.workflows.looking import Lookout
from bot.workflows.minting import Draft

# Lines are read for at most this many services; the rest are only counted.
SERVICES_READ = 8
# So many of them are chosen by what metrics show, and read when that is known; the others need not wait for it.
SUSPECTS_READ = 2
# What is not chatter is read whole, up to this many lines a side; of the chatter the newest lines are a sample.
LOUD_LINES = 5000
QUIET_LINES = 1000
# A service whose window holds more than this is read for the newer half of it, and so on (bytes).
BYTES_MAX = 200_000_000
# With fewer lines its size is not asked: they would have to be 40 kB long each.
LINES_UNMEASURED = 5000
# A pattern list longer than this is cut by count: what is rare and unchanged helps nobody.
PATTERNS_MAX = 60
_STEP_S = 30
_CHATTER = "(?i)info|information|notice|debug|trace"
_LOUD = frozenset({"error", "err", "critical", "crit", "fatal", "panic", "alert", "emergency", "severe"})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Streams:
    """The log streams of one service in one source: `values` of the source's service label stand for it."""

    source: LogSource
    label: str
    values: tuple[str, ...]
    service: str
    inside: tuple[Matcher, ...]

    @property
    def selector(self) -> Selector:
        return Selector(matchers=(one_of(self.label, self.values), *self.inside))


async def look_at_logs(
    surveys: Sequence[LogSurvey], scope: Scope, lookout: Lookout, suspects: Awaitable[Sequence[str]]
) -> tuple[Draft, ...]:
    """Error counts of all services, then the patterns of those that matter, in a fixed order.

    These are the one asked about, those whose errors rose most and, of the rest, the first `suspects`: services whose metrics
    left their normal most, strongest first. They are waited for only where not all services can be read.
    """
    chosen = [s for s in surveys if scope.environment is None or s.source.environment in (None, scope.environment)]
    found = await asyncio.gather(*(_look_at(survey, scope, lookout, suspects) for survey in chosen))
    return tuple(draft for drafts in found for draft in drafts)


async def _look_at(
    survey: LogSurvey, scope: Scope, lookout: Lookout, suspects: Awaitable[Sequence[str]]
) -> list[Draft]:
    streams = _streams(survey, scope)
    if not streams:
        return []
    counted = await _count(survey, streams, scope, lookout)
    errors = _errors(counted, streams, survey) if counted else None
    ordered = _first_to_read(streams, errors, scope)
    at_once = SERVICES_READ if len(ordered) <= SERVICES_READ else SERVICES_READ - SUSPECTS_READ
    async with asyncio.TaskGroup() as tasks:
        reading = [
            tasks.create_task(_read(one, scope, lookout, _lines_of(one, counted, scope.window)))
            for one in ordered[:at_once]
        ]
        if len(ordered) > at_once:
            ordered[at_once:] = _suspects_first(ordered[at_once:], await suspects)
            reading += [
                tasks.create_task(_read(one, scope, lookout, _lines_of(one, counted, scope.window)))
                for one in ordered[at_once:SERVICES_READ]
            ]
    lookout.extra_gaps += _not_read(ordered[SERVICES_READ:])
    drafts = [
        _with_total(draft, counted, one)
        for one, draft in zip(ordered, (task.result() for task in reading), strict=False)  # the rest is not read
        if draft
    ]
    return [*_errors_draft(survey.source, counted, errors, scope), *drafts]


def _streams(survey: LogSurvey, scope: Scope) -> tuple[_Streams, ...]:
    values: dict[str, list[str]] = {}
    for value in survey.values:
        service = value if value in scope.services else service_in(value, scope.services)
        if service is not None:
            values.setdefault(service, []).append(value)
    inside = tuple(m for m in within(scope) if m.label in survey.labels)
    return tuple(
        _Streams(source=survey.source, label=survey.label, values=tuple(named), service=service, inside=inside)
        for service, named in sorted(values.items())
    )


async def _count(survey: LogSurvey, streams: Sequence[_Streams], scope: Scope, lookout: Lookout) -> SeriesAnswer | None:
    """Lines a step by service and level, baseline and incident: one cheap query that parses nothing."""
    step_s = step_for(scope.whole, _STEP_S)
    query = LogCountQuery(
        selector=Selector(
            matchers=(one_of(survey.label, tuple(v for s in streams for v in s.values)), *streams[0].inside)
        ),
        window=aligned(scope.whole, step_s).shifted(step_s),  # a point is stamped at the end of the step it counts
        step_s=step_s,
        by=(survey.label, survey.source.level_label),
    )
    return await lookout.look(survey.source.name, "line counts by level", partial(survey.source.count, query))


def _errors(counted: SeriesAnswer, streams: Sequence[_Streams], survey: LogSurvey) -> SeriesBody:
    """Error lines a minute of each service."""
    service_of = {value: s.service for s in streams for value in s.values}
    sums: dict[str, Series] = {}
    for series in counted.series:
        service = service_of.get(series.labels.get(survey.label, ""))
        if service is None or series.labels.get(survey.source.level_label, "").lower() not in _LOUD:
            continue
        per_minute = tuple(v * 60 / series.step_s for v in series.values)
        held = sums.get(service)
        values = per_minute if held is None else tuple(a + b for a, b in zip(held.values, per_minute, strict=True))
        sums[service] = Series(
            labels={survey.label: service}, start_s=series.start_s, step_s=series.step_s, values=values
        )
    entries = tuple(ServiceSeries(service=service, series=series) for service, series in sorted(sums.items()))
    return SeriesBody(signal=Signal.LOGS, measure="error lines", unit="/min", series=entries)


def _errors_draft(
    source: LogSource, counted: SeriesAnswer | None, errors: SeriesBody | None, scope: Scope
) -> list[Draft]:
    if counted is None or errors is None or not errors.series:
        return []
    return [
        Draft(
            title=f"error lines a minute of {len(errors.series)} services",
            source=source.name,
            query=counted.query,
            window=scope.whole,
            body=errors,
            link=counted.link,
            warnings=counted.warnings,
        )
    ]


def _first_to_read(streams: Sequence[_Streams], errors: SeriesBody | None, scope: Scope) -> list[_Streams]:
    """The service asked about, whose lines are always read, then those whose errors rose most."""
    rise = {e.service: level_shift(e.series, scope) or 0.0 for e in errors.series} if errors else {}
    return sorted(streams, key=lambda s: (s.service != scope.service, -rise.get(s.service, 0.0), s.service))


def _suspects_first(streams: Sequence[_Streams], suspects: Sequence[str]) -> list[_Streams]:
    place = {service: number for number, service in enumerate(suspects)}
    return sorted(streams, key=lambda s: place.get(s.service, len(place)))  # the others keep their order


def _not_read(streams: Sequence[_Streams]) -> list[Gap]:
    if not streams:
        return []
    return [
        Gap(
            what=f"log lines of {', '.join(s.service for s in streams)}",
            why=f"lines are read for {SERVICES_READ} services; the errors of these changed least",
            remedy="Ask about one of them.",
        )
    ]


async def _read(streams: _Streams, scope: Scope, lookout: Lookout, lines: float) -> Draft | None:
    """The patterns of one service: what is not chatter as whole as the limits allow, chatter as a sample."""
    few = lines < LINES_UNMEASURED
    baseline, window = (scope.baseline, scope.window) if few else await _affordable(streams, scope, lookout)
    level = streams.source.level_label
    loud = Matcher(label=level, value=_CHATTER, op=Op.NOT_MATCHES)
    quiet = Matcher(label=level, value=_CHATTER, op=Op.MATCHES)
    asked = [
        (baseline, loud, LOUD_LINES),
        (window, loud, LOUD_LINES),
        (baseline, quiet, QUIET_LINES),
        (window, quiet, QUIET_LINES),
    ]
    answers = await asyncio.gather(*(_lines(streams, when, where, limit, lookout) for when, where, limit in asked))
    buckets = buckets_over(aligned(scope.whole, _STEP_S), step_for(scope.whole, _STEP_S))
    patterns: list[Pattern] = []
    read: list[LinesAnswer] = []
    for side in (0, 2):  # loud, then quiet: each as baseline and incident, which only say something together
        before, after = answers[side], answers[side + 1]
        if before is not None and after is not None:
            samples = _sample(before, baseline), _sample(after, window)
            patterns += patterns_in(streams.service, *samples, scope, buckets)
            read += [before, after]
    if not read:
        return None
    return Draft(
        title=f"log patterns of {streams.service}",
        source=streams.source.name,
        query="\n".join(dict.fromkeys(answer.query for answer in read)),
        window=scope.whole,
        body=PatternsBody(
            patterns=tuple(patterns[:PATTERNS_MAX]),
            lines_read=sum(len(answer.lines) for answer in read),
            lines_total=None,
            bucket_start_s=buckets.start_s,
            bucket_step_s=buckets.step_s,
        ),
        link=next((answer.link for answer in read if answer.link), None),
        warnings=tuple(dict.fromkeys(w for answer in read for w in answer.warnings)),
    )


async def _affordable(streams: _Streams, scope: Scope, lookout: Lookout) -> tuple[Window, Window]:
    """Baseline and window, or the newest part of each that stays within the byte budget.

    Only the window is measured: the baseline, which is quieter as a rule, is taken to be as dense.
    """
    name, what = streams.source.name, f"size of the logs of {streams.service}"
    size = await lookout.look(name, what, partial(streams.source.volume_bytes, streams.selector, scope.window))
    if not size:
        return scope.baseline, scope.window
    affordable_s = scope.window.duration_s * BYTES_MAX / size
    if affordable_s < scope.window.duration_s:
        lookout.extra_gaps.append(
            Gap(
                what=f"{name}: older log lines of {streams.service}",
                why=f"the window holds about {size // 1_000_000} MB, so only its last {round(affordable_s / 60)} min were read",
                remedy="Ask about a narrower window.",
            )
        )
    return _newest(scope.baseline, affordable_s), _newest(scope.window, affordable_s)


def _newest(window: Window, longest_s: float) -> Window:
    return Window(start_s=max(window.start_s, window.end_s - longest_s), end_s=window.end_s)


async def _lines(streams: _Streams, window: Window, where: Matcher, limit: int, lookout: Lookout) -> LinesAnswer | None:
    query = LogQuery(selector=streams.selector, window=window, where=(where,), limit=limit)
    what = f"log lines of {streams.service}"
    return await lookout.look(streams.source.name, what, partial(streams.source.lines, query))


def _sample(answer: LinesAnswer, window: Window) -> Sample:
    """The lines and how many seconds they cover: all of the window, or back to the oldest line where the limit cut."""
    covered_s = window.duration_s
    if not answer.complete and answer.lines:
        covered_s = max(window.end_s - answer.lines[0].ts_ns / 1e9, 1.0)
    return Sample(lines=answer.lines, window=window, covered_s=covered_s)


def _with_total(draft: Draft, counted: SeriesAnswer | None, streams: _Streams) -> Draft:
    """The draft with the number of lines that exist, where the count told it."""
    body = draft.body
    if counted is None or not isinstance(body, PatternsBody):
        return draft
    return replace(draft, body=replace(body, lines_total=round(_lines_of(streams, counted, None))))


def _lines_of(streams: _Streams, counted: SeriesAnswer | None, window: Window | None) -> float:
    """How many lines these streams were counted to have in the window (None: in all); infinite where nothing was counted."""
    if counted is None:
        return math.inf
    mine = (s for s in counted.series if s.labels.get(streams.label) in streams.values)
    counts = (s.values if window is None else s.within(window) for s in mine)
    return sum(v for values in counts for v in values if not math.isnan(v))
