"""A whole incident: the shop's history in a real Prometheus, its lines in the Loki fake, its commits in git repositories, and the
real bot asked through Slack's own protocol."""

import asyncio
import json
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from zoneinfo import ZoneInfo

import aiohttp

from bot.adapters.clock import SystemClock
from bot.cli.run import Bot, running
from bot.demo.loki.server import fake_loki, running_loki
from bot.demo.shop.load import loki_push_bodies, openmetrics, write_git
from bot.demo.shop.questions import question
from bot.demo.shop.shop import Shop
from bot.demo.shop.sources import ShopLogs
from bot.demo.shop.topology import Topology
from bot.demo.workspace.driver import Workspace
from bot.demo.workspace.state import Message
from bot.domain.question import Thread
from bot.domain.report import Report
from bot.domain.scope import Window
from bot.settings import read_settings
from bot.wiring import open_sources
from tests.servers import running_prometheus

# A Thursday afternoon; the shop lives in simulated time, so that a seed means the same on every day the tests run.
NOW_S = 1795102800.0
# What an ask about the last 40 minutes looks at, with room for rate windows: an hour and forty minutes, and the same hours
# of a day and a week before.
HISTORY_S = 6600.0
STEP_S = 30
CHANNEL = "incidents"


class ShopClock(SystemClock):
    """Real time for durations, the shop's present for everything else."""

    def __init__(self) -> None:
        self._began_s = self.elapsed_s()

    def now_s(self) -> float:
        return NOW_S + self.elapsed_s() - self._began_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What came of one ask: the thread people see, and the report it was made from."""

    shop: Shop
    thread: Sequence[Message]
    report: Report

    @property
    def right(self) -> bool:
        """Whether the headline names the faulty service and the kind of fault."""
        truth, cause = self.shop.truth, self.report.cause
        if truth is None:
            return cause is None
        shown = [
            f"{service}: {truth.fault.value}" in _text([message])
            for message in self.thread
            for service in truth.services
        ]
        return any(shown) and cause is not None and cause.service in truth.services and cause.fault is truth.fault

    @property
    def misled(self) -> bool:
        """Whether the headline blames what has nothing to do with it: a service off the path, or an innocent change."""
        truth, cause = self.shop.truth, self.report.cause
        if cause is None:
            return False
        if truth is None or cause.service not in _related(self.shop.topology, truth.services):
            return True
        return cause.change is not None and not any(_same_ref(cause.change, ref) for ref in truth.changes)


def _related(topology: Topology, services: Sequence[str]) -> set[str]:
    """These services, all that call them directly or not, and all that they call."""
    calls = [(service.name, call.callee) for service in topology.services for call in service.calls]
    found = set(services)
    for ends in (calls, [(callee, caller) for caller, callee in calls]):
        reached = set(services)
        while more := {end for start, end in ends if start in reached} - reached:
            reached |= more
        found |= reached
    return found


def _same_ref(mine: str, theirs: str) -> bool:
    """Versions and flags as they are, commits by as many digits as both have."""
    return mine == theirs or (min(len(mine), len(theirs)) >= 7 and (mine.startswith(theirs) or theirs.startswith(mine)))


async def ask_about(topology: Topology, seed: int, fault: str) -> Told:
    """Loads the incident, asks `/debug` in #incidents and waits for the report."""
    shop = Shop(topology, seed, fault, now_s=NOW_S, step_s=STEP_S)
    async with incident(shop) as (workspace, bot):
        await workspace.command("ana", CHANNEL, "/debug", question(shop, ZoneInfo(workspace.state.users["UANA"].tz)))
        await workspace.wait_for(lambda: "Done" in _text(workspace.messages(CHANNEL)), timeout_s=120)
        (root,) = workspace.messages(CHANNEL)
        found = await bot.ports.store.investigation_in("T0GROUND", Thread(channel_id=root.channel, ts=root.ts))
        assert found is not None
        report = await bot.ports.store.report(found.key)
        assert report is not None
        return Told(shop=shop, thread=workspace.thread(CHANNEL, root.ts), report=report)


@asynccontextmanager
async def incident(shop: Shop) -> AsyncIterator[tuple[Workspace, Bot]]:
    """The workspace and the bot, with the shop's last hours behind them in real backends."""
    windows = [Window(start_s=NOW_S - ago - HISTORY_S, end_s=NOW_S - ago) for ago in (0, 86_400, 7 * 86_400)]
    loki = fake_loki(now_ns=lambda: round(NOW_S * 1e9))
    async with AsyncExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="groundwire-story-")))
        loading = asyncio.to_thread(lambda: stack.enter_context(running_prometheus(openmetrics(shop, windows))))
        prometheus = await loading
        loki_url = await stack.enter_async_context(running_loki(loki))
        await _push(loki_url, shop, windows[0])
        workspace = await stack.enter_async_context(Workspace())
        repositories = await asyncio.to_thread(write_git, shop, home / "git")
        (home / "groundwire.toml").write_text(_configuration(shop, prometheus.url, loki_url, repositories))
        environ = {
            "GROUNDWIRE_HOME": str(home),
            "GROUNDWIRE_PORT": "0",
            "GROUNDWIRE_SLACK_API_URL": workspace.api_url,
            "SLACK_BOT_TOKEN": workspace.bot_token,
            "SLACK_APP_TOKEN": workspace.app_token,
        }
        settings = read_settings(environ, working_directory=home)
        sources = await stack.enter_async_context(open_sources(settings.file, environ))
        bot = await stack.enter_async_context(running(settings, sources, clock=ShopClock()))
        yield workspace, bot


async def _push(url: str, shop: Shop, window: Window) -> None:
    async with aiohttp.ClientSession() as session:
        for body in await asyncio.to_thread(lambda: list(loki_push_bodies(shop, window))):
            async with session.post(f"{url}/loki/api/v1/push", json=body) as answer:
                assert answer.status == 204, await answer.text()


def _configuration(shop: Shop, prometheus: str, loki: str, repositories: Mapping[str, Path]) -> str:
    """groundwire.toml as an operator of this shop would write it."""
    dialect = shop.topology.dialect
    git = [f'[[git]]\npath = "{path}"\nservice = "{service}"\n' for service, path in repositories.items()]
    return "\n".join(
        [
            f'[[prometheus]]\nname = "prometheus"\nurl = "{prometheus}"\nresolution_s = {STEP_S}',
            f'service_labels = ["{dialect.service_label}"]\n',
            f'[[loki]]\nname = "loki"\nurl = "{loki}"\nservice_labels = ["{dialect.log_service_label}"]',
            f"deploy_query = {json.dumps(ShopLogs(shop).deploy_query)}\n",
            *git,
        ]
    )


def _text(messages: Sequence[Message]) -> str:
    return str([message.blocks for message in messages])
