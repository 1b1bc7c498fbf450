"""What went wrong at a Prometheus-compatible server, as an error a reader can act on.

Statuses follow https://prometheus.io/docs/prometheus/latest/querying/api/#format-overview; the texts were seen on 2.42.
"""

from collections.abc import Mapping

from bot.adapters.refusals import NoSuchEndpoint, Passing, redirect_target, retry_after_s, said
from bot.errors import QueryRefused, SourceError, SourceUnavailable

# A timeout while series are read comes back as 422 "execution", not as 503 (measured on 2.42).
_OUT_OF_TIME = ("context deadline exceeded", "query timed out", "context canceled")


def unreachable(source: str, reason: str) -> Passing:
    return Passing(
        "MET-001",
        f"Metric source {source} cannot be reached: {reason}.",
        "Check its url, and that the server runs and can be reached from here.",
    )


def timed_out(source: str, after: str) -> SourceUnavailable:
    return SourceUnavailable(
        "MET-002",
        f"Metric source {source} did not answer in time ({after}).",
        "Ask about a shorter time or a single service; if it happens often, the server needs more resources.",
    )


def overloaded(source: str, status: int, text: str, retry_after_s: float | None) -> Passing:
    return Passing(
        "MET-003",
        f"Metric source {source} cannot answer now (HTTP {status}): {text}",
        "Ask again in a minute; if it happens often, give the server more resources or higher limits.",
        retry_after_s=retry_after_s,
    )


def bad_query(source: str, text: str) -> QueryRefused:
    return QueryRefused(
        "MET-004",
        f"Metric source {source} refused the query: {text}",
        "Ask about fewer services or a shorter time; if it is a parse error, please report it with the query.",
    )


def not_allowed(source: str, status: int) -> QueryRefused:
    return QueryRefused(
        "MET-005",
        f"Metric source {source} does not let us in (HTTP {status}).",
        "Check basic_user and its password, bearer_file, headers and tenant of the source.",
    )


def not_prometheus(source: str, reason: str) -> NoSuchEndpoint:
    return NoSuchEndpoint(
        "MET-006",
        f"Metric source {source} does not answer like Prometheus: {reason}.",
        "Check the url, its path prefix included (Mimir wants /prometheus), and that no login page stands before it.",
    )


def too_large(source: str, max_bytes: int) -> QueryRefused:
    return QueryRefused(
        "MET-007",
        f"Metric source {source} answered with more than {max_bytes // 1_000_000} MB.",
        "Ask about fewer services or a shorter time.",
    )


def unusable_files(source: str, reason: str) -> QueryRefused:
    return QueryRefused(
        "MET-008",
        f"A credentials or certificate file of metric source {source} cannot be used: {reason}.",
        "Check bearer_file, ca_file, cert_file and key_file of the source, and that Groundwire may read them.",
    )


def too_many_points(source: str, points: int, most: int) -> QueryRefused:
    return QueryRefused(
        "MET-009",
        f"The query asks metric source {source} for {points} points a series; {most} is the most a server gives.",
        "Use a longer step or a shorter window.",
    )


def server_error(source: str, status: int, headers: Mapping[str, str], body: bytes) -> SourceError:
    """The error for an answer that is not a success."""
    kind, text = said(body)
    if status in (401, 403):
        return not_allowed(source, status)
    if 300 <= status < 400:
        return not_prometheus(source, f"it redirects to {redirect_target(headers)}, and redirects are not followed")
    if status in (404, 405):
        return not_prometheus(source, f"HTTP {status}, {text}")
    if status in (408, 504) or kind in ("timeout", "canceled") or any(words in text for words in _OUT_OF_TIME):
        return timed_out(source, f"HTTP {status}, {text}")
    if status in (429, 502, 503):
        return overloaded(source, status, text, retry_after_s(headers))
    if status >= 500:
        failed = overloaded(source, status, text, None)
        return SourceUnavailable(
            failed.code, failed.message, failed.remedy
        )  # 500 is mostly the query's fault: no retry
    return bad_query(source, text)
