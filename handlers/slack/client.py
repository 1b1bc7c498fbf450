"""The client for Slack's Web API: what it repeats by itself, who it speaks as, and its errors as ours."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from aiohttp import ClientError
from slack_sdk.errors import SlackApiError, SlackRequestError
from slack_sdk.http_retry.builtin_async_handlers import (
    AsyncConnectionErrorRetryHandler,
    AsyncRateLimitErrorRetryHandler,
    AsyncServerErrorRetryHandler,
)
from slack_sdk.http_retry.request import HttpRequest
from slack_sdk.http_retry.response import HttpResponse
from slack_sdk.http_retry.state import RetryState
from slack_sdk.web.async_client import AsyncWebClient

from bot.errors import SlackError

SLACK_API = "https://slack.com/api/"
CALL_TIMEOUT_S = 10
# Who writes again after an unknown outcome may write twice: the notifier looks first, so these are not repeated here.
_NOT_REPEATED = ("chat.postMessage", "chat.postEphemeral")

NOT_IN_CHANNEL = frozenset({"not_in_channel", "channel_not_found", "user_not_in_channel"})
BLOCKS_REFUSED = frozenset({"invalid_blocks", "invalid_blocks_format", "msg_blocks_too_long", "msg_too_long"})
_BAD_TOKEN = frozenset(
    {"invalid_auth", "not_authed", "account_inactive", "token_revoked", "token_expired", "no_permission"}
)
_CLOSED = frozenset(
    {"is_archived", "restricted_action", "restricted_action_read_only_channel", "messages_tab_disabled"}
)
_OUTAGE = frozenset({"internal_error", "fatal_error", "service_unavailable", "request_timeout", "team_added_to_org"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who the bot is in the workspace."""

    team_id: str
    bot_id: str
    bot_user_id: str


def slack_client(token: str | None, *, base_url: str = SLACK_API, timeout_s: int = CALL_TIMEOUT_S) -> AsyncWebClient:
    """A client that waits out rate limits and repeats what is safe to repeat."""
    return AsyncWebClient(
        token=token,
        base_url=base_url,
        timeout=timeout_s,
        retry_handlers=[
            _LostConnection(max_retry_count=2),
            _ServerTrouble(max_retry_count=2),
            AsyncRateLimitErrorRetryHandler(max_retry_count=5),
        ],
    )


async def who_am_i(client: AsyncWebClient) -> Identity:
    """The bot's own ids. Raises SlackError when the token is not good or Slack does not answer."""
    with slack_errors("auth.test"):
        answer = await client.auth_test()
    return Identity(team_id=answer["team_id"], bot_id=answer["bot_id"], bot_user_id=answer["user_id"])


@contextmanager
def slack_errors(method: str) -> Iterator[None]:
    """Turns what the SDK raises inside into SlackError."""
    try:
        yield
    except SlackApiError as error:
        raise refusal(method, _data(error)) from error
    except (ClientError, SlackRequestError, TimeoutError, OSError) as error:
        raise SlackUnreachable(
            "SLK-006",
            f"Slack did not answer {method} ({type(error).__name__}).",
            "Check the network and status.slack.com; what was not posted is tried again.",
        ) from error


class SlackUnreachable(SlackError):
    """Slack did not answer, or not sensibly: whether it did what was asked is not known."""


class SlackRefusal(SlackError):
    """Slack answered no; `reason` is its error name, `details` what it says is wrong with the blocks."""

    def __init__(self, code: str, message: str, remedy: str, *, reason: str, details: tuple[str, ...] = ()) -> None:
        super().__init__(code, message, remedy)
        self.reason = reason
        self.details = details


def unreachable(method: str, why: str) -> SlackUnreachable:
    """No sensible answer from Slack, as an error with its remedy."""
    remedy = "Check the network and status.slack.com; what was not posted is tried again."
    return SlackUnreachable("SLK-006", f"Slack did not answer {method} ({why}).", remedy)


def refusal(method: str, data: Mapping[str, Any]) -> SlackError:
    """Slack's error answer as ours, with what to do about it."""
    reason = str(data.get("error", "unknown_error"))
    if reason in _OUTAGE:
        return unreachable(method, reason)
    code, message, remedy = _explained(method, reason, data)
    found = data.get("response_metadata")
    details = found.get("messages", ()) if isinstance(found, dict) else ()
    return SlackRefusal(code, message, remedy, reason=reason, details=tuple(map(str, details)))


def _explained(method: str, reason: str, data: Mapping[str, Any]) -> tuple[str, str, str]:
    if reason in NOT_IN_CHANNEL:
        return "SLK-001", "Groundwire is not in that channel.", "Type /invite @groundwire there and ask again."
    if reason in _BAD_TOKEN:
        return (
            "SLK-002",
            f"Slack does not accept the token ({reason}).",
            "Check SLACK_BOT_TOKEN, or install the app again.",
        )
    if reason == "missing_scope":
        needed = data.get("needed", "a scope")
        return (
            "SLK-003",
            f"The token may not call {method}: it lacks {needed}.",
            "Install the app again from manifest.yml.",
        )
    if reason in {"ratelimited", "rate_limited"}:
        return "SLK-004", f"Slack limits {method} and did not let go in time.", "Ask again in a minute."
    if reason in _CLOSED:
        return "SLK-005", f"Nobody may post there ({reason}).", "Ask in another channel."
    return "SLK-007", f"Slack refused {method}: {reason}.", "See docs/errors.md; the log has Slack's own messages."


def _data(error: SlackApiError) -> Mapping[str, Any]:
    """What Slack answered; an outage where a server error came without an answer of Slack's own."""
    data = getattr(error.response, "data", error.response)
    status = getattr(error.response, "status_code", getattr(error.response, "status", 200))
    if isinstance(data, dict) and "error" in data:
        return data
    return {"error": "service_unavailable" if status >= 500 else "unreadable_answer"}


def _may_repeat(request: HttpRequest) -> bool:
    return not request.url.endswith(_NOT_REPEATED)


class _LostConnection(AsyncConnectionErrorRetryHandler):
    async def _can_retry_async(
        self,
        *,
        state: RetryState,
        request: HttpRequest,
        response: HttpResponse | None = None,
        error: Exception | None = None,
    ) -> bool:
        lost = await super()._can_retry_async(state=state, request=request, response=response, error=error)
        return lost and _may_repeat(request)


class _ServerTrouble(AsyncServerErrorRetryHandler):
    async def _can_retry_async(
        self,
        *,
        state: RetryState,
        request: HttpRequest,
        response: HttpResponse | None = None,
        error: Exception | None = None,
    ) -> bool:
        trouble = await super()._can_retry_async(state=state, request=request, response=response, error=error)
        return trouble and _may_repeat(request)
