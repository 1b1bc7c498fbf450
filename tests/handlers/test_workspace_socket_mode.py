"""The local workspace speaks Socket Mode with Slack's own client: acks, redelivery, refresh, deafness, several sockets."""

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import aiohttp
from slack_bolt.async_app import AsyncAck, AsyncApp, AsyncBoltRequest
from slack_sdk.web.async_client import AsyncWebClient

from bot.demo.workspace.driver import Workspace
from bot.demo.workspace.limits import Limits
from tests.handlers.bolt_server import bolt_app, client_of, over_socket


def app_with_command(ws: Workspace) -> AsyncApp:
    app = bolt_app(ws)

    @app.command("/debug")
    async def debug(ack: AsyncAck, command: dict[str, Any], client: AsyncWebClient) -> None:
        await client.chat_postMessage(channel=command["channel_id"], text=command["text"])
        await ack(f"looking at {command['text']}")

    return app


def app_that_notes(ws: Workspace, name: str, seen: list[str]) -> AsyncApp:
    app = bolt_app(ws)

    @app.event("app_mention")
    async def mentioned(event: dict[str, Any]) -> None:
        seen.append(name)

    return app


async def test_a_command_goes_down_the_socket_and_its_ack_comes_back() -> None:
    async with Workspace() as ws, over_socket(ws, app_with_command(ws)):
        ack = await ws.command("ana", "checkout", "/debug", "checkout")

        assert (ack.ok, ack.text) == (True, "looking at checkout")
        assert [m.text for m in ws.messages("checkout")] == ["checkout"]
        assert ws.attempts[0].envelope_id


async def test_an_unacknowledged_event_comes_again_in_a_new_envelope() -> None:
    async with Workspace(limits=Limits(ack_s=0.3), retry_delays_s=(0.0,)) as ws:
        app, seen = bolt_app(ws), list[tuple[str, str, str]]()
        release = asyncio.Event()

        @app.event("app_mention")
        async def mentioned(body: dict[str, Any], request: AsyncBoltRequest) -> None:
            number = request.headers["x-slack-retry-num"][0]
            reason = request.headers["x-slack-retry-reason"][0]
            seen.append((body["event_id"], number, reason))
            if len(seen) == 1:
                await release.wait()

        async with over_socket(ws, app):
            await ws.say("ana", "checkout", "<@UBOT> hi")
            await ws.settled()
            release.set()

        assert [(number, reason) for _, number, reason in seen] == [("0", ""), ("1", "timeout")]
        assert len({event_id for event_id, _, _ in seen}) == 1
        assert len({attempt.envelope_id for attempt in ws.attempts}) == 2


async def test_several_sockets_share_the_work_and_each_event_goes_to_one() -> None:
    async with Workspace() as ws, AsyncExitStack() as stack:
        seen: list[str] = []
        for name in ("first", "second"):
            await stack.enter_async_context(over_socket(ws, app_that_notes(ws, name, seen)))

        for _ in range(4):
            await ws.say("ana", "checkout", "<@UBOT> hi")
            await ws.settled()

        assert sorted(seen) == ["first", "first", "second", "second"]


async def test_a_refresh_makes_the_client_reconnect_and_nothing_is_lost() -> None:
    async with Workspace() as ws, over_socket(ws, app_with_command(ws)):
        old = ws.connections[0]

        assert await ws.disconnect_sockets() == 1
        await ws.wait_for(lambda: any(not c.draining for c in ws.connections))
        await ws.wait_for(lambda: old not in ws.connections)

        assert (await ws.command("ana", "checkout", "/debug", "again")).ok


async def test_a_deaf_socket_stays_open_and_hears_nothing() -> None:
    async with Workspace(limits=Limits(ack_s=0.3), retry_delays_s=(0.0,)) as ws, over_socket(ws, app_with_command(ws)):
        ws.deafen(answer_pings=True)
        unheard = await ws.command("ana", "checkout", "/debug", "hello?")

        assert unheard.error == "http_timeout"
        assert len(ws.connections) == 1

        async with over_socket(ws, app_with_command(ws)):
            await ws.disconnect_sockets()  # reaches the new socket only: the deaf one is sent nothing
            await ws.wait_for(lambda: [c for c in ws.connections if not c.draining and not c.deaf])
            assert (await ws.command("ana", "checkout", "/debug", "heard")).ok


async def test_a_client_that_watches_its_pongs_leaves_a_deaf_socket() -> None:
    async with Workspace() as ws, over_socket(ws, app_with_command(ws), ping_s=0.1):
        ws.deafen()

        await ws.wait_for(lambda: [c for c in ws.connections if not c.deaf])

        assert (await ws.command("ana", "checkout", "/debug", "back")).ok


async def test_the_socket_says_hello_and_pings() -> None:
    async with Workspace(ping_s=0.02) as ws, aiohttp.ClientSession() as session:
        url = (await client_of(ws, ws.app_token).apps_connections_open(app_token=ws.app_token))["url"]
        async with session.ws_connect(url, autoping=False) as socket:
            hello = await socket.receive_json()
            ping = await socket.receive()

        assert (hello["type"], hello["num_connections"]) == ("hello", 1)
        assert hello["connection_info"] == {"app_id": "A0GROUND"}
        assert ping.type is aiohttp.WSMsgType.PING


async def test_a_ticket_opens_one_socket_and_there_are_only_so_many() -> None:
    async with Workspace(limits=Limits(sockets=1)) as ws, aiohttp.ClientSession() as session:
        client = client_of(ws, ws.app_token)
        url = (await client.apps_connections_open(app_token=ws.app_token))["url"]
        second = (await client.apps_connections_open(app_token=ws.app_token))["url"]

        async with session.ws_connect(url) as socket:
            await socket.receive_json()
            async with session.get(url.replace("ws://", "http://")) as used:
                assert used.status == 401
            async with session.ws_connect(second) as surplus:
                assert (await surplus.receive_json())["reason"] == "too_many_websockets"


async def test_garbage_from_the_app_does_not_break_the_socket() -> None:
    async with Workspace(limits=Limits(ack_s=1.0)) as ws, aiohttp.ClientSession() as session:
        url = (await client_of(ws, ws.app_token).apps_connections_open(app_token=ws.app_token))["url"]
        async with session.ws_connect(url) as socket:
            await socket.receive_json()
            asked = asyncio.create_task(ws.command("ana", "checkout", "/debug"))
            envelope = await socket.receive_json()
            for garbage in ("{nope", "[]", '{"envelope_id": "unknown"}'):
                await socket.send_str(garbage)
            await socket.send_json({"envelope_id": envelope["envelope_id"], "payload": {"text": "fine"}})

            assert (await asked).text == "fine"
            assert (envelope["type"], envelope["accepts_response_payload"]) == ("slash_commands", True)
