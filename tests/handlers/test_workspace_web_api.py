"""The local workspace answers Slack's own client as Slack does."""

from typing import Any

import aiohttp
import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.demo.workspace.driver import Workspace
from bot.demo.workspace.limits import ALL_SCOPES, Limits
from bot.demo.workspace.web_api import ALL_METHODS
from tests.handlers.bolt_server import client_of


class Clock:
    """Epoch seconds that stand still until a test moves them."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


async def refusal(client: AsyncWebClient, method: str, **arguments: Any) -> dict[str, Any]:
    """The error answer of a call that must fail."""
    with pytest.raises(SlackApiError) as caught:
        await client.api_call(method, json=arguments)
    data = caught.value.response.data
    assert isinstance(data, dict)
    return data


async def test_the_token_says_who_the_app_is() -> None:
    async with Workspace() as ws:
        answer = await client_of(ws).auth_test()

    assert (answer["team_id"], answer["user_id"], answer["bot_id"]) == ("T0GROUND", "UBOT", "BBOT")
    assert "chat:write" in answer.headers["X-OAuth-Scopes"]


async def test_unknown_tokens_methods_and_token_kinds_are_refused() -> None:
    async with Workspace() as ws:
        assert (await refusal(client_of(ws, "xoxb-stolen"), "auth.test"))["error"] == "invalid_auth"
        assert (await refusal(client_of(ws), "chat.teleport"))["error"] == "unknown_method"
        assert (await refusal(client_of(ws), "apps.connections.open"))["error"] == "not_allowed_token_type"
        assert (await refusal(client_of(ws, ws.app_token), "auth.test"))["error"] == "not_allowed_token_type"
        async with aiohttp.ClientSession() as session, session.post(ws.api_url + "auth.test") as answer:
            assert (await answer.json())["error"] == "not_authed"


async def test_query_form_and_json_bodies_are_read_alike() -> None:
    async with Workspace() as ws, aiohttp.ClientSession() as session:
        bearer = {"Authorization": f"Bearer {ws.bot_token}"}
        url = ws.api_url + "users.info"

        async with session.get(url, params={"user": "UCHI"}, headers=bearer) as by_query:
            assert (await by_query.json())["user"]["tz"] == "Asia/Kolkata"
        async with session.post(url, data={"user": "UCHI", "token": ws.bot_token}) as by_form:
            assert (await by_form.json())["ok"]
        async with session.post(url, json={"user": "UCHI"}, headers=bearer) as by_json:
            assert (await by_json.json())["user"]["tz_offset"] == 19_800
        async with session.post(url, data="{nope", headers={**bearer, "Content-Type": "application/json"}) as broken:
            assert (await broken.json())["error"] == "invalid_json"


async def test_a_message_can_be_posted_read_changed_and_deleted() -> None:
    async with Workspace() as ws:
        client = client_of(ws)
        metadata = {"event_type": "investigation", "event_payload": {"id": "I1"}}

        posted = await client.chat_postMessage(channel="#checkout", text="first", metadata=metadata)
        await client.chat_postMessage(channel="C0CHECKOUT", text="reply", thread_ts=posted["ts"])
        await client.chat_update(channel="C0CHECKOUT", ts=posted["ts"], text="second")

        thread = await client.conversations_replies(channel="C0CHECKOUT", ts=posted["ts"], include_all_metadata=True)
        assert [m["text"] for m in thread["messages"]] == ["second", "reply"]
        assert thread["messages"][0]["metadata"] == metadata
        assert thread["messages"][0]["reply_count"] == 1
        assert "edited" in thread["messages"][0]
        bare = await client.conversations_history(channel="C0CHECKOUT")
        assert [m["text"] for m in bare["messages"]] == ["second"]
        assert "metadata" not in bare["messages"][0]

        await client.chat_delete(channel="C0CHECKOUT", ts=posted["ts"])
        assert ws.messages("checkout") == []


async def test_an_update_keeps_the_parts_that_are_not_given() -> None:
    async with Workspace() as ws:
        client = client_of(ws)
        posted = await client.chat_postMessage(channel="C0CHECKOUT", text="t", blocks=[{"type": "divider"}])

        await client.chat_update(channel="C0CHECKOUT", ts=posted["ts"], text="new")
        assert [b["type"] for b in ws.messages("checkout")[0].blocks] == ["divider"]

        await client.chat_update(channel="C0CHECKOUT", ts=posted["ts"], text="newer", blocks=[])
        assert ws.messages("checkout")[0].blocks == ()


@pytest.mark.parametrize(
    ("channel", "error"),
    [
        ("C0NOWHERE", "channel_not_found"),
        ("C0RANDOM", "not_in_channel"),
        ("C0OLD", "is_archived"),
    ],
)
async def test_places_the_app_may_not_write_to(channel: str, error: str) -> None:
    async with Workspace() as ws:
        assert (await refusal(client_of(ws), "chat.postMessage", channel=channel, text="x"))["error"] == error


async def test_a_private_channel_the_app_is_not_in_does_not_exist_for_it() -> None:
    async with Workspace() as ws:
        ws.state.leave("C0SECRET", "UBOT")
        client = client_of(ws)

        assert (await refusal(client, "chat.postMessage", channel="C0SECRET", text="x"))["error"] == "channel_not_found"
        listed = await client.conversations_list(types="public_channel,private_channel")
        assert "C0SECRET" not in {c["id"] for c in listed["channels"]}


async def test_only_the_apps_own_messages_can_be_changed_or_deleted() -> None:
    async with Workspace() as ws:
        said = await ws.say("ana", "checkout", "mine")
        where = {"channel": "C0CHECKOUT", "ts": said.ts}

        assert (await refusal(client_of(ws), "chat.update", text="x", **where))["error"] == "cant_update_message"
        assert (await refusal(client_of(ws), "chat.delete", **where))["error"] == "cant_delete_message"
        gone = {"channel": "C0CHECKOUT", "ts": "1.000001"}
        assert (await refusal(client_of(ws), "chat.update", text="x", **gone))["error"] == "message_not_found"


async def test_replies_need_a_root() -> None:
    async with Workspace() as ws:
        client = client_of(ws)
        root = await client.chat_postMessage(channel="C0CHECKOUT", text="root")
        reply = await client.chat_postMessage(channel="C0CHECKOUT", text="r", thread_ts=root["ts"])
        call = {"channel": "C0CHECKOUT", "text": "x"}

        missing = await refusal(client, "chat.postMessage", thread_ts="1.000001", **call)
        nested = await refusal(client, "chat.postMessage", thread_ts=reply["ts"], **call)

        assert (missing["error"], nested["error"]) == ("thread_not_found", "cannot_reply_to_message")


async def test_a_missing_scope_is_named() -> None:
    async with Workspace(scopes=ALL_SCOPES - {"usergroups:read", "groups:history"}) as ws:
        client = client_of(ws)

        answer = await refusal(client, "usergroups.list")
        assert (answer["error"], answer["needed"]) == ("missing_scope", "usergroups:read")
        assert "chat:write" in answer["provided"].split(",")

        assert (await client.conversations_history(channel="C0CHECKOUT"))["ok"]
        assert (await refusal(client, "conversations.history", channel="C0SECRET"))["needed"] == "groups:history"


async def test_posting_too_fast_is_refused_per_channel_until_the_pace_allows_it() -> None:
    clock = Clock()
    async with Workspace(clock=clock, limits=Limits(post_burst=2)) as ws:
        client = client_of(ws)
        for _ in range(2):
            await client.chat_postMessage(channel="C0CHECKOUT", text="x")

        with pytest.raises(SlackApiError) as caught:
            await client.chat_postMessage(channel="C0CHECKOUT", text="x")
        assert caught.value.response.status_code == 429
        assert caught.value.response.headers["Retry-After"] == "1"
        assert caught.value.response["error"] == "ratelimited"
        assert (await client.chat_postMessage(channel="C0INCIDENTS", text="x"))["ok"]

        clock.now += 1.0
        assert (await client.chat_postMessage(channel="C0CHECKOUT", text="x"))["ok"]


async def test_a_tier_can_be_set_for_any_method() -> None:
    async with Workspace(clock=Clock(), limits=Limits(per_minute={"users.info": 1})) as ws:
        await client_of(ws).users_info(user="UANA")
        assert (await refusal(client_of(ws), "users.info", user="UANA"))["error"] == "ratelimited"


async def test_lists_come_in_pages() -> None:
    async with Workspace() as ws:
        names = []
        async for page in await client_of(ws).conversations_list(limit=2, exclude_archived=True):
            assert len(page["channels"]) <= 2
            names += [c["name"] for c in page["channels"]]

        assert names == ["incidents", "checkout", "perf", "random", "shared-paylane"]
        assert (await refusal(client_of(ws), "users.list", cursor="nonsense"))["error"] == "invalid_cursor"


async def test_people_carry_what_access_decisions_need() -> None:
    async with Workspace() as ws:
        client = client_of(ws)

        guest = (await client.users_info(user="UGUEST"))["user"]
        stranger = (await client.users_info(user="UEXT"))["user"]
        shared = (await client.conversations_info(channel="C0SHARED"))["channel"]
        oncall = await client.usergroups_users_list(usergroup="S0ONCALL")

        assert (guest["is_restricted"], guest["is_bot"]) == (True, False)
        assert (stranger["is_stranger"], stranger["team_id"]) == (True, "T0PARTNER")
        assert shared["is_ext_shared"]
        assert oncall["users"] == ["UANA", "UBEN"]
        assert (await refusal(client, "users.info", user="UNOBODY"))["error"] == "user_not_found"


async def test_a_direct_message_can_be_opened_and_written_to_by_user_id() -> None:
    async with Workspace() as ws:
        client = client_of(ws)
        opened = (await client.conversations_open(users="UDAN"))["channel"]["id"]

        posted = await client.chat_postMessage(channel="UDAN", text="hello")

        assert posted["channel"] == opened == ws.dm("dan")


async def test_an_ephemeral_message_is_seen_by_one_person_only() -> None:
    async with Workspace() as ws:
        client = client_of(ws)
        await client.chat_postEphemeral(channel="C0CHECKOUT", user="UBEN", text="psst")

        assert [m.text for m in ws.ephemerals("ben")] == ["psst"]
        assert ws.ephemerals("ana") == ws.messages("checkout") == []
        outside = await refusal(client, "chat.postEphemeral", channel="C0PERF", user="UBEN", text="x")
        assert outside["error"] == "user_not_in_channel"


async def test_a_permalink_leads_to_this_server() -> None:
    async with Workspace() as ws:
        client = client_of(ws)
        root = await client.chat_postMessage(channel="C0CHECKOUT", text="root")

        link = await client.chat_getPermalink(channel="C0CHECKOUT", message_ts=root["ts"])

        assert link["permalink"].endswith(f"/archives/C0CHECKOUT/p{root['ts'].replace('.', '')}")


async def test_a_stream_grows_and_ends_as_an_ordinary_message() -> None:
    async with Workspace() as ws:
        client = client_of(ws)
        root = await client.chat_postMessage(channel="C0CHECKOUT", text="root")
        stream = await client.chat_stream(
            channel="C0CHECKOUT", thread_ts=root["ts"], recipient_team_id="T0GROUND", recipient_user_id="UANA"
        )

        await stream.append(markdown_text="x" * 300)
        await stream.append(chunks=[{"type": "task_update", "id": "1", "title": "Look", "status": "in_progress"}])
        await stream.append(chunks=[{"type": "task_update", "id": "1", "title": "Look", "status": "complete"}])
        await stream.stop(markdown_text="end", blocks=[{"type": "divider"}])

        message = ws.thread("checkout", root["ts"])[1]
        assert message.text == "x" * 300 + "end"
        assert [b["type"] for b in message.blocks] == ["markdown", "task_card", "divider"]
        assert message.blocks[1]["status"] == "complete"
        late = await refusal(client, "chat.appendStream", channel="C0CHECKOUT", ts=message.ts, markdown_text="x")
        assert late["error"] == "message_not_in_streaming_state"
        assert (await client.chat_update(channel="C0CHECKOUT", ts=message.ts, text="whole"))["ok"]


async def test_a_stream_dies_of_age_and_by_the_stop_button() -> None:
    clock = Clock()
    async with Workspace(clock=clock) as ws:
        client = client_of(ws)
        root = await client.chat_postMessage(channel="C0CHECKOUT", text="root")
        start = {
            "channel": "C0CHECKOUT",
            "thread_ts": root["ts"],
            "recipient_team_id": "T0GROUND",
            "recipient_user_id": "UANA",
        }
        old = await client.api_call("chat.startStream", json=start)
        clock.now += 301
        stopped = await client.api_call("chat.startStream", json=start)
        await ws.press_stop("ana", "checkout", root["ts"])

        grow = {"channel": "C0CHECKOUT", "markdown_text": "x"}
        assert (await refusal(client, "chat.appendStream", ts=old["ts"], **grow))[
            "error"
        ] == "message_not_in_streaming_state"
        assert (await refusal(client, "chat.appendStream", ts=stopped["ts"], **grow))["error"] == "stopped_by_user"
        bare = await refusal(client, "chat.startStream", channel="C0CHECKOUT", thread_ts=root["ts"])
        assert bare["error"] == "missing_recipient_user_id"


async def test_a_file_goes_up_and_stands_in_the_thread() -> None:
    async with Workspace() as ws:
        client = client_of(ws)
        root = await client.chat_postMessage(channel="C0CHECKOUT", text="root")

        done = await client.files_upload_v2(
            channel="C0CHECKOUT", thread_ts=root["ts"], filename="report.txt", content="the whole report"
        )

        file = ws.state.files[done["file"]["id"]]
        assert file.content == b"the whole report"
        assert ws.thread("checkout", root["ts"])[1].files == (file.id,)
        assert (await client.files_info(file=file.id))["file"]["size"] == 16


async def test_reactions_count_once() -> None:
    async with Workspace() as ws:
        client = client_of(ws)
        posted = await client.chat_postMessage(channel="C0CHECKOUT", text="x")
        await client.reactions_add(channel="C0CHECKOUT", timestamp=posted["ts"], name="eyes")

        again = await refusal(client, "reactions.add", channel="C0CHECKOUT", timestamp=posted["ts"], name="eyes")

        assert again["error"] == "already_reacted"
        assert ws.messages("checkout")[0].reactions == (("eyes", ("UBOT",)),)


async def test_the_agent_surface_is_remembered_per_thread() -> None:
    async with Workspace() as ws:
        client = client_of(ws)
        root = await client.chat_postMessage(channel="C0CHECKOUT", text="root")
        thread = {"channel_id": "C0CHECKOUT", "thread_ts": root["ts"]}

        await client.assistant_threads_setStatus(status="is looking…", **thread)
        await client.agents_sessions_setStatus(status="processing", title="Checkout is slow", **thread)
        await client.agents_sessions_rename(title="Pool exhausted", **thread)
        session = ws.state.session("C0CHECKOUT", root["ts"])
        assert (session.status, session.title, session.line) == ("processing", "Pool exhausted", "is looking…")

        await client.chat_postMessage(channel="C0CHECKOUT", text="found it", thread_ts=root["ts"])
        assert ws.state.session("C0CHECKOUT", root["ts"]).line == ""
        wrong = await refusal(client, "agents.sessions.setStatus", status="thinking", **thread)
        assert wrong["error"] == "invalid_arguments"
        await client.assistant_threads_setSuggestedPrompts(
            channel_id=ws.dm("ana"), prompts=[{"title": "t", "message": "m"}]
        )
        assert ws.state.prompts[ws.dm("ana")]["prompts"] == [{"title": "t", "message": "m"}]


async def test_a_misfortune_can_be_ordered() -> None:
    async with Workspace() as ws:
        ws.fail("chat.update", "fatal_error", status=503)
        with pytest.raises(SlackApiError) as caught:
            await client_of(ws).chat_update(channel="C0CHECKOUT", ts="1.0", text="x")
        assert (caught.value.response.status_code, caught.value.response["error"]) == (503, "fatal_error")


async def test_no_method_breaks_on_missing_or_absurd_arguments() -> None:
    absurd: list[dict[str, Any]] = [
        {},
        {name: {"a": [1]} for name in ("channel", "channel_id", "ts", "view", "files", "blocks")},
    ]
    async with Workspace() as ws:
        for method in sorted(ALL_METHODS - {"api.test", "auth.test", "apps.connections.open"}):
            for arguments in absurd:
                answer = await _raw(ws, method, arguments)
                assert answer["ok"] or answer["error"]


async def _raw(ws: Workspace, method: str, arguments: dict[str, Any]) -> Any:
    headers = {"Authorization": f"Bearer {ws.bot_token}"}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.post(ws.api_url + method, json=arguments) as answer,
    ):
        assert answer.status == 200
        return await answer.json()
