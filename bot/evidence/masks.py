"""What a log line says without the values that change from line to line."""

import json
import re
from functools import lru_cache
from typing import Any

from bot.evidence.traces import trace_name

_LONGEST = 4_000  # characters; what follows is values, and one hostile line must not cost more than a page of others

_MESSAGE_KEYS = ("msg", "message", "event", "log", "text", "body", "@message", "short_message")
_ERROR_KEYS = ("err", "error", "exception", "cause", "reason", "error.message", "exc", "err_msg", "errorMessage")
_CLASS_KEYS = (
    "error.type",
    "exception.type",
    "error_class",
    "errorType",
    "error_type",
    "exception_class",
    "code",
    "kind",
)
_TRACE_KEYS = (
    "stack",
    "stack_trace",
    "stacktrace",
    "stackTrace",
    "exc_info",
    "exc_text",
    "traceback",
    "error.stack_trace",
)
_LEVEL_KEYS = ("level", "severity", "lvl", "log.level", "loglevel", "levelname", "log_level", "@level", "severity_text")

_LEVELS = {
    **dict.fromkeys(
        ("error", "err", "fatal", "critical", "crit", "severe", "panic", "alert", "emerg", "emergency", "dpanic"),
        "error",
    ),
    **dict.fromkeys(("warn", "warning"), "warn"),
    **dict.fromkeys(
        ("info", "information", "informational", "notice", "debug", "trace", "verbose", "fine", "config"), "info"
    ),
}
# The first letter stands before the look-behind so that the search can skip from candidate to candidate.
_LEVEL_WORD = re.compile(
    r"[EFCSPWINDTVefwi](?<![\w.\-/].)(?:ATAL|RITICAL|RIT|EVERE|ANIC|RROR|rror|RR|ARNING|arning|ARN|arn|NFO|nfo|OTICE|EBUG|RACE|ERBOSE)"
    r"(?![\w.\-/])"
)
_GLOG = re.compile(r"([IWEF])\d{4} \d\d:\d\d:\d\d")
_GLOG_LEVELS = {"I": "info", "W": "warn", "E": "error", "F": "error"}
_LEVEL_WITHIN = 120  # characters; a level stands near the beginning, later words are the message's own


def shape(line: str, hint: str = "unknown") -> tuple[str, str]:
    """The level (error, warn, info, unknown) of an entry, and its text with placeholders for the values.

    JSON and logfmt give their message, their error and its class; a stack trace gives its name; any other line its text.
    `hint` is the level the source saw, used where the entry names none.
    """
    if line[:1] == "{" and (fields := _json_fields(line)) is not None:
        return _structured(fields, hint)
    name = trace_name(line)
    if name is not None:
        return _level_of(line, "error"), masked(name)
    line = line[:_LONGEST]
    if "\n" in line:
        line = " ".join(line.split())
    if "msg=" in line or "message=" in line or "event=" in line:
        pairs = dict(_unquoted(pair) for pair in _PAIR.finditer(line))
        if len(pairs) > 1 and any(pairs.get(key) for key in _MESSAGE_KEYS):
            return _structured(pairs, hint)
    return _level_of(line, _LEVELS.get(hint.lower(), "unknown")), masked(_LEADING_TIME.sub("", line, count=1).strip())


def _level_of(line: str, otherwise: str) -> str:
    head = line[:_LEVEL_WITHIN]
    if found := _GLOG.match(head):
        return _GLOG_LEVELS[found.group(1)]
    word = _LEVEL_WORD.search(head)
    return _LEVELS[word.group().lower()] if word else otherwise


# --- structured lines ------------------------------------------------------------------------------------------------

_PAIR = re.compile(r'([A-Za-z_@][\w.\-@]*)=(?:"((?:[^"\\]|\\.)*+)"|([^\s"]*+))')


def _unquoted(pair: re.Match[str]) -> tuple[str, Any]:
    key, quoted, bare = pair.groups()
    return key, quoted.replace('\\"', '"').replace("\\n", "\n") if quoted is not None else bare


def _json_fields(line: str) -> dict[str, Any] | None:
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(fields, dict):
        return None
    for key in ("error", "exception", "err", "log"):  # {"error": {"type": …, "message": …}} as "error.type" and so on
        inner = fields.get(key)
        if isinstance(inner, dict):
            fields = {**fields, **{f"{key}.{name}": value for name, value in inner.items()}}
            fields[key] = inner.get("message", inner.get("msg", ""))
    return fields


def _structured(fields: dict[str, Any], hint: str) -> tuple[str, str]:
    message = _first_text(fields, _MESSAGE_KEYS)
    level = _field_level(fields, hint)
    trace = _first_text(fields, _TRACE_KEYS)
    name = trace_name(trace) or trace_name(message)
    if name is not None:
        return ("error" if level == "unknown" else level), masked(name)
    error, kind = _first_text(fields, _ERROR_KEYS), _first_text(fields, _CLASS_KEYS)
    parts = [masked(message)] if message else []
    if kind and kind not in message:
        parts.append(f"[{masked(kind)}]")
    if error and error not in message:
        parts.append(f'error="{masked(error)}"')
    if not parts:
        parts = [f"{key}={masked(str(value))[:80]}" for key, value in sorted(fields.items())[:12]]
    return level, " ".join(parts)


def _first_text(fields: dict[str, Any], keys: tuple[str, ...]) -> str:
    return next((value[:_LONGEST] for key in keys if isinstance(value := fields.get(key), str) and value), "")


