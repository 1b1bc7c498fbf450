"""Text that Slack shows exactly as meant: nothing out of data becomes a mention, a link or a broken token.

Slack reads `<…>` as a token and `&`, `<`, `>` must be escaped; everything here is escaped first and given our own tokens
afterwards. Text objects are `verbatim`, so that Slack does not turn bare URLs and channel names into links by itself.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlsplit

from bot.domain.report import Statement, with_times

Block = dict[str, Any]

SECTION_CHARS = 3000
LINK_CHARS = 1500  # a query in Grafana Explore takes about 700; two such links still fit a section
DAY_S = 86_400
# Date tokens past the year 2100 are data posing as a time mark; datetime could not even print all of them.
_LATEST_TIME_S = 4_102_444_800
_REFERENCE = re.compile(r"\[(E\d{1,5})\]")
# Also as the beginning of a longer word: what is cut afterwards may leave just this.
_BROADCAST = re.compile(r"@(?=channel|here|everyone|group)", re.IGNORECASE)
# Everything below space but newline and tab, the marks that reorder text on screen, and halves of characters.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_URL_CHARS = (
    "%:/?#[]!$&'()*+,;=-._~"  # beside letters and digits; whatever could end a token or address people is encoded
)
# The sentences hold placeholders of log patterns, and what stands between two real asterisks would be shown bold.
_ASTERISK = "\u2217"
_BREAK = "\u2060"  # a word joiner: invisible, and "@⁠here" is no longer a broadcast


def escape(text: str) -> str:
    """Data as Slack text: shown letter by letter, never a token."""
    clean = _BROADCAST.sub("@" + _BREAK, _CONTROL.sub(" ", text))
    return clean.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def code(text: str) -> str:
    """Data in one code span; a backtick in it would end the span and becomes an apostrophe."""
    return f"`{escape(' '.join(text.split())).replace('`', chr(0x2019))}`" if text.strip() else ""


def prose(text: str, links: Mapping[str, str] | None = None, *, dated: bool = False) -> str:
    """A sentence of a report: escaped, times in the reader's zone, `[E3]` a link where one is given for it."""

    def reference(found: re.Match[str]) -> str:
        url = (links or {}).get(found.group(1))
        return f"<{url}|[{found.group(1)}]>" if url else found.group(0)

    timed = with_times(escape(text.replace("*", _ASTERISK)), lambda at_s: moment(at_s, dated=dated))
    return _REFERENCE.sub(reference, timed)


def sentence(statement: Statement, links: Mapping[str, str] | None = None) -> str:
    """A statement with the references it rests on; those its text does not name already follow it."""
    named = set(_REFERENCE.findall(statement.text))
    rest = "".join(f" [{e}]" for e in statement.evidence if e not in named)
    return prose(clip(statement.text, 700) + rest, links)


def moment(at_s: float, *, dated: bool = False) -> str:
    """A Slack date token: each reader sees their own zone. `dated` adds the day."""
    if not 0 <= at_s < _LATEST_TIME_S:
        return str(round(at_s))
    at = datetime.fromtimestamp(round(at_s), UTC)
    shape, plain = ("{date_short_pretty} {time}", "%Y-%m-%d %H:%M UTC") if dated else ("{time}", "%H:%M UTC")
    return f"<!date^{round(at_s)}^{shape}|{at.strftime(plain)}>"


def clock_time(at_s: int) -> str:
    """A time for places that take plain text only."""
    return datetime.fromtimestamp(at_s, UTC).strftime("%H:%M UTC") if 0 <= at_s < _LATEST_TIME_S else str(at_s)


def plain(text: str) -> str:
    """A sentence for notifications, where tokens are not shown as such."""
    return with_times(escape(text), clock_time)


def mention(user_id: str) -> str:
    """A person's name as Slack shows it, for an id that came from Slack; anything else is shown as it is."""
    return f"<@{user_id}>" if re.fullmatch(r"[UW][A-Z0-9]{2,30}", user_id) else escape(user_id)


def clip(text: str, most: int) -> str:
    """The text, or its beginning and an ellipsis; for text that is not escaped yet."""
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"


def clip_escaped(text: str, most: int) -> str:
    """The same for Slack text: never cut inside a token or an entity."""
    if len(text) <= most:
        return text
    cut = text[: most - 1]
    if cut.rfind("<") > cut.rfind(">"):
        cut = cut[: cut.rfind("<")]
    if "&" in cut[-5:] and ";" not in cut[cut.rfind("&") :]:
        cut = cut[: cut.rfind("&")]
    return cut.rstrip() + "…"


def section(text: str) -> Block:
    return {"type": "section", "text": mrkdwn(clip_escaped(text, SECTION_CHARS))}


def sections(lines: Sequence[str]) -> list[Block]:
    """As few sections as hold these lines; a line never spans two."""
    blocks: list[Block] = []
    held = ""
    for line in (clip_escaped(line, SECTION_CHARS) for line in lines):
        joined = f"{held}\n{line}" if held else line
        if len(joined) > SECTION_CHARS:
            blocks.append(section(held))
            joined = line
        held = joined
    return [*blocks, section(held)] if held else blocks


def context(text: str) -> Block:
    return {"type": "context", "elements": [mrkdwn(clip_escaped(text, SECTION_CHARS))]}


def mrkdwn(text: str) -> Block:
    return {"type": "mrkdwn", "text": text, "verbatim": True}


def plain_text(text: str, most: int) -> Block:
    """A label Slack shows as it is: button texts, titles, options."""
    return {"type": "plain_text", "text": label(text, most), "emoji": False}


def label(text: str, most: int) -> str:
    """Data for places without markup, on one line: angle brackets become ‹ ›, should such a place ever read tokens."""
    clean = _BROADCAST.sub("@" + _BREAK, " ".join(_CONTROL.sub(" ", text).split()))
    return clip(clean.replace("<", "‹").replace(">", "›"), most) or "–"


def verbatim(text: str, most: int) -> Block:
    """Data in a monospaced block, letter by letter: queries, log lines, tables."""
    shown = clip(_BROADCAST.sub("@" + _BREAK, _CONTROL.sub(" ", text)), most) or "–"
    preformatted = {"type": "rich_text_preformatted", "elements": [{"type": "text", "text": shown}]}
    return {"type": "rich_text", "elements": [preformatted]}


def safe_link(url: str | None, hosts: frozenset[str]) -> str | None:
    """The URL as it may stand in a token, or None where it may not."""
    allowed = allowed_url(url, hosts)
    return allowed.replace("&", "&amp;") if allowed else None


def allowed_url(url: str | None, hosts: frozenset[str]) -> str | None:
    """The URL, fully percent-encoded, when it is http or https to one of the hosts and of a sane length; else None."""
    if not url or len(url) > LINK_CHARS:
        return None
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        return None
    if parts.scheme not in {"http", "https"} or host not in hosts or "@" in parts.netloc:
        return None
    return quote(url, safe=_URL_CHARS, errors="replace")
