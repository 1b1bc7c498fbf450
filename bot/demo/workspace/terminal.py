"""A Slack thread as plain text for a terminal."""

import re
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo

from bot.demo.workspace.mrkdwn import plain
from bot.demo.workspace.state import Json, Message
from bot.demo.workspace.text_chart import cell_text, chart_lines, rich_text_lines, table_lines

_NARROWEST = 40
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029]")
_CODE_BLOCK = re.compile(r"```(.*?)```", re.DOTALL)
_MARKDOWN_HEADING = re.compile(r"^#{1,6}\s+(.+)$", re.MULTILINE)
_MARKDOWN_LINK = re.compile(r"\[([^\]\n]+)\]\(([^)\s]+)\)")
_MARKDOWN_BOLD = re.compile(r"\*\*(\S(?:[^*\n]*\S)?)\*\*")
_TASK_MARK = {"pending": "[ ]", "in_progress": "[~]", "complete": "[x]", "error": "[!]"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What rendering needs to know: the width that is left, the reader's zone, and the names behind ids."""

    width: int
    tz: tzinfo
    names: Mapping[str, str]

    def plain(self, text: str) -> str:
        """Slack markup as text."""
        return plain(text, tz=self.tz, names=self.names)

    def wrapped(self, text: str) -> list[str]:
        """Slack markup as lines that fit; code blocks are indented and cut instead of re-flowed, list items hang."""
        lines: list[str] = []
        for index, part in enumerate(_CODE_BLOCK.split(self.plain(text))):
            if index % 2:
                lines += [f"  {line}"[: self.width] for line in part.strip("\n").split("\n")]
            elif part.strip("\n") or not index:
                lines += [wrapped for line in part.strip("\n").split("\n") for wrapped in self._wrapped_line(line)]
        return lines

    def _wrapped_line(self, line: str) -> list[str]:
        hang = re.match(r"\s*(?:[•\-*>]|\d+\.)?\s*", line)
        indent = " " * min(len(hang[0]) if hang else 0, self.width // 2)
        return textwrap.wrap(
            line, self.width, subsequent_indent=indent, break_on_hyphens=False, replace_whitespace=False
        ) or [""]


def render_thread(
    messages: Sequence[Message], *, width: int = 100, tz: tzinfo, names: Mapping[str, str] | None = None
) -> str:
    """The thread, root first, replies indented; times and date tokens in `tz`, ids written as `names` say.

    No line is longer than `width` characters (at least 40), and no control character of a message reaches the terminal.
    """
    wide = max(width, _NARROWEST)
    lines: list[str] = []
    for message in messages:
        margin = "  │ " if message.thread_ts else ""
        page = Page(width=wide - len(margin), tz=tz, names=names or {})
        lines += [f"{margin}{line}".rstrip() for line in _message_lines(message, page)]
        lines.append(margin.rstrip())
    return "\n".join(_CONTROL.sub(" ", line) for line in lines).rstrip() + "\n" if lines else ""


def _message_lines(message: Message, page: Page) -> Iterator[str]:
    author = message.username or page.names.get(message.user or "", message.user or message.bot_id or "?")
    at = datetime.fromtimestamp(float(message.ts), page.tz).strftime("%H:%M")
    marks = " (edited)" if message.edited_ts else ""
    yield f"{author}  {at}{marks}" + (" (only visible to you)" if message.to_user else "")
    typed_by_person = message.user and not message.bot_id
    if message.text and (not message.blocks or typed_by_person):
        yield from page.wrapped(message.text)
    if not typed_by_person:
        yield from _blocks(message.blocks, page)
    for attachment in message.attachments:
        yield from _attachment(attachment, page)
    for file in message.files:
        yield f"[file {file}]"
    if message.reactions:
        yield " ".join(page.plain(f":{name}: {len(users)}") for name, users in message.reactions)


def _blocks(blocks: Sequence[Json], page: Page) -> Iterator[str]:
    for block in blocks:
        yield from _BLOCKS.get(block["type"], _unknown)(block, page)


def _attachment(attachment: Json, page: Page) -> Iterator[str]:
    inner = Page(width=page.width - 2, tz=page.tz, names=page.names)
    lines: list[str] = []
    title, link = attachment.get("title", ""), attachment.get("title_link", "")
    for text in (attachment.get("pretext", ""), f"<{link}|{title}>" if title and link else title):
        lines += inner.wrapped(text) if text else []
    if attachment.get("text"):
        lines += inner.wrapped(attachment["text"])
    for field in attachment.get("fields", ()):
        lines += inner.wrapped(f"{field.get('title', '')}: {field.get('value', '')}")
    lines += list(_blocks(attachment.get("blocks", ()), inner))
    if not lines and attachment.get("fallback"):
        lines = inner.wrapped(attachment["fallback"])
    yield from (f"▌ {line}" for line in lines)


def _header(block: Json, page: Page) -> Iterator[str]:
    title = page.plain(block["text"]["text"])
    yield from textwrap.wrap(title, page.width)
    yield "═" * min(len(title), page.width)


def _section(block: Json, page: Page) -> Iterator[str]:
    if "text" in block:
        yield from page.wrapped(block["text"]["text"])
    texts = [page.plain(field["text"]).replace("\n", " ") for field in block.get("fields", ())]
    half = (page.width - 2) // 2
    for left, right in zip(texts[::2], [*texts[1::2], ""], strict=False):
        if max(len(left), len(right)) <= half:
            yield f"{left:<{half}}  {right}".rstrip()
        else:
            yield from (line for text in (left, right) if text for line in page.wrapped(text))
    if "accessory" in block:
        yield from _buttons([block["accessory"]], page)


def _context(block: Json, page: Page) -> Iterator[str]:
    texts = [element.get("text") or element.get("alt_text", "") for element in block["elements"]]
    yield from page.wrapped(" · ".join(texts))


def _actions(block: Json, page: Page) -> Iterator[str]:
    yield from _buttons(block["elements"], page)


def _buttons(elements: Sequence[Json], page: Page) -> Iterator[str]:
    labels: list[str] = []
    for element in elements:
        if element["type"] == "feedback_buttons":
            labels += [element[side]["text"]["text"] for side in ("positive_button", "negative_button")]
        elif element["type"] == "image":
            labels.append(element["alt_text"])
        else:
            labels.append((element.get("text") or element.get("placeholder") or {"text": element["type"]})["text"])
    shown = "  ".join(f"[{page.plain(label)}]".replace(" ", "\N{NO-BREAK SPACE}") for label in labels)
    yield from (line.replace("\N{NO-BREAK SPACE}", " ") for line in textwrap.wrap(shown, page.width))


def _divider(_block: Json, page: Page) -> Iterator[str]:
    yield "─" * page.width


def _markdown(block: Json, page: Page) -> Iterator[str]:
    escaped = block["text"].replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    parts = re.split(r"(```.*?```)", escaped, flags=re.DOTALL)
    yield from page.wrapped("".join(part if i % 2 else _as_mrkdwn(part) for i, part in enumerate(parts)))


def _as_mrkdwn(markdown: str) -> str:
    bold = _MARKDOWN_BOLD.sub(r"*\1*", markdown)
    return _MARKDOWN_HEADING.sub(lambda found: found[1].upper(), _MARKDOWN_LINK.sub(r"<\2|\1>", bold))


def _rich_text(block: Json, page: Page) -> Iterator[str]:
    yield from page.wrapped("\n".join(rich_text_lines(block)))


def _table(block: Json, page: Page) -> Iterator[str]:
    rows = [[page.plain(cell_text(cell)) for cell in row] for row in block["rows"]]
    yield from table_lines(rows, page.width, caption=block.get("caption", ""))


def _chart(block: Json, page: Page) -> Iterator[str]:
    yield from chart_lines(block, page.width)


def _image(block: Json, page: Page) -> Iterator[str]:
    yield f"[image: {block.get('alt_text', '')}]"[: page.width]


def _alert(block: Json, page: Page) -> Iterator[str]:
    yield from page.wrapped(f"! {block['text']['text']}")


def _plan(block: Json, page: Page) -> Iterator[str]:
    yield from page.wrapped(block["title"])
    for task in block.get("tasks", ()):
        yield from _task(task, page)


def _task(block: Json, page: Page) -> Iterator[str]:
    yield f"{_TASK_MARK.get(block['status'], '[?]')} {block['title']}"[: page.width]


def _container(block: Json, page: Page) -> Iterator[str]:
    if "title" in block:
        yield from page.wrapped(block["title"]["text"])
    yield from _blocks(block.get("blocks", ()), page)


def _unknown(block: Json, _page: Page) -> Iterator[str]:
    yield f"[{block['type']}]"


_BLOCKS: Mapping[str, Callable[[Json, Page], Iterator[str]]] = {
    "actions": _actions,
    "alert": _alert,
    "container": _container,
    "context": _context,
    "context_actions": _actions,
    "data_table": _table,
    "data_visualization": _chart,
    "divider": _divider,
    "header": _header,
    "image": _image,
    "markdown": _markdown,
    "plan": _plan,
    "rich_text": _rich_text,
    "section": _section,
    "table": _table,
    "task_card": _task,
}
