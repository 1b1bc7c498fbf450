"""What Slack sends to an app: events, slash commands, button clicks, view submissions, shortcuts. Pure builders."""

import re
from collections.abc import Iterator, Sequence
from typing import Any

from bot.demo.workspace.seed import APP_ID, BOT_USER
from bot.demo.workspace.shapes import message_json, view_json
from bot.demo.workspace.state import Channel, Json, Message, State, User, View

# The legacy verification token: present in every payload, meaningless beside the signature.
LEGACY_TOKEN = "local-workspace"  # noqa: S105 # nosec B105
_CONTROL = re.compile(r"<(?:[@#!]|https?://|mailto:|tel:)[^<>]*>|[&<>]")
_ESCAPES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
_MENTION = re.compile(r"<@([A-Z0-9]+)(?:\|[^>]*)?>")


def escaped(typed: str) -> str:
    """What a person typed as apps receive it: & < > escaped, mentions, channels and links left alone."""
    return _CONTROL.sub(lambda found: _ESCAPES.get(found[0], found[0]), typed)


def mentions(text: str, user: str) -> bool:
    """Whether the text mentions this user by id."""
    return user in _MENTION.findall(text)


def rich_text(text: str) -> Json:
    """The rich_text block Slack puts beside what a person typed."""
    elements: list[Json] = []
    for index, part in enumerate(_MENTION.split(text)):
        if index % 2:
            elements.append({"type": "user", "user_id": part})
        elif part:
            elements.append({"type": "text", "text": part})
    return {"type": "rich_text", "elements": [{"type": "rich_text_section", "elements": elements}]}


def event_callback(state: State, event: Json, *, event_id: str, now: float, is_ext_shared: bool = False) -> Json:
    """The envelope of the Events API around one event."""
    return {
        "token": LEGACY_TOKEN,
        "team_id": state.team_id,
        "context_team_id": state.team_id,
        "context_enterprise_id": None,
        "api_app_id": APP_ID,
        "event": event,
        "type": "event_callback",
        "event_id": event_id,
        "event_time": int(now),
        "authorizations": [
            {
                "enterprise_id": None,
                "team_id": state.team_id,
                "user_id": BOT_USER,
                "is_bot": True,
                "is_enterprise_install": False,
            }
        ],
        "is_ext_shared_channel": is_ext_shared,
        "event_context": f"4-{event_id}",
    }


def message_event(state: State, message: Message) -> Json:
    """The `message` event: what message.channels, message.groups and message.im subscribers get."""
    channel = state.channels[message.channel]
    shape = message_json(state, message)
    for counted in ("reply_count", "reply_users", "reply_users_count", "latest_reply"):
        shape.pop(counted, None)
    if shape.get("thread_ts") == message.ts:
        del shape["thread_ts"]
    return {
        **shape,
        **_stranger_fields(state, message, channel),
        "channel": channel.id,
        "channel_type": channel.kind,
        "event_ts": message.ts,
    }


def mention_event(state: State, message: Message) -> Json:
    """The `app_mention` event for the same message: no channel_type, no subtype."""
    event = message_event(state, message)
    event.pop("channel_type")
    event.pop("subtype", None)
    return {**event, "type": "app_mention"}


def changed_event(state: State, message: Message, *, before: Message, ts: str) -> Json:
    """The `message_changed` event after an edit."""
    return {
        "type": "message",
        "subtype": "message_changed",
        "channel": message.channel,
        "channel_type": state.channels[message.channel].kind,
        "message": message_json(state, message),
        "previous_message": message_json(state, before),
        "hidden": True,
        "ts": ts,
        "event_ts": ts,
    }


def _stranger_fields(state: State, message: Message, channel: Channel) -> Json:
    author = state.users.get(message.user or "")
    if author is None or author.team_id == state.team_id or not channel.is_ext_shared:
        return {}
    return {"user_team": author.team_id, "source_team": author.team_id, "user_profile": {"team": author.team_id}}


def reaction_event(message: Message, *, user: str, name: str, ts: str) -> Json:
    """The `reaction_added` event."""
    item = {"type": "message", "channel": message.channel, "ts": message.ts}
    return {
        "type": "reaction_added",
        "user": user,
        "reaction": name,
        "item_user": message.user,
        "item": item,
        "event_ts": ts,
    }


def slash_command(
    state: State, *, user: User, channel: Channel, command: str, text: str, trigger_id: str, response_url: str
) -> dict[str, str]:
    """The form fields of a slash command."""
    return {
        "token": LEGACY_TOKEN,
        "team_id": user.team_id,
        "team_domain": state.domain,
        "channel_id": channel.id,
        "channel_name": _channel_name(channel),
        "user_id": user.id,
        "user_name": user.name,
        "command": command,
        "text": text,
        "api_app_id": APP_ID,
        "is_enterprise_install": "false",
        "response_url": response_url,
        "trigger_id": trigger_id,
    }


def _channel_name(channel: Channel) -> str:
    if channel.is_im:
        return "directmessage"
    return "privategroup" if channel.is_private else channel.name


def _interaction(state: State, kind: str, user: User, trigger_id: str) -> Json:
    return {
        "type": kind,
        "user": {"id": user.id, "username": user.name, "name": user.name, "team_id": user.team_id},
        "api_app_id": APP_ID,
        "token": LEGACY_TOKEN,
        "team": {"id": state.team_id, "domain": state.domain},
        "enterprise": None,
        "is_enterprise_install": False,
        "trigger_id": trigger_id,
    }


