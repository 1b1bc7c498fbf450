"""Measure how long a whole report takes on sources that are slow to answer, and what one dead source adds.

    python -m benchmarks.report_speed [--latency 0.2] [--looks 34] [--fault pool_exhaustion] [--profile]

The real story runs twice: on ports in memory, and as the whole bot (SQLite store, durable journal, Slack notifier) asked
through the local workspace, whose own work counts too. The sources give the simulated shop's answers; each is worked out
in a first run that is not timed, so that every timed call costs its latency and nothing for the simulator. The shop's least
telling metrics are hidden until the investigation takes at most as many looks as it should.
"""

import argparse
import asyncio
import cProfile
import gc
import math
import pstats
import tempfile
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from inspect import iscoroutinefunction
from pathlib import Path
from typing import Any, TypeVar, cast

from bot.adapters.clock import SystemClock
from bot.adapters.telemetry import configure_logging
from bot.cli.run import running
from bot.demo.memory import FixedDirectory, MemoryJournal, MemoryStore, RecordingMeter, RecordingNotifier
from bot.demo.shop.questions import question
from bot.demo.shop.shop import Shop
from bot.demo.shop.sources import ShopAlerts, ShopChanges, ShopLogs, ShopMetrics
from bot.demo.shop.topology import shop
from bot.demo.workspace.driver import Workspace
from bot.domain.codec import to_json
from bot.domain.query import Matcher, MetricQuery
from bot.domain.question import Origin, Question, Thread
from bot.domain.report import Report
from bot.domain.scope import Window
from bot.errors import SourceUnavailable
from bot.ports import AlertSource, ChangeSource, LabelSets, LogSource, MetricSource, Ports, Sources
from bot.settings import read_settings
from bot.wiring import guarded_sources
from bot.workflows.discover import SURVEY_TIMEOUT_S
from bot.workflows.investigate import Investigator, investigate
from bot.workflows.looking import LOOK_TIMEOUT_S

BAR_S = 2.0  # the whole report, at 200 ms a call
ROUNDS = 3
SETTLED_S = 1.0  # after its start the bot stands idle, as it does when somebody asks
NOW_S = 1_795_102_800.0
TEAM, CHANNEL = "T0GROUND", "incidents"

S = TypeVar("S")


class ShopClock(SystemClock):
    """Real time for durations; the shop's present goes on from NOW_S."""

    def __init__(self) -> None:
        self._began_s = self.elapsed_s()

    def now_s(self) -> float:
        return NOW_S + self.elapsed_s() - self._began_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call to a source, in seconds since the run began."""

    source: str
    what: str
    asked: tuple[Any, ...]
    began_s: float
    ended_s: float


class Tape:
    """The answers of the shop by question, and the calls of the run that is going on."""

    def __init__(self, latency_s: float) -> None:
        self.latency_s = latency_s
        self.calls: list[Call] = []
        self._answers: dict[str, Any] = {}
        self._began_s = 0.0

    def rewind(self) -> None:
        """Another run begins."""
        self.calls, self._began_s = [], time.perf_counter()

    async def play(self, source: str, what: str, ask: Any, *asked: Any, timeout_s: float) -> Any:
        """The kept answer after the latency; worked out where it is not kept yet."""
        began_s = time.perf_counter() - self._began_s
        # Windows beside a query end now, a little later each time; all runs get what the first one saw.
        key = f"{source} {what} {[one for one in asked if not isinstance(one, Window)]}"
        if key not in self._answers:
            self._answers[key] = await ask(*asked, timeout_s=timeout_s)
        await asyncio.sleep(self.latency_s)
        ended_s = time.perf_counter() - self._began_s
        self.calls.append(Call(source=source, what=what, asked=asked, began_s=began_s, ended_s=ended_s))
        return self._answers[key]


class FewerMetrics(ShopMetrics):
    """The shop's metrics without those that are hidden."""

    hidden: frozenset[str] = frozenset()

    async def series(self, matchers: tuple[Matcher, ...], window: Window, *, timeout_s: float) -> LabelSets:
        found = await super().series(matchers, window, timeout_s=timeout_s)
        return replace(found, sets=tuple(one for one in found.sets if one["__name__"] not in self.hidden))


class _Played:
    """A source behind a tape: whatever it is asked is played."""

    def __init__(self, source: Any, tape: Tape) -> None:
        self._source, self._tape = source, tape

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._source, name)
        asks = iscoroutinefunction(found) and name != "health"
        return partial(self._tape.play, f"{self._source.name}", name, found) if asks else found


