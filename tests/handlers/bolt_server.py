"""A real Bolt app on a free port of 127.0.0.1, for tests against the local workspace."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web
from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
from slack_bolt.async_app import AsyncApp
from slack_sdk.web.async_client import AsyncWebClient

from bot.demo.workspace.driver import Workspace


def client_of(ws: Workspace, token: str | None = None) -> AsyncWebClient:
    """Slack's own client, pointed at the workspace; it never retries, so that tests see every answer."""
    return AsyncWebClient(token=token or ws.bot_token, base_url=ws.api_url, retry_handlers=[])


def bolt_app(ws: Workspace) -> AsyncApp:
    """An app as the product builds it: it answers after its listeners ran."""
    return AsyncApp(client=client_of(ws), signing_secret=ws.signing_secret, process_before_response=True)


@asynccontextmanager
async def over_http(ws: Workspace, app: AsyncApp) -> AsyncIterator[None]:
    """Serves the app and tells the workspace its request URL."""
    runner = web.AppRunner(app.web_app(path="/slack/events"), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    ws.request_url = f"http://127.0.0.1:{runner.addresses[0][1]}/slack/events"
    try:
        yield
    finally:
        ws.request_url = ""
        await runner.cleanup()


@asynccontextmanager
async def over_socket(ws: Workspace, app: AsyncApp, *, ping_s: float = 10.0) -> AsyncIterator[AsyncSocketModeHandler]:
    """Connects the app by Socket Mode and waits until the workspace sees the socket."""
    before = len(ws.connections)
    handler = AsyncSocketModeHandler(app, ws.app_token, ping_interval=ping_s)
    await handler.connect_async()  # type: ignore[no-untyped-call]  # Bolt leaves it bare
    await ws.wait_for(lambda: len(ws.connections) > before)
    try:
        yield handler
    finally:
        await handler.close_async()  # type: ignore[no-untyped-call]  # Bolt leaves it bare
