"""A process with one story of three steps, for a test to kill: python -m tests.bot.adapters.killed_story HOME hang|go-on.

Each step appends its name to HOME/effects when it begins; with `hang` the second step never ends. Any attempt to reach
another machine ends the process with status 3.
"""

import asyncio
import os
import sys
from pathlib import Path

from bot.adapters.database import database_url
from bot.adapters.journal import DbosJournal
from bot.adapters.telemetry import configure_logging
from bot.domain.codec import Json
from bot.ports import Step

KEY = "inv:T1:C1:1"


def main() -> None:
    configure_logging()
    sys.addaudithook(_stay_here)
    home, mode = Path(sys.argv[1]), sys.argv[2]
    asyncio.run(_run(home, hang=mode == "hang"))


def _stay_here(event: str, details: tuple[object, ...]) -> None:
    if event in ("socket.connect", "socket.getaddrinfo"):
        os._exit(3)


async def _run(home: Path, *, hang: bool) -> None:
    async def story(payload: Json, step: Step) -> None:
        for name in ("a", "b", "c"):

            async def work(name: str = name) -> Json:
                with (home / "effects").open("a") as effects:
                    effects.write(f"{payload}:{name}\n")
                if hang and name == "b":
                    await asyncio.Event().wait()
                return name

            await step(name, work)

    journal = DbosJournal(database_url(home))
    await journal.start({"story": story})
    accepted = await journal.accept(KEY, "story", "once")
    print("accepted" if accepted else "known", flush=True)
    await journal.wait(KEY, timeout_s=10)
    await journal.stop()


if __name__ == "__main__":
    main()
