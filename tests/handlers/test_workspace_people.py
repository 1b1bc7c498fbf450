"""People in the local workspace: modals, menus, shortcuts, the Home tab, and what nobody can do."""

import asyncio
from typing import Any

import pytest
from slack_bolt.async_app import AsyncAck, AsyncApp
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.demo.workspace.driver import Workspace
from tests.handlers.bolt_server import bolt_app, client_of, over_http


class Clock:
    """Epoch seconds that stand still until a test moves them."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


def words(text: str) -> dict[str, Any]:
    return {"type": "plain_text", "text": text}


def modal(*blocks: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {
        "type": "modal",
        "callback_id": "reject",
        "title": words("Reject"),
        "submit": words("Send"),
        "blocks": list(blocks),
        **changes,
    }


REASON = {
    "type": "input",
    "block_id": "why",
    "label": words("Why"),
    "element": {"type": "plain_text_input", "action_id": "why"},
}
SEVERITY = {
    "type": "input",
    "block_id": "sev",
    "optional": True,
    "label": words("Severity"),
    "element": {
        "type": "static_select",
        "action_id": "severity",
        "options": [{"text": words("High"), "value": "high"}, {"text": words("Low"), "value": "low"}],
    },
}
OPEN = {
    "type": "actions",
    "elements": [{"type": "button", "action_id": "reject", "value": "S1", "text": words("Reject")}],
}


def app_with_modal(ws: Workspace, submitted: list[dict[str, Any]]) -> AsyncApp:
    app = bolt_app(ws)

    @app.action("reject")
    async def ask_why(ack: AsyncAck, body: dict[str, Any], client: AsyncWebClient) -> None:
        await client.views_open(trigger_id=body["trigger_id"], view=modal(REASON, SEVERITY, private_metadata="S1"))
        await ack()

    @app.view("reject")
    async def take(ack: AsyncAck, view: dict[str, Any]) -> None:
        values = view["state"]["values"]
        if values["why"]["why"]["value"] == "no":
            await ack(response_action="errors", errors={"why": "say more"})
            return
        submitted.append({**values, "about": view["private_metadata"]})
        await ack()

    return app


async def test_a_button_opens_a_modal_and_its_values_come_back() -> None:
    async with Workspace() as ws:
        submitted: list[dict[str, Any]] = []
        async with over_http(ws, app_with_modal(ws, submitted)):
            posted = await client_of(ws).chat_postMessage(channel="C0CHECKOUT", text="x", blocks=[OPEN])
            message = ws.thread("checkout", str(posted["ts"]))[0]
            await ws.click("ana", message, "reject")
            view = ws.views("ana")[0]

            refused = await ws.submit("ana", view, {"why": "no"})
            still_open = ws.views("ana")
            await ws.submit("ana", view, {"why": "wrong service", "severity": "high"})

        assert refused.payload == {"response_action": "errors", "errors": {"why": "say more"}}
        assert len(still_open) == 1
        assert ws.views("ana") == []
        assert submitted[0]["why"]["why"] == {"type": "plain_text_input", "value": "wrong service"}
        assert submitted[0]["sev"]["severity"]["selected_option"]["value"] == "high"
        assert submitted[0]["about"] == "S1"


async def test_a_trigger_is_good_for_one_view_and_three_seconds() -> None:
    clock = Clock()
    async with Workspace(clock=clock) as ws:
        client = client_of(ws)
        trigger = ws.command_form("ana", "checkout", "/debug")["trigger_id"]
        await client.views_open(trigger_id=trigger, view=modal(REASON))
        stale = ws.command_form("ana", "checkout", "/debug")["trigger_id"]
        clock.now += 3.5

        for used, error in (
            (trigger, "exchanged_trigger_id"),
            (stale, "expired_trigger_id"),
            ("x", "invalid_trigger_id"),
        ):
            with pytest.raises(SlackApiError) as caught:
                await client.views_open(trigger_id=used, view=modal(REASON))
            assert caught.value.response["error"] == error


async def test_views_stack_three_high_and_are_updated_by_hash() -> None:
    async with Workspace() as ws:
        client = client_of(ws)
        triggers = [ws.command_form("ana", "checkout", "/debug")["trigger_id"] for _ in range(4)]
        first = await client.views_open(trigger_id=triggers[0], view=modal(REASON))
        for trigger in triggers[1:3]:
            await client.views_push(trigger_id=trigger, view=modal(REASON))

        with pytest.raises(SlackApiError, match="push_limit_reached"):
            await client.views_push(trigger_id=triggers[3], view=modal(REASON))
        view = first["view"]
        await client.views_update(view_id=view["id"], hash=view["hash"], view=modal(SEVERITY))
        with pytest.raises(SlackApiError, match="hash_conflict"):
            await client.views_update(view_id=view["id"], hash=view["hash"], view=modal(REASON))

        assert [v.root_id for v in ws.views("ana")] == [view["id"]] * 3


async def test_a_submission_can_update_push_and_clear_and_closing_is_told() -> None:
    async with Workspace() as ws:
        app, closed = bolt_app(ws), list[str]()
        answers = iter(
            [
                {"response_action": "update", "view": modal(SEVERITY)},
                {"response_action": "push", "view": modal(SEVERITY, notify_on_close=True)},
            ]
        )

        @app.view("reject")
        async def take(ack: AsyncAck) -> None:
            await ack(**next(answers, {"response_action": "clear"}))

        @app.view_closed("reject")
        async def gone(ack: AsyncAck, view: dict[str, Any]) -> None:
            closed.append(view["id"])
            await ack()

        async with over_http(ws, app):
            trigger = ws.command_form("ana", "checkout", "/debug")["trigger_id"]
            await client_of(ws).views_open(trigger_id=trigger, view=modal(REASON))
            await ws.submit("ana", ws.views("ana")[0], {"why": "x"})
            assert [b["type"] for b in ws.views("ana")[0].body["blocks"]] == ["input"]
            await ws.submit("ana", ws.views("ana")[0])
            pushed = ws.views("ana")[1]
            await ws.close_view("ana", pushed)
            assert closed == [pushed.id]
            await ws.submit("ana", ws.views("ana")[0])

        assert ws.views("ana") == []


async def test_the_home_tab_is_published_and_its_buttons_work() -> None:
    async with Workspace() as ws:
        app, seen = bolt_app(ws), list[str]()

        @app.event("app_home_opened")
        async def opened(event: dict[str, Any], client: AsyncWebClient) -> None:
            await client.views_publish(user_id=event["user"], view={"type": "home", "blocks": [OPEN]})

        @app.action("reject")
        async def pressed(ack: AsyncAck, body: dict[str, Any]) -> None:
            seen.append(f"{body['container']['type']} {body['user']['id']}")
            await ack()

        async with over_http(ws, app):
            await ws.open_home("dan")
            home = await ws.wait_for(lambda: ws.home("dan"))
            assert home is not None
            await ws.click("dan", home, "reject")

        assert seen == ["view UDAN"]


async def test_shortcuts_carry_the_message_and_a_trigger() -> None:
    async with Workspace() as ws:
        app, seen = bolt_app(ws), list[dict[str, Any]]()

        @app.message_shortcut("investigate_alert")
        async def on_message(ack: AsyncAck, shortcut: dict[str, Any]) -> None:
            seen.append(shortcut)
            await ack()

        @app.global_shortcut("investigate")
        async def anywhere(ack: AsyncAck, shortcut: dict[str, Any]) -> None:
            seen.append(shortcut)
            await ack()

        async with over_http(ws, app):
            alert = await ws.post_as_app("Grafana", "incidents", text="[Alerting] p99")
            assert (await ws.message_shortcut("ben", alert, "investigate_alert")).ok
            assert (await ws.shortcut("ben", "investigate")).ok

        assert (seen[0]["message"]["text"], seen[0]["channel"]["id"]) == ("[Alerting] p99", "C0INCIDENTS")
        assert "channel" not in seen[1]
        assert all(shortcut["trigger_id"] in ws.state.triggers for shortcut in seen)


async def test_options_come_from_the_app_while_somebody_types() -> None:
    async with Workspace() as ws:
        app = bolt_app(ws)
        select = {"type": "external_select", "action_id": "service", "min_query_length": 1}

        @app.options("service")
        async def services(ack: AsyncAck, payload: dict[str, Any]) -> None:
            found = [name for name in ("cart", "checkout") if name.startswith(payload["value"])]
            await ack(options=[{"text": words(name), "value": name} for name in found])

        async with over_http(ws, app):
            blocks = [{"type": "actions", "elements": [select]}]
            posted = await client_of(ws).chat_postMessage(channel="C0CHECKOUT", text="x", blocks=blocks)
            offered = await ws.options("ana", ws.thread("checkout", str(posted["ts"]))[0], "service", "che")

        assert [option["value"] for option in offered] == ["checkout"]


async def test_reactions_stop_and_invitations_are_told_to_the_app() -> None:
    async with Workspace() as ws:
        app, seen = bolt_app(ws), list[dict[str, Any]]()

        async def note(event: dict[str, Any]) -> None:
            seen.append(event)

        for name in ("reaction_added", "agent_session_stopped", "member_joined_channel", "tokens_revoked"):
            app.event(name)(note)

        async with over_http(ws, app):
            said = await ws.say("ana", "checkout", "hm")
            await ws.react("ben", said, "eyes")
            await ws.settled()
            await ws.press_stop("ana", "checkout", said.ts)
            await ws.settled()
            await ws.invite_bot("random")
            await ws.settled()
            await ws.tell_app({"type": "tokens_revoked", "tokens": {"bot": ["UBOT"]}})
            await ws.settled()

        types = [event["type"] for event in seen]
        assert types == ["reaction_added", "agent_session_stopped", "member_joined_channel", "tokens_revoked"]
        assert (seen[0]["item"]["ts"], seen[0]["user"]) == (said.ts, "UBEN")
        assert seen[1]["streaming_message_ts"] == []
        assert "UBOT" in ws.state.channels["C0RANDOM"].members


async def test_what_nobody_could_do_raises() -> None:
    async with Workspace() as ws:
        client = client_of(ws)
        posted = await client.chat_postMessage(channel="C0CHECKOUT", text="x", blocks=[OPEN])
        message = ws.thread("checkout", str(posted["ts"]))[0]
        await client.chat_postEphemeral(channel="C0CHECKOUT", user="UBEN", text="x", blocks=[OPEN])

        with pytest.raises(LookupError, match="no such person"):
            await ws.say("zoe", "checkout", "hi")
        with pytest.raises(LookupError, match="not in perf"):
            await ws.command("ben", "perf", "/debug")
        with pytest.raises(LookupError, match="is archived"):
            await ws.say("ana", "old-incidents", "hi")
        with pytest.raises(LookupError, match="there is no message"):
            await ws.say("ana", "checkout", "hi", thread_ts="1.000001")
        with pytest.raises(LookupError, match="there is: reject"):
            await ws.click("ana", message, "approve")
        with pytest.raises(LookupError, match="cannot see"):
            await ws.click("ana", ws.ephemerals("ben")[0], "reject")


async def test_a_stale_button_can_be_pressed_as_it_was_seen() -> None:
    async with Workspace() as ws:
        app, seen = bolt_app(ws), list[str]()

        @app.action("reject")
        async def pressed(ack: AsyncAck, action: dict[str, Any]) -> None:
            seen.append(action["value"])
            await ack()

        async with over_http(ws, app):
            client = client_of(ws)
            posted = await client.chat_postMessage(channel="C0CHECKOUT", text="x", blocks=[OPEN])
            before = ws.thread("checkout", str(posted["ts"]))[0]
            await client.chat_update(channel="C0CHECKOUT", ts=str(posted["ts"]), text="decided", blocks=[])

            with pytest.raises(LookupError):
                await ws.click("ana", before, "reject")
            await ws.click("ana", before, "reject", as_seen=True)

        assert seen == ["S1"]


async def test_waiting_ends_at_the_change_or_says_what_was_there() -> None:
    async with Workspace() as ws:
        waiting = asyncio.create_task(ws.wait_for(lambda: ws.messages("checkout")))
        await asyncio.sleep(0)
        await ws.say("ana", "checkout", "here")
        assert [m.text for m in await waiting] == ["here"]

        with pytest.raises(TimeoutError, match="here"):
            await ws.wait_for(lambda: False, timeout_s=0.02)
