"""The demo shop's last hours in a real Prometheus and in the Loki fake, at the present time."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import aiohttp

from bot.demo.loki.server import running_loki
from bot.demo.shop.load import loki_push_bodies, openmetrics
from bot.demo.shop.shop import Shop
from bot.demo.shop.topology import shop
from bot.domain.scope import Window
from tests.servers import running_prometheus

# What an ask about the last 40 minutes looks at, with room for rate windows. Earlier days are not loaded.
HISTORY_S = 6600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Backends:
    """A shop in trouble and where it can be asked about."""

    shop: Shop
    prometheus: str
    loki: str


@asynccontextmanager
async def shop_in_backends(fault: str) -> AsyncIterator[Backends]:
    """The shop with this fault, loaded and served until the end."""
    now_s = time.time()
    simulated = Shop(shop(), 1, fault, now_s=now_s, step_s=30)
    window = Window(start_s=now_s - HISTORY_S, end_s=now_s)
    async with AsyncExitStack() as stack:
        loading = asyncio.to_thread(lambda: stack.enter_context(running_prometheus(openmetrics(simulated, [window]))))
        prometheus = await loading
        loki = await stack.enter_async_context(running_loki())
        async with aiohttp.ClientSession() as session:
            for body in await asyncio.to_thread(lambda: list(loki_push_bodies(simulated, window))):
                async with session.post(f"{loki}/loki/api/v1/push", json=body) as answer:
                    assert answer.status == 204, await answer.text()
        yield Backends(shop=simulated, prometheus=prometheus.url, loki=loki)
