"""What went wrong at a Loki server or at a gateway before it, as an error a reader can act on.

Loki says its errors in plain text; the texts below were seen on 3.7.6. Gateways answer with JSON or a page of HTML.
"""

import re
from collections.abc import Mapping

from bot.adapters.refusals import NoSuchEndpoint, Passing, redirect_target, retry_after_s, said
from bot.errors import QueryRefused, SourceError, SourceUnavailable

_TOO_MANY_ENTRIES = re.compile(r"max_entries_limit_per_query \(\d+ > (\d+)\)")

# Limits a narrower question stays within. Loki sends all of them as 400.
_LIMITS = (
    "maximum number of series",
    "would read too many bytes",
    "time range exceeds the limit",
    "exceeded maximum resolution",
)

# Mistakes in the question that Loki sends as 500.
_MISTAKES = ("many-to-many", "is not enabled", "multiple org IDs")


class TookTooLong(SourceUnavailable):
    """The server gave up on its own: half of the time range may work."""


class TooLarge(QueryRefused):
    """The answer has more bytes than we read: fewer lines at once may work."""


class TooManyEntries(QueryRefused):
    """More lines were asked for at once than the server gives; `most` is what it gives."""

    def __init__(self, code: str, message: str, remedy: str, *, most: int) -> None:
        super().__init__(code, message, remedy)
        self.most = most


def unreachable(source: str, reason: str) -> Passing:
    return Passing(
        "LOG-001",
        f"Log source {source} cannot be reached: {reason}.",
        "Check its url, and that the server runs and can be reached from here.",
    )


def timed_out(source: str, after: str) -> SourceUnavailable:
    return SourceUnavailable("LOG-002", f"Log source {source} did not answer in time ({after}).", _ASK_LESS)


def took_too_long(source: str, status: int, text: str) -> TookTooLong:
    return TookTooLong("LOG-002", f"Log source {source} did not answer in time (HTTP {status}, {text}).", _ASK_LESS)


def overloaded(source: str, status: int, text: str, retry_after_s: float | None) -> Passing:
    return Passing(
        "LOG-003",
        _cannot_now(source, status, text),
        "Ask again in a minute; if it happens often, give the server more resources or higher limits.",
        retry_after_s=retry_after_s,
    )


def failed(source: str, status: int, text: str) -> SourceUnavailable:
    return SourceUnavailable(
        "LOG-003",
        _cannot_now(source, status, text),
        "Look at the server's own log; asking the same again rarely helps.",
    )


def bad_query(source: str, text: str) -> QueryRefused:
    return QueryRefused(
        "LOG-004",
        f"Log source {source} refused the query: {text}",
        "Check the queries in the configuration; if none is at fault, please report it with the query.",
    )


def not_allowed(source: str, status: int, text: str) -> QueryRefused:
    return QueryRefused(
        "LOG-005",
        f"Log source {source} does not let us in (HTTP {status}, {text}).",
        "Check tenant, basic_user and its password, bearer_file and headers of the source.",
    )


def not_loki(source: str, reason: str) -> QueryRefused:
    return QueryRefused(
        "LOG-006",
        f"Log source {source} does not answer like Loki: {reason}.",
        "Check the url (without /loki/api/v1), and that no login page stands before it.",
    )


def no_such_endpoint(source: str, status: int, text: str) -> NoSuchEndpoint:
    unlike = not_loki(source, f"HTTP {status}, {text}")
    return NoSuchEndpoint(unlike.code, unlike.message, unlike.remedy)


def too_large(source: str, max_bytes: int) -> TooLarge:
    return TooLarge(
        "LOG-007",
        f"Log source {source} answered with more than {max_bytes / 1_000_000:g} MB.",
        "Ask about fewer services or a shorter time.",
    )


def unusable_files(source: str, reason: str) -> QueryRefused:
    return QueryRefused(
        "LOG-008",
        f"A credentials or certificate file of log source {source} cannot be used: {reason}.",
        "Check bearer_file, ca_file, cert_file and key_file of the source, and that Groundwire may read them.",
    )


def too_many_points(source: str, points: int, most: int) -> QueryRefused:
    return QueryRefused(
        "LOG-009",
        f"The query asks log source {source} for {points} points a series; {most} is the most a server gives.",
        "Use a longer step or a shorter window.",
    )


def over_a_limit(source: str, text: str) -> QueryRefused:
    return QueryRefused(
        "LOG-010",
        f"A limit of log source {source} stands against the query: {text}",
        "Ask about fewer services or a shorter time, or raise the limit on the server.",
    )


def server_error(source: str, status: int, headers: Mapping[str, str], body: bytes) -> SourceError:
    """The error for an answer that is not a success."""
    _, text = said(body)
    if most := _TOO_MANY_ENTRIES.search(text):
        refused = over_a_limit(source, text)
        return TooManyEntries(refused.code, refused.message, refused.remedy, most=int(most.group(1)))
    if status in (401, 403):
        return not_allowed(source, status, text)
    if 300 <= status < 400:
        return not_loki(source, f"it redirects to {redirect_target(headers)}, and redirects are not followed")
    if status in (404, 405, 501):
        return no_such_endpoint(source, status, text)
    if status in (408, 504):
        return took_too_long(source, status, text)
    if status in (429, 502, 503):
        return overloaded(source, status, text, retry_after_s(headers))
    if any(words in text for words in _LIMITS):
        return over_a_limit(source, text)
    if status >= 500 and not any(words in text for words in _MISTAKES):
        return failed(source, status, text)
    return bad_query(source, text)


_ASK_LESS = "Ask about a shorter time or a single service; if it happens often, the server needs more resources."


def _cannot_now(source: str, status: int, text: str) -> str:
    return f"Log source {source} cannot answer now (HTTP {status}): {text}"
