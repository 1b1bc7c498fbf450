"""Socket Mode, Slack's side: tickets, hello, envelopes, acks, pings, refresh, and a socket that has gone deaf."""

import asyncio
import contextlib
import json
import time
from dataclasses import dataclass

from aiohttp import WSMsgType, web

from bot.demo.workspace.delivery import Ack, Attempt, Parcel
from bot.demo.workspace.seed import APP_ID
from bot.demo.workspace.state import Json
from bot.demo.workspace.world import World

HOST = "applink-local"


@dataclass(slots=True, kw_only=True, eq=False)
class Connection:
    """One socket of the app; a deaf one stays open and is sent nothing, a draining one gets no new envelopes."""

    socket: web.WebSocketResponse
    deaf: bool = False
    answers_pings: bool = True
    draining: bool = False

    async def send(self, message: Json) -> None:
        """Writes one message, unless the socket is deaf or already closed."""
        if not self.deaf and not self.socket.closed:
            await self.socket.send_str(json.dumps(message))


class Sockets:
    """All sockets of the app; as a transport it gives each envelope to one of them, in turn."""

    def __init__(self, *, world: World, ping_s: float) -> None:
        self._world = world
        self._ping_s = ping_s
        self._turn = 0
        # By envelope id and not by socket: during a reconnect Slack's client acknowledges on its new socket.
        self._pending: dict[str, asyncio.Future[Json]] = {}
        self.connections: list[Connection] = []

    def add_routes(self, app: web.Application) -> None:
        """Mounts the WebSocket endpoint in an application."""
        app.router.add_get("/socket/{ticket}", self._handle)

    async def send(self, parcel: Parcel, *, number: int, reason: str) -> Attempt:
        """One envelope with a new id to one socket, and its ack."""
        envelope: Json = {
            "envelope_id": self._world.state.next_id("envelope-"),
            "type": parcel.kind,
            "payload": parcel.payload,
            "accepts_response_payload": not parcel.is_event,
        }
        if parcel.is_event:
            envelope |= {"retry_attempt": number, "retry_reason": "timeout" if reason else ""}
        ack = await self._exchange(envelope)
        return Attempt(parcel=parcel, number=number, reason=reason, ack=ack, envelope_id=str(envelope["envelope_id"]))

    async def _exchange(self, envelope: Json) -> Ack:
        started = time.monotonic()
        ready = [c for c in self.connections if not c.draining]
        if not ready:
            return Ack(error="no_connection")
        self._turn += 1
        connection = ready[self._turn % len(ready)]
        answer: asyncio.Future[Json] = asyncio.get_running_loop().create_future()
        self._pending[envelope["envelope_id"]] = answer
        try:
            await connection.send(envelope)
            async with asyncio.timeout(self._world.limits.ack_s):
                payload = await answer
        except (TimeoutError, ConnectionError):
            return Ack(error="http_timeout", elapsed_s=time.monotonic() - started)
        finally:
            self._pending.pop(envelope["envelope_id"], None)
        return Ack(status=200, payload=payload, elapsed_s=time.monotonic() - started)

    async def disconnect(self, reason: str = "refresh_requested") -> int:
        """Asks every socket to reconnect and sends it nothing new; how many were asked."""
        asked = [c for c in self.connections if not c.draining]
        for connection in asked:
            connection.draining = True
            await connection.send({"type": "disconnect", "reason": reason, "debug_info": {"host": HOST}})
        return len(asked)

    async def close(self) -> None:
        """Closes every socket."""
        for connection in list(self.connections):
            await connection.socket.close()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        ticket = request.match_info["ticket"]
        if ticket not in self._world.socket_tickets:
            return web.Response(status=401)
        self._world.socket_tickets.discard(ticket)
        socket = web.WebSocketResponse(autoping=False)
        await socket.prepare(request)
        connection = Connection(socket=socket)
        if len(self.connections) >= self._world.limits.sockets:
            await connection.send({"type": "disconnect", "reason": "too_many_websockets"})
            await socket.close()
            return socket
        self.connections.append(connection)
        await connection.send(self._hello())
        self._world.bell.ring()
        pinger = asyncio.get_running_loop().create_task(self._keep_pinging(connection))
        try:
            await self._listen(connection)
        finally:
            pinger.cancel()
            self.connections.remove(connection)
            self._world.bell.ring()
        return socket

    def _hello(self) -> Json:
        return {
            "type": "hello",
            "num_connections": len(self.connections),
            "debug_info": {"host": HOST, "build_number": 1, "approximate_connection_time": 18060},
            "connection_info": {"app_id": APP_ID},
        }

    async def _keep_pinging(self, connection: Connection) -> None:
        while not connection.socket.closed:
            await asyncio.sleep(self._ping_s)
            if not connection.deaf:
                with contextlib.suppress(ConnectionError):  # closed meanwhile: the listening side notices
                    await connection.socket.ping(b"Ping from the local workspace")

    async def _listen(self, connection: Connection) -> None:
        while True:
            message = await connection.socket.receive()
            if message.type in (WSMsgType.CLOSE, WSMsgType.CLOSING, WSMsgType.CLOSED, WSMsgType.ERROR):
                return
            if message.type is WSMsgType.PING and connection.answers_pings:
                await connection.socket.pong(message.data)
            elif message.type is WSMsgType.TEXT:
                self._take_ack(message.data)

    def _take_ack(self, text: str) -> None:
        try:
            ack = json.loads(text)
        except ValueError:
            return
        answer = self._pending.get(str(ack.get("envelope_id"))) if isinstance(ack, dict) else None
        if answer is not None and not answer.done():
            payload = ack.get("payload")
            answer.set_result(payload if isinstance(payload, dict) else {})
