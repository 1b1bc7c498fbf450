"""chat.*, reactions.add: what the app writes."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from bot.demo.workspace.call import Call, RateLimited, Refused, require
from bot.demo.workspace.limits import refused_blocks, refused_message
from bot.demo.workspace.shapes import message_json
from bot.demo.workspace.state import Channel, Json, Message

_EMOJI_NAME = re.compile(r"[a-z0-9_+'-]+(::skin-tone-[2-6])?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What a message is to hold, checked against Slack's limits."""

    text: str
    blocks: tuple[Json, ...]
    attachments: tuple[Json, ...]


def _content(call: Call, *, keep: Message | None = None) -> Content:
    """The content in the arguments; with `keep`, what is not given stays as it is in that message."""
    blocks = call.structure("blocks", [], "invalid_blocks_format")
    attachments = call.structure("attachments", [], "invalid_attachments")
    text = call.text("text")
    if call.text("markdown_text"):
        if text or blocks:
            raise Refused("markdown_text_conflict")
        if len(call.text("markdown_text")) > call.limits.markdown_chars:
            raise Refused("msg_too_long")
        blocks = [{"type": "markdown", "text": call.text("markdown_text")}]
    require(refused_message(text, blocks, attachments, limits=call.limits, updating=keep is not None))
    if keep is not None:
        blocks = blocks if _given(call, "blocks", "markdown_text") else list(keep.blocks)
        attachments = attachments if _given(call, "attachments") else list(keep.attachments)
        text = text if _given(call, "text") else keep.text
    return Content(text=text, blocks=tuple(blocks), attachments=tuple(attachments))


def _given(call: Call, *names: str) -> bool:
    return any(call.args.get(name) is not None for name in names)


def _metadata(call: Call, otherwise: Json | None = None) -> Json | None:
    metadata: Json = call.structure("metadata", {}, "invalid_metadata_format")
    if not metadata:
        return otherwise
    if not isinstance(metadata.get("event_type"), str) or not isinstance(metadata.get("event_payload"), dict):
        raise Refused("invalid_metadata_format")
    return metadata


def _thread_ts(call: Call, channel: Channel) -> str | None:
    """The root to reply under. Raises Refused when there is none, or when it is itself a reply."""
    ts = call.text("thread_ts")
    if not ts:
        return None
    root = call.state.message(channel.id, ts)
    if root is None:
        raise Refused("thread_not_found")
    if root.thread_ts:
        raise Refused("cannot_reply_to_message")
    return ts


def post_message(call: Call) -> Json:
    """chat.postMessage: a message as the app, in a channel or thread; clears the thread's status line."""
    channel = call.writable_channel()
    wait_s = call.pace.wait_s(channel.id, call.now)
    if wait_s:
        raise RateLimited(wait_s)
    if call.text("username") and "chat:write.customize" not in call.token.scopes:
        raise Refused("missing_scope", needed="chat:write.customize", provided=",".join(sorted(call.token.scopes)))
    content = _content(call)
    thread_ts = _thread_ts(call, channel)
    message = call.state.post(
        now=call.now,
        channel=channel.id,
        text=content.text,
        blocks=content.blocks,
        attachments=content.attachments,
        user=call.token.user,
        bot_id=call.token.bot_id,
        username=call.text("username") or None,
        thread_ts=thread_ts,
        subtype="thread_broadcast" if thread_ts and call.flag("reply_broadcast") else None,
        metadata=_metadata(call),
    )
    call.state.session(channel.id, message.root_ts, {"line": ""})
    call.posted(message)
    return {"channel": channel.id, "ts": message.ts, "message": message_json(call.state, message)}


def post_ephemeral(call: Call) -> Json:
    """chat.postEphemeral: a message one member of the channel can see."""
    channel = call.writable_channel()
    user = call.required("user")
    if user not in channel.members:
        raise Refused("user_not_in_channel")
    content = _content(call)
    message = call.state.post(
        now=call.now,
        channel=channel.id,
        text=content.text,
        blocks=content.blocks,
        attachments=content.attachments,
        user=call.token.user,
        bot_id=call.token.bot_id,
        thread_ts=call.text("thread_ts") or None,
        to_user=user,
    )
    return {"message_ts": message.ts}


def _own_message(call: Call, error: str) -> Message:
    channel = call.channel()
    message = call.state.message(channel.id, call.required("ts"))
    if message is None:
        raise Refused("message_not_found")
    if message.user != call.token.user:
        raise Refused(error)
    if channel.is_archived:
        raise Refused("is_archived")
    return message


def update(call: Call) -> Json:
    """chat.update: new content for one of the app's own messages; parts that are not given stay."""
    message = _own_message(call, "cant_update_message")
    content = _content(call, keep=message)
    changed = call.state.change_message(
        message,
        text=content.text,
        blocks=content.blocks,
        attachments=content.attachments,
        metadata=_metadata(call, message.metadata),
        edited_by=call.token.user,
        edited_ts=call.state.next_ts(call.now),
        stream="closed" if message.stream else "",
    )
    shape = message_json(call.state, changed)
    return {"channel": message.channel, "ts": message.ts, "text": changed.text, "message": shape}


def delete(call: Call) -> Json:
    """chat.delete: takes one of the app's own messages away."""
    message = _own_message(call, "cant_delete_message")
    del call.state.messages[(message.channel, message.ts)]
    return {"channel": message.channel, "ts": message.ts}


