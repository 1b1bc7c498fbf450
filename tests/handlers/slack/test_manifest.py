"""manifest.yml says what the code needs, no less and no more, and is a manifest Slack would take."""

import ast
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from bot.demo.workspace.driver import Workspace
from bot.demo.workspace.limits import SCOPES
from handlers.slack.app import COMMAND
from tests.handlers.slack.rig import running

ROOT = Path(__file__).resolve().parents[3]
SHARED = ROOT / ".." / "shared" / "data" / "slack"
# Scopes no Web API method of ours asks for, and what does.
OTHERWISE_NEEDED = {
    "app_mentions:read": "event app_mention",
    "im:history": "event message.im",
    "commands": "slash command",
    "assistant:write": "feature agent_view",
}
# Slack has these scopes once for each kind of conversation; direct messages need no look-up.
BY_KIND = {"history": {"channels:history", "groups:history", "im:history"}, "read": {"channels:read", "groups:read"}}


def manifest() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "manifest.yml").read_text())
    return loaded


def methods_called() -> set[str]:
    """The Web API methods in handlers/slack, from calls such as `client.chat_postMessage(…)`."""
    known = {method.replace(".", "_"): method for method in (*SCOPES, "auth.test", "chat.getPermalink", "views.open")}
    called: set[str] = set()
    for file in (ROOT / "handlers" / "slack").glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                on = node.func.value
                if (isinstance(on, ast.Attribute) and on.attr == "_client") or ast.unparse(on).endswith("client"):
                    called.add(known.get(node.func.attr, node.func.attr))
    return called


@pytest.mark.parametrize("version", ["1.0.0", "2.0.0"])
def test_slacks_own_schema_takes_the_manifest(version: str) -> None:
    schema = SHARED / f"manifest.schema.{version}.json"
    if not schema.exists():
        pytest.skip("Slack's manifest schema is not on this machine")

    jsonschema.Draft7Validator(json.loads(schema.read_text())).validate(manifest())


def test_the_scopes_are_those_the_calls_events_and_features_need() -> None:
    called = {method for method in methods_called() if "." in method}
    assert {"chat.postMessage", "chat.update", "chat.postEphemeral", "users.info", "usergroups.list"} <= called
    needed = set(OTHERWISE_NEEDED)
    for method in called:
        wanted = SCOPES.get(method, ())
        needed |= BY_KIND[wanted[0]] if wanted and wanted[0] in BY_KIND else set(wanted[:1])

    assert set(manifest()["oauth_config"]["scopes"]["bot"]) == needed


def test_the_command_is_the_one_the_app_listens_to_and_people_are_escaped() -> None:
    (command,) = manifest()["features"]["slash_commands"]
    assert command["command"] == COMMAND
    assert command["should_escape"] is True


async def test_with_the_manifests_scopes_and_events_alone_the_app_works() -> None:
    said = manifest()
    workspace = Workspace(
        scopes=frozenset(said["oauth_config"]["scopes"]["bot"]),
        events=frozenset(said["settings"]["event_subscriptions"]["bot_events"]),
    )
    async with running(workspace=workspace) as rig:
        root = await rig.ws.say("ben", "sec-private", "anybody else?")
        await rig.ws.say("ana", "sec-private", "<@UBOT> what is wrong?", thread_ts=root.ts)
        await rig.ws.say("ana", rig.ws.dm("ana"), "checkout is slow")
        told = await rig.told(2)

        assert [q.channel_id for _, q in told] == ["C0SECRET", rig.ws.dm("ana")]
        assert [m.text for m in await rig.notifier.read_thread("C0SECRET", root.ts)] == ["anybody else?"]
        assert await rig.directory.is_member("C0SECRET")
        assert await rig.directory.groups_of("UANA") == frozenset({"S0ONCALL"})
        assert (await rig.directory.person("UANA")) is not None


def test_direct_messages_can_be_written_and_socket_mode_is_on() -> None:
    said = manifest()
    assert said["features"]["app_home"] == {
        "home_tab_enabled": False,
        "messages_tab_enabled": True,
        "messages_tab_read_only_enabled": False,
    }
    assert said["settings"]["socket_mode_enabled"] is True
    assert said["settings"]["interactivity"]["is_enabled"] is True
