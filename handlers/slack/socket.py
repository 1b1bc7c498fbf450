"""Socket Mode: two connections, each watched and replaced when it dies, goes silent or Slack asks for it.

The SDK's client speaks the protocol; it does not reconnect by itself here, so that one place decides when and how fast. Slack
sends a ping at least every 30 s: a socket that brings no hello, ping or event for longer is deaf, even if it answers ours.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import structlog
from aiohttp import ClientSession, ClientWebSocketResponse, WSMessage, WSMsgType
from slack_bolt.adapter.socket_mode.async_internals import run_async_bolt_app, send_async_response
from slack_bolt.async_app import AsyncApp
from slack_sdk.socket_mode.aiohttp import SocketModeClient
from slack_sdk.socket_mode.async_client import AsyncBaseSocketModeClient
from slack_sdk.socket_mode.request import SocketModeRequest
from slack_sdk.web.async_client import AsyncWebClient

from bot.errors import SlackError
from bot.ports import Clock, Health
from handlers.slack.client import slack_errors

TOO_MANY = "too_many_websockets"

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """All in seconds. `silent_s` without a sign of life replaces a socket; `hello_s` is how long a new one may take."""

    ping_s: float = 10.0
    silent_s: float = 40.0
    hello_s: float = 10.0
    connect_s: float = 15.0
    check_s: float = 1.0
    first_back_off_s: float = 1.0
    longest_back_off_s: float = 60.0

    def back_off_s(self, failures: int) -> float:
        """How long to wait after so many failures in a row."""
        return min(self.longest_back_off_s, self.first_back_off_s * 2 ** (failures - 1)) if failures else 0.0


@dataclass(slots=True, kw_only=True)
class Socket:
    """One connection as `/healthz` tells of it: connecting, open or lost, since when it was heard, why it was last lost."""

    number: int
    state: str = "connecting"
    heard_at_s: float = 0.0
    lost_because: str = ""
    reconnects: int = 0
    replace: asyncio.Event = field(default_factory=asyncio.Event)


class SocketMode:
    """The app's connections to Slack. `start` begins and returns at once; `stop` ends everything."""

    def __init__(
        self,
        app: AsyncApp,
        client: AsyncWebClient,
        app_token: str,
        clock: Clock,
        *,
        connections: int = 2,
        timing: Timing | None = None,
    ) -> None:
        self._app = app
        self._client = client
        self._token = app_token
        self._clock = clock
        self._timing = timing or Timing()
        self.sockets = tuple(Socket(number=n + 1) for n in range(connections))
        self._keepers: list[asyncio.Task[None]] = []
        self._closing: set[asyncio.Task[None]] = set()
        self._opened = asyncio.Event()

    async def start(self) -> None:
        self._keepers = [asyncio.create_task(self._keep(s), name=f"socket {s.number}") for s in self.sockets]

    async def opened(self, *, timeout_s: float) -> None:
        """Returns when a first connection is open. Raises SlackError when none is in time."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._opened.wait()
        except TimeoutError as error:
            why = "; ".join(sorted({s.lost_because for s in self.sockets if s.lost_because})) or "no answer"
            remedy = "Check SLACK_APP_TOKEN (it starts with xapp-), that Socket Mode is on, and the network."
            raise SlackError("SLK-009", f"Socket Mode did not connect: {why}.", remedy) from error

    async def stop(self) -> None:
        for keeper in self._keepers:
            keeper.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)
        await asyncio.gather(*self._closing, return_exceptions=True)

    def health(self) -> Health:
        """One open connection is enough to work; the detail names every one."""
        now_s = self._clock.elapsed_s()
        ok = any(s.state == "open" for s in self.sockets)
        detail = "; ".join(_told(s, now_s) for s in self.sockets)
        return Health(ok=ok, detail=detail, remedy="" if ok else "Check the network and SLACK_APP_TOKEN.")

    async def _keep(self, socket: Socket) -> None:
        """Connects, watches, replaces, for ever; waits longer after every failure in a row."""
        failures = 0
        while True:
            try:
                client = await self._connect(socket)
            except (SlackError, TimeoutError) as error:
                failures += 1
                self._lost(socket, getattr(error, "message", None) or "it took too long to connect")
            else:
                try:
                    reason = await self._lost_reason(socket, client)
                finally:
                    self._close(client)
                failures = failures + 1 if reason in (TOO_MANY, _NO_HELLO) else 0
                self._lost(socket, reason)
            await asyncio.sleep(self._timing.back_off_s(failures))
            socket.reconnects += 1

    async def _connect(self, socket: Socket) -> SocketModeClient:
        socket.state, socket.replace = "connecting", asyncio.Event()
        client = _Client(self._token, self._client, self._timing.ping_s, lambda message: self._heard(socket, message))
        client.socket_mode_request_listeners.append(self._dispatch)
        connected = False
        try:
            async with asyncio.timeout(self._timing.connect_s):
                await client.watch_frames(lambda: self._alive(socket))
                with slack_errors("apps.connections.open"):
                    client.wss_uri = await client.issue_new_wss_url()
                await client.connect()  # type: ignore[no-untyped-call]  # the SDK leaves it open
            connected = True
        finally:
            if not connected:
                self._close(client)
        self._alive(socket)
        return client

    async def _lost_reason(self, socket: Socket, client: SocketModeClient) -> str:
        """Waits until the socket has to be replaced and says why."""
        connected_at_s = self._clock.elapsed_s()
        while not socket.replace.is_set():
            now_s = self._clock.elapsed_s()
            if client.current_session is None or client.current_session.closed:
                return "the connection was closed"
            if socket.state != "open" and now_s - connected_at_s > self._timing.hello_s:
                return _NO_HELLO
            if now_s - socket.heard_at_s > self._timing.silent_s:
                return f"nothing was heard for {self._timing.silent_s:g} s"
            try:
                async with asyncio.timeout(self._timing.check_s):
                    await socket.replace.wait()
            except TimeoutError:
                continue
        return socket.lost_because

    def _heard(self, socket: Socket, message: dict[str, Any]) -> None:
        kind = message.get("type")
        if kind == "hello":
            socket.state = "open"
            self._opened.set()
        elif kind == "disconnect":
            socket.lost_because = str(message.get("reason", "disconnect"))
            socket.replace.set()

    def _alive(self, socket: Socket) -> None:
        socket.heard_at_s = self._clock.elapsed_s()

    def _lost(self, socket: Socket, reason: str) -> None:
        socket.state, socket.lost_because = "lost", reason
        _log.info("socket is replaced", socket=socket.number, reason=reason)

    def _close(self, client: SocketModeClient) -> None:
        """Closes in the background: a deaf peer takes 10 s to be given up, and the next connection must not wait for it."""
        closing = asyncio.create_task(client.close())  # type: ignore[no-untyped-call]  # likewise
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)

    async def _dispatch(self, client: AsyncBaseSocketModeClient, request: SocketModeRequest) -> None:
        answer = await run_async_bolt_app(self._app, request)
        await send_async_response(client, request, answer, self._clock.now_s())


_NO_HELLO = "Slack said no hello"


class _Client(SocketModeClient):
    """The SDK's client without its own reconnecting: Slack's wish for it is passed on."""

    def __init__(
        self, app_token: str, web_client: AsyncWebClient, ping_s: float, heard: Callable[[dict[str, Any]], None]
    ) -> None:
        super().__init__(app_token, web_client=web_client, auto_reconnect_enabled=False, ping_interval=ping_s)
        self._heard = heard

    async def watch_frames(self, alive: Callable[[], None]) -> None:
        """Tells of every hello, event and ping from Slack; answers to our own pings prove the network, not that Slack talks."""

        class Watched(ClientWebSocketResponse):
            async def receive(self, timeout: float | None = None) -> WSMessage:
                message = await super().receive(timeout)
                if message.type in (WSMsgType.TEXT, WSMsgType.PING):
                    alive()
                return message

        await self.aiohttp_client_session.close()
        self.aiohttp_client_session = ClientSession(ws_response_class=Watched)

    async def run_message_listeners(self, message: dict[str, Any], raw_message: str) -> None:
        self._heard(message)
        if message.get("type") != "disconnect":
            await super().run_message_listeners(message, raw_message)


def _told(socket: Socket, now_s: float) -> str:
    heard = f", heard {now_s - socket.heard_at_s:.0f} s ago" if socket.state == "open" else ""
    because = f" ({socket.lost_because})" if socket.state == "lost" else ""
    return f"socket {socket.number} {socket.state}{heard}{because}, {socket.reconnects} reconnects"
