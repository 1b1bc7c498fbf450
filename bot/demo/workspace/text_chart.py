"""Slack's native charts and tables drawn with characters. Pure; every function gives lines no wider than `width`."""

from collections.abc import Sequence
from typing import Any

from bot.demo.workspace.state import Json

_LEVELS = "▁▂▃▄▅▆▇█"
_LONGEST_BAR = 40


def chart_lines(block: Json, width: int) -> list[str]:
    """A data_visualization block: a spark line a series for line and area, bars for bar and pie."""
    chart = block["chart"]
    title = f"[{chart['type']} chart] {block['title']}"
    if chart["type"] == "pie":
        total = sum(segment["value"] for segment in chart["segments"])
        rows = [(s["label"], s["value"], f"{100 * s['value'] / total:.0f} %") for s in chart["segments"]]
        return [title[:width], *_bars(rows, width)]
    if chart["type"] == "bar":
        rows = [
            (_bar_name(point["label"], series["name"], len(chart["series"])), point["value"], number(point["value"]))
            for series in chart["series"]
            for point in series["data"]
        ]
        return [title[:width], *_bars(rows, width)]
    return [title[:width], *_spark_lines(chart, width)]


def _bar_name(label: str, series: str, series_count: int) -> str:
    return f"{label} {series}" if series_count > 1 else label


def _bars(rows: Sequence[tuple[str, float, str]], width: int) -> list[str]:
    name_width = max(len(name) for name, _, _ in rows)
    figure_width = max(len(figure) for _, _, figure in rows)
    room = max(1, min(_LONGEST_BAR, width - name_width - figure_width - 2))
    largest = max(abs(value) for _, value, _ in rows) or 1
    lines = []
    for name, value, figure in rows:
        bar = "█" * round(room * abs(value) / largest)
        lines.append(f"{name:<{name_width}} {figure:>{figure_width}} {bar}"[:width].rstrip())
    return lines


def _spark_lines(chart: Json, width: int) -> list[str]:
    axis = chart["axis_config"]
    categories = axis["categories"]
    names = max(len(series["name"]) for series in chart["series"])
    stretch = max(1, min(3, (width - names - 24) // len(categories)))
    lines = []
    for series in chart["series"]:
        by_label = {point["label"]: point["value"] for point in series["data"]}
        values = [by_label[label] for label in categories]
        spark = "".join(_level(v, min(values), max(values)) * stretch for v in values)
        lines.append(f"{series['name']:<{names}} {spark} {number(min(values))} … {number(max(values))}")
    ends = f"{categories[0]} … {categories[-1]}" if len(categories) > 1 else categories[0]
    units = " · ".join(axis[name] for name in ("y_label", "x_label") if axis.get(name))
    lines.append(f"{'':<{names}} {ends}" + (f" ({units})" if units else ""))
    return [line[:width] for line in lines]


def _level(value: float, low: float, high: float) -> str:
    if high == low:
        return _LEVELS[0] if value == 0 else _LEVELS[3]
    return _LEVELS[round((len(_LEVELS) - 1) * (value - low) / (high - low))]


def number(value: float) -> str:
    """A number short enough for a chart: 1234.5 -> 1,234 and 0.012345 -> 0.0123."""
    if value == 0 or abs(value) >= 999.5:  # from here on three significant digits would print as 1e+03
        return f"{value:,.0f}"
    return f"{value:.3g}"


def table_lines(rows: Sequence[Sequence[str]], width: int, *, caption: str = "") -> list[str]:
    """A table with its columns aligned; cells that do not fit are cut with …, the first row is the header."""
    columns = max(len(row) for row in rows)
    filled = [[*row, *[""] * (columns - len(row))] for row in rows]
    room = max(3, (width - 2 * (columns - 1)) // columns)
    natural = [max(len(row[c]) for row in filled) for c in range(columns)]
    spare = sum(max(0, room - n) for n in natural)
    widths = [n if n <= room else min(n, room + spare // max(1, sum(m > room for m in natural))) for n in natural]
    lines = ["  ".join(_cell(row[c], widths[c]) for c in range(columns)).rstrip()[:width] for row in filled]
    rule = "  ".join("─" * w for w in widths)[:width]
    return [*([caption[:width]] if caption else []), lines[0], rule, *lines[1:]]


def _cell(text: str, width: int) -> str:
    return text.ljust(width) if len(text) <= width else text[: width - 1] + "…"


def cell_text(cell: Any) -> str:
    """What stands in one cell of a table block: raw text, a number, or the text of its rich text."""
    if not isinstance(cell, dict):
        return ""
    if cell.get("type") == "raw_number":
        return str(cell.get("text") or number(cell["value"]))
    if cell.get("type") == "raw_text":
        return str(cell.get("text", "")).replace("\n", " ")
    return " ".join(rich_text_lines(cell)).strip()


def rich_text_lines(block: Json) -> list[str]:
    """A rich_text block as lines of Slack markup: lists with bullets, quotes with >, code in backticks."""
    lines: list[str] = []
    for element in block.get("elements", ()):
        if element["type"] == "rich_text_list":
            ordered = element.get("style") == "ordered"
            indent = "  " * int(element.get("indent", 0))
            for index, item in enumerate(element["elements"], start=1):
                lines.append(f"{indent}{f'{index}.' if ordered else '•'} {_inline(item)}")
        elif element["type"] == "rich_text_preformatted":
            lines += ["```", *_inline(element).splitlines(), "```"]
        elif element["type"] == "rich_text_quote":
            lines += [f"> {line}" for line in _inline(element).splitlines()]
        else:
            lines += _inline(element).splitlines()
    return lines


def _inline(element: Json) -> str:
    return "".join(_inline_part(part) for part in element.get("elements", ()))


def _inline_part(part: Json) -> str:
    kind = part.get("type")
    if kind == "link":
        return f"<{part['url']}|{part['text']}>" if part.get("text") else f"<{part['url']}>"
    if kind == "date":
        return f"<!date^{part['timestamp']}^{part['format']}|{part.get('fallback', '')}>"
    by_id = {"user": "<@{user_id}>", "channel": "<#{channel_id}>", "usergroup": "<!subteam^{usergroup_id}>"}
    if kind in by_id:
        return by_id[kind].format(**part)
    if kind == "emoji":
        return f":{part['name']}:"
    if kind == "broadcast":
        return f"<!{part['range']}>"
    text = str(part.get("text", ""))
    return f"`{text}`" if part.get("style", {}).get("code") else text
