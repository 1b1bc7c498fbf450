"""A real Alertmanager tells alerts onward, those of a real Prometheus too."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import ClientSession, web

from tests.servers import running_alertmanager, running_prometheus

RULES = """
groups: [{name: shop, rules: [{alert: CartDown, expr: vector(1), labels: {service: cart}, annotations: {summary: gone}}]}]
"""


Message = dict[str, Any]


@asynccontextmanager
async def webhook() -> AsyncIterator[tuple[str, asyncio.Queue[Message]]]:
    """An address that takes messages, and the messages it took."""
    told: asyncio.Queue[Message] = asyncio.Queue()

    async def take(request: web.Request) -> web.Response:
        told.put_nowait(await request.json())
        return web.Response()

    app = web.Application()
    app.router.add_post("/", take)
    runner = web.AppRunner(app)
    await runner.setup()
    listening = socket.create_server(("127.0.0.1", 0))
    await web.SockSite(runner, listening).start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/", told
    finally:
        await runner.cleanup()


def said(message: Message) -> tuple[object, object, object]:
    [alert] = message["alerts"]
    return alert["status"], alert["labels"], alert["annotations"]


EXPECTED = ("firing", {"alertname": "CartDown", "service": "cart"}, {"summary": "gone"})


async def test_an_alert_reaches_the_webhook() -> None:
    async with webhook() as (address, told):
        with running_alertmanager(webhook=address) as alertmanager:
            alert = {"labels": EXPECTED[1], "annotations": EXPECTED[2]}
            async with (
                ClientSession() as client,
                client.post(f"{alertmanager.url}/api/v2/alerts", json=[alert]) as taken,
            ):
                assert taken.status == 200
            message = await asyncio.wait_for(told.get(), 10)

    assert said(message) == EXPECTED


@pytest.mark.long  # Prometheus looks for its Alertmanagers every 5 s, and this cannot be set
async def test_a_rule_that_fires_reaches_the_webhook() -> None:
    async with webhook() as (address, told):
        with (
            running_alertmanager(webhook=address) as alertmanager,
            running_prometheus(rules=RULES, alertmanager=alertmanager.url),
        ):
            message = await asyncio.wait_for(told.get(), 30)

    assert said(message) == EXPECTED
