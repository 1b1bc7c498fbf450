"""A conversation with the real bot, fast: its sources are a small simulated shop in memory, everything else is as in production,
with a database on disk, durable work, and Slack's own protocol spoken with the local workspace."""

import functools
import re
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import yaml

from bot.cli.run import Bot, running
from bot.demo.shop.questions import question
from bot.demo.shop.shop import Shop
from bot.demo.shop.sources import ShopAlerts, ShopChanges, ShopLogs, ShopMetrics
from bot.demo.shop.topology import MIB, Call, Language, Service, Topology, database, get, post
from bot.demo.workspace.driver import Workspace
from bot.demo.workspace.limits import Limits
from bot.demo.workspace.state import Message
from bot.domain.question import Thread
from bot.domain.report import Report
from bot.ports import Clock, Sources
from bot.settings import read_settings
from handlers.slack.http import PATH
from tests.stories.incident import NOW_S, ShopClock

TEAM = "T0GROUND"
CHANNEL = "incidents"
FAULT = "pool_exhaustion"
SEED = 1
ANSWER_S = 30.0
# Long enough that a second person can ask while the first answer is being worked out, 15 looks one after the other.
SLOW_S = 0.15


def corner_shop() -> Topology:
    """Five services, one of them with a pool: as little as a fault needs to be told from its victims."""
    return Topology(
        name="corner",
        namespace="corner",
        services=(
            Service(
                name="frontend",
                language=Language.PYTHON,
                entry_rate=8.0,
                own_s=0.012,
                routes=(get("/product/{id}"), post("/checkout", 0.2)),
                calls=(
                    Call(callee="catalog", timeout_s=2.0),
                    Call(callee="checkout", per_request=0.5, timeout_s=10.0),
                ),
            ),
            Service(name="catalog", own_s=0.005, routes=(get("/products/{id}"),)),
            Service(
                name="checkout",
                replicas=2,
                own_s=0.015,
                routes=(post("/checkout"),),
                calls=(Call(callee="orders", timeout_s=5.0),),
            ),
            Service(
                name="orders",
                language=Language.JAVA,
                own_s=0.04,
                memory_bytes=450 * MIB,
                memory_limit_bytes=1024 * MIB,
                routes=(post("/orders"),),
                calls=(Call(callee="orders-db", per_request=3.0, timeout_s=5.0, pool=15),),
            ),
            database("orders-db", own_s=0.007),
        ),
    )


@functools.cache
def shop_with(fault: str, seed: int = SEED) -> Shop:
    """The shop in trouble (or "none"); computed once for all stories of a process."""
    return Shop(corner_shop(), seed, fault, now_s=NOW_S, step_s=60)


@functools.cache
def _logs_of(fault: str, seed: int) -> ShopLogs:
    """The lines, too, are written once."""
    return ShopLogs(shop_with(fault, seed))


@dataclass(frozen=True, slots=True, kw_only=True)
class Backends:
    """The shop's four sources, each with its switches `down` and `latency_s`."""

    metrics: ShopMetrics
    logs: ShopLogs
    alerts: ShopAlerts
    changes: ShopChanges

    @property
    def all(self) -> tuple[ShopMetrics | ShopLogs | ShopAlerts | ShopChanges, ...]:
        return self.metrics, self.logs, self.alerts, self.changes

    @property
    def sources(self) -> Sources:
        return Sources(metrics=(self.metrics,), logs=(self.logs,), alerts=(self.alerts,), changes=(self.changes,))


