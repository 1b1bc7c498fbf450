"""The command `groundwire` as a process of its own, with nothing of this process's environment but what it is given."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str


async def groundwire(home: Path, *arguments: str, **environ: str) -> Done:
    """Runs one command to its end, which comes within a minute."""
    async with started(home, *arguments, **environ) as process, asyncio.timeout(60):
        out, err = await process.communicate()
    assert process.returncode is not None
    return Done(code=process.returncode, out=out.decode(), err=err.decode())


@asynccontextmanager
async def started(home: Path, *arguments: str, **environ: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A command while it runs; killed at the end where it has not ended."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bot", *arguments),
        cwd=home,
        env=_environment(home, environ),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def _environment(home: Path, given: Mapping[str, str]) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "HOME": str(home),
        "GROUNDWIRE_HOME": str(home / "groundwire"),
        "GROUNDWIRE_PORT": "0",
        **given,
    }
