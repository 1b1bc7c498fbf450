"""`groundwire doctor`: is everything set, and does everything answer?"""

import argparse
import asyncio
import shutil
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from slack_sdk.web.async_client import AsyncWebClient

from bot.adapters.clock import SystemClock
from bot.adapters.telemetry import configure_logging
from bot.domain.scope import Window
from bot.errors import ConfigError, GroundwireError, SlackError
from bot.ports import ChangeSource, Health
from bot.settings import (
    File,
    Settings,
    check_sources,
    environment_of_process,
    password_of,
    slack_problems,
    survey_settings,
)
from bot.wiring import open_sources, store_health
from handlers.slack.client import SlackRefusal, slack_client, slack_errors, who_am_i

_TIMEOUT_S = 10.0
# Zone, port, log level, repository: with any other problem a source may be configured, and be what is wrong.
_HIDE_NO_SOURCE = frozenset(("CFG-011", "CFG-012", "CFG-013", "CFG-020"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that was looked at."""

    name: str
    health: Health


def run(arguments: argparse.Namespace) -> int:
    """Prints a line for each check, remedies below problems; 0 when all is well, 2 with a broken configuration, else 1."""
    configure_logging(level="ERROR")  # what fails is told below
    environ = environment_of_process()
    settings, problems = survey_settings(environ, working_directory=Path.cwd())
    checks = asyncio.run(examine(settings, environ, problems))
    for check in checks:
        print(f"{'ok  ' if check.health.ok else 'FAIL'} {check.name}: {check.health.detail}")
        if not check.health.ok and check.health.remedy:
            print(f"     {check.health.remedy}")
    failed = sum(1 for check in checks if not check.health.ok)
    print(f"{len(checks) - failed} of {len(checks)} checks passed")
    if problems:
        return 2
    return 1 if failed else 0


async def examine(
    settings: Settings,
    environ: Mapping[str, str],
    problems: Sequence[ConfigError] = (),
    *,
    timeout_s: float = _TIMEOUT_S,
) -> list[Check]:
    """Configuration, database, Slack and every source; nothing is made, changed or posted.

    `problems` are those met while reading the settings: what they spoilt is not looked at.
    """
    config = Health(ok=True, detail=str(settings.config) if settings.config else "environment only, no groundwire.toml")
    checks = [_failed("configuration", problem) for problem in problems]
    checks = checks or [Check(name="configuration", health=config)]
    if settings.file.git and shutil.which("git") is None:
        checks.append(Check(name="git", health=Health(ok=False, detail="not installed", remedy="Install git.")))
    here = []
    if "CFG-018" not in {problem.code for problem in problems}:  # else the home is not where the database is
        here.append(_checked("database", partial(asyncio.to_thread, store_health, settings)))
    unset = [_failed("Slack", problem) for problem in slack_problems(settings)]
    if settings.slack_api_url and not unset:
        here.append(_checked("Slack", partial(_slack, settings)))
    checks += [*await asyncio.gather(*here), *unset]
    try:
        if {problem.code for problem in problems} <= _HIDE_NO_SOURCE:
            check_sources(settings)
        file, locked = _with_passwords(settings.file, environ)
        return [*checks, *locked, *await _sources(file, environ, timeout_s)]
    except GroundwireError as error:
        return [*checks, _failed("sources", error)]


def _with_passwords(file: File, environ: Mapping[str, str]) -> tuple[File, list[Check]]:
    """The file without the sources whose password cannot be read, and a failed check for each of those."""
    locked: dict[str, Check] = {}
    for source in (*file.prometheus, *file.loki):
        try:
            password_of(source, environ)
        except ConfigError as error:
            locked[source.name] = _failed(source.name, error)
    prometheus = tuple(source for source in file.prometheus if source.name not in locked)
    loki = tuple(source for source in file.loki if source.name not in locked)
    return replace(file, prometheus=prometheus, loki=loki), list(locked.values())


async def _sources(file: File, environ: Mapping[str, str], timeout_s: float) -> list[Check]:
    async with open_sources(file, environ) as sources:
        servers = await asyncio.gather(
            *(_checked(s.name, partial(s.health, timeout_s=timeout_s)) for s in sources.servers)
        )
        down = {check.name for check in servers if not check.health.ok}  # would fail a second time
        asked = [s for s in sources.changes if s.name not in down]
        changes = await asyncio.gather(
            *(_checked(f"changes from {s.name}", partial(_changes, s, timeout_s)) for s in asked)
        )
        return [*servers, *changes]


async def _checked(name: str, ask: Callable[[], Awaitable[Health]]) -> Check:
    try:
        async with asyncio.timeout(_TIMEOUT_S + 1):
            return Check(name=name, health=await ask())
    except GroundwireError as error:
        return _failed(name, error)
    except TimeoutError:
        late = Health(ok=False, detail=f"no answer within {_TIMEOUT_S:.0f} s", remedy="Check address and network.")
        return Check(name=name, health=late)


async def _slack(settings: Settings) -> Health:
    client = slack_client(settings.slack_bot_token, base_url=settings.slack_api_url)
    identity = await who_am_i(client)
    if settings.slack_app_token:
        await _socket_mode(client, settings.slack_app_token)
    mode = "Socket Mode" if settings.slack_app_token else "HTTP"
    return Health(ok=True, detail=f"workspace {identity.team_id} as {identity.bot_user_id}, {mode}")


async def _socket_mode(client: AsyncWebClient, app_token: str) -> None:
    """Asks for the address of a connection, without connecting."""
    try:
        with slack_errors("apps.connections.open"):
            await client.apps_connections_open(app_token=app_token)
    except SlackRefusal as error:
        remedy = "Check SLACK_APP_TOKEN, that it has connections:write, and that Socket Mode is on."
        raise SlackError(error.code, error.message, remedy) from error


async def _changes(source: ChangeSource, timeout_s: float) -> Health:
    """Reads the last hour: a repository that is none, or a query that is not understood, shows only now."""
    now_s = SystemClock().now_s()
    found = await source.changes((), Window(start_s=now_s - 3600.0, end_s=now_s), timeout_s=timeout_s)
    return Health(ok=True, detail=f"{len(found)} in the last hour")


def _failed(name: str, error: GroundwireError) -> Check:
    return Check(name=name, health=Health(ok=False, detail=f"{error.code} {error.message}", remedy=error.remedy))
