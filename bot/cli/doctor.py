"""`groundwire doctor`: is everything set, and does everything answer?"""

import argparse
import asyncio
import shutil
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bot.errors import GroundwireError
from bot.ports import Health
from bot.settings import Settings, check_slack, check_sources, environment_of_process, read_settings
from bot.wiring import open_sources, store_of
from handlers.slack.client import slack_client, who_am_i

_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that was looked at."""

    name: str
    health: Health


def run(arguments: argparse.Namespace) -> int:
    """Prints a line for each check, remedies below problems; 0 when all is well, 1 otherwise."""
    environ = environment_of_process()
    checks = asyncio.run(examine(read_settings(environ, working_directory=Path.cwd()), environ))
    for check in checks:
        print(f"{'ok  ' if check.health.ok else 'FAIL'} {check.name}: {check.health.detail}")
        if not check.health.ok and check.health.remedy:
            print(f"     {check.health.remedy}")
    failed = sum(1 for check in checks if not check.health.ok)
    print(f"{len(checks) - failed} of {len(checks)} checks passed")
    return 1 if failed else 0


async def examine(settings: Settings, environ: Mapping[str, str]) -> list[Check]:
    """Configuration, store, Slack and every source; nothing is changed and nothing is posted."""
    config = Health(ok=True, detail=str(settings.config) if settings.config else "environment only, no groundwire.toml")
    checks = [Check(name="configuration", health=config)]
    if settings.file.git and shutil.which("git") is None:
        checks.append(Check(name="git", health=Health(ok=False, detail="not installed", remedy="Install git.")))
    waiting: dict[str, Callable[[], Awaitable[Health]]] = {
        "store": partial(_store, settings),
        "Slack": partial(_slack, settings),
    }
    async with AsyncExitStack() as stack:
        try:
            check_sources(settings)
            sources = await stack.enter_async_context(open_sources(settings.file, environ))
        except GroundwireError as error:
            checks.append(Check(name="sources", health=_bad(error)))
        else:
            waiting |= {source.name: partial(source.health, timeout_s=_TIMEOUT_S) for source in sources.servers}
        answers = await asyncio.gather(*(_asked(ask) for ask in waiting.values()))
    return checks + [Check(name=name, health=health) for name, health in zip(waiting, answers, strict=True)]


async def _asked(ask: Callable[[], Awaitable[Health]]) -> Health:
    try:
        async with asyncio.timeout(_TIMEOUT_S + 1):
            return await ask()
    except GroundwireError as error:
        return _bad(error)
    except TimeoutError:
        return Health(ok=False, detail=f"no answer within {_TIMEOUT_S:.0f} s", remedy="Check address and network.")


async def _store(settings: Settings) -> Health:
    store = store_of(settings)
    await store.open()
    try:
        return await store.health()
    finally:
        await store.close()


async def _slack(settings: Settings) -> Health:
    check_slack(settings)
    identity = await who_am_i(slack_client(settings.slack_bot_token, base_url=settings.slack_api_url))
    mode = "Socket Mode" if settings.slack_app_token else "HTTP"
    return Health(ok=True, detail=f"workspace {identity.team_id} as {identity.bot_user_id}, {mode}")


def _bad(error: GroundwireError) -> Health:
    return Health(ok=False, detail=f"{error.code} {error.message}", remedy=error.remedy)
