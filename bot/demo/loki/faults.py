"""The ways a Loki, or the gateway in front of it, can let a client down; switched on and off while the server runs."""

from collections import deque
from dataclasses import dataclass, field

# The words of Loki for what it refuses when it has too much to do.
_TEXTS = {
    429: "too many outstanding requests",
    500: "rpc error: code = Unknown desc = query failed",
    503: "the service is not ready",
    504: "request timed out, decrease the duration of the request",
}
_GATEWAY_PAGE = (
    "<html>\r\n<head><title>{status}</title></head>\r\n<body><center><h1>{status}</h1></center></body>\r\n</html>\r\n"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedAnswer:
    """An answer given in place of the real one."""

    status: int
    text: str
    content_type: str = "text/plain; charset=utf-8"
    retry_after_s: int | None = None


@dataclass(slots=True, kw_only=True)
class Faults:
    """Applies to every API request but pushes. Nothing is wrong until a switch is set.

    latency_s: wait before each answer.
    hang: never answer; the client has to go away.
    cut_after_bytes: send this much of the body, then drop the connection.
    drop_encoding_flags: ignore the header that asks for categorized labels, as a proxy that strips it would.
    disabled: endpoints that answer 404: volume, stats, format_query, patterns, detected.
    planned: answers for the next requests, first in first out; see `refuse_next` and `gateway_error_next`.
    """

    latency_s: float = 0.0
    hang: bool = False
    cut_after_bytes: int | None = None
    drop_encoding_flags: bool = False
    disabled: set[str] = field(default_factory=set)
    planned: deque[PlannedAnswer] = field(default_factory=deque)

    def refuse_next(self, status: int, *, times: int = 1, retry_after_s: int | None = None) -> None:
        """Answers the next requests with 429, 500, 503 or 504 in Loki's words."""
        answer = PlannedAnswer(status=status, text=_TEXTS[status], retry_after_s=retry_after_s)
        self.planned.extend([answer] * times)

    def gateway_error_next(self, status: int = 502, *, times: int = 1) -> None:
        """Answers the next requests with the HTML page of a gateway."""
        page = _GATEWAY_PAGE.format(status=status)
        self.planned.extend([PlannedAnswer(status=status, text=page, content_type="text/html")] * times)

    def is_disabled(self, path: str) -> bool:
        """Whether the endpoint at this path is switched off."""
        last = path.removeprefix("/loki/api/v1/").removeprefix("index/")
        return any(last.startswith(name) for name in self.disabled)
