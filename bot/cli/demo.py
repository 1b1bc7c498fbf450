"""`groundwire demo`: the whole bot at work on a simulated shop, in a local Slack-like workspace. No keys, loopback only."""

import argparse
import asyncio
import re
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from zoneinfo import ZoneInfo

from bot.adapters.telemetry import configure_logging
from bot.cli.run import running
from bot.demo.shop.drawn import drawn
from bot.demo.shop.questions import descriptions, question
from bot.demo.shop.shop import Shop
from bot.demo.shop.sources import ShopAlerts, ShopChanges, ShopLogs, ShopMetrics
from bot.demo.shop.topology import Topology, shop
from bot.demo.workspace.driver import Workspace
from bot.demo.workspace.state import Message
from bot.demo.workspace.terminal import render_thread
from bot.errors import AskError
from bot.ports import Sources
from bot.settings import read_settings
from handlers.slack.actions import APPROVE

CHANNEL, ASKER, APPROVER = "incidents", "UANA", "UBEN"
ANSWER_S = 90.0


def run(arguments: argparse.Namespace) -> int:
    """Asks once about the fault and prints the thread; `--fault list` names the faults."""
    faults = descriptions()
    if arguments.fault == "list":
        print("\n".join(f"{name:20} {text}" for name, text in faults.items()))
        return 0
    if arguments.fault not in faults:
        raise AskError("ASK-002", f"The shop has no fault called “{arguments.fault}”.", f"It has {', '.join(faults)}.")
    configure_logging(level="ERROR")
    print(asyncio.run(once(_topology(arguments.topology), arguments.seed, arguments.fault, arguments.ask)))
    return 0


async def once(topology: Topology, seed: int, fault: str, text: str | None) -> str:
    """One question in #incidents, its thread, and an approval, as text for a terminal."""
    simulated = Shop(topology, seed, fault, now_s=time.time())
    with tempfile.TemporaryDirectory(prefix="groundwire-demo-") as home:
        async with Workspace() as workspace:
            zone = ZoneInfo(workspace.state.users[ASKER].tz)
            asked = text or question(simulated, zone)
            environ = {
                "GROUNDWIRE_HOME": home,
                "GROUNDWIRE_PORT": "0",
                "GROUNDWIRE_SLACK_API_URL": workspace.api_url,
                "SLACK_BOT_TOKEN": workspace.bot_token,
                "SLACK_APP_TOKEN": workspace.app_token,
            }
            settings = read_settings(environ, working_directory=Path(home))
            async with running(settings, _sources(simulated)):
                thread = await _conversation(workspace, asked)
                head = f"# {CHANNEL} · Ana types: /debug {asked}\n"
                return head + render_thread(thread, tz=zone, names=workspace.names)


def _sources(simulated: Shop) -> Sources:
    return Sources(
        metrics=(ShopMetrics(simulated),),
        logs=(ShopLogs(simulated),),
        alerts=(ShopAlerts(simulated),),
        changes=(ShopChanges(simulated),),
    )


async def _conversation(workspace: Workspace, asked: str) -> Sequence[Message]:
    """The thread after the report, and after somebody approved its first suggestion where it has one."""
    await workspace.command(ASKER, CHANNEL, "/debug", asked)
    await workspace.wait_for(lambda: bool(_root(workspace)) and _finished(workspace), timeout_s=ANSWER_S)
    proposed = [m for m in _thread(workspace) if _button(m)]
    if proposed:
        await workspace.click(APPROVER, proposed[0], APPROVE)
        await workspace.wait_for(lambda: not any(_button(m) for m in _thread(workspace) if m.ts == proposed[0].ts))
    return _thread(workspace)


def _root(workspace: Workspace) -> Sequence[Message]:
    return workspace.messages(CHANNEL)[-1:]


def _thread(workspace: Workspace) -> Sequence[Message]:
    return workspace.thread(CHANNEL, _root(workspace)[0].ts)


def _finished(workspace: Workspace) -> bool:
    """The root message is edited last, when the report and its suggestions stand below it."""
    return "Done" in str(_root(workspace)[0].blocks)


def _button(message: Message) -> bool:
    return APPROVE in str(message.blocks)


def _topology(name: str) -> Topology:
    if name == "shop":
        return shop()
    if not re.fullmatch("[0-9]{1,9}", name):
        raise AskError("ASK-003", f"“{name}” is no topology.", "Use `shop`, or a number that draws another one.")
    return drawn(int(name))