class _Dead:
    """A source that never answers, or not when asked for `only`: such a call takes the whole time it is given."""

    def __init__(self, source: Any, name: str, only: str = "") -> None:
        self._source, self.name, self._only = source, name, only

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._source, name)
        return self._hang if iscoroutinefunction(found) and self._only in ("", name) else found

    async def _hang(self, *_: Any, timeout_s: float) -> None:
        await asyncio.sleep(timeout_s)
        raise SourceUnavailable("MET-002", f"{self.name} did not answer within {timeout_s:g} s.", "Look at the server.")


def played(source: S, tape: Tape) -> S:
    return cast(S, _Played(source, tape))


def dead(source: S, name: str, only: str = "") -> S:
    return cast(S, _Dead(source, name, only))


def with_dead(sources: Sources) -> dict[str, tuple[Sources, float]]:
    """The same sources and one more that hangs, by what that is; and its deadline in seconds."""
    server = replace(
        sources,
        metrics=(*sources.metrics, dead(sources.metrics[0], "dead")),
        alerts=(*sources.alerts, dead(sources.alerts[0], "dead")),
        changes=(*sources.changes, dead(sources.changes[0], "dead")),
    )
    return {
        "metrics server": (server, SURVEY_TIMEOUT_S),
        "log server": (replace(sources, logs=(*sources.logs, dead(sources.logs[0], "dead"))), SURVEY_TIMEOUT_S),
        "list of changes": (
            replace(sources, changes=(*sources.changes, dead(sources.changes[0], "dead"))),
            LOOK_TIMEOUT_S,
        ),
        "metrics server, after its survey": (
            replace(sources, metrics=(*sources.metrics, dead(sources.metrics[0], "dead", "range"))),
            LOOK_TIMEOUT_S,
        ),
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One report, the seconds it took and the calls it cost."""

    took_s: float
    report: Report
    calls: Sequence[Call]


async def once_in_memory(sources: Sources, text: str, tape: Tape, profiler: cProfile.Profile | None) -> Run:
    """The story on ports in memory, watched by the profiler where there is one."""
    tape.rewind()
    with profiler or nullcontext():
        took_s, report = await in_memory(sources, text)
    return Run(took_s=took_s, report=report, calls=tape.calls)


async def in_memory(sources: Sources, text: str) -> tuple[float, Report]:
    """Seconds the story took on ports in memory, and its report."""
    clock, store, journal = ShopClock(), MemoryStore(), MemoryJournal()
    ports = Ports(
        sources=guarded_sources(sources, clock, RecordingMeter()),
        store=store,
        journal=journal,
        notifier=RecordingNotifier(),
        directory=FixedDirectory(),
        clock=clock,
        meter=RecordingMeter(),
    )
    asked = Question(
        key="inv:speed",
        team_id=TEAM,
        channel_id="C1",
        thread=None,
        asker_id="U1",
        text=text,
        asked_at_s=NOW_S,
        origin=Origin.COMMAND,
    )
    await journal.start({"investigate": partial(investigate, ports, Investigator())})
    began_s = time.perf_counter()
    await journal.accept(asked.key, "investigate", to_json(asked))
    await journal.wait(asked.key, timeout_s=120)
    took_s = time.perf_counter() - began_s
    if failure := journal.failure(asked.key):
        raise failure
    report = await store.report(asked.key)
    assert report is not None
    return took_s, report


async def whole_bot(sources: Sources, text: str, tape: Tape) -> Run:
    """From `/debug` to the finished thread in the workspace."""
    with tempfile.TemporaryDirectory(prefix="groundwire-speed-") as home:
        async with Workspace() as workspace:
            environ = {
                "GROUNDWIRE_HOME": home,
                "GROUNDWIRE_PORT": "0",
                "GROUNDWIRE_SLACK_API_URL": workspace.api_url,
                "SLACK_BOT_TOKEN": workspace.bot_token,
                "SLACK_APP_TOKEN": workspace.app_token,
            }
            settings = read_settings(environ, working_directory=Path(home))
            async with running(settings, sources, clock=ShopClock()) as bot:
                await asyncio.sleep(SETTLED_S)
                gc.collect()  # both as `groundwire run` does after its start
                gc.freeze()
                tape.rewind()
                began_s = time.perf_counter()
                await workspace.command("ana", CHANNEL, "/debug", text)
                await workspace.wait_for(
                    lambda: any("Done" in str(root.blocks) for root in workspace.messages(CHANNEL)), timeout_s=120
                )
                took_s = time.perf_counter() - began_s
                root = workspace.messages(CHANNEL)[-1]
                found = await bot.ports.store.investigation_in(TEAM, Thread(channel_id=root.channel, ts=root.ts))
                report = await bot.ports.store.report(found.key) if found else None
                assert report is not None
                return Run(took_s=took_s, report=report, calls=tape.calls)


def critical_path(calls: Sequence[Call]) -> list[Call]:
    """The chain of calls that ends last: before each call the one that ended last before it began."""
    chain: list[Call] = []
    ends_s = math.inf
    while before := [call for call in calls if call.ended_s <= ends_s]:
        chain.append(max(before, key=lambda call: call.ended_s))
        ends_s = chain[-1].began_s
    return chain[::-1]


def show(title: str, runs: Sequence[Run]) -> float:
    """Prints the run that took the median time, and gives that time."""
    middle = sorted(runs, key=lambda run: run.took_s)[len(runs) // 2]
    coverage, chain = middle.report.coverage, critical_path(middle.calls)
    waited_s = sum(call.ended_s - call.began_s for call in chain)
    verdict = "within" if middle.took_s <= BAR_S else "OVER"
    every = ", ".join(f"{run.took_s:.2f}" for run in runs)
    print(f"\n{title}")
    print(
        f"  looks taken        {coverage.looks_answered} of {coverage.looks_planned} at metrics; {len(middle.calls)} calls"
    )
    print(f"  whole report       {middle.took_s:.2f} s, {verdict} the bar of {BAR_S} s (median of {every})")
    print(f"  first findings     {middle.report.usage.first_findings_s:.2f} s")
    print(
        f"  critical path      {len(chain)} calls, {waited_s:.2f} s; the rest is our own: {middle.took_s - waited_s:.2f} s"
    )
    print("                     " + " > ".join(f"{call.source}.{call.what}" for call in chain))
    return middle.took_s


async def prepared(simulated: Shop, text: str, latency_s: float, looks: int) -> tuple[Sources, Tape]:
    """The shop's sources with every answer to this question on tape, and at most so many looks to take."""
    metrics = FewerMetrics(simulated)
    while True:
        tape = Tape(0.0)
        sources = Sources(
            metrics=(played(cast(MetricSource, metrics), tape),),
            logs=(played(cast(LogSource, ShopLogs(simulated)), tape),),
            alerts=(played(cast(AlertSource, ShopAlerts(simulated)), tape),),
            changes=(played(cast(ChangeSource, ShopChanges(simulated)), tape),),
        )
        _, report = await in_memory(sources, text)
        if report.coverage.looks_planned <= looks:
            tape.latency_s = latency_s
            return sources, tape
        planned: list[MetricQuery] = [call.asked[0] for call in tape.calls if call.what == "range"]
        metrics.hidden |= {[query.selector.metric or "" for query in planned if not query.offset_s][-1]}


async def measure(latency_s: float, looks: int, fault: str, *, profile: bool) -> None:
    simulated = Shop(shop(), 1, fault, now_s=NOW_S, step_s=30)
    text = f"{question(simulated)} until {datetime.fromtimestamp(NOW_S, UTC):%H:%M} UTC"
    sources, tape = await prepared(simulated, text, latency_s, looks)
    print(f"asked: {text}; every call takes {latency_s * 1e3:.0f} ms")
    profiler = cProfile.Profile()
    runs = [await once_in_memory(sources, text, tape, profiler if profile else None) for _ in range(ROUNDS)]
    took_s = show("the story on ports in memory", runs)
    show(
        "the whole bot, from /debug to the finished thread",
        [await whole_bot(sources, text, tape) for _ in range(ROUNDS)],
    )
    print("\none source more, which hangs (the story on ports in memory)")
    for what, (broken, deadline_s) in with_dead(sources).items():
        tape.rewind()
        dead_s, report = await in_memory(broken, text)
        gaps = "; ".join(gap.what for gap in report.gaps if gap.what.startswith("dead"))
        print(f"  {what:33} {dead_s - took_s:+6.2f} s at a deadline of {deadline_s:.0f} s; gaps: {gaps}")
    if profile:
        pstats.Stats(profiler).sort_stats("cumulative").print_stats(60)


def main() -> None:
    parser = argparse.ArgumentParser(description="Seconds of a whole report on slow sources.")
    parser.add_argument("--latency", type=float, default=0.2, help="seconds a call takes (default 0.2)")
    parser.add_argument("--looks", type=int, default=34, help="at most so many looks at metrics (default 34)")
    parser.add_argument("--fault", default="pool_exhaustion", help="what is wrong in the shop")
    parser.add_argument("--profile", action="store_true", help="print where our own time goes")
    arguments = parser.parse_args()
    configure_logging(level="ERROR")
    asyncio.run(measure(arguments.latency, arguments.looks, arguments.fault, profile=arguments.profile))


if __name__ == "__main__":
    main()
