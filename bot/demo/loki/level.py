"""The log level Loki guesses for a line that carries none: its `detected_level`."""

import re
from collections.abc import Mapping
from typing import Any

import re2

from bot.demo.loki.extract import scan_json

# In the order in which Loki looks for them (its default `log_level_fields`).
LEVEL_FIELDS = (
    "level",
    "LEVEL",
    "Level",
    "log.level",
    "severity",
    "SEVERITY",
    "Severity",
    "SeverityText",
    "lvl",
    "LVL",
    "Lvl",
    "severity_text",
    "Severity_Text",
    "SEVERITY_TEXT",
)
_LEVELS = {
    "trace": "trace",
    "trc": "trace",
    "debug": "debug",
    "dbg": "debug",
    "info": "info",
    "inf": "info",
    "information": "info",
    "warn": "warn",
    "wrn": "warn",
    "warning": "warn",
    "error": "error",
    "err": "error",
    "critical": "critical",
    "fatal": "fatal",
}
_FIELD = re.compile(rf'(?:^|\s)(?:{"|".join(map(re.escape, LEVEL_FIELDS))})="?([^"\s]*)')
_WORD = re2.compile(r"(?i)\b(error|warn|warning|info|debug|trace|fatal)\b")
# OpenTelemetry's severity numbers, four to a level: 1-4 trace ... 21-24 fatal.
_SEVERITIES = ("trace", "debug", "info", "warn", "error", "fatal")
UNKNOWN = "unknown"


def detect_level(line: str, stream: Mapping[str, str], metadata: Mapping[str, str]) -> str:
    """The level of a line: from its labels, else a JSON or logfmt field, else a word in the line, else `unknown`."""
    for labels in (stream, metadata) if metadata else (stream,):
        for name in LEVEL_FIELDS:
            if name in labels:
                return _LEVELS.get(labels[name].lower(), UNKNOWN)
    number = metadata.get("severity_number", "")
    if number.isdigit() and 1 <= int(number) <= 24:
        return _SEVERITIES[(int(number) - 1) // 4]
    return _LEVELS.get(_field(line).lower()) or _word(line)


def _field(line: str) -> str:
    if line.startswith("{"):
        fields = scan_json(line).fields
        return next((value for name in LEVEL_FIELDS if isinstance(value := _at(fields, name), str)), "")
    if "=" not in line:
        return ""
    found = _FIELD.search(line)
    return found.group(1) if found else ""


def _at(fields: Mapping[str, Any], name: str) -> object:
    if name in fields:
        return fields[name]
    outer, _, inner = name.partition(".")
    nested = fields.get(outer) if inner else None
    return nested.get(inner) if isinstance(nested, dict) else None


def _word(line: str) -> str:
    found = _WORD.search(line)
    return _LEVELS[found.group(1).lower()] if found else UNKNOWN