def message_click(
    state: State, *, user: User, message: Message, action: Json, values: Json, trigger_id: str, response_url: str
) -> Json:
    """block_actions from a message; an ephemeral message is named in `container` but not included, as in Slack."""
    channel = state.channels[message.channel]
    container: Json = {
        "type": "message",
        "message_ts": message.ts,
        "channel_id": channel.id,
        "is_ephemeral": bool(message.to_user),
    }
    if message.thread_ts:
        container["thread_ts"] = message.thread_ts
    payload = {
        **_interaction(state, "block_actions", user, trigger_id),
        "container": container,
        "channel": {"id": channel.id, "name": _channel_name(channel)},
        "state": {"values": values},
        "response_url": response_url,
        "actions": [action],
    }
    return payload if message.to_user else {**payload, "message": message_json(state, message)}


def view_click(state: State, *, user: User, view: View, action: Json, trigger_id: str) -> Json:
    """block_actions from a modal or the Home tab."""
    return {
        **_interaction(state, "block_actions", user, trigger_id),
        "container": {"type": "view", "view_id": view.id},
        "view": view_json(state, view),
        "actions": [action],
    }


def view_submission(state: State, *, user: User, view: View, trigger_id: str) -> Json:
    """view_submission with what the person put in."""
    return {
        **_interaction(state, "view_submission", user, trigger_id),
        "view": view_json(state, view),
        "response_urls": [],
    }


def view_closed(state: State, *, user: User, view: View) -> Json:
    """view_closed, which Slack sends only for views with notify_on_close."""
    payload = _interaction(state, "view_closed", user, "")
    payload.pop("trigger_id")
    return {**payload, "view": view_json(state, view), "is_cleared": False}


def suggestion(state: State, *, user: User, container: Message | View, found: Json, typed: str) -> Json:
    """block_suggestion: the person types into a select whose options the app supplies."""
    payload = _interaction(state, "block_suggestion", user, "")
    payload.pop("trigger_id")
    payload |= {"action_id": found["action_id"], "block_id": found["block_id"], "value": typed}
    if isinstance(container, View):
        return {
            **payload,
            "container": {"type": "view", "view_id": container.id},
            "view": view_json(state, container),
        }
    place = {"type": "message", "message_ts": container.ts, "channel_id": container.channel}
    return {**payload, "container": place, "message": message_json(state, container)}


def message_shortcut(
    state: State, *, user: User, message: Message, callback_id: str, trigger_id: str, response_url: str
) -> Json:
    """message_action: an entry of the menu beside a message."""
    channel = state.channels[message.channel]
    return {
        **_interaction(state, "message_action", user, trigger_id),
        "callback_id": callback_id,
        "action_ts": message.ts,
        "message_ts": message.ts,
        "channel": {"id": channel.id, "name": _channel_name(channel)},
        "message": message_json(state, message),
        "response_url": response_url,
    }


def global_shortcut(state: State, *, user: User, callback_id: str, trigger_id: str, action_ts: str) -> Json:
    """shortcut: an entry of the lightning menu, without a channel."""
    shape = _interaction(state, "shortcut", user, trigger_id)
    return {**shape, "callback_id": callback_id, "action_ts": action_ts}


def interactive_elements(blocks: Sequence[Json]) -> Iterator[Json]:
    """Every element a person can use in these blocks, each with the block_id it stands in."""
    for block in blocks:
        places: list[Any] = [*block.get("elements", ()), block.get("accessory"), block.get("element")]
        for element in places:
            if isinstance(element, dict) and "action_id" in element:
                yield {**element, "block_id": block.get("block_id", "")}
        if isinstance(block.get("blocks"), list):
            yield from interactive_elements(block["blocks"])


def action_of(element: Json, *, value: str | None, action_ts: str) -> Json:
    """The entry of `actions` for this element: a button's own value, or the chosen one of a select.

    Raises LookupError when the element has no such option.
    """
    action: Json = {name: element[name] for name in ("type", "action_id", "block_id")}
    action["action_ts"] = action_ts
    if element["type"] == "feedback_buttons":
        sides = [element["positive_button"], element["negative_button"]]
        chosen = sides[0] if value is None else next((s for s in sides if s.get("value") == value), None)
        if chosen is None:
            raise LookupError(f"no feedback button has the value {value!r}")
        return {**action, "text": chosen["text"], "value": chosen.get("value")}
    if "options" in element or element["type"].endswith("_select"):
        return {**action, **chosen_input(element, value or "")}
    action |= {name: element[name] for name in ("text", "value", "style", "url") if name in element}
    return action


def chosen_input(element: Json, value: str) -> Json:
    """The `state` entry of an input element after the person put in `value` (several options are separated by commas)."""
    kind = element["type"]
    if kind.startswith("multi_") or kind == "checkboxes":
        options = [_option(element, one) for one in value.split(",") if one]
        return {"type": kind, "selected_options": options}
    if kind in ("static_select", "external_select", "radio_buttons", "overflow"):
        return {"type": kind, "selected_option": _option(element, value) if value else None}
    single = {
        "users_select": "selected_user",
        "channels_select": "selected_channel",
        "conversations_select": "selected_conversation",
        "datepicker": "selected_date",
        "timepicker": "selected_time",
    }
    return {"type": kind, single.get(kind, "value"): value or None}


def _option(element: Json, value: str) -> Json:
    if element["type"].removeprefix("multi_") == "external_select":
        return {"text": {"type": "plain_text", "text": value}, "value": value}
    grouped = [option for group in element.get("option_groups", ()) for option in group["options"]]
    for option in (*element.get("options", ()), *grouped):
        if option["value"] == value:
            return dict(option)
    raise LookupError(f"{element['action_id']} has no option {value!r}")
