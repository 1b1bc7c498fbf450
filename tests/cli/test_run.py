"""`groundwire run`: the bot as a process, from its first log line to its last."""

import asyncio
import json
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from bot.demo.loki.server import running_loki
from bot.demo.workspace.driver import Workspace
from tests.cli.command import groundwire, started

NOWHERE = "http://127.0.0.1:9"  # the discard port: nothing listens there
READY_S = 30.0  # measured 2 s on an idle machine


@dataclass(slots=True, kw_only=True)
class Running:
    """A bot that is ready: its address, its process, and what it has logged, a JSON object a line."""

    url: str
    process: asyncio.subprocess.Process
    logged: list[dict[str, Any]] = field(default_factory=list)

    async def get(self, path: str) -> tuple[int, str]:
        async with aiohttp.ClientSession() as session, session.get(self.url + path) as answer:
            return answer.status, await answer.text()

    async def read_until(self, event: str) -> dict[str, Any]:
        """The next log line with this event."""
        assert self.process.stderr is not None
        async with asyncio.timeout(READY_S):
            while line := await self.process.stderr.readline():
                self.logged.append(json.loads(line))
                if self.logged[-1]["event"] == event:
                    return self.logged[-1]
        raise AssertionError(f"it ended without “{event}”: {self.logged[-5:]}")

    async def end(self) -> int:
        """Stops it as an operator would; gives the exit code."""
        self.process.send_signal(signal.SIGTERM)
        assert self.process.stderr is not None
        async with asyncio.timeout(10):
            self.logged += [json.loads(line) for line in (await self.process.stderr.read()).splitlines()]
            return await self.process.wait()


@asynccontextmanager
async def running(home: Path, **environ: str) -> AsyncIterator[Running]:
    async with started(home, "run", **environ) as process:
        bot = Running(url="", process=process)
        bot.url = (await bot.read_until("groundwire is ready"))["url"]
        yield bot


def socket_mode(workspace: Workspace) -> dict[str, str]:
    return {
        "GROUNDWIRE_SLACK_API_URL": workspace.api_url,
        "SLACK_BOT_TOKEN": workspace.bot_token,
        "SLACK_APP_TOKEN": workspace.app_token,
    }


async def test_the_bot_serves_slack_health_and_metrics_and_stops_when_told(tmp_path: Path) -> None:
    async with Workspace() as workspace, running_loki() as loki:
        sources = {"LOKI_URL": loki, "PROMETHEUS_URL": NOWHERE}
        async with running(tmp_path, **socket_mode(workspace), **sources) as bot:
            healthy, well = await bot.get("/healthz")
            ready, parts = await bot.get("/readyz")
            await workspace.command("ana", "incidents", "/debug", "anything wrong?")
            ended = await bot.read_until("story ended")
            _, metrics = await bot.get("/metrics")
            second = await groundwire(tmp_path, "run", **socket_mode(workspace), **sources)
            code = await bot.end()

        assert healthy == 200
        assert json.loads(well)["parts"]["socket mode"]["ok"]
        told = json.loads(parts)["parts"]
        assert ready == 503
        assert {name: part["ok"] for name, part in told.items()} == {
            "store": True,
            "Slack": True,
            "loki": True,
            "prometheus": False,
        }
        assert "cannot be reached" in told["prometheus"]["detail"]
        assert told["prometheus"]["remedy"]
        (root,) = workspace.messages("incidents")
        assert ended["investigation"].startswith("inv:T0GROUND:")
        assert ended["story"] == "investigate"
        assert "Done" in str(root.blocks)
        assert 'llm_developer_requests_total{request_type="investigate"} 1.0' in metrics
        assert 'llm_developer_latency_ms_count{request_type="investigate"} 1.0' in metrics
        assert 'groundwire_slack_events_total{kind="investigate",outcome="accepted"} 1.0' in metrics
        assert 'groundwire_investigations_total{outcome="unknown"} 1.0' in metrics
        assert 'groundwire_source_errors_total{code="MET-001",kind="metrics",source="prometheus"}' in metrics
        assert "groundwire_socket_connections 2.0" in metrics
        assert (second.code, "STO-007: " in second.err) == (2, True)
        assert code == 0
        assert "groundwire stops" in {line["event"] for line in bot.logged}
        assert {line["service"] for line in bot.logged} == {"groundwire"}
        assert all({"timestamp", "level", "logger", "event"} <= line.keys() for line in bot.logged)
        assert workspace.bot_token not in str(bot.logged)


async def test_over_http_it_listens_for_slack_itself(tmp_path: Path) -> None:
    async with Workspace() as workspace, running_loki() as loki:
        environ = {**socket_mode(workspace), "SLACK_APP_TOKEN": "", "SLACK_SIGNING_SECRET": workspace.signing_secret}
        async with running(tmp_path, LOKI_URL=loki, **environ) as bot:
            workspace.request_url = f"{bot.url}/slack/events"
            await workspace.command("ana", "incidents", "/debug", "changes 2h")
            ended = await bot.read_until("story ended")
            ready, _ = await bot.get("/readyz")
            taken = await groundwire(
                tmp_path,
                "run",
                LOKI_URL=loki,
                **{
                    **environ,
                    "GROUNDWIRE_HOME": str(tmp_path / "other"),
                    "GROUNDWIRE_PORT": bot.url.rpartition(":")[2],
                },
            )
            code = await bot.end()

        assert ended["story"] == "changes"
        assert ready == 200
        assert (taken.code, "CFG-019: " in taken.err) == (2, True)
        assert code == 0


async def test_it_can_be_stopped_while_it_still_waits_for_slack(tmp_path: Path) -> None:
    asked = asyncio.Event()

    async def never(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.set()

    server = await asyncio.start_server(never, "127.0.0.1", 0)
    api = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/api/"
    environ = {"SLACK_BOT_TOKEN": "xoxb-1", "SLACK_APP_TOKEN": "xapp-1", "LOKI_URL": NOWHERE}
    async with started(tmp_path, "run", GROUNDWIRE_SLACK_API_URL=api, **environ) as process:
        await asyncio.wait_for(asked.wait(), READY_S)
        began_s = time.monotonic()
        process.send_signal(signal.SIGTERM)
        code = await asyncio.wait_for(process.wait(), 10)
    server.close()

    assert code == 0
    assert time.monotonic() - began_s < 5


@pytest.mark.parametrize(
    ("code", "environ"),
    [
        ("CFG-003", {"LOKI_URL": NOWHERE}),
        ("CFG-004", {"LOKI_URL": NOWHERE, "SLACK_BOT_TOKEN": "xoxb-1"}),
        ("CFG-015", {"SLACK_BOT_TOKEN": "xoxb-1", "SLACK_APP_TOKEN": "xapp-1"}),
    ],
)
async def test_what_is_missing_is_said_before_anything_starts(
    tmp_path: Path, code: str, environ: dict[str, str]
) -> None:
    done = await groundwire(tmp_path, "run", **environ)

    assert done.code == 2
    assert done.err.startswith(f"{code}: ")
    assert len(done.err.splitlines()) == 2


async def test_a_token_slack_does_not_know_ends_it_with_a_remedy(tmp_path: Path) -> None:
    async with Workspace() as workspace:
        environ = {**socket_mode(workspace), "SLACK_BOT_TOKEN": "xoxb-revoked"}
        done = await groundwire(tmp_path, "run", LOKI_URL=NOWHERE, **environ)

    assert done.code == 2
    assert "SLK-002: " in done.err
    assert "SLACK_BOT_TOKEN" in done.err
    assert "revoked" not in done.err
    assert "Traceback" not in done.err
