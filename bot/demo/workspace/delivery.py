"""Bringing payloads to the app: one attempt over HTTP, the redeliveries of events, and the record of every attempt.

Slack redelivers events (never commands or interactions) at once, after one minute and after five; here the delays are arguments,
so that a test need not wait. The Socket Mode half is in `sockets`.
"""

import asyncio
import hashlib
import hmac
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import urlencode

import aiohttp

from bot.demo.workspace.state import Json
from bot.demo.workspace.world import World

FORM = "application/x-www-form-urlencoded"
JSON = "application/json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Parcel:
    """What is to be delivered; `kind` is the Socket Mode word: events_api, slash_commands or interactive."""

    kind: str
    payload: Json

    @property
    def id(self) -> str:
        """The event id, or the trigger id of a command or interaction."""
        return str(self.payload.get("event_id") or self.payload.get("trigger_id") or "")

    @property
    def is_event(self) -> bool:
        """Whether Slack redelivers it."""
        return self.kind == "events_api"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ack:
    """What the app answered. `error` is "" when it acknowledged in time, else http_timeout, http_error, connection_failed or
    no_connection; `payload` is the JSON in the answer ({"text": …} for plain text)."""

    error: str = ""
    status: int | None = None
    payload: Json = field(default_factory=dict)
    elapsed_s: float = 0.0
    no_retry: bool = False

    @property
    def ok(self) -> bool:
        """Whether the app acknowledged in time."""
        return not self.error

    @property
    def text(self) -> str:
        """The text the app put into its answer, "" when none."""
        return str(self.payload.get("text") or "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One line of the record: what was sent, how it went, and `number` 0 for the first time, 1 for the first redelivery."""

    parcel: Parcel
    number: int
    reason: str
    ack: Ack
    envelope_id: str = ""


class Transport(Protocol):
    """One way to the app. `send` makes one attempt, never raises for what the app does, and returns within the ack limit."""

    async def send(self, parcel: Parcel, *, number: int, reason: str) -> Attempt:
        """The attempt with the app's answer; `number` is 0 for the first, `reason` why it is sent again."""
        ...


def signature(secret: str, timestamp: str, body: str) -> str:
    """Slack's v0 request signature: HMAC-SHA256 over version, timestamp and body."""
    digest = hmac.new(secret.encode(), f"v0:{timestamp}:{body}".encode(), hashlib.sha256)
    return f"v0={digest.hexdigest()}"


def encoded(parcel: Parcel) -> tuple[str, str]:
    """The HTTP body and its content type: events as JSON, commands as form fields, interactions as `payload=`."""
    if parcel.is_event:
        return json.dumps(parcel.payload), JSON
    if parcel.kind == "slash_commands":
        return urlencode(parcel.payload), FORM
    return urlencode({"payload": json.dumps(parcel.payload)}), FORM


class HttpTransport:
    """Signed requests to the app's request URL. Signs with the wall clock: the app compares with its own."""

    def __init__(self, *, url: Callable[[], str], secret: str, ack_s: float) -> None:
        self._url = url
        self._secret = secret
        self._timeout = aiohttp.ClientTimeout(total=ack_s)

    async def send(self, parcel: Parcel, *, number: int, reason: str) -> Attempt:
        """One signed POST, with Slack's retry headers from the second attempt on."""
        body, content_type = encoded(parcel)
        headers = {"X-Slack-Retry-Num": str(number), "X-Slack-Retry-Reason": reason} if number else {}
        ack = await self.post(body, content_type=content_type, headers=headers)
        return Attempt(parcel=parcel, number=number, reason=reason, ack=ack)

    async def post(
        self,
        body: str,
        *,
        content_type: str,
        headers: Mapping[str, str],
        timestamp: str | None = None,
        signed_with: str | None = None,
    ) -> Ack:
        """One POST; `timestamp` and `signed_with` replace the honest ones ("" leaves the header out)."""
        sent = str(int(time.time())) if timestamp is None else timestamp
        sign = signature(self._secret, sent, body) if signed_with is None else signed_with
        named = {"Content-Type": content_type, "X-Slack-Request-Timestamp": sent, "X-Slack-Signature": sign, **headers}
        started = time.monotonic()
        try:
            async with (
                aiohttp.ClientSession(timeout=self._timeout) as session,
                session.post(self._url(), data=body.encode(), headers={k: v for k, v in named.items() if v}) as answer,
            ):
                text = await answer.text()
        except TimeoutError:
            return Ack(error="http_timeout", elapsed_s=time.monotonic() - started)
        except aiohttp.ClientError:
            return Ack(error="connection_failed", elapsed_s=time.monotonic() - started)
        return Ack(
            error="" if 200 <= answer.status < 300 else "http_error",
            status=answer.status,
            payload=_answered(text),
            elapsed_s=time.monotonic() - started,
            no_retry=answer.headers.get("X-Slack-No-Retry") == "1",
        )


def _answered(text: str) -> Json:
    if not text:
        return {}
    try:
        body = json.loads(text)
    except ValueError:
        return {"text": text}
    return body if isinstance(body, dict) else {"text": text}


class Courier:
    """Delivers parcels and redelivers events that were not acknowledged; `attempts` is the record, oldest first."""

    def __init__(self, *, world: World, transport: Callable[[], Transport], retry_delays_s: Sequence[float]) -> None:
        self._world = world
        self._transport = transport
        self._retry_delays_s = tuple(retry_delays_s)
        self._under_way: set[asyncio.Task[Ack]] = set()
        self.attempts: list[Attempt] = []

    async def deliver(self, parcel: Parcel, *, again: int = 0) -> Ack:
        """The app's last answer. `again` sends an acknowledged event that many times more, as when acks get lost."""
        ack = await self._attempt(parcel, 0, "")
        for number, delay_s in enumerate(self._retry_delays_s, start=1):
            if ack.ok or ack.no_retry or not parcel.is_event:
                break
            await asyncio.sleep(delay_s)
            ack = await self._attempt(parcel, number, ack.error)
        for number in range(1, again + 1):
            ack = await self._attempt(parcel, number, "http_timeout")
        return ack

    def deliver_later(self, parcel: Parcel, *, again: int = 0) -> None:
        """Delivers in the background; `settled` waits for it."""
        task = asyncio.get_running_loop().create_task(self.deliver(parcel, again=again))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def settled(self) -> None:
        """Returns when nothing is under way any more, redeliveries included."""
        while self._under_way:
            await asyncio.gather(*self._under_way)

    async def stop(self) -> None:
        """Gives up what is under way."""
        tasks = list(self._under_way)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _attempt(self, parcel: Parcel, number: int, reason: str) -> Ack:
        attempt = await self._transport().send(parcel, number=number, reason=reason)
        self.attempts.append(attempt)
        self._world.bell.ring()
        return attempt.ack
