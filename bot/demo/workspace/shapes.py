"""Nouns as Slack writes them in JSON: messages, people, channels, views, files. Pure."""

from datetime import datetime
from zoneinfo import ZoneInfo

from bot.demo.workspace.seed import APP_ID, BOT_ID
from bot.demo.workspace.state import Channel, File, Json, Message, State, User, UserGroup, View


def message_json(state: State, message: Message, *, with_metadata: bool = True) -> Json:
    """The message as conversations.history shows it, with thread counts on a root that has replies."""
    shape: Json = {"type": "message", "text": message.text, "ts": message.ts, "team": _team_of(state, message)}
    optional = {
        "user": message.user,
        "bot_id": message.bot_id,
        "username": message.username,
        "subtype": message.subtype,
        "blocks": list(message.blocks),
        "attachments": list(message.attachments),
        "metadata": message.metadata if with_metadata else None,
        "files": [file_json(state.files[f]) for f in message.files],
        "reactions": [{"name": n, "users": list(us), "count": len(us)} for n, us in message.reactions],
    }
    shape.update({name: value for name, value in optional.items() if value})
    if message.user and message.bot_id:
        shape["app_id"] = APP_ID
        shape["bot_profile"] = bot_json(state, message.bot_id)
    if message.edited_ts:
        shape["edited"] = {"user": message.edited_by, "ts": message.edited_ts}
    return {**shape, **_thread_fields(state, message)}


def _thread_fields(state: State, message: Message) -> Json:
    if message.to_user:
        return {"thread_ts": message.thread_ts} if message.thread_ts else {}
    thread = state.thread(message.channel, message.root_ts)
    if message.thread_ts:
        return {"thread_ts": message.thread_ts, "parent_user_id": thread[0].user if thread else None}
    replies = thread[1:]
    if not replies:
        return {}
    people = list(dict.fromkeys(reply.user or reply.bot_id or "" for reply in replies))
    return {
        "thread_ts": message.ts,
        "reply_count": len(replies),
        "reply_users": people,
        "reply_users_count": len(people),
        "latest_reply": replies[-1].ts,
    }


def _team_of(state: State, message: Message) -> str:
    author = state.users.get(message.user or "")
    return author.team_id if author else state.team_id


def user_json(user: User, now: float) -> Json:
    """The person as users.info shows them; the zone offset is the one in force at `now`."""
    local = datetime.fromtimestamp(now, ZoneInfo(user.tz))
    offset = local.utcoffset()
    return {
        "id": user.id,
        "team_id": user.team_id,
        "name": user.name,
        "real_name": user.real_name,
        "deleted": user.deleted,
        "tz": user.tz,
        "tz_label": local.tzname(),
        "tz_offset": int(offset.total_seconds()) if offset else 0,
        "profile": {
            "real_name": user.real_name,
            "display_name": user.name,
            "team": user.team_id,
            **({"bot_id": user.bot_id, "api_app_id": APP_ID} if user.bot_id else {}),
        },
        "is_bot": user.is_bot,
        "is_app_user": False,
        "is_admin": user.is_admin,
        "is_owner": False,
        "is_restricted": user.is_restricted,
        "is_ultra_restricted": user.is_ultra_restricted,
        **({"is_stranger": True} if user.is_stranger else {}),
    }


def bot_json(state: State, bot_id: str) -> Json:
    """The app's bot as bots.info shows it."""
    owner = next((user for user in state.users.values() if user.bot_id == bot_id), None)
    name = owner.real_name if owner else bot_id
    return {"id": bot_id, "app_id": APP_ID, "name": name, "user_id": owner.id if owner else None, "deleted": False}


def channel_json(channel: Channel, *, viewer: str) -> Json:
    """The conversation as conversations.info shows it to the app's bot user."""
    if channel.is_im:
        return {"id": channel.id, "is_im": True, "is_archived": False, "user": channel.im_user, "is_open": True}
    return {
        "id": channel.id,
        "name": channel.name,
        "name_normalized": channel.name,
        "is_channel": not channel.is_private,
        "is_group": channel.is_private,
        "is_im": False,
        "is_mpim": False,
        "is_private": channel.is_private,
        "is_archived": channel.is_archived,
        "is_general": False,
        "is_shared": channel.is_ext_shared,
        "is_ext_shared": channel.is_ext_shared,
        "is_org_shared": False,
        "is_member": viewer in channel.members,
        "topic": {"value": channel.topic, "creator": "", "last_set": 0},
        "purpose": {"value": "", "creator": "", "last_set": 0},
        "num_members": len(channel.members),
    }


def group_json(group: UserGroup, *, with_users: bool) -> Json:
    """The group as usergroups.list shows it."""
    shape: Json = {"id": group.id, "is_usergroup": True, "handle": group.handle, "name": group.name, "date_delete": 0}
    return {**shape, "users": list(group.users), "user_count": len(group.users)} if with_users else shape


def file_json(file: File) -> Json:
    """The file as files.info shows it."""
    suffix = file.name.rpartition(".")[2]
    shape: Json = {"id": file.id, "name": file.name, "title": file.title or file.name, "filetype": suffix}
    return {**shape, "size": file.length, "user": file.user, "channels": list(file.shared_in), "mode": "hosted"}


def view_json(state: State, view: View) -> Json:
    """The view as views.open answers it and as interactions carry it."""
    kept = {name: view.body[name] for name in view.body if name not in ("blocks", "state")}
    return {
        "private_metadata": "",
        "callback_id": "",
        "close": None,
        "submit": None,
        **kept,
        "id": view.id,
        "team_id": state.team_id,
        "blocks": view.body["blocks"],
        "state": {"values": view.values},
        "hash": view.hash,
        "root_view_id": view.root_id,
        "previous_view_id": view.previous_id,
        "app_id": APP_ID,
        "app_installed_team_id": state.team_id,
        "bot_id": BOT_ID,
    }
