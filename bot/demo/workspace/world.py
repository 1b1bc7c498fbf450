"""What the parts of one running workspace share: its state, limits, clock, tokens, and the bell that rings on every change."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from bot.demo.workspace.call import Token
from bot.demo.workspace.limits import Limits, Pace
from bot.demo.workspace.state import Message, ResponseUrl, State, Trigger


class Bell:
    """Wakes everybody who waits, each time it is rung."""

    def __init__(self) -> None:
        self._next_ring = asyncio.Event()

    def ring(self) -> None:
        """Wakes all who wait now; who waits afterwards waits for the next ring."""
        self._next_ring.set()
        self._next_ring = asyncio.Event()

    async def wait(self) -> None:
        """Returns at the next ring."""
        await self._next_ring.wait()


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A misfortune for the next call of a method: this error, with this HTTP status."""

    method: str
    error: str
    status: int = 200
    retry_after_s: int | None = None


@dataclass(slots=True, kw_only=True)
class World:
    """The shared parts; `clock` gives epoch seconds and rules ts, triggers, pace and expiry, `base_url` is set once bound."""

    state: State
    limits: Limits
    clock: Callable[[], float]
    tokens: dict[str, Token]
    posted: Callable[[Message], None]
    bell: Bell = field(default_factory=Bell)
    faults: list[Fault] = field(default_factory=list)
    socket_tickets: set[str] = field(default_factory=set)
    base_url: str = ""
    post_pace: Pace = field(init=False)
    method_paces: dict[str, Pace] = field(init=False)

    def __post_init__(self) -> None:
        self.post_pace = Pace(burst=self.limits.post_burst, per_s=self.limits.posts_per_s)
        self.method_paces = {
            method: Pace(burst=calls, per_s=calls / 60) for method, calls in self.limits.per_minute.items()
        }

    def new_trigger(self, user: str) -> str:
        """A trigger_id for one interaction of this person."""
        trigger = Trigger(id=f"{self.state.next_id('')}.{user}.trigger", user=user, issued=self.clock())
        self.state.triggers[trigger.id] = trigger
        return trigger.id

    def new_response_url(self, user: str, channel: str, message: Message | None = None) -> str:
        """The address of a new response_url for one interaction."""
        url = ResponseUrl(
            id=self.state.next_id("R"),
            user=user,
            channel=channel,
            issued=self.clock(),
            message_ts=message.ts if message else None,
            thread_ts=message.thread_ts if message else None,
        )
        self.state.response_urls[url.id] = url
        return f"{self.base_url}/hooks/response/{url.id}"

    def new_socket_url(self) -> str:
        """A fresh address for one socket, as apps.connections.open gives it."""
        ticket = self.state.next_id("ticket")
        self.socket_tickets.add(ticket)
        return f"{self.base_url.replace('http://', 'ws://')}/socket/{ticket}"
