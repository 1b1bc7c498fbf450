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
from bot.ports import Journal, Sources
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
    """One question in #incidents, and what came of it as text for a terminal: its thread and an approval, or what only
    the asker was told. Raises AskError when that takes too long."""
    simulated = Shop(topology, seed, fault, now_s=time.time())
    with tempfile.TemporaryDirectory(prefix="groundwire-demo-") as home:
        async with Workspace() as workspace:
            zone = ZoneInfo(workspace.state.users[ASKER].tz)
            asked = question(simulated, zone) if text is None else text
            environ = {
                "GROUNDWIRE_HOME": home,
                "GROUNDWIRE_PORT": "0",
                "GROUNDWIRE_SLACK_API_URL": workspace.api_url,
                "SLACK_BOT_TOKEN": workspace.bot_token,
                "SLACK_APP_TOKEN": workspace.app_token,
            }
            settings = read_settings(environ, working_directory=Path(home))
            async with running(settings, _sources(simulated)) as bot:
                try:
                    thread = await _conversation(workspace, bot.ports.journal, asked)
                except TimeoutError as error:
                    raise AskError("ASK-001", "The demo did not come to an end in time.", "Try it again.") from error
                head = f"# {CHANNEL} · Ana types: /debug {asked}\n"
                return head + render_thread(thread, tz=zone, names=workspace.names)


def _sources(simulated: Shop) -> Sources:
    return Sources(
        metrics=(ShopMetrics(simulated),),
        logs=(ShopLogs(simulated),),
        alerts=(ShopAlerts(simulated),),
        changes=(ShopChanges(simulated),),
    )


async def _conversation(workspace: Workspace, journal: Journal, asked: str) -> Sequence[Message]:
    """The thread after the report, and after somebody approved its first suggestion where it has one.

    What was answered to the asker alone has no thread: then it is that.
    """
    await workspace.command(ASKER, CHANNEL, "/debug", asked)
    for key in await journal.unfinished():
        await journal.wait(key, timeout_s=ANSWER_S)
    if not workspace.messages(CHANNEL):
        return workspace.ephemerals(ASKER)
    proposed = [m for m in _thread(workspace) if _button(m)]
    if proposed:
        await workspace.click(APPROVER, proposed[0], APPROVE)
        await workspace.wait_for(lambda: not any(_button(m) for m in _thread(workspace) if m.ts == proposed[0].ts))
    return _thread(workspace)


def _thread(workspace: Workspace) -> Sequence[Message]:
    return workspace.thread(CHANNEL, workspace.messages(CHANNEL)[-1].ts)


def _button(message: Message) -> bool:
    return APPROVE in str(message.blocks)


def _topology(name: str) -> Topology:
    if name == "shop":
        return shop()
    if not re.fullmatch("[0-9]{1,9}", name):
        raise AskError("ASK-003", f"“{name}” is no topology.", "Use `shop`, or a number that draws another one.")
    return drawn(int(name))
