"""A report's chart as Slack's native line chart, with the onset to be seen, and the same in words.

Slack's limits (block reference, "data visualization"): a title of 50 characters, 20 points a series, names and labels of 20
characters, a number at every point. Longer series are averaged in groups; a group without a sample of every series is left out.
"""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from bot.domain.report import Chart, ChartSeries
from bot.evidence.wording import change, quantity
from handlers.slack.text import Block, clip, context, escape, label, moment, prose

POINTS = 20
TITLE_CHARS = 50
NAME_CHARS = 20
_DAY_S = 86_400


def chart_blocks(chart: Chart, zone: str) -> list[Block]:
    """The chart and its words; the words alone when there are too few points to draw."""
    groups = _groups(chart)
    words = context(chart_words(chart))
    if len(groups) < 2 or not 1 <= len(chart.series) <= 5:
        return [words]
    return [_drawn(chart, groups, zone), words]


def chart_words(chart: Chart) -> str:
    """What the chart shows, for readers without it: the finding's own values, else typical ones on both sides of the onset."""
    alone = len(chart.series) == 1  # then the title has said whose it is
    told = change(chart.before, chart.after, chart.unit)
    parts = [told] if told and alone else [_typical(chart, series, named=not alone) for series in chart.series]
    onset = f"; onset {moment(chart.onset_s)}" if chart.onset_s is not None else ""
    return f"{escape(clip(chart.title, 200))}: {', '.join(parts) or 'no samples'}{onset} {prose(f'[{chart.evidence}]')}"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Group:
    """Neighbouring points as one: its span in seconds and one value a series."""

    start_s: float
    end_s: float
    values: tuple[float, ...]


def _drawn(chart: Chart, groups: Sequence[_Group], zone: str) -> Block:
    factor, unit = _scale(chart.unit, max(abs(v) for g in groups for v in g.values))
    onset = _onset_group(chart, groups)
    place = _zone(zone)
    labels = _labels(groups, place, onset)
    names = _names(chart.series)
    drawn = [_series(name, labels, [g.values[i] * factor for g in groups]) for i, name in enumerate(names)]
    if onset is not None:
        drawn.append(_series(_free("onset", names), labels, _spike(drawn, onset, len(groups))))
    axis = {"categories": labels, "x_label": label(f"time ({place.key})", TITLE_CHARS)}
    if unit:
        axis["y_label"] = unit
    title = label(chart.title, TITLE_CHARS)
    return {
        "type": "data_visualization",
        "title": title,
        "chart": {"type": "line", "series": drawn, "axis_config": axis},
    }


def _series(name: str, labels: Sequence[str], values: Sequence[float]) -> Block:
    points = [{"label": at, "value": _figures(value)} for at, value in zip(labels, values, strict=True)]
    return {"name": name, "data": points}


def _groups(chart: Chart) -> list[_Group]:
    times = chart.times_s
    size = max(1, math.ceil(len(times) / POINTS))
    step = times[1] - times[0] if len(times) > 1 else 1.0
    groups = []
    for first in range(0, len(times), size):
        last = min(first + size, len(times))
        values = tuple(_mean(s.values[first:last]) for s in chart.series)
        if all(math.isfinite(v) for v in values):
            groups.append(_Group(start_s=times[first], end_s=times[last - 1] + step, values=values))
    return groups


def _mean(values: Sequence[float]) -> float:
    known = [v for v in values if math.isfinite(v)]
    return statistics.fmean(known) if known else math.nan


def _onset_group(chart: Chart, groups: Sequence[_Group]) -> int | None:
    """The group the onset lies in, else the first after it (its own group may have no samples)."""
    if chart.onset_s is None:
        return None
    return next((i for i, group in enumerate(groups) if chart.onset_s < group.end_s), None)


def _spike(drawn: Sequence[Block], onset: int, count: int) -> list[float]:
    """A vertical line at the onset: the lowest value everywhere, the highest there."""
    values = [point["value"] for series in drawn for point in series["data"]]
    return [max(values) if i == onset else min(values) for i in range(count)]


def _labels(groups: Sequence[_Group], zone: ZoneInfo, onset: int | None) -> list[str]:
    """One label a group, all different; the onset's says so."""
    long = groups[-1].end_s - groups[0].start_s > _DAY_S
    shape = ("%d %b " if long else "") + ("%H:%M:%S" if groups[0].end_s - groups[0].start_s < 60 else "%H:%M")
    labels = [datetime.fromtimestamp(g.start_s, zone).strftime(shape) for g in groups]
    if onset is not None:
        labels[onset] = clip(f"{labels[onset]} onset", NAME_CHARS)
    seen: set[str] = set()
    for i, text in enumerate(labels):
        labels[i] = _free(text, seen)
        seen.add(labels[i])
    return labels


def _names(series: Sequence[ChartSeries]) -> list[str]:
    names: list[str] = []
    for one in series:
        names.append(_free(label(one.name, NAME_CHARS), names))
    return names


def _free(name: str, taken: Sequence[str] | set[str]) -> str:
    """The name, numbered where it is taken: Slack refuses two of a name (a night with a clock change has two 02:30)."""
    number, free = 2, name
    while free in taken:
        free = f"{clip(name, NAME_CHARS - 3)} {number}"
        number += 1
    return free


def _typical(chart: Chart, series: ChartSeries, *, named: bool) -> str:
    pairs = [(t, v) for t, v in zip(chart.times_s, series.values, strict=False) if math.isfinite(v)]
    name = f"{escape(clip(series.name, 80))} " if named else ""
    if not pairs:
        return f"{name}no samples"
    onset = chart.onset_s
    before = [v for t, v in pairs if onset is None or t < onset]
    after = [v for t, v in pairs if onset is not None and t >= onset]
    values = [quantity(statistics.median(side), chart.unit) for side in (before, after) if side]
    return name + " → ".join(values)


def _scale(unit: str, largest: float) -> tuple[float, str]:
    """What to multiply with and the unit to write, so that the axis has readable numbers."""
    if unit == "ratio":
        return 100.0, "%"
    if unit == "s" and largest < 1:
        return 1000.0, "ms"
    if unit == "bytes":
        for size, name in ((1024.0**3, "GiB"), (1024.0**2, "MiB"), (1024.0, "KiB")):
            if largest >= size:
                return 1 / size, name
    return 1.0, label(unit, TITLE_CHARS) if unit else ""


def _figures(value: float) -> float:
    """Four figures: more cannot be seen."""
    return float(f"{value:.4g}")


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return ZoneInfo("UTC")
