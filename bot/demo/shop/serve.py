"""The shop as if it ran now: metrics for Prometheus to scrape, lines pushed to Loki, repositories and alert rules on disk.

`python -m bot.demo.shop.serve --help` tells the options; compose.yaml runs it.
"""

import argparse
import asyncio
import logging
import shutil
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import ClientError, ClientSession, ClientTimeout, web

from bot.demo.shop.alerts import rules_file
from bot.demo.shop.faults import FAULTS
from bot.demo.shop.load import escaped, loki_push_bodies, write_git
from bot.demo.shop.questions import question
from bot.demo.shop.shop import Shop
from bot.demo.shop.topology import shop as fixed_topology
from bot.domain.scope import Window

Now = Callable[[], float]

# Pods are known for about three weeks before the shop's end, so a shop that lives a week still has a past.
LIFE_S = 7 * 86_400.0
PUSH_EVERY_S = 10.0  # as log agents do
PAST_S = 3600.0  # of lines at the start: a baseline for the first question
KEPT_S = 300.0  # of lines that are pushed again when Loki was away
_PUSH_TIMEOUT_S = 30.0
_PROMETHEUS_TEXT = "text/plain; version=0.0.4; charset=utf-8"

_log = logging.getLogger("groundwire.demo.shop")


def exposition(shop: Shop, at_s: float) -> str:
    """Every series of the shop at this moment in Prometheus' text format."""
    tick = int(at_s // shop.step_s)
    lines: list[str] = []
    for family in shop.families.values():
        rows = shop.samples(family, tick, tick)
        if not rows:
            continue
        lines += [f"# HELP {family.name} {family.help}", f"# TYPE {family.name} {family.kind}"]
        for row in sorted(rows, key=lambda row: (row.name, sorted(row.labels.items()))):
            labels = ",".join(f'{name}="{escaped(value)}"' for name, value in row.labels.items())
            lines.append(f"{row.name}{{{labels}}} {float(row.values[0])!r}")
    return "\n".join(lines) + "\n"


@asynccontextmanager
async def serving(shop: Shop, *, now: Now, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[str]:
    """Serves `/metrics` and `/healthz`, and gives the address; port 0 takes a free one."""

    async def metrics(_: web.Request) -> web.Response:
        # The first scrape of a day computes the day, which takes about a second; nobody else waits meanwhile.
        return web.Response(body=exposition(shop, now()).encode(), headers={"Content-Type": _PROMETHEUS_TEXT})

    async def healthz(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    server = web.Application()
    server.router.add_get("/metrics", metrics)
    server.router.add_get("/healthz", healthz)
    runner = web.AppRunner(server, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        yield f"http://{host}:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def push_lines(shop: Shop, loki: str, *, now: Now, every_s: float = PUSH_EVERY_S) -> None:
    """Pushes what the shop says to the Loki at this address, the last hour first, until the shop's life ends."""
    since_s = now() - PAST_S
    async with ClientSession(timeout=ClientTimeout(total=_PUSH_TIMEOUT_S)) as session:
        while since_s < shop.now_s:
            until_s = now()
            if since_s < until_s:
                pushed = await _pushed(session, loki, shop, Window(start_s=since_s, end_s=until_s))
                since_s = until_s if pushed else max(since_s, until_s - KEPT_S)
            await asyncio.sleep(every_s)


async def _pushed(session: ClientSession, loki: str, shop: Shop, window: Window) -> bool:
    """Whether Loki took all lines of the window. It drops lines it already has, so a window may be pushed twice."""
    for body in loki_push_bodies(shop, window):
        try:
            async with session.post(f"{loki.rstrip('/')}/loki/api/v1/push", json=body) as answer:
                if answer.status >= 400:
                    _log.warning("Loki refused lines: HTTP %s %s", answer.status, (await answer.text())[:300])
                    return False
        except (ClientError, TimeoutError) as error:
            _log.warning("Loki cannot be reached: %s", error)
            return False
    return True


def write_files(shop: Shop, directory: Path) -> None:
    """Writes `git/SERVICE`, one repository each, and `rules.yml`, in place of those an earlier shop left.

    Commits of the shop's future are in the repositories already; they count when their time has come.
    """
    for repository in (directory / "git" / service for service in shop.past.commits):
        if (repository / ".git").is_dir():
            shutil.rmtree(repository)
    write_git(shop, directory / "git")
    (directory / "rules.yml").write_text(rules_file(shop), encoding="utf-8")


async def live(shop: Shop, *, host: str, port: int, loki: str | None) -> None:
    """Runs the shop until its life ends."""
    async with serving(shop, now=time.time, host=host, port=port) as url:
        _log.info("the shop is open: %s/metrics; once its fault has begun, ask: %s UTC", url, question(shop))
        if loki:
            await push_lines(shop, loki, now=time.time)
        else:
            await asyncio.sleep(shop.now_s - time.time())


def main() -> None:
    """Opens a shop in which a fault begins some minutes from now."""
    options = _parser().parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    opened_s = time.time()
    shop = Shop(
        fixed_topology(),
        options.seed,
        options.fault,
        now_s=opened_s + LIFE_S,
        onset_s=opened_s + 60 * options.begins_in,
    )
    if options.directory is not None:
        write_files(shop, options.directory)
    asyncio.run(live(shop, host=options.host, port=options.port, loki=options.loki))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bot.demo.shop.serve", description="Runs the demo shop live.")
    parser.add_argument("--fault", default="pool_exhaustion", choices=[*FAULTS, "none"], help="what goes wrong")
    parser.add_argument("--begins-in", type=float, default=30.0, metavar="MINUTES", help="when, from now (default 30)")
    parser.add_argument("--seed", type=int, default=1, help="the same number gives the same shop (default 1)")
    parser.add_argument("--loki", metavar="URL", help="push log lines to this Loki")
    parser.add_argument("--directory", type=Path, help="write repositories and alert rules here")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=8000, help="port to listen on (default 8000)")
    return parser


if __name__ == "__main__":
    main()
