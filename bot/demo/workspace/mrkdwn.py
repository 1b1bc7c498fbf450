"""Slack's text markup as plain text: mentions as names, links with their address unless it is long, dates in the reader's zone.

Pure.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, tzinfo

_TOKEN = re.compile(r"<([^<>]+)>")
_DATE = re.compile(r"!date\^(-?\d+)\^([^|^]*)(?:\^[^|]*)?(?:\|(.*))?", re.DOTALL)
_EMPHASIS = re.compile(r"(?<![\w`*])\*(\S(?:[^*\n]*\S)?)\*(?![\w*])|(?<![\w`_])_(\S(?:[^_\n]*\S)?)_(?![\w_])")
_CODE = re.compile(r"(```.*?```|`[^`\n]*`)", re.DOTALL)
_EMOJI = re.compile(r":([a-z0-9_+-]+):")
_LONGEST_LINK = 60  # characters; a longer address (a Grafana query) would drown the sentence, its label stays alone
_LATEST = datetime(9999, 1, 1, tzinfo=UTC).timestamp()

# The emoji this product writes; others stay as :name:.
EMOJI: Mapping[str, str] = {
    "bell": "🔔",
    "chart_with_upwards_trend": "📈",
    "fire": "🔥",
    "hourglass_flowing_sand": "⏳",
    "information_source": "ℹ",
    "large_green_circle": "🟢",
    "large_orange_circle": "🟠",
    "large_yellow_circle": "🟡",
    "mag": "🔍",
    "red_circle": "🔴",
    "rotating_light": "🚨",
    "thumbsdown": "👎",
    "thumbsup": "👍",
    "warning": "⚠",
    "white_check_mark": "✅",
    "x": "❌",
}


def plain(text: str, *, tz: tzinfo, names: Mapping[str, str]) -> str:
    """The text as a person reads it, code spans untouched by emphasis; `names` maps ids of people and channels to names."""
    parts = _CODE.split(text)
    shown = [part if i % 2 else _EMOJI.sub(_emoji, _EMPHASIS.sub(_inner, part)) for i, part in enumerate(parts)]
    written = _TOKEN.sub(lambda found: _token(found[1], tz, names), "".join(shown))
    return written.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def _inner(found: re.Match[str]) -> str:
    return found[1] or found[2]


def _emoji(found: re.Match[str]) -> str:
    return EMOJI.get(found[1], found[0])


def _token(token: str, tz: tzinfo, names: Mapping[str, str]) -> str:
    date = _DATE.fullmatch(token)
    if date:
        return _date(int(date[1]), date[2], date[3] or "", tz)
    target, _, label = token.partition("|")
    if target.startswith("@"):
        return f"@{label or names.get(target[1:], target[1:])}"
    if target.startswith("#"):
        return f"#{label or names.get(target[1:], target[1:])}"
    if target.startswith("!subteam^"):
        return label or f"@{names.get(target.removeprefix('!subteam^'), target.removeprefix('!subteam^'))}"
    if target.startswith("!"):
        return f"@{label or target[1:]}"
    address = target.removeprefix("mailto:")
    if not label or label in (target, address):
        return address
    return f"{label} ({target})" if len(target) <= _LONGEST_LINK else label


def _date(epoch_s: int, form: str, fallback: str, tz: tzinfo) -> str:
    """A date token in the reader's zone; tokens of this format that we do not know stay as they are."""
    if not 0 <= epoch_s < _LATEST:
        return fallback
    when = datetime.fromtimestamp(epoch_s, tz)
    month, short_month = when.strftime("%B"), when.strftime("%b")
    long = f"{month} {when.day}, {when.year}"
    short = f"{short_month} {when.day}, {when.year}"
    known = {
        "date_num": when.strftime("%Y-%m-%d"),
        "date_slash": when.strftime("%m/%d/%Y"),
        "date": long,
        "date_short": short,
        "date_long": f"{when.strftime('%A')}, {long}",
        "date_pretty": long,
        "date_short_pretty": short,
        "date_long_pretty": f"{when.strftime('%A')}, {long}",
        "time": when.strftime("%H:%M"),
        "time_secs": when.strftime("%H:%M:%S"),
    }
    return re.sub(r"\{(\w+)\}", lambda found: known.get(found[1], found[0]), form)
