"""views.*, files.*, assistant.threads.*, agents.sessions.*: what the app shows beside messages."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from bot.demo.workspace.call import Call, Refused, require
from bot.demo.workspace.limits import refused_view, stack_is_full, trigger_error
from bot.demo.workspace.shapes import file_json, view_json
from bot.demo.workspace.state import File, Json, Trigger, View

SESSION_STATUSES = ("active", "processing", "suspended", "closed")
PROMPTS = 4
LOADING_MESSAGES = 10
TITLE_CHARS = 200


def _spent_trigger(call: Call) -> Trigger:
    """The trigger, used up by this call. Raises Refused when it is unknown, used or too old."""
    trigger = call.state.triggers.get(call.required("trigger_id"))
    error = trigger_error(trigger, call.now, call.limits)
    if trigger is None or error:
        raise Refused(error or "invalid_trigger_id")
    call.state.triggers[trigger.id] = replace(trigger, used=True)
    return trigger


def _checked_view(call: Call, surface: str) -> Json:
    view: Json = call.structure("view", {}, "invalid_arguments")
    require(refused_view(view, surface=surface, limits=call.limits))
    return view


def open_view(call: Call) -> Json:
    """views.open: a modal for the person whose interaction gave the trigger."""
    body = _checked_view(call, "modal")
    trigger = _spent_trigger(call)
    for shown in call.state.open_views(trigger.user):
        call.state.change_view(shown.id, is_open=False)
    return {"view": view_json(call.state, call.state.add_view(user=trigger.user, body=body))}


def push_view(call: Call) -> Json:
    """views.push: one more modal on top, three at most."""
    body = _checked_view(call, "modal")
    trigger = _spent_trigger(call)
    shown = call.state.open_views(trigger.user)
    if not shown:
        raise Refused("invalid_arguments")
    if stack_is_full(call.state, shown[-1], call.limits):
        raise Refused("push_limit_reached")
    return {"view": view_json(call.state, call.state.add_view(user=trigger.user, body=body, previous=shown[-1]))}


def update_view(call: Call) -> Json:
    """views.update: another content for an open view, found by view_id or external_id."""
    view = _found_view(call)
    body = _checked_view(call, view.type)
    if call.text("hash") and call.text("hash") != view.hash:
        raise Refused("hash_conflict")
    return {"view": view_json(call.state, call.state.change_view(view.id, body=body))}


def _found_view(call: Call) -> View:
    views = [view for view in call.state.views.values() if view.is_open]
    external = call.text("external_id")
    for view in views:
        if view.id == call.text("view_id") or (external and view.body.get("external_id") == external):
            return view
    raise Refused("not_found")


def publish_view(call: Call) -> Json:
    """views.publish: the Home tab of one person."""
    user = call.required("user_id")
    if user not in call.state.users:
        raise Refused("user_not_found")
    body = _checked_view(call, "home")
    shown = next((v for v in call.state.views.values() if v.user == user and v.type == "home"), None)
    if shown is None:
        return {"view": view_json(call.state, call.state.add_view(user=user, body=body))}
    if call.text("hash") and call.text("hash") != shown.hash:
        raise Refused("hash_conflict")
    return {"view": view_json(call.state, call.state.change_view(shown.id, body=body))}


def upload_url(call: Call) -> Json:
    """files.getUploadURLExternal: where to send the bytes of a new file."""
    length = call.required("length")
    if not length.isdecimal() or int(length) == 0:
        raise Refused("invalid_arguments")
    file = File(id=call.state.next_id("F"), name=call.required("filename"), length=int(length), user=call.token.user)
    call.state.files[file.id] = file
    return {"upload_url": f"{call.base_url}/upload/{file.id}", "file_id": file.id}


def complete_upload(call: Call) -> Json:
    """files.completeUploadExternal: the files become visible, in a message when a channel is named."""
    named = call.structure("files", [], "invalid_arguments")
    files = [_completed(call, item) for item in named]
    if not files:
        raise Refused("invalid_arguments")
    if call.text("channel_id"):
        channel = call.writable_channel("channel_id")
        message = call.state.post(
            now=call.now,
            channel=channel.id,
            text=call.text("initial_comment"),
            user=call.token.user,
            bot_id=call.token.bot_id,
            thread_ts=call.text("thread_ts") or None,
            files=tuple(file.id for file in files),
        )
        for file in files:
            call.state.files[file.id] = replace(call.state.files[file.id], shared_in=(channel.id,))
        call.posted(message)
    return {"files": [file_json(call.state.files[file.id]) for file in files]}


def _completed(call: Call, item: Any) -> File:
    file = call.state.files.get(str(item.get("id"))) if isinstance(item, dict) else None
    if file is None or file.content is None:
        raise Refused("file_not_found")
    call.state.files[file.id] = replace(file, title=str(item.get("title") or file.name))
    return call.state.files[file.id]


def file_info(call: Call) -> Json:
    """files.info: one file."""
    file = call.state.files.get(call.required("file"))
    if file is None:
        raise Refused("file_not_found")
    return {"file": {**file_json(file), "url_private": f"{call.base_url}/files/{file.id}"}}


def set_thread_status(call: Call) -> Json:
    """assistant.threads.setStatus: the passing line under a thread ("is thinking…"); empty text takes it away."""
    channel = call.joined_channel("channel_id")
    if len(call.structure("loading_messages", [], "invalid_arguments")) > LOADING_MESSAGES:
        raise Refused("invalid_arguments")
    call.state.session(channel.id, call.required("thread_ts"), {"line": call.text("status")})
    return {}


def set_prompts(call: Call) -> Json:
    """assistant.threads.setSuggestedPrompts: up to four suggestions for a direct message."""
    channel = call.joined_channel("channel_id")
    prompts = call.structure("prompts", [], "invalid_arguments")
    well_formed = all(isinstance(p, dict) and p.get("title") and p.get("message") for p in prompts)
    if not 0 < len(prompts) <= PROMPTS or not well_formed:
        raise Refused("invalid_arguments")
    call.state.prompts[channel.id] = {"title": call.text("title"), "prompts": prompts}
    return {}


def set_session_status(call: Call) -> Json:
    """agents.sessions.setStatus: the lifecycle of the agent session in a thread; the title counts when it is new."""
    channel = call.joined_channel("channel_id")
    status, title = call.required("status"), call.text("title")
    if status not in SESSION_STATUSES or len(title) > TITLE_CHARS:
        raise Refused("invalid_arguments")
    thread = call.required("thread_ts")
    known = call.state.session(channel.id, thread)
    session = call.state.session(channel.id, thread, {"status": status, "title": known.title or title})
    return {"status": session.status, "agent_status": session.status, "title": session.title}


def rename_session(call: Call) -> Json:
    """agents.sessions.rename: another title for the session of a thread."""
    channel = call.joined_channel("channel_id")
    title, thread = call.required("title"), call.required("thread_ts")
    if len(title) > TITLE_CHARS:
        raise Refused("invalid_arguments")
    if not call.state.session(channel.id, thread).status:
        raise Refused("session_not_found")
    return {"title": call.state.session(channel.id, thread, {"title": title}).title}


METHODS: Mapping[str, Callable[[Call], Json]] = {
    "agents.sessions.rename": rename_session,
    "agents.sessions.setStatus": set_session_status,
    "assistant.threads.setStatus": set_thread_status,
    "assistant.threads.setSuggestedPrompts": set_prompts,
    "files.completeUploadExternal": complete_upload,
    "files.getUploadURLExternal": upload_url,
    "files.info": file_info,
    "views.open": open_view,
    "views.publish": publish_view,
    "views.push": push_view,
    "views.update": update_view,
}
