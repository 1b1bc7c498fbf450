"""auth.test, conversations.*, users.*, usergroups.*, bots.info, team.info: what the app looks up."""

from collections.abc import Callable, Mapping

from bot.demo.workspace.call import Call, Refused
from bot.demo.workspace.shapes import bot_json, channel_json, group_json, message_json, user_json
from bot.demo.workspace.state import Channel, Json, Message

_TYPE_OF_KIND = {"channel": "public_channel", "group": "private_channel", "im": "im"}


def auth_test(call: Call) -> Json:
    """auth.test: who the token is."""
    state, token = call.state, call.token
    team = {"url": f"{call.base_url}/", "team": state.team_name, "team_id": state.team_id}
    user = state.users[token.user]
    return {**team, "user": user.name, "user_id": user.id, "bot_id": token.bot_id, "is_enterprise_install": False}


def list_conversations(call: Call) -> Json:
    """conversations.list: public channels, and other kinds the bot is in, as `types` asks."""
    return _listed(call, [c for c in call.state.channels.values() if not c.is_private or _in(call, c)])


def list_own_conversations(call: Call) -> Json:
    """users.conversations: the ones a user, or the bot, is in."""
    user = call.text("user") or call.token.user
    if user not in call.state.users:
        raise Refused("user_not_found")
    seen = [c for c in call.state.channels.values() if not c.is_private or _in(call, c)]
    return _listed(call, [c for c in seen if user in c.members])


def _in(call: Call, channel: Channel) -> bool:
    return call.token.user in channel.members


def _listed(call: Call, channels: list[Channel]) -> Json:
    types = {word.strip() for word in (call.text("types") or "public_channel").split(",")}
    unknown = types - {*_TYPE_OF_KIND.values(), "mpim"}
    if unknown:
        raise Refused("invalid_types")
    wanted = [c for c in channels if _TYPE_OF_KIND[c.kind] in types]
    if call.flag("exclude_archived"):
        wanted = [c for c in wanted if not c.is_archived]
    return call.page([channel_json(c, viewer=call.token.user) for c in wanted], "channels")


def conversation_info(call: Call) -> Json:
    """conversations.info: one conversation."""
    return {"channel": channel_json(call.channel(), viewer=call.token.user)}


def members(call: Call) -> Json:
    """conversations.members: user ids."""
    return call.page(call.channel().members, "members")


def join(call: Call) -> Json:
    """conversations.join: the bot enters a public channel by itself."""
    channel = call.channel()
    if channel.kind != "channel":
        raise Refused("method_not_supported_for_channel_type")
    if channel.is_archived:
        raise Refused("is_archived")
    return {"channel": channel_json(call.state.join(channel.id, call.token.user), viewer=call.token.user)}


def open_conversation(call: Call) -> Json:
    """conversations.open: the direct message with one person."""
    users = [user for user in call.text("users").split(",") if user]
    if not users and call.text("channel"):
        return {"channel": channel_json(call.channel(), viewer=call.token.user)}
    if len(users) != 1:
        raise Refused("users_list_not_supplied" if not users else "not_enough_users")
    if users[0] not in call.state.users:
        raise Refused("user_not_found")
    channel = call.state.im_with(users[0], call.token.user)
    return {"channel": {"id": channel.id, **({"is_im": True, "user": users[0]} if call.flag("return_im") else {})}}


def history(call: Call) -> Json:
    """conversations.history: the channel's own messages, newest first."""
    channel = call.joined_channel()
    found = _between(call, call.state.history(channel.id))
    page = call.page([_shown(call, m) for m in reversed(found)], "messages")
    return {**page, "has_more": bool(page["response_metadata"]["next_cursor"])}


def replies(call: Call) -> Json:
    """conversations.replies: the root and its replies, oldest first."""
    channel = call.joined_channel()
    asked = call.state.message(channel.id, call.required("ts"))
    if asked is None:
        raise Refused("thread_not_found")
    root, *rest = call.state.thread(channel.id, asked.root_ts)
    page = call.page([_shown(call, m) for m in (root, *_between(call, rest))], "messages")
    return {**page, "has_more": bool(page["response_metadata"]["next_cursor"])}


def _shown(call: Call, message: Message) -> Json:
    return message_json(call.state, message, with_metadata=call.flag("include_all_metadata"))


def _between(call: Call, messages: list[Message]) -> list[Message]:
    try:
        oldest = float(call.text("oldest") or "-inf")
        latest = float(call.text("latest") or "inf")
    except ValueError:
        raise Refused("invalid_ts_latest") from None
    if call.flag("inclusive"):
        return [m for m in messages if oldest <= float(m.ts) <= latest]
    return [m for m in messages if oldest < float(m.ts) < latest]


def user_info(call: Call) -> Json:
    """users.info: one person, with their zone and whether they are a guest or a stranger."""
    user = call.state.users.get(call.required("user"))
    if user is None:
        raise Refused("user_not_found")
    return {"user": user_json(user, call.now)}


def list_users(call: Call) -> Json:
    """users.list: the members of this workspace; strangers from shared channels are not among them."""
    own = [user for user in call.state.users.values() if user.team_id == call.state.team_id]
    return call.page([user_json(user, call.now) for user in own], "members")


def list_groups(call: Call) -> Json:
    """usergroups.list: the groups, with their people when asked."""
    with_users = call.flag("include_users")
    return {"usergroups": [group_json(group, with_users=with_users) for group in call.state.groups.values()]}


def group_users(call: Call) -> Json:
    """usergroups.users.list: the people of one group."""
    group = call.state.groups.get(call.required("usergroup"))
    if group is None:
        raise Refused("no_such_subteam")
    return {"users": list(group.users)}


def bot_info(call: Call) -> Json:
    """bots.info: the app behind a bot id, which may be another app that has posted here."""
    bot = call.text("bot") or call.token.bot_id
    known = {m.bot_id for m in call.state.messages.values()} | {call.token.bot_id}
    if bot not in known:
        raise Refused("bot_not_found")
    return {"bot": bot_json(call.state, bot)}


def team_info(call: Call) -> Json:
    """team.info: the workspace."""
    state = call.state
    return {"team": {"id": state.team_id, "name": state.team_name, "domain": state.domain, "url": f"{call.base_url}/"}}


METHODS: Mapping[str, Callable[[Call], Json]] = {
    "auth.test": auth_test,
    "bots.info": bot_info,
    "conversations.history": history,
    "conversations.info": conversation_info,
    "conversations.join": join,
    "conversations.list": list_conversations,
    "conversations.members": members,
    "conversations.open": open_conversation,
    "conversations.replies": replies,
    "team.info": team_info,
    "usergroups.list": list_groups,
    "usergroups.users.list": group_users,
    "users.conversations": list_own_conversations,
    "users.info": user_info,
    "users.list": list_users,
}
