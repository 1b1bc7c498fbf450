"""The endpoints operators and Kubernetes ask."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import ClientSession, web
from prometheus_client import CollectorRegistry, Counter

from bot.errors import SourceUnavailable
from bot.ports import Health
from handlers.ops.server import LARGEST_BODY, Watch, build_server, serve


@asynccontextmanager
async def served(
    watch: Watch, posts: dict[str, Callable[[web.Request], Awaitable[web.StreamResponse]]] | None = None
) -> AsyncIterator[tuple[ClientSession, str]]:
    runner, port = await serve(build_server(watch, posts), "127.0.0.1", 0)
    async with ClientSession() as session:
        yield session, f"http://127.0.0.1:{port}"
    await runner.cleanup()


async def good() -> Health:
    return Health(ok=True, detail="3.5")


async def silent() -> Health:
    await asyncio.Event().wait()
    raise AssertionError


async def failing() -> Health:
    raise SourceUnavailable("MET-001", "Prometheus does not answer.", "Check its URL.")


async def test_healthz_tells_of_the_process_and_its_sockets() -> None:
    up = True
    watch = Watch(
        registry=CollectorRegistry(),
        alive={"slack": lambda: Health(ok=up, detail="socket 1 open", remedy="" if up else "Check the network.")},
    )
    async with served(watch) as (session, url):
        async with session.get(f"{url}/healthz") as answer:
            assert answer.status == 200
            assert await answer.json() == {"ok": True, "parts": {"slack": {"ok": True, "detail": "socket 1 open"}}}
        up = False
        async with session.get(f"{url}/healthz") as answer:
            assert answer.status == 503
            assert (await answer.json())["parts"]["slack"]["remedy"] == "Check the network."


async def test_readyz_names_every_dependency_and_waits_for_none_of_them_for_long() -> None:
    watch = Watch(
        registry=CollectorRegistry(), ready={"store": good, "loki": silent, "prometheus": failing}, ready_s=0.05
    )
    async with served(watch) as (session, url), session.get(f"{url}/readyz") as answer:
        told = await answer.json()
        assert answer.status == 503
        assert told["parts"] == {
            "store": {"ok": True, "detail": "3.5"},
            "loki": {"ok": False, "detail": "no answer within 0.05 s"},
            "prometheus": {
                "ok": False,
                "detail": "MET-001: Prometheus does not answer.",
                "remedy": "Check its URL.",
            },
        }


async def test_metrics_are_those_of_the_registry_handed_in() -> None:
    registry = CollectorRegistry()
    Counter("groundwire_test", "A count.", registry=registry).inc()
    async with served(Watch(registry=registry)) as (session, url), session.get(f"{url}/metrics") as answer:
        assert "groundwire_test_total 1.0" in await answer.text()
        assert answer.headers["Content-Type"].startswith("text/plain")


async def test_other_edges_bring_their_paths_and_bodies_are_limited() -> None:
    async def echo(request: web.Request) -> web.Response:
        return web.Response(body=await request.read())

    async with served(Watch(registry=CollectorRegistry()), {"/slack/events": echo}) as (session, url):
        async with session.post(f"{url}/slack/events", data=b"x") as answer:
            assert await answer.read() == b"x"
        async with session.post(f"{url}/slack/events", data=b"x" * (LARGEST_BODY + 1)) as answer:
            assert answer.status == 413
        async with session.get(f"{url}/slack/events") as answer:
            assert answer.status == 405
