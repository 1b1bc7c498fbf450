"""Slack's text as plain words: tokens become what a reader sees, entities become characters."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

QUESTION_CHARS = 2000

_TOKEN = re.compile(r"<([^<>]*)>")
_ENTITIES = (("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&"))  # the ampersand last: "&amp;lt;" means "&lt;"
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
WORDS_CHARS = 8000  # enough of one message for evidence; an app may post 40,000


def words(text: str) -> str:
    """What a reader sees: names instead of ids, labels instead of links (and the link where it has none)."""
    seen = _TOKEN.sub(lambda token: _seen(token.group(1)), text)
    for entity, character in _ENTITIES:
        seen = seen.replace(entity, character)
    return _CONTROL.sub(" ", seen)[:WORDS_CHARS]


def question_words(text: str, bot_user_id: str) -> str:
    """What was asked: the message without the mention of the bot, on one line, at most 2,000 characters."""
    without = re.sub(rf"<@{re.escape(bot_user_id)}(\|[^<>]*)?>", " ", text)
    return " ".join(words(without).split())[:QUESTION_CHARS]


def mentions(text: str, user_id: str) -> bool:
    return re.search(rf"<@{re.escape(user_id)}[|>]", text) is not None


def message_words(message: Mapping[str, Any]) -> str:
    """Everything a reader sees of a message: its text, else its blocks, and its attachments."""
    lines = [line for chunk in chunks(message) for line in chunk]
    return words("\n".join(lines)).strip()


def chunks(message: Mapping[str, Any]) -> Iterator[list[str]]:
    """The message as lists of Slack text, one for the message itself and one for each attachment."""
    blocks = list(_block_texts(message.get("blocks")))
    text = _text(message.get("text"))
    # A person's blocks are their text again; an app's text may be only a stand-in for its blocks.
    yield [text, *blocks] if not text or message.get("bot_id") else [text]
    for attachment in _dicts(message.get("attachments")):
        yield list(_attachment_texts(attachment))


def _attachment_texts(attachment: Mapping[str, Any]) -> Iterator[str]:
    said = [_text(attachment.get(name)) for name in ("pretext", "title", "text")]
    fields = [f"{_text(f.get('title'))}: {_text(f.get('value'))}" for f in _dicts(attachment.get("fields"))]
    blocks = list(_block_texts(attachment.get("blocks")))
    shown = [line for line in (*said, *fields, *blocks) if line]
    yield from shown or [_text(attachment.get("fallback"))]


def _block_texts(node: Any) -> Iterator[str]:
    """Every text in blocks, in reading order; a rich text section is one line."""
    if isinstance(node, list):
        for item in node:
            yield from _block_texts(item)
    elif isinstance(node, dict):
        if node.get("type") in ("rich_text_section", "rich_text_preformatted", "rich_text_quote"):
            yield "".join(_inline(element) for element in _dicts(node.get("elements")))
        elif isinstance(node.get("text"), str):
            yield node["text"]
        else:
            for value in node.values():
                yield from _block_texts(value)


def _inline(element: Mapping[str, Any]) -> str:
    if element.get("type") == "link":
        label = _text(element.get("text"))
        return f"<{_text(element.get('url'))}{'|' + label if label else ''}>"
    return _text(element.get("text"))


def _seen(token: str) -> str:
    target, _, label = token.partition("|")
    if label:
        return label if target[:1] not in "@#" else target[0] + label
    return target.removeprefix("!")


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _dicts(value: Any) -> list[Mapping[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