def backends(fault: str = FAULT, seed: int = SEED) -> Backends:
    """The shop's sources, all switched on. One story at a time uses them, as one bot runs at a time."""
    shop, logs = shop_with(fault, seed), _logs_of(fault, seed)
    logs.down, logs.latency_s = False, 0.0
    return Backends(metrics=ShopMetrics(shop), logs=logs, alerts=ShopAlerts(shop), changes=ShopChanges(shop))


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """People and the bot in one workspace."""

    workspace: Workspace
    bot: Bot
    backends: Backends
    home: Path

    async def debug(self, user: str, text: str, channel: str = CHANNEL) -> None:
        """Somebody types `/debug <text>`; returns when Slack has shown the acknowledgement."""
        ack = await self.workspace.command(user, channel, "/debug", text)
        assert ack.ok, ack

    async def answered(self, channel: str = CHANNEL, *, roots: int = 1, timeout_s: float = ANSWER_S) -> list[Message]:
        """The newest thread of the channel, once this many root messages say that they are done."""
        await self.workspace.wait_for(lambda: len(self.done(channel)) >= roots, timeout_s=timeout_s)
        return self.workspace.thread(channel, self.done(channel)[-1].root_ts)

    def done(self, channel: str = CHANNEL) -> list[Message]:
        """What the bot posted in the channel or its threads to say what it looked at, and that it is done."""
        where = self.workspace.state.channel_named(channel)
        there = [m for m in self.workspace.state.messages.values() if where and m.channel == where.id]
        return [m for m in there if m.bot_id == "BBOT" and "Done: " in said([m])]

    async def asked_and_answered(self, text: str, user: str = "ana", channel: str = CHANNEL) -> list[Message]:
        """The thread that answers `/debug <text>`."""
        roots = len(self.done(channel)) + 1
        await self.debug(user, text, channel)
        return await self.answered(channel, roots=roots)

    async def told_privately(self, user: str, words: str, *, timeout_s: float = 10.0) -> str:
        """The private message with these words that this person got: in the channel, or as a direct message."""

        def found() -> str:
            own = self.workspace.dm(user)
            direct = [m for m in self.workspace.state.messages.values() if m.channel == own and m.bot_id]
            private = [*self.workspace.ephemerals(user), *direct]
            return next((said([m]) for m in reversed(private) if words in said([m])), "")

        return await self.workspace.wait_for(found, timeout_s=timeout_s)

    async def report_in(self, root: Message) -> Report:
        """The stored report that a thread tells."""
        thread = Thread(channel_id=root.channel, ts=root.root_ts)
        investigation = await self.bot.ports.store.investigation_in(TEAM, thread)
        assert investigation is not None
        report = await self.bot.ports.store.report(investigation.key)
        assert report is not None
        return report

    async def at_rest(self) -> None:
        """Returns when every event is delivered and all accepted work has ended."""
        await self.workspace.settled()
        for key in await self.bot.ports.journal.unfinished():
            await self.bot.ports.journal.wait(key, timeout_s=ANSWER_S)


@asynccontextmanager
async def conversation(
    home: Path,
    *,
    on: Backends | None = None,
    http: bool = False,
    configuration: str = "",
    clock: Clock | None = None,
    workspace: Workspace | None = None,
) -> AsyncIterator[Conversation]:
    """The bot at work in a fresh workspace, or in one that stands already (a restart keeps the same `home` and `clock`)."""
    on, clock = on or backends(), clock or ShopClock()
    async with AsyncExitStack() as stack:
        ws = workspace if workspace is not None else await stack.enter_async_context(fresh_workspace(clock))
        (home / "groundwire.toml").write_text(configuration)
        secret = {"SLACK_SIGNING_SECRET": ws.signing_secret} if http else {"SLACK_APP_TOKEN": ws.app_token}
        environ = {
            "GROUNDWIRE_HOME": str(home),
            "GROUNDWIRE_PORT": "0",
            "GROUNDWIRE_SLACK_API_URL": ws.api_url,
            "SLACK_BOT_TOKEN": ws.bot_token,
            **secret,
        }
        settings = read_settings(environ, working_directory=home)
        bot = await stack.enter_async_context(running(settings, on.sources, clock=clock))
        if http:
            ws.request_url = f"{bot.url}{PATH}"
        yield Conversation(workspace=ws, bot=bot, backends=on, home=home)


def fresh_workspace(clock: Clock) -> Workspace:
    """The seeded workspace in the shop's time, with the scopes of our manifest alone.

    Slack's pace is off: a story asks more in a second than people in a minute.
    """
    manifest = yaml.safe_load((Path(__file__).resolve().parents[2] / "manifest.yml").read_text())
    scopes = frozenset(manifest["oauth_config"]["scopes"]["bot"])
    return Workspace(clock=clock.now_s, limits=Limits(post_burst=1000), scopes=scopes)


def symptom(fault: str = FAULT) -> str:
    """A question as somebody on call in Stockholm would put it."""
    return question(shop_with(fault), ZoneInfo("Europe/Stockholm"))


def said(messages: Sequence[Message]) -> str:
    """Everything a reader sees of these messages, one text a line."""
    return "\n".join(text for message in messages for text in _texts(message.blocks))


def spoken(messages: Sequence[Message]) -> str:
    """What notifications say of these messages."""
    return "\n".join(message.text for message in messages)


def shown(view: dict[str, Any]) -> str:
    """Everything a reader sees of a modal."""
    return "\n".join(_texts(view))


def action_ids(messages: Sequence[Message]) -> list[str]:
    """The buttons and menus that can be used, in reading order."""
    return [str(node["action_id"]) for node in _nodes([m.blocks for m in messages]) if "action_id" in node]


def block_types(messages: Sequence[Message]) -> list[str]:
    return [str(block["type"]) for message in messages for block in message.blocks]


def references(text: str) -> set[str]:
    """The evidence a text names."""
    return set(re.findall(r"\[(E\d+)\]", text))


def without_tokens(text: str) -> str:
    """The text without Slack's date tokens."""
    return re.sub(r"<!date\^[^>]*>", "", text)


def _texts(node: Any) -> Iterator[str]:
    for part in _nodes(node):
        if isinstance(part.get("text"), str):
            yield part["text"]


def _nodes(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        yield node
        for value in node.values():
            yield from _nodes(value)
    elif isinstance(node, list | tuple):
        for item in node:
            yield from _nodes(item)
