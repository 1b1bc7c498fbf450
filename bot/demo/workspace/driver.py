"""`Workspace`: the local Slack-like server as one object, for tests and the demo.

    async with Workspace() as ws:
        client = AsyncWebClient(token=ws.bot_token, base_url=ws.api_url)
        ws.request_url = "http://127.0.0.1:3000/slack/events"      # or connect by Socket Mode with ws.app_token
        await ws.command("ana", "checkout", "/debug", "checkout is slow")
        await ws.wait_for(lambda: ws.messages("checkout"))

It binds 127.0.0.1 only. People and channels are named by id or name.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Self, TypeVar

from aiohttp import web

from bot.demo.workspace.call import Token
from bot.demo.workspace.delivery import FORM, Ack, Attempt, Courier, HttpTransport, Transport
from bot.demo.workspace.limits import ALL_SCOPES, Limits
from bot.demo.workspace.people import People
from bot.demo.workspace.response_urls import ResponseUrls
from bot.demo.workspace.seed import BOT_ID, BOT_USER, seeded_state
from bot.demo.workspace.sockets import Connection, Sockets
from bot.demo.workspace.state import Message, State, View
from bot.demo.workspace.web_api import LARGEST_BODY, WebApi
from bot.demo.workspace.world import Fault, World

T = TypeVar("T")

# These three open nothing but this server.
BOT_TOKEN = "xoxb-local-workspace-bot"  # noqa: S105 # nosec B105
APP_TOKEN = "xapp-local-workspace-app"  # noqa: S105 # nosec B105
SIGNING_SECRET = "local-workspace-signing-secret"  # noqa: S105 # nosec B105
EVENTS = frozenset(
    {
        *("app_mention", "message.im", "app_home_opened", "reaction_added"),
        *("agent_session_stopped", "member_joined_channel"),
    }
)


class Workspace(People):
    """A running workspace; see the module's example. Arguments:

    `state` another company than the seeded one; `limits` Slack's numbers; `scopes` of the bot token; `events` the bot events
    the app subscribed to (`message.channels` is off, as in a minimal manifest); `clock` epoch seconds for ts, triggers, pace
    and expiry; `retry_delays_s` between redeliveries of an event; `ping_s` between pings on a socket; `port` 0 takes a free one.
    """

    def __init__(
        self,
        *,
        state: State | None = None,
        limits: Limits | None = None,
        scopes: frozenset[str] = ALL_SCOPES,
        events: frozenset[str] = EVENTS,
        clock: Callable[[], float] = time.time,
        retry_delays_s: Sequence[float] = (0.02, 0.1, 0.3),
        ping_s: float = 2.0,
        port: int = 0,
    ) -> None:
        self.request_url = ""
        self.bot_token, self.app_token, self.signing_secret = BOT_TOKEN, APP_TOKEN, SIGNING_SECRET
        bot = Token(value=BOT_TOKEN, kind="bot", scopes=scopes, user=BOT_USER, bot_id=BOT_ID)
        app = Token(value=APP_TOKEN, kind="app", scopes=frozenset({"connections:write"}))
        world = World(
            state=state or seeded_state(),
            limits=limits or Limits(),
            clock=clock,
            tokens={BOT_TOKEN: bot, APP_TOKEN: app},
            posted=self.announce,
        )
        courier = Courier(world=world, transport=self._transport, retry_delays_s=retry_delays_s)
        super().__init__(world=world, courier=courier, responses=ResponseUrls(world), events=events)
        self._sockets = Sockets(world=world, ping_s=ping_s)
        self._http = HttpTransport(url=lambda: self.request_url, secret=self.signing_secret, ack_s=world.limits.ack_s)
        self._port = port
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=LARGEST_BODY)
        WebApi(self._world).add_routes(app)
        self._responses.add_routes(app)
        self._sockets.add_routes(app)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self._port)
        await site.start()
        self._world.base_url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._courier.stop()
        await self._sockets.close()
        if self._runner is not None:
            await self._runner.cleanup()

    @property
    def api_url(self) -> str:
        """What to give to a Slack client as its base_url."""
        return f"{self._world.base_url}/api/"

    @property
    def attempts(self) -> list[Attempt]:
        """Every delivery attempt so far, oldest first."""
        return self._courier.attempts

    @property
    def connections(self) -> list[Connection]:
        """The app's open sockets."""
        return self._sockets.connections

    @property
    def names(self) -> dict[str, str]:
        """Id -> readable name of every person, channel and group."""
        state = self.state
        return {
            **{user.id: user.real_name for user in state.users.values()},
            **{channel.id: channel.name for channel in state.channels.values()},
            **{group.id: group.handle for group in state.groups.values()},
        }

    def messages(self, channel: str) -> list[Message]:
        """What everybody sees in the channel itself, oldest first, without thread replies."""
        return self.state.history(self._channel(channel).id)

    def thread(self, channel: str, ts: str) -> list[Message]:
        """The root and its replies, oldest first."""
        return self.state.thread(self._channel(channel).id, ts)

    def ephemerals(self, user: str) -> list[Message]:
        """What only this person sees, oldest first."""
        return self.state.ephemerals(self._user(user).id)

    def views(self, user: str) -> list[View]:
        """The modals this person has open, the top one last."""
        return self.state.open_views(self._user(user).id)

    def home(self, user: str) -> View | None:
        """The Home tab published for this person."""
        who = self._user(user).id
        return next((v for v in self.state.views.values() if v.user == who and v.type == "home"), None)

    async def wait_for(self, predicate: Callable[[], T], *, timeout_s: float = 5.0) -> T:
        """The first truthy value of `predicate`, asked again at every change of the workspace.

        Raises TimeoutError, telling what stands in the workspace, when that takes longer.
        """
        try:
            async with asyncio.timeout(timeout_s):
                while not (found := predicate()):
                    await self._world.bell.wait()
                return found
        except TimeoutError:
            last = [f"{m.channel} {m.ts} {m.user or m.username}: {m.text[:80]}" for m in self._last_messages()]
            raise TimeoutError(f"not within {timeout_s} s; the last messages: {last}") from None

    def _last_messages(self) -> list[Message]:
        return list(self.state.messages.values())[-8:]

    async def settled(self) -> None:
        """Returns when every event has been delivered or given up."""
        await self._courier.settled()

    def fail(
        self,
        method: str,
        error: str = "internal_error",
        *,
        status: int = 200,
        times: int = 1,
        retry_after_s: int | None = None,
    ) -> None:
        """Makes the next calls of a Web API method fail; with `retry_after_s` they are rate limited (429)."""
        fault = Fault(method=method, error=error, status=status, retry_after_s=retry_after_s)
        self._world.faults.extend([fault] * times)

    def deafen(self, *, answer_pings: bool = False) -> None:
        """Every open socket stays open and is sent nothing more: no events, no pings, and no pongs unless `answer_pings`.
        Sockets opened afterwards hear."""
        for connection in self.connections:
            connection.deaf = True
            connection.answers_pings = answer_pings

    async def disconnect_sockets(self, reason: str = "refresh_requested") -> int:
        """Asks every socket to reconnect, as Slack does every few hours; how many were asked."""
        return await self._sockets.disconnect(reason)

    async def send_raw(
        self,
        body: str,
        *,
        content_type: str = FORM,
        timestamp: str | None = None,
        signature: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Ack:
        """Posts any body to the app's request URL: a false `timestamp` or `signature` replaces the right one, "" leaves the
        header out. For requests an app must refuse."""
        return await self._http.post(
            body, content_type=content_type, headers=headers or {}, timestamp=timestamp, signed_with=signature
        )

    def _transport(self) -> Transport:
        return self._http if self.request_url else self._sockets
