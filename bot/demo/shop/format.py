"""How programs write down what they have to say: JSON, logfmt, Java's plain lines, PostgreSQL's and Redis' own."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from bot.demo.shop.noise import Draw
from bot.demo.shop.topology import Kind, Language, Service

Value = str | int | float


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something worth a line: a sentence, named values and, for exceptions, a stack trace."""

    message: str
    fields: Mapping[str, Value] = field(default_factory=dict)
    trace: tuple[str, ...] = ()


def written(service: Service, level: str, event: Event, at_s: float, draw: Draw) -> str:
    """The line as the service's logger writes it (several lines in one entry where there is a stack trace)."""
    if service.kind is Kind.DATABASE:
        return f"{_stamp(at_s, ' ', '.')} UTC [{draw.whole(40, 4000)}] {event.message}"
    if service.kind is Kind.CACHE:
        return f"1:M {datetime.fromtimestamp(at_s, UTC):%d %b %Y %H:%M:%S}.{int(at_s % 1 * 1000):03d} {event.message}"
    if service.language is Language.PYTHON:
        return _json(service, level, event, at_s)
    if service.language is Language.GO:
        return _logfmt(level, event, at_s)
    return _plain(service, level, event, at_s, draw)


def _json(service: Service, level: str, event: Event, at_s: float) -> str:
    body: dict[str, Value] = {
        "ts": _stamp(at_s, "T", ".") + "Z",
        "level": "warning" if level == "warn" else level,
        "logger": f"{service.name.replace('-', '_')}.app",
        "msg": event.message,
        **event.fields,
    }
    if event.trace:
        body["exc_info"] = "\n".join(event.trace)
    return json.dumps(body)


def _logfmt(level: str, event: Event, at_s: float) -> str:
    pairs = [f"ts={_stamp(at_s, 'T', '.')}Z", f"level={level}", f"msg={_quoted(event.message)}"]
    pairs += [f"{name}={_quoted(str(value))}" for name, value in event.fields.items()]
    if event.trace:
        pairs.append("stack=" + json.dumps("\n".join(event.trace)))
    return " ".join(pairs)


def _plain(service: Service, level: str, event: Event, at_s: float, draw: Draw) -> str:
    name = "".join(part.capitalize() for part in service.name.split("-"))
    extra = "".join(f" {key}={value}" for key, value in event.fields.items())
    thread = f"http-nio-8080-exec-{draw.whole(1, 24)}"
    head = f"{_stamp(at_s, ' ', ',')} {level.upper():5} [{thread}] c.s.{service.name}.{name}Service - {event.message}{extra}"
    return "\n".join((head, *event.trace))


def _stamp(at_s: float, between: str, fraction: str) -> str:
    moment = datetime.fromtimestamp(at_s, UTC)
    return f"{moment:%Y-%m-%d}{between}{moment:%H:%M:%S}{fraction}{int(at_s % 1 * 1000):03d}"


def _quoted(text: str) -> str:
    return json.dumps(text) if not text or any(c in text for c in ' "=\n') else text
