"""The bot's HTTP side: is it alive, can it work, what does it measure, and the paths other edges bring along."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from bot.errors import GroundwireError
from bot.ports import Health

# Slack's largest payloads (a view with its state) stay under 500 kB; what is larger is not from Slack.
LARGEST_BODY = 1024 * 1024
READY_S = 5.0

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Check = Callable[[], Awaitable[Health]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """What the endpoints report: `alive` are parts of the process itself, `ready` the dependencies it needs."""

    registry: CollectorRegistry
    alive: Mapping[str, Callable[[], Health]] = field(default_factory=dict)
    ready: Mapping[str, Check] = field(default_factory=dict)
    ready_s: float = READY_S


def build_server(watch: Watch, posts: Mapping[str, Handler] | None = None) -> web.Application:
    """`/healthz`, `/readyz`, `/metrics`, and a POST handler for each path in `posts`."""

    async def healthz(_: web.Request) -> web.Response:
        return _answer({name: part() for name, part in watch.alive.items()})

    async def readyz(_: web.Request) -> web.Response:
        checks = await asyncio.gather(*(_checked(check, watch.ready_s) for check in watch.ready.values()))
        return _answer(dict(zip(watch.ready, checks, strict=True)))

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(watch.registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    server = web.Application(client_max_size=LARGEST_BODY)
    server.router.add_get("/healthz", healthz)
    server.router.add_get("/readyz", readyz)
    server.router.add_get("/metrics", metrics)
    for path, handler in (posts or {}).items():
        server.router.add_post(path, handler)
    return server


async def serve(server: web.Application, host: str, port: int) -> tuple[web.AppRunner, int]:
    """Serves and gives the runner (clean it up at the end) and the port it got; port 0 takes a free one."""
    runner = web.AppRunner(server, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, host, port)
    await site.start()
    return runner, int(runner.addresses[0][1])


async def _checked(check: Check, timeout_s: float) -> Health:
    try:
        async with asyncio.timeout(timeout_s):
            return await check()
    except TimeoutError:
        return Health(ok=False, detail=f"no answer within {timeout_s:g} s")
    except GroundwireError as error:
        return Health(ok=False, detail=f"{error.code}: {error.message}", remedy=error.remedy)


def _answer(parts: Mapping[str, Health]) -> web.Response:
    ok = all(part.ok for part in parts.values())
    told: dict[str, Any] = {"ok": ok, "parts": {name: _told(part) for name, part in parts.items()}}
    return web.json_response(told, status=200 if ok else 503)


def _told(health: Health) -> dict[str, Any]:
    return {"ok": health.ok, "detail": health.detail, **({"remedy": health.remedy} if health.remedy else {})}
