"""One Slack message, and how much of it fits.

Slack takes 50 blocks a message; its limit on text is not documented and was measured by users at about 13,200 characters.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from handlers.slack.text import Block, context

BLOCKS = 50
CHARS = 12_500


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """Blocks and the text that stands for them in notifications and where blocks cannot be shown."""

    text: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Blocks that stay together. `name` is what is said when they had to go; the highest `rank` goes first."""

    name: str
    rank: int
    blocks: tuple[Block, ...]


def fitted(parts: Sequence[Part], *, most_blocks: int = BLOCKS, most_chars: int = CHARS) -> tuple[Block, ...]:
    """The parts in their order as far as they fit, and a last line that names what was left out."""
    kept, gone = list(parts), list[Part]()
    while kept and not _fits(_blocks(kept, gone), most_blocks, most_chars):
        least = max(kept, key=lambda part: part.rank)
        kept.remove(least)
        gone.append(least)
    return _blocks(kept, gone)


def within(lines: Sequence[str], most_chars: int = CHARS) -> list[str]:
    """The lines as far as they fit, and a last one that says when they did not."""
    kept, used = list[str](), 0
    for line in lines:
        used += len(line) + 1
        if used > most_chars:
            return [*kept, "The rest is left out for length."]
        kept.append(line)
    return kept


def text_length(node: Any) -> int:
    """The characters of text in blocks, however deep."""
    return sum(len(text) for text in _texts(node))


def _blocks(kept: Sequence[Part], gone: Sequence[Part]) -> tuple[Block, ...]:
    blocks = tuple(block for part in kept for block in part.blocks)
    left_out = ", ".join(part.name for part in gone)
    return (*blocks, context(f"Left out for length: {left_out}.")) if gone else blocks


def _fits(blocks: tuple[Block, ...], most_blocks: int, most_chars: int) -> bool:
    return len(blocks) <= most_blocks and text_length(blocks) <= most_chars


def _texts(node: Any) -> Iterator[str]:
    if isinstance(node, list | tuple):
        for item in node:
            yield from _texts(item)
    elif isinstance(node, dict):
        for key, value in node.items():
            if key == "text" and isinstance(value, str):
                yield value
            else:
                yield from _texts(value)
