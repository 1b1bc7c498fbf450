"""`groundwire ask`: one investigation without Slack, the report on standard output."""

import argparse
import asyncio
import json
import os
import secrets
import sys
from collections.abc import Mapping
from pathlib import Path
from zoneinfo import ZoneInfo

from bot.adapters.clock import SystemClock
from bot.adapters.telemetry import configure_logging
from bot.cli.saving import save_incident
from bot.cli.terminal import TerminalNotifier
from bot.demo.memory import FixedDirectory, MemoryJournal, MemoryStore, RecordingMeter
from bot.domain.codec import to_json
from bot.domain.question import Origin, Question
from bot.errors import AskError
from bot.ports import Ports, Sources
from bot.settings import Settings, check_sources, environment_of_process, read_settings
from bot.wiring import guarded_sources, investigator_of, open_sources, ownership_of, stories_of
from bot.workflows.help import HELP
from bot.workflows.investigate import INVESTIGATION_S
from handlers.slack import translate

TEAM = "terminal"


def run(arguments: argparse.Namespace) -> int:
    """Asks and prints; gives 1 when no source could be looked at, else 0.

    What begins with "changes", "help" or nothing is answered as Slack's `/debug` answers it. Raises AskError, with what
    to change, when the question was not understood.
    """
    story, _ = translate.routed(_question(arguments.question, zone="", now_s=0.0))
    if story != translate.INVESTIGATE and (arguments.json or arguments.save is not None):
        raise AskError("ASK-001", "Only an investigation has a report.", "Leave --json and --save away.")
    if story == translate.HELP:
        print(HELP)
        return 0
    environ = environment_of_process()
    settings = read_settings(environ, working_directory=Path.cwd())
    check_sources(settings)
    configure_logging(level="ERROR")  # what fails is a gap of the report
    return asyncio.run(_ask(settings, environ, arguments))


async def _ask(settings: Settings, environ: Mapping[str, str], arguments: argparse.Namespace) -> int:
    async with open_sources(settings.file, environ) as sources:
        return await ask(settings, sources, arguments.question, as_json=arguments.json, save=arguments.save)


async def ask(settings: Settings, sources: Sources, text: str, *, as_json: bool, save: str | None) -> int:
    """Asks these sources and prints the answer; journal and store live in memory only."""
    clock, store, journal, meter = SystemClock(), MemoryStore(), MemoryJournal(), RecordingMeter()
    story, question = translate.routed(_question(text, zone=settings.file.zone, now_s=clock.now_s()))
    notifier = TerminalNotifier(
        store, asked_at_s=question.asked_at_s, zone=ZoneInfo(settings.file.zone), width=_width()
    )
    ports = Ports(
        sources=guarded_sources(sources, clock, meter),
        store=store,
        journal=journal,
        notifier=notifier,
        directory=FixedDirectory(),
        clock=clock,
        meter=meter,
        ownership=ownership_of(settings.file),
    )
    await journal.start(stories_of(ports, investigator_of(settings.file)))
    await journal.accept(question.key, story, to_json(question))
    await journal.wait(question.key, timeout_s=2 * INVESTIGATION_S)
    failure = journal.failure(question.key)
    if failure is not None:
        raise failure
    if story != translate.INVESTIGATE:
        print(notifier.text)
        return 0
    report = await store.report(question.key)
    if report is None:
        raise AskError("ASK-001", " ".join(notifier.refused) or "The question was not understood.", "Ask again.")
    evidence = await store.evidence(TEAM, question.key)
    if save is not None:
        save_incident(Path(save), report, evidence)
    if as_json:
        json.dump({"report": to_json(report), "evidence": to_json(evidence)}, sys.stdout, indent=2, allow_nan=False)
        print()
    else:
        print(notifier.text)
    return 0 if report.coverage.looks_answered or report.coverage.lines_read else 1


def _question(text: str, *, zone: str, now_s: float) -> Question:
    return Question(
        key=f"inv:{TEAM}:{secrets.token_hex(8)}",
        team_id=TEAM,
        channel_id=TEAM,
        thread=None,
        asker_id="you",
        asker_zone=zone,
        text=" ".join(text.split()),
        asked_at_s=now_s,
        origin=Origin.TERMINAL,
    )


def _width() -> int:
    try:
        return min(os.get_terminal_size().columns, 120)
    except OSError:  # not a terminal
        return 100
