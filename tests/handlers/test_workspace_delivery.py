"""The local workspace brings events, commands and clicks to a real Bolt app over signed HTTP."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlencode

import aiohttp
import pytest
from aiohttp import web
from slack_bolt.async_app import AsyncAck, AsyncBoltRequest, AsyncRespond, AsyncSay
from slack_bolt.response import BoltResponse
from slack_sdk.web.async_client import AsyncWebClient

from bot.demo.workspace.driver import EVENTS, Workspace
from bot.demo.workspace.limits import Limits
from tests.handlers.bolt_server import bolt_app, over_http

Next = Callable[[], Awaitable[BoltResponse]]

APPROVE = {
    "type": "actions",
    "elements": [
        {
            "type": "button",
            "action_id": "approve",
            "value": "S1",
            "style": "primary",
            "text": {"type": "plain_text", "text": "Approve"},
        }
    ],
}


async def test_command_root_thread_click_and_update_make_one_story() -> None:
    async with Workspace() as ws:
        app = bolt_app(ws)

        @app.command("/debug")
        async def ask(ack: AsyncAck, command: dict[str, Any], client: AsyncWebClient) -> None:
            root = await client.chat_postMessage(channel=command["channel_id"], text=f"Looking: {command['text']}")
            await client.chat_postMessage(
                channel=command["channel_id"], thread_ts=root["ts"], text="Roll back?", blocks=[APPROVE]
            )
            await ack("On it")

        @app.action("approve")
        async def approve(ack: AsyncAck, body: dict[str, Any], client: AsyncWebClient) -> None:
            await ack()
            where = {"channel": body["channel"]["id"], "ts": body["message"]["ts"]}
            decided = f"Approved by <@{body['user']['id']}>: {body['actions'][0]['value']}"
            await client.chat_update(text=decided, blocks=[], **where)

        async with over_http(ws, app):
            ack = await ws.command("ana", "checkout", "/debug", "checkout is slow & p99 > 1s")
            root = (await ws.wait_for(lambda: ws.messages("checkout")))[0]
            suggestion = ws.thread("checkout", root.ts)[1]
            await ws.click("ben", suggestion, "approve")

        assert (ack.ok, ack.text) == (True, "On it")
        assert [m.text for m in ws.ephemerals("ana")] == ["On it"]
        assert root.text == "Looking: checkout is slow &amp; p99 &gt; 1s"
        assert [m.text for m in ws.thread("checkout", root.ts)] == [root.text, "Approved by <@UBEN>: S1"]
        assert ws.thread("checkout", root.ts)[1].blocks == ()


async def test_a_mention_arrives_once_as_app_mention() -> None:
    async with Workspace() as ws:
        app, seen = bolt_app(ws), list[dict[str, Any]]()

        @app.event("app_mention")
        async def mentioned(event: dict[str, Any], say: AsyncSay) -> None:
            seen.append(event)
            await say(text="hello", thread_ts=event.get("thread_ts") or event["ts"])

        async with over_http(ws, app):
            said = await ws.say("ana", "checkout", "<@UBOT> why is it slow?")
            await ws.say("ana", "checkout", "just talking")
            await ws.say("ana", "random", "<@UBOT> you are not here")
            await ws.settled()

        assert [(e["user"], e["text"], e["channel"], e["ts"]) for e in seen] == [
            ("UANA", "<@UBOT> why is it slow?", "C0CHECKOUT", said.ts)
        ]
        assert "thread_ts" not in seen[0]
        assert [m.text for m in ws.thread("checkout", said.ts)][1:] == ["hello"]


async def test_one_message_can_arrive_as_two_events_and_be_redelivered() -> None:
    async with Workspace() as ws:
        app, seen = bolt_app(ws), list[tuple[str, str, str]]()

        async def note(body: dict[str, Any], request: AsyncBoltRequest) -> None:
            retry = request.headers.get("x-slack-retry-num", ["0"])[0]
            seen.append((body["event"]["type"], body["event"]["ts"], retry))

        app.event("app_mention")(note)
        app.event("message")(note)

        async with over_http(ws, app):
            said = await ws.say("ana", "checkout", "<@UBOT> hi", both=True, redeliver=1)
            await ws.settled()

        assert sorted(seen) == [
            ("app_mention", said.ts, "0"),
            ("app_mention", said.ts, "1"),
            ("message", said.ts, "0"),
            ("message", said.ts, "1"),
        ]
        assert len({a.parcel.id for a in ws.attempts}) == 2


async def test_direct_messages_arrive_as_message_im_and_the_apps_own_are_its_own() -> None:
    async with Workspace() as ws:
        app, seen = bolt_app(ws), list[dict[str, Any]]()

        @app.event("message")
        async def message(event: dict[str, Any], say: AsyncSay) -> None:
            seen.append(event)
            await say("answer")

        async with over_http(ws, app):
            await ws.say("chitra", ws.dm("chitra"), "slow?")
            await ws.wait_for(lambda: len(ws.messages(ws.dm("chitra"))) == 2)
            await ws.settled()

        assert [(e["channel_type"], e["text"]) for e in seen] == [("im", "slow?")]
        assert len(ws.attempts) == 2  # the answer was delivered too, and Bolt knew it as the app's own


async def test_message_events_follow_the_subscription_and_say_who_is_a_stranger() -> None:
    async with Workspace(events=EVENTS | {"message.channels"}) as ws:
        app, seen = bolt_app(ws), list[dict[str, Any]]()

        @app.event("message")
        async def message(event: dict[str, Any], body: dict[str, Any]) -> None:
            seen.append({**event, "shared": body["is_ext_shared_channel"]})

        async with over_http(ws, app):
            await ws.post_as_app("Alertmanager", "checkout", attachments=[{"title": "[FIRING:1] HighLatency"}])
            said = await ws.say("petra", "shared-paylane", "hello")
            await ws.settled()
            await ws.edit("petra", said, "hello again")
            await ws.settled()

        assert [(e.get("subtype"), e.get("bot_id")) for e in seen[:1]] == [("bot_message", "BALERTMANAGER")]
        assert seen[0]["attachments"][0]["title"] == "[FIRING:1] HighLatency"
        assert (seen[1]["user_team"], seen[1]["shared"]) == ("T0PARTNER", True)
        assert (seen[2]["subtype"], seen[2]["message"]["text"]) == ("message_changed", "hello again")


@pytest.mark.parametrize(("status", "retried"), [(200, False), (500, True), (404, True)])
async def test_events_that_fail_are_redelivered_with_slacks_headers(status: int, retried: bool) -> None:
    async with Workspace(retry_delays_s=(0.0, 0.01, 0.02)) as ws, answering(ws, status) as seen:
        await ws.say("ana", "checkout", "<@UBOT> hi")
        await ws.settled()

    numbers = [headers.get("X-Slack-Retry-Num") for headers, _ in seen]
    reasons = {headers.get("X-Slack-Retry-Reason") for headers, _ in seen[1:]}
    assert numbers == ([None, "1", "2", "3"] if retried else [None])
    assert reasons == ({"http_error"} if retried else set())
    assert len({json.loads(body)["event_id"] for _, body in seen}) == 1


async def test_no_retry_is_honoured_and_commands_are_never_redelivered() -> None:
    async with Workspace(retry_delays_s=(0.0,)) as ws, answering(ws, 500, {"X-Slack-No-Retry": "1"}) as seen:
        await ws.say("ana", "checkout", "<@UBOT> hi")
        await ws.settled()
        ack = await ws.command("ana", "checkout", "/debug")

        assert (len(seen), ack.error, ack.status) == (2, "http_error", 500)
        assert "dispatch_failed" in ws.ephemerals("ana")[0].text


async def test_an_app_that_takes_too_long_gets_the_event_again_and_the_person_is_told() -> None:
    async with Workspace(limits=Limits(ack_s=0.3), retry_delays_s=(0.0,)) as ws:
        app, calls = bolt_app(ws), list[str]()
        release = asyncio.Event()

        @app.event("app_mention")
        async def slow(body: dict[str, Any], request: AsyncBoltRequest) -> None:
            calls.append(request.headers.get("x-slack-retry-reason", [""])[0])
            if len(calls) == 1:
                await release.wait()

        @app.command("/debug")
        async def slow_command(ack: AsyncAck) -> None:
            await release.wait()
            await ack()

        async with over_http(ws, app):
            await ws.say("ana", "checkout", "<@UBOT> hi")
            await ws.settled()
            ack = await ws.command("ana", "checkout", "/debug", "x")
            release.set()

        assert calls == ["", "http_timeout"]
        assert ack.error == "http_timeout"
        assert [m.text for m in ws.ephemerals("ana")] == ['/debug failed with the error "operation_timeout"']


async def test_an_app_that_is_not_there_is_a_failed_delivery() -> None:
    async with Workspace(retry_delays_s=()) as ws:
        no_socket = await ws.command("ana", "checkout", "/debug")
        ws.request_url = "http://127.0.0.1:9/slack/events"
        nobody_listens = await ws.command("ana", "checkout", "/debug")

        assert (no_socket.error, nobody_listens.error) == ("no_connection", "connection_failed")


async def test_requests_an_app_must_refuse_can_be_sent() -> None:
    async with Workspace() as ws:
        app, seen = bolt_app(ws), list[str]()

        @app.command("/debug")
        async def debug(ack: AsyncAck, command: dict[str, Any]) -> None:
            seen.append(command["text"])
            await ack()

        async with over_http(ws, app):
            honest = ws.command_form("ana", "checkout", "/debug", "honest")
            forged = urlencode({**honest, "text": "forged"})
            now = str(int(time.time()))

            good = await ws.send_raw(urlencode(honest))
            tampered = await ws.send_raw(forged, signature="v0=" + "0" * 64)
            old = await ws.send_raw(urlencode(honest), timestamp=str(int(now) - 400))
            unsigned = await ws.send_raw(urlencode(honest), signature="")

        assert [good.status, tampered.status, old.status, unsigned.status] == [200, 401, 401, 401]
        assert seen == ["honest"]


async def test_a_response_url_answers_privately_publicly_and_in_place_and_wears_out() -> None:
    async with Workspace(limits=Limits(post_burst=50)) as ws:
        app = bolt_app(ws)
        urls: list[str] = []

        @app.command("/debug")
        async def debug(ack: AsyncAck, respond: AsyncRespond, command: dict[str, Any]) -> None:
            await ack()
            urls.append(command["response_url"])
            await respond("only you")
            await respond(text="everybody", blocks=[APPROVE], response_type="in_channel")

        @app.action("approve")
        async def approve(ack: AsyncAck, respond: AsyncRespond) -> None:
            await ack()
            await respond(text="decided", replace_original=True)

        async with over_http(ws, app), aiohttp.ClientSession() as session:
            await ws.command("ana", "checkout", "/debug")
            await ws.click("ana", ws.messages("checkout")[0], "approve")
            answers = [(await session.post(urls[0], json={"text": "more"})).status for _ in range(4)]
            bad = await session.post(urls[0], json={"text": "more"})

        assert [m.text for m in ws.ephemerals("ana")] == ["only you", "more", "more", "more"]
        assert [(m.text, m.blocks) for m in ws.messages("checkout")] == [("decided", ())]
        assert answers == [200, 200, 200, 404]
        assert bad.status == 404


class answering:  # noqa: N801 - reads as a verb where it is used
    """A bare app that answers every request alike and keeps what it got: (headers, body)."""

    def __init__(self, ws: Workspace, status: int, headers: dict[str, str] | None = None) -> None:
        self._ws, self._status, self._headers = ws, status, headers or {}
        self._seen: list[tuple[dict[str, str], str]] = []

    async def __aenter__(self) -> list[tuple[dict[str, str], str]]:
        app = web.Application()
        app.router.add_post("/slack/events", self._handle)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self._ws.request_url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/slack/events"
        return self._seen

    async def __aexit__(self, *_exc: object) -> None:
        await self._runner.cleanup()

    async def _handle(self, request: web.Request) -> web.Response:
        self._seen.append((dict(request.headers), await request.text()))
        return web.Response(status=self._status, headers=self._headers)