def _field_level(fields: dict[str, Any], hint: str) -> str:
    value = next((fields[key] for key in _LEVEL_KEYS if key in fields), hint)
    number = value if isinstance(value, int) else int(value) if isinstance(value, str) and value.isdecimal() else None
    if number is not None:  # pino and bunyan: 30 is info, 40 a warning, 50 an error
        return "error" if number >= 50 else "warn" if number >= 40 else "info" if number >= 10 else "unknown"
    return _LEVELS.get(str(value).lower(), "unknown")


# --- masks -----------------------------------------------------------------------------------------------------------

_CLOCK = r"\d{1,2}:\d\d:\d\d(?:[.,]\d{1,9})?"
_MONTH = r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
_TIME = (
    rf"\d{{4}}[-/.]\d\d[-/.]\d\d(?:[T ]+{_CLOCK})?(?:Z\b|\s?[+-]\d\d:?\d\d\b)?"
    rf"|\d{{1,2}}/{_MONTH}/\d{{4}}:{_CLOCK}(?: [+-]\d{{4}})?"
    rf"|(?:(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun),? )?{_MONTH} +\d{{1,2}},?(?: \d{{4}})? {_CLOCK}(?: \d{{4}})?"
    rf"|\d\d[-/]\d\d {_CLOCK}|{_CLOCK}"
)
_WORD_TIME = rf"\d{{4}}[-/.]\d\d[-/.]\d\d(?:T{_CLOCK})?(?:Z\b|[+-]\d\d:?\d\d\b)?|{_CLOCK}"
_LEADING_TIME = re.compile(rf"^[\[(]?(?:{_TIME})[\])]?[,:]?\s*")
_IP = r"\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}(?:[:/]\d{1,5})?"
_UUID = r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}"
_MASK = re.compile(
    rf"(?P<time>\b(?:{_WORD_TIME}))"
    rf"|(?P<uuid>\b{_UUID}\b)"
    r"|(?P<email>\b[\w.+%\-]{1,64}+@[\w\-]+\.[\w.\-]+)"
    rf"|(?P<ip>\b{_IP}\b|\b(?:[0-9a-fA-F]{{1,4}}:){{4,7}}[0-9a-fA-F]{{0,4}}\b|(?<![\w:])::1\b)"
    r"|(?P<mac>\b(?:[0-9a-fA-F]{2}:){5}[0-9a-fA-F]{2}\b)"
    r"|(?P<pair>(?<![\w.])[A-Za-z_][\w.]{0,63}=[^\s,;\"'()\[\]{}<>]++)"
    r"|(?P<quoted>\"[^\"\s]{1,200}+\"|'[^'\s]{1,200}+')"
    r"|(?P<word>(?<![\w])[A-Za-z_]*+\d[\w]*+(?:[.,:]\d+[A-Za-zµ]{0,4})*+%?)"
)
# Keys whose value is part of what happened, not of whom it happened to.
_TELLING = frozenset(
    ("level", "error", "err", "code", "reason", "status", "state", "type", "kind", "method", "op", "exception", "cause")
)
_SIMPLE = {"time": "<time>", "uuid": "<uuid>", "ip": "<ip>", "mac": "<id>", "email": "<email>"}
_DIGITS = re.compile(r"\d+")


def masked(text: str) -> str:
    """`text` with `<n>`, `<id>`, `<ip>`, `<uuid>`, `<time>`, `<email>` and `<*>` where values stood."""
    return " ".join([word if word.isalpha() else _masked_word(word) for word in text.split(" ")])


def _masked_word(word: str) -> str:
    # What becomes of a word does not depend on which digits it holds, so words that differ in digits share one answer.
    return _masked_zeros(word.translate(_ZEROS)) if len(word) <= _SHORT else _masked_zeros.__wrapped__(word)


_ZEROS = dict.fromkeys(range(ord("1"), ord("9") + 1), "0")
_SHORT = 40  # characters; longer words hardly come twice, and the memory of the answers stays bounded


@lru_cache(maxsize=16_384)
def _masked_zeros(word: str) -> str:
    if not _HOLDS_VALUE.search(word):
        return word
    said = _MASK.sub(_placeholder, word)
    return _SIGNED.sub("<n>", said) if "<n>" in said else said


_HOLDS_VALUE = re.compile(r"[0-9=\"'@]")
_SIGNED = re.compile(r"(?:(?<=_)|(?<![\w>]))[-+]<n>")


def _placeholder(found: re.Match[str]) -> str:
    kind, text = found.lastgroup or "", found.group()
    if kind in _SIMPLE:
        return _SIMPLE[kind]
    if kind == "pair":
        key, _, value = text.partition("=")
        return f"{key}={masked(value) if key.lower() in _TELLING else '<*>'}"
    if kind == "quoted":
        return f"{text[0]}<*>{text[0]}"
    return _word(text)


_HEX_ID = 8  # characters; shorter hexadecimal words are rarely ids and often words with a number


def _word(word: str) -> str:
    """A word with digits: a number with or without a unit, a name with a number, or an id."""
    letters = sum(map(str.isalpha, word))
    if letters and len(word) >= _HEX_ID and not word.lower().strip("0123456789abcdef"):
        return "<id>"
    if letters == 0 or (word[0].isdigit() and letters <= 3):  # 42, 3.5, 99%, 12ms, 4KiB
        return "<n>"
    runs = _DIGITS.findall(word)
    if len(runs) == 1 and not word[0].isdigit() and len(word) - len(runs[0]) <= 40:
        return _DIGITS.sub("<n>", word)  # node7, blk_123, HTTP2xx
    return "<id>"
