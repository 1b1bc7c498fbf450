"""What Slack finds wrong with a list of blocks, said the way Slack says it. Pure.

Limits are those of the Block Kit reference and of the validators in slack_sdk 3.47. Two are not documented and were reported by
users: a third chart in one message is refused, and so is a second table.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

Rule = Callable[[Any, str], Iterator[str]]

CHART_KINDS = ("pie", "bar", "line", "area")
CHARTS_PER_MESSAGE = 2
TABLES_PER_MESSAGE = 1
TABLE_CHARS = 10_000
TASK_STATUSES = ("pending", "in_progress", "complete", "error")
ALERT_LEVELS = ("default", "info", "warning", "error", "success")
MODAL_ONLY = ("alert",)
BUTTON_LIKE = ("button", "workflow_button", "icon_button")


def problems(
    blocks: Sequence[Any], *, surface: str, alert_in_messages: bool = False, pointer: str = "/blocks"
) -> Iterator[str]:
    """Everything wrong with these blocks on this surface (message, modal, home); nothing when Slack would take them.

    Each problem ends with a JSON pointer to the place, as in Slack's `response_metadata.messages`.
    """
    for index, block in enumerate(blocks):
        where = f"{pointer}/{index}"
        kind = str(block.get("type")) if isinstance(block, dict) else ""
        if kind not in RULES:
            yield _wrong(f"unsupported type: {kind}", f"{where}/type")
            continue
        if surface == "message" and kind in MODAL_ONLY and not alert_in_messages:
            yield _wrong(f"{kind} blocks are not allowed in messages", where)
        yield from _text_size(block.get("block_id", ""), f"{where}/block_id", most=255, least=0)
        yield from RULES[kind](block, where)
    yield from _shared_ids(blocks, pointer)
    if surface == "message":
        yield from _too_many_of("data_visualization", CHARTS_PER_MESSAGE, blocks, pointer)
        yield from _too_many_of("table", TABLES_PER_MESSAGE, blocks, pointer)


def _wrong(what: str, where: str) -> str:
    return f"[ERROR] {what} [json-pointer:{where}]"


def _shared_ids(blocks: Sequence[Any], pointer: str) -> Iterator[str]:
    seen: set[str] = set()
    for index, block in enumerate(blocks):
        identity = str(block.get("block_id") or "") if isinstance(block, dict) else ""
        if identity and identity in seen:
            yield _wrong(f"`block_id` already exists: {identity}", f"{pointer}/{index}/block_id")
        seen.add(identity)


def _too_many_of(kind: str, most: int, blocks: Sequence[Any], pointer: str) -> Iterator[str]:
    places = [i for i, b in enumerate(blocks) if isinstance(b, dict) and b.get("type") == kind]
    if len(places) > most:
        yield _wrong(f"no more than {most} {kind} blocks allowed", f"{pointer}/{places[most]}")


def _text_size(value: Any, where: str, *, most: int, least: int = 1) -> Iterator[str]:
    if not isinstance(value, str):
        yield _wrong("must be a string", where)
    elif len(value) > most:
        yield _wrong(f"must be less than {most + 1} characters", where)
    elif len(value) < least:
        yield _wrong("must be more than 0 characters", where)


def _text(value: Any, where: str, *, most: int = 3000, plain: bool = False) -> Iterator[str]:
    """A composition text object: {"type": "plain_text" | "mrkdwn", "text": …}."""
    if not isinstance(value, dict):
        yield _wrong("must provide an object", where)
        return
    allowed = ("plain_text",) if plain else ("plain_text", "mrkdwn")
    if value.get("type") not in allowed:
        yield _wrong(f"must be one of: {', '.join(allowed)}", f"{where}/type")
    yield from _text_size(value.get("text"), f"{where}/text", most=most)


def _items(value: Any, where: str, *, most: int, least: int = 1) -> Iterator[str]:
    if not isinstance(value, list):
        yield _wrong("must be an array", where)
    elif len(value) > most:
        yield _wrong(f"no more than {most} items allowed", where)
    elif len(value) < least:
        yield _wrong(f"no fewer than {least} items allowed", where)


def _section(block: Any, where: str) -> Iterator[str]:
    if not block.get("text") and not block.get("fields"):
        yield _wrong("must provide either text or fields", where)
    if "text" in block:
        yield from _text(block["text"], f"{where}/text")
    if "fields" in block:
        yield from _items(block["fields"], f"{where}/fields", most=10)
        for index, value in enumerate(_listed(block["fields"])):
            yield from _text(value, f"{where}/fields/{index}", most=2000)
    if "accessory" in block:
        yield from _element(block["accessory"], f"{where}/accessory")


def _header(block: Any, where: str) -> Iterator[str]:
    yield from _text(block.get("text"), f"{where}/text", most=150, plain=True)


def _context(block: Any, where: str) -> Iterator[str]:
    yield from _items(block.get("elements"), f"{where}/elements", most=10)
    for index, element in enumerate(_listed(block.get("elements"))):
        rule = _image if isinstance(element, dict) and element.get("type") == "image" else _text
        yield from rule(element, f"{where}/elements/{index}")


def _actions(block: Any, where: str) -> Iterator[str]:
    yield from _elements(block, where, most=25)


def _context_actions(block: Any, where: str) -> Iterator[str]:
    yield from _elements(block, where, most=5)
    for index, element in enumerate(_listed(block.get("elements"))):
        if isinstance(element, dict) and element.get("type") not in ("feedback_buttons", "icon_button"):
            yield _wrong("must be one of: feedback_buttons, icon_button", f"{where}/elements/{index}/type")


def _elements(block: Any, where: str, *, most: int) -> Iterator[str]:
    yield from _items(block.get("elements"), f"{where}/elements", most=most)
    seen: set[str] = set()
    for index, element in enumerate(_listed(block.get("elements"))):
        yield from _element(element, f"{where}/elements/{index}")
        identity = str(element.get("action_id") or "") if isinstance(element, dict) else ""
        if identity and identity in seen:
            yield _wrong(f"`action_id` already exists: {identity}", f"{where}/elements/{index}/action_id")
        seen.add(identity)


def _element(element: Any, where: str) -> Iterator[str]:
    if not isinstance(element, dict) or not isinstance(element.get("type"), str):
        yield _wrong("must provide an element with a type", where)
        return
    if "action_id" in element:
        yield from _text_size(element["action_id"], f"{where}/action_id", most=255)
    if "placeholder" in element:
        yield from _text(element["placeholder"], f"{where}/placeholder", most=150, plain=True)
    if element["type"] in BUTTON_LIKE:
        yield from _button(element, where)
    elif element["type"] == "feedback_buttons":
        for side in ("positive_button", "negative_button"):
            yield from _button(_objects([element.get(side)])[0], f"{where}/{side}")
    elif element["type"] == "image":
        yield from _image(element, where)
    if "options" in element:
        yield from _options(element, where)


def _button(element: Any, where: str) -> Iterator[str]:
    yield from _text(element.get("text"), f"{where}/text", most=75, plain=True)
    for name, most in (("value", 2000), ("url", 3000), ("accessibility_label", 75)):
        if name in element:
            yield from _text_size(element[name], f"{where}/{name}", most=most, least=0)
    if element.get("style", "primary") not in ("primary", "danger"):
        yield _wrong("must be one of: primary, danger", f"{where}/style")
    if "confirm" in element:
        yield from _confirm(element["confirm"], f"{where}/confirm")


def _confirm(confirm: Any, where: str) -> Iterator[str]:
    for name, most in (("title", 100), ("text", 300), ("confirm", 30), ("deny", 30)):
        if isinstance(confirm, dict) and (name in confirm or name == "text"):
            yield from _text(confirm.get(name), f"{where}/{name}", most=most, plain=name != "text")


def _options(element: Any, where: str) -> Iterator[str]:
    most = {"overflow": 5, "radio_buttons": 10, "checkboxes": 10}.get(element["type"], 100)
    yield from _items(element["options"], f"{where}/options", most=most)
    for index, option in enumerate(_objects(element["options"])):
        here = f"{where}/options/{index}"
        yield from _text(option.get("text"), f"{here}/text", most=75)
        yield from _text_size(option.get("value"), f"{here}/value", most=150)


def _image(block: Any, where: str) -> Iterator[str]:
    if "slack_file" not in block:
        yield from _text_size(block.get("image_url"), f"{where}/image_url", most=3000)
    yield from _text_size(block.get("alt_text"), f"{where}/alt_text", most=2000)


def _input(block: Any, where: str) -> Iterator[str]:
    yield from _text(block.get("label"), f"{where}/label", most=2000, plain=True)
    yield from _element(block.get("element"), f"{where}/element")


def _markdown(block: Any, where: str) -> Iterator[str]:
    yield from _text_size(block.get("text"), f"{where}/text", most=12_000)


def _rich_text(block: Any, where: str) -> Iterator[str]:
    kinds = ("rich_text_section", "rich_text_list", "rich_text_preformatted", "rich_text_quote")
    yield from _items(block.get("elements"), f"{where}/elements", most=1000)
    for index, element in enumerate(_listed(block.get("elements"))):
        if not isinstance(element, dict) or element.get("type") not in kinds:
            yield _wrong(f"must be one of: {', '.join(kinds)}", f"{where}/elements/{index}/type")


def _table(block: Any, where: str) -> Iterator[str]:
    yield from _rows(block.get("rows"), f"{where}/rows", most=100, least=1)
    if "column_settings" in block:
        yield from _items(block["column_settings"], f"{where}/column_settings", most=20)


def _data_table(block: Any, where: str) -> Iterator[str]:
    rows = block.get("rows")
    yield from _rows(rows, f"{where}/rows", most=101, least=2)
    yield from _text_size(block.get("caption"), f"{where}/caption", most=3000)
    size = block.get("page_size", 5)
    if not isinstance(size, int) or not 1 <= size <= 100:
        yield _wrong("must be between 1 and 100", f"{where}/page_size")
    for index, cell in enumerate(_listed(_listed(rows)[0]) if _listed(rows) else ()):
        if isinstance(cell, dict) and cell.get("type") == "rich_text":
            yield _wrong("rich_text is not allowed in the header row", f"{where}/rows/0/{index}")


def _rows(rows: Any, where: str, *, most: int, least: int) -> Iterator[str]:
    yield from _items(rows, where, most=most, least=least)
    widths = {len(row) for row in _listed(rows) if isinstance(row, list)}
    if len(widths) > 1:
        yield _wrong("all rows must have the same number of cells", where)
    characters = 0
    for r, row in enumerate(_listed(rows)):
        yield from _items(row, f"{where}/{r}", most=20)
        for c, cell in enumerate(_listed(row)):
            kind = cell.get("type") if isinstance(cell, dict) else None
            if kind not in ("raw_text", "raw_number", "rich_text"):
                yield _wrong("must be one of: raw_text, raw_number, rich_text", f"{where}/{r}/{c}/type")
            elif kind == "raw_text":
                yield from _text_size(cell.get("text"), f"{where}/{r}/{c}/text", most=TABLE_CHARS)
                characters += len(str(cell.get("text", "")))
    if characters > TABLE_CHARS:
        yield _wrong(f"cells must hold less than {TABLE_CHARS + 1} characters in all", where)


def _data_visualization(block: Any, where: str) -> Iterator[str]:
    yield from _text_size(block.get("title"), f"{where}/title", most=50)
    chart = block.get("chart")
    if not isinstance(chart, dict) or chart.get("type") not in CHART_KINDS:
        yield _wrong(f"must be one of: {', '.join(CHART_KINDS)}", f"{where}/chart/type")
    elif chart["type"] == "pie":
        yield from _pie(chart, f"{where}/chart")
    else:
        yield from _series_chart(chart, f"{where}/chart")


def _pie(chart: Any, where: str) -> Iterator[str]:
    yield from _items(chart.get("segments"), f"{where}/segments", most=6)
    for index, segment in enumerate(_objects(chart.get("segments"))):
        yield from _text_size(segment.get("label"), f"{where}/segments/{index}/label", most=20)
        value = segment.get("value")
        if value is None or not _is_number(value) or value <= 0:
            yield _wrong("must be greater than 0", f"{where}/segments/{index}/value")


def _series_chart(chart: Any, where: str) -> Iterator[str]:
    axis = chart.get("axis_config")
    categories = _listed(axis.get("categories")) if isinstance(axis, dict) else []
    yield from _items(categories, f"{where}/axis_config/categories", most=20)
    for index, category in enumerate(categories):
        yield from _text_size(category, f"{where}/axis_config/categories/{index}", most=20)
    for name in ("x_label", "y_label"):
        if isinstance(axis, dict) and name in axis:
            yield from _text_size(axis[name], f"{where}/axis_config/{name}", most=50)
    yield from _items(chart.get("series"), f"{where}/series", most=6)
    names = [series.get("name") for series in _objects(chart.get("series"))]
    if len(set(map(str, names))) < len(names):
        yield _wrong("series names must be unique", f"{where}/series")
    for index, series in enumerate(_objects(chart.get("series"))):
        yield from _series(series, f"{where}/series/{index}", categories)


def _series(series: Any, where: str, categories: Sequence[Any]) -> Iterator[str]:
    yield from _text_size(series.get("name"), f"{where}/name", most=20)
    yield from _items(series.get("data"), f"{where}/data", most=20)
    points = _objects(series.get("data"))
    labels = [point.get("label") for point in points]
    if len(labels) != len(categories) or sorted(map(str, labels)) != sorted(map(str, categories)):
        yield _wrong("labels must match the axis categories", f"{where}/data")
    for index, point in enumerate(points):
        if not _is_number(point.get("value")):
            yield _wrong("must be a number", f"{where}/data/{index}/value")


def _plan(block: Any, where: str) -> Iterator[str]:
    yield from _text_size(block.get("title"), f"{where}/title", most=3000)
    for index, task in enumerate(_objects(block.get("tasks"))):
        yield from _task_card(task, f"{where}/tasks/{index}")


def _task_card(block: Any, where: str) -> Iterator[str]:
    yield from _text_size(block.get("task_id"), f"{where}/task_id", most=255)
    yield from _text_size(block.get("title"), f"{where}/title", most=3000)
    if block.get("status") not in TASK_STATUSES:
        yield _wrong(f"must be one of: {', '.join(TASK_STATUSES)}", f"{where}/status")


def _alert(block: Any, where: str) -> Iterator[str]:
    yield from _text(block.get("text"), f"{where}/text")
    if block.get("level", "default") not in ALERT_LEVELS:
        yield _wrong(f"must be one of: {', '.join(ALERT_LEVELS)}", f"{where}/level")


def _card(block: Any, where: str) -> Iterator[str]:
    if not any(name in block for name in ("hero_image", "title", "actions", "body")):
        yield _wrong("must provide hero_image, title, actions or body", where)
    for name, most in (("title", 150), ("subtitle", 150), ("body", 200)):
        if name in block:
            yield from _text(block[name], f"{where}/{name}", most=most)


def _container(block: Any, where: str) -> Iterator[str]:
    if "title" in block:
        yield from _text(block["title"], f"{where}/title", most=150)
    yield from _items(block.get("blocks"), f"{where}/blocks", most=10)
    yield from problems(_listed(block.get("blocks")), surface="container", pointer=f"{where}/blocks")


def _carousel(block: Any, where: str) -> Iterator[str]:
    yield from _items(block.get("elements"), f"{where}/elements", most=10)


def _anything(_block: Any, _where: str) -> Iterator[str]:
    return iter(())


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _objects(value: Any) -> list[dict[str, Any]]:
    """The items, with {} where something else stands: its missing fields are then what is wrong."""
    return [item if isinstance(item, dict) else {} for item in _listed(value)]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


RULES: Mapping[str, Rule] = {
    "actions": _actions,
    "alert": _alert,
    "card": _card,
    "carousel": _carousel,
    "container": _container,
    "context": _context,
    "context_actions": _context_actions,
    "data_table": _data_table,
    "data_visualization": _data_visualization,
    "divider": _anything,
    "file": _anything,
    "header": _header,
    "image": _image,
    "input": _input,
    "markdown": _markdown,
    "plan": _plan,
    "rich_text": _rich_text,
    "section": _section,
    "table": _table,
    "task_card": _task_card,
    "video": _anything,
}