def get_permalink(call: Call) -> Json:
    """chat.getPermalink: the address of a message on this server."""
    channel = call.channel()
    message = call.state.message(channel.id, call.required("message_ts"))
    if message is None:
        raise Refused("message_not_found")
    link = f"{call.base_url}/archives/{channel.id}/p{message.ts.replace('.', '')}"
    if message.thread_ts:
        link += f"?thread_ts={message.thread_ts}&cid={channel.id}"
    return {"channel": channel.id, "permalink": link}


def start_stream(call: Call) -> Json:
    """chat.startStream: an empty or begun message in a thread that grows by chat.appendStream."""
    channel = call.writable_channel()
    call.required("thread_ts")
    if not channel.is_im:
        for name in ("recipient_user_id", "recipient_team_id"):
            if not call.text(name):
                raise Refused(f"missing_{name}")
    message = call.state.post(
        now=call.now,
        channel=channel.id,
        user=call.token.user,
        bot_id=call.token.bot_id,
        thread_ts=_thread_ts(call, channel),
        stream="open",
        stream_since=call.now,
    )
    grown = _grown(call, message)
    call.state.session(channel.id, message.root_ts, {"line": ""})
    call.posted(grown)
    return {"channel": channel.id, "ts": message.ts}


def append_stream(call: Call) -> Json:
    """chat.appendStream: more text or chunks at the end of an open stream."""
    message = _grown(call, _open_stream(call))
    return {"channel": message.channel, "ts": message.ts}


def stop_stream(call: Call) -> Json:
    """chat.stopStream: the last text, the closing blocks, and the message is an ordinary one."""
    message = _grown(call, _open_stream(call))
    closing = call.structure("blocks", [], "invalid_blocks_format")
    require(refused_blocks(closing, limits=call.limits))
    changed = call.state.change_message(
        message, blocks=(*message.blocks, *closing), metadata=_metadata(call, message.metadata), stream="closed"
    )
    if call.text("session_status"):
        call.state.session(message.channel, message.root_ts, {"status": call.text("session_status")})
    return {"channel": message.channel, "ts": message.ts, "message": message_json(call.state, changed)}


def _open_stream(call: Call) -> Message:
    message = call.state.message(call.channel().id, call.required("ts"))
    if message is None:
        raise Refused("message_not_found")
    if message.user != call.token.user:
        raise Refused("message_not_owned_by_app")
    if message.stream == "stopped_by_user":
        raise Refused("stopped_by_user")
    if message.stream != "open" or call.now - message.stream_since > call.limits.stream_s:
        raise Refused("message_not_in_streaming_state")
    return message


def _grown(call: Call, message: Message) -> Message:
    """The streaming message with this call's markdown_text and chunks at its end."""
    chunks = call.structure("chunks", [], "invalid_chunks")
    added = call.text("markdown_text")
    for chunk in chunks:
        if not isinstance(chunk, dict) or chunk.get("type") not in _CHUNKS:
            raise Refused("invalid_chunks")
        added += str(chunk.get("text", "")) if chunk["type"] == "markdown_text" else ""
    if len(added) > call.limits.markdown_chars:
        raise Refused("msg_too_long")
    text = message.text + added
    shown: list[Any] = [{"type": "markdown", "text": text}] if text else []
    others = [block for block in message.blocks if block["type"] != "markdown"]
    for chunk in chunks:
        others = _CHUNKS[chunk["type"]](others, chunk)
    return call.state.change_message(message, text=text, blocks=(*shown, *others))


def _with_task(blocks: list[Json], chunk: Json) -> list[Json]:
    card = {**{k: v for k, v in chunk.items() if k != "id"}, "type": "task_card", "task_id": str(chunk.get("id"))}
    kept = [b for b in blocks if b.get("task_id") != card["task_id"]]
    return [*kept, card]


def _with_plan(blocks: list[Json], chunk: Json) -> list[Json]:
    kept = [b for b in blocks if b["type"] != "plan"]
    return [{"type": "plan", "title": str(chunk.get("title", "")), "tasks": []}, *kept]


_CHUNKS: Mapping[str, Callable[[list[Json], Json], list[Json]]] = {
    "markdown_text": lambda blocks, _chunk: blocks,
    "task_update": _with_task,
    "plan_update": _with_plan,
    "blocks": lambda blocks, chunk: [*blocks, *chunk.get("blocks", ())],
}


def add_reaction(call: Call) -> Json:
    """reactions.add: the app's emoji on a message."""
    channel = call.joined_channel()
    message = call.state.message(channel.id, call.required("timestamp"))
    name = call.required("name").strip(":")
    if message is None:
        raise Refused("message_not_found")
    if not _EMOJI_NAME.fullmatch(name):
        raise Refused("invalid_name")
    if call.token.user in dict(message.reactions).get(name, ()):
        raise Refused("already_reacted")
    call.state.change_message(message, reactions=with_reaction(message, name, call.token.user))
    return {}


def with_reaction(message: Message, name: str, user: str) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """The message's reactions with one more."""
    reactions = dict(message.reactions)
    reactions[name] = (*reactions.get(name, ()), user)
    return tuple(reactions.items())


METHODS: Mapping[str, Callable[[Call], Json]] = {
    "chat.appendStream": append_stream,
    "chat.delete": delete,
    "chat.getPermalink": get_permalink,
    "chat.postEphemeral": post_ephemeral,
    "chat.postMessage": post_message,
    "chat.startStream": start_stream,
    "chat.stopStream": stop_stream,
    "chat.update": update,
    "reactions.add": add_reaction,
}
