"""Measure what Groundwire weighs: the time of `--help`, the memory of an idle bot, the size of an installation.

    python -m benchmarks.footprint [--no-install]

`groundwire run` is started as a process, on the local workspace and on two small servers that stand for Prometheus and Loki,
and left alone. The installation is made anew from requirements.lock into a temporary directory, which needs the network.
"""

import argparse
import asyncio
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from bot.demo.loki.server import fake_loki, running_loki
from bot.demo.workspace.driver import Workspace

ROOT = Path(__file__).resolve().parents[1]
IDLE_S, READY_S, ROUNDS = 5.0, 30.0, 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """What may not be exceeded, and what HolmesGPT 0.45.0 was measured to take. It is not installed here."""

    what: str
    unit: str
    bar: float
    peer: float

    def row(self, measured: float, note: str = "") -> str:
        verdict = "within" if measured <= self.bar else "OVER"
        digits = 2 if self.unit == "s" else 0
        return (
            f"{self.what:22} {measured:8.{digits}f} {self.unit:3} {verdict:6} the bar of {self.bar:g}; "
            f"HolmesGPT {self.peer:g}: {self.peer / measured:.1f} times as much{note}"
        )


HELP = Figure(what="groundwire --help", unit="s", bar=0.7, peer=4.4)
MEMORY = Figure(what="idle `groundwire run`", unit="MB", bar=130, peer=340)
SIZE = Figure(what="installed", unit="MB", bar=330, peer=803)


def help_s() -> float:
    """Median seconds of `groundwire --help`, as a process of its own."""
    took_s = []
    for _ in range(ROUNDS):
        began_s = time.perf_counter()
        subprocess.run([sys.executable, "-m", "bot", "--help"], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        took_s.append(time.perf_counter() - began_s)
    return statistics.median(took_s)


async def idle_memory_mb() -> tuple[float, float]:
    """Resident memory of an idle bot, in MB: as it stands after some seconds, and the highest it was."""
    with tempfile.TemporaryDirectory(prefix="groundwire-footprint-") as folder:
        home = Path(folder)
        runner = web.AppRunner(_small_prometheus())
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        prometheus = f"http://127.0.0.1:{runner.addresses[0][1]}"
        async with running_loki(fake_loki()) as loki, Workspace() as workspace:
            (home / "groundwire.toml").write_text(
                f'[[prometheus]]\nname = "prometheus"\nurl = "{prometheus}"\n[[loki]]\nname = "loki"\nurl = "{loki}"\n'
            )
            environ = {
                "GROUNDWIRE_HOME": str(home),
                "GROUNDWIRE_PORT": "0",
                "GROUNDWIRE_SLACK_API_URL": workspace.api_url,
                "SLACK_BOT_TOKEN": workspace.bot_token,
                "SLACK_APP_TOKEN": workspace.app_token,
                "PYTHONPATH": str(ROOT),
                "PATH": os.environ["PATH"],
            }
            bot = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "bot", "run"), cwd=home, env=environ, stderr=asyncio.subprocess.PIPE
            )
            try:
                await _ready(bot)
                await asyncio.sleep(IDLE_S)
                return _memory_mb(bot.pid, "VmRSS"), _memory_mb(bot.pid, "VmHWM")
            finally:
                bot.terminate()
                await bot.wait()
                await runner.cleanup()


def _small_prometheus() -> web.Application:
    """A server that holds nothing."""

    async def nothing(_: web.Request) -> web.Response:
        return web.json_response({"status": "success", "data": []})

    app = web.Application()
    app.router.add_route("*", "/{anything:.*}", nothing)
    return app


async def _ready(bot: asyncio.subprocess.Process) -> None:
    """Returns when the bot says in its log that it listens; the rest of its log is read away."""
    assert bot.stderr is not None
    said = b""
    async with asyncio.timeout(READY_S):
        while b"groundwire is ready" not in said:
            line = await bot.stderr.readline()
            assert line, f"the bot ended: {said.decode()}"
            said += line


def _memory_mb(pid: int, field: str) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) / 1024


def installed_mb() -> float:
    """What a fresh environment with the locked requirements and both packages takes on disk, in MB."""
    with tempfile.TemporaryDirectory(prefix="groundwire-install-") as folder:
        place = Path(folder) / "venv"
        subprocess.run([sys.executable, "-m", "venv", str(place)], check=True)
        pip = [str(place / "bin" / "python"), "-m", "pip", "install", "-q", "--disable-pip-version-check"]
        subprocess.run([*pip, "--require-hashes", "-r", str(ROOT / "requirements.lock")], check=True)
        for package in ("bot", "handlers"):
            shutil.copytree(ROOT / package, place / package, ignore=shutil.ignore_patterns("__pycache__"))
        subprocess.run(
            [str(place / "bin" / "python"), "-m", "compileall", "-q", "bot", "handlers"], cwd=place, check=True
        )
        files = [file.lstat() for file in place.rglob("*") if not file.is_dir()]
        return sum(file.st_blocks * 512 for file in files) / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description="Time of --help, memory of an idle bot, size of an installation.")
    parser.add_argument("--no-install", action="store_true", help="leave the installation out; it takes a minute")
    arguments = parser.parse_args()
    print(
        "The peer's figures were measured elsewhere; it is not installed here, so its ratios come from those figures."
    )
    print(HELP.row(help_s()))
    now_mb, highest_mb = asyncio.run(idle_memory_mb())
    print(MEMORY.row(now_mb, note=f" (highest since its start {highest_mb:.0f} MB)"))
    if not arguments.no_install:
        print(SIZE.row(installed_mb()))


if __name__ == "__main__":
    main()
