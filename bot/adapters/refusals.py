"""What Prometheus and Loki servers, and gateways before them, have in common when they do not answer well."""

import json
from collections.abc import Mapping

from bot.errors import QueryRefused, SourceUnavailable

_LONGEST_TEXT = 500  # characters of a server's own words in our message


class Passing(SourceUnavailable):
    """A failure that may be gone in a moment: asking again is safe. `retry_after_s` is the server's wish."""

    def __init__(self, code: str, message: str, remedy: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(code, message, remedy)
        self.retry_after_s = retry_after_s


class NoSuchEndpoint(QueryRefused):
    """The server has no such part of the API; other parts may work."""


def said(body: bytes) -> tuple[str, str]:
    """The error's type ("" where none is given) and text: plain, `error` or `message` of JSON; an HTML page is only named."""
    text = body[: 4 * _LONGEST_TEXT].decode("utf-8", "replace").strip()
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        answer = None
    if isinstance(answer, dict):
        return str(answer.get("errorType", "")), _one_line(str(answer.get("error") or answer.get("message") or text))
    if text.startswith("<"):
        return "", "an HTML page of something in front of the server"
    return "", _one_line(text)


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait; the form with a date is not used by these servers and is left aside."""
    value = headers.get("Retry-After", "")
    return float(value) if value.isascii() and value.isdigit() and len(value) < 6 else None


def redirect_target(headers: Mapping[str, str]) -> str:
    """Where a redirect leads, without its query: that may be a login token."""
    return headers.get("Location", "nowhere").split("?")[0][:200]


def _one_line(text: str) -> str:
    return " ".join(text.split())[:_LONGEST_TEXT] or "without a word"
