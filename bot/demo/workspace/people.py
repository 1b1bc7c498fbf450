"""What people do in the workspace: type commands and messages, press buttons, fill in modals. Each act reaches the app as Slack
would send it. An act nobody could do (a button that is not there, a channel one is not in) raises LookupError."""

from collections.abc import Mapping, Sequence
from typing import Any

from bot.demo.workspace import payloads
from bot.demo.workspace.chat_methods import with_reaction
from bot.demo.workspace.delivery import Ack, Courier, Parcel
from bot.demo.workspace.limits import refused_view
from bot.demo.workspace.response_urls import ResponseUrls
from bot.demo.workspace.seed import BOT_USER
from bot.demo.workspace.state import Channel, Json, Message, ResponseUrl, State, User, View
from bot.demo.workspace.world import World

_MESSAGE_EVENT = {"channel": "message.channels", "group": "message.groups", "im": "message.im"}
# What Slack tells the person when the app does not acknowledge a command.
_COMMAND_FAILURES = {"http_timeout": "operation_timeout", "http_error": "dispatch_failed"}


class People:
    """The acts of people in one world; `events` are the bot events the app is subscribed to, named as in a manifest."""

    def __init__(self, *, world: World, courier: Courier, responses: ResponseUrls, events: frozenset[str]) -> None:
        self._world = world
        self._courier = courier
        self._responses = responses
        self._events = events

    @property
    def state(self) -> State:
        """Everything that stands in the workspace."""
        return self._world.state

    async def command(self, user: str, channel: str, command: str, text: str = "") -> Ack:
        """Types a slash command; what the app's ack says is shown to the person (or the channel), as is its failure."""
        who, where = self._present(user, channel)
        form, url = self._command_form(who, where, command, text)
        ack = await self._courier.deliver(Parcel(kind="slash_commands", payload=form))
        if ack.ok and ack.payload:
            self._responses.respond(url, ack.payload)
        elif not ack.ok:
            error = _COMMAND_FAILURES.get(ack.error, ack.error)
            told = f'{command} failed with the error "{error}"'
            self.state.post(now=self._world.clock(), channel=where.id, text=told, user="USLACKBOT", to_user=who.id)
        self._world.bell.ring()
        return ack

    def command_form(self, user: str, channel: str, command: str, text: str = "") -> dict[str, str]:
        """The form fields of a slash command without sending it, for requests that are to be tampered with."""
        return self._command_form(*self._present(user, channel), command, text)[0]

    def _command_form(self, who: User, where: Channel, command: str, text: str) -> tuple[dict[str, str], ResponseUrl]:
        address = self._world.new_response_url(who.id, where.id)
        form = payloads.slash_command(
            self.state,
            user=who,
            channel=where,
            command=command,
            text=payloads.escaped(text),
            trigger_id=self._world.new_trigger(who.id),
            response_url=address,
        )
        return form, self.state.response_urls[address.rpartition("/")[2]]

    async def say(
        self,
        user: str,
        channel: str,
        text: str,
        thread_ts: str | None = None,
        *,
        both: bool = False,
        redeliver: int = 0,
    ) -> Message:
        """Writes a message. The app gets app_mention where it is mentioned and a member, message.im in its direct messages,
        and the message events it is subscribed to. `both` sends a mention as app_mention and as message event; `redeliver`
        sends each event that many times more. Delivery goes on in the background: see `settled`."""
        who, where = self._present(user, channel)
        if where.is_archived:
            raise LookupError(f"{where.name} is archived")
        if thread_ts and self.state.message(where.id, thread_ts) is None:
            raise LookupError(f"there is no message {thread_ts} in {where.name or where.id}")
        typed = payloads.escaped(text)
        message = self.state.post(
            now=self._world.clock(),
            channel=where.id,
            text=typed,
            user=who.id,
            thread_ts=thread_ts,
            blocks=(payloads.rich_text(typed),),
        )
        self.announce(message, both=both, redeliver=redeliver)
        return message

    async def post_as_app(
        self,
        app_name: str,
        channel: str,
        *,
        text: str = "",
        attachments: Sequence[Json] = (),
        blocks: Sequence[Json] = (),
        thread_ts: str | None = None,
    ) -> Message:
        """Posts as another app, such as Alertmanager or Grafana do through an incoming webhook."""
        where = self._channel(channel)
        message = self.state.post(
            now=self._world.clock(),
            channel=where.id,
            text=text,
            subtype="bot_message",
            bot_id=f"B{app_name.upper()}",
            username=app_name,
            attachments=tuple(attachments),
            blocks=blocks,
            thread_ts=thread_ts,
        )
        self.announce(message)
        return message

    def announce(self, message: Message, *, both: bool = False, redeliver: int = 0) -> None:
        """Tells the app about a new message, as far as it is a member and subscribed."""
        channel = self.state.channels[message.channel]
        if BOT_USER in channel.members:
            subscribed = _MESSAGE_EVENT[channel.kind] in self._events
            mentioned = payloads.mentions(message.text, BOT_USER) and not channel.is_im
            if mentioned and "app_mention" in self._events and message.user != BOT_USER:
                self._send_event(payloads.mention_event(self.state, message), channel, redeliver)
            if subscribed or (mentioned and both):
                self._send_event(payloads.message_event(self.state, message), channel, redeliver)
        self._world.bell.ring()

    async def edit(self, user: str, message: Message, text: str) -> Message:
        """Rewrites one's own message; the app gets message_changed where it is subscribed to messages."""
        who, channel = self._present(user, message.channel)
        if message.user != who.id:
            raise LookupError(f"{who.name} did not write {message.ts}")
        ts = self.state.next_ts(self._world.clock())
        changed = self.state.change_message(message, text=payloads.escaped(text), edited_by=who.id, edited_ts=ts)
        if _MESSAGE_EVENT[channel.kind] in self._events and BOT_USER in channel.members:
            event = payloads.changed_event(self.state, changed, before=message, ts=ts)
            self._send_event(event, channel)
        self._world.bell.ring()
        return changed

    async def react(self, user: str, message: Message, name: str) -> None:
        """Puts an emoji on a message."""
        who, channel = self._present(user, message.channel)
        current = self._current(message)
        self.state.change_message(current, reactions=with_reaction(current, name, who.id))
        if "reaction_added" in self._events:
            ts = self.state.next_ts(self._world.clock())
            self._send_event(payloads.reaction_event(message, user=who.id, name=name, ts=ts), channel)
        self._world.bell.ring()

    async def invite_bot(self, channel: str) -> None:
        """Invites the app's bot into a channel."""
        where = self.state.join(self._channel(channel).id, BOT_USER)
        if "member_joined_channel" in self._events:
            event = {"type": "member_joined_channel", "user": BOT_USER, "channel": where.id, "channel_type": "C"}
            self._send_event(event, where)
        self._world.bell.ring()

    async def open_home(self, user: str, tab: str = "home") -> None:
        """Opens the app's Home tab, or with `tab` "messages" the conversation with it."""
        who = self._user(user)
        channel = self.state.im_with(who.id, BOT_USER)
        ts = self.state.next_ts(self._world.clock())
        event = {"type": "app_home_opened", "user": who.id, "channel": channel.id, "tab": tab, "event_ts": ts}
        if "app_home_opened" in self._events:
            self._send_event(event, channel)

    async def press_stop(self, user: str, channel: str, thread_ts: str) -> None:
        """Presses Slack's own Stop button of an agent session; the open streams of the thread end."""
        who, where = self._present(user, channel)
        oldest = self._world.clock() - self._world.limits.stream_s
        streams = [m for m in self.state.thread(where.id, thread_ts) if m.stream == "open" and m.stream_since >= oldest]
        for stream in streams:
            self.state.change_message(stream, stream="stopped_by_user")
        event = {
            "type": "agent_session_stopped",
            "channel": where.id,
            "user": who.id,
            "thread_ts": thread_ts,
            "streaming_message_ts": [stream.ts for stream in streams],
            "event_ts": self.state.next_ts(self._world.clock()),
        }
        if "agent_session_stopped" in self._events:
            self._send_event(event, where)
        self._world.bell.ring()

    async def tell_app(self, event: Json, channel: str | None = None) -> None:
        """Sends any other event, such as link_shared or tokens_revoked, whether the app subscribed or not."""
        self._send_event(event, self._channel(channel) if channel else None)

    async def click(
        self, user: str, target: Message | View, action_id: str, value: str | None = None, *, as_seen: bool = False
    ) -> Ack:
        """Presses a button, or picks `value` in a select, in a message or view. `value` also tells apart two buttons with
        one action_id; `as_seen` presses what stood in the given snapshot although the message has changed since."""
        if isinstance(target, View):
            return await self._click_in_view(self._user(user), target, action_id, value)
        who, _ = self._present(user, target.channel)
        current = self._current(target)
        shown = target if as_seen else current
        if shown.to_user not in (None, who.id):
            raise LookupError(f"{who.name} cannot see {shown.ts}")
        element = found_element(shown.blocks, action_id, value)
        action = payloads.action_of(element, value=value, action_ts=self.state.next_ts(self._world.clock()))
        payload = payloads.message_click(
            self.state,
            user=who,
            message=shown,
            action=action,
            values=_selected_state(element, action),
            trigger_id=self._world.new_trigger(who.id),
            response_url=self._world.new_response_url(who.id, shown.channel, current),
        )
        return await self._interact(payload)

    async def _click_in_view(self, who: User, view: View, action_id: str, value: str | None) -> Ack:
        shown = self._shown(who, view)
        element = found_element(shown.body["blocks"], action_id, value)
        action = payloads.action_of(element, value=value, action_ts=self.state.next_ts(self._world.clock()))
        trigger = self._world.new_trigger(who.id)
        return await self._interact(
            payloads.view_click(self.state, user=who, view=shown, action=action, trigger_id=trigger)
        )

    async def submit(self, user: str, view: View, values: Mapping[str, str] | None = None) -> Ack:
        """Fills in a modal (action_id -> text or option value) and submits it; does what the app's answer says: closes the
        modal, shows its errors (they are in the ack), updates it or pushes another one."""
        who = self._user(user)
        shown = self._shown(who, view)
        filled = self.state.change_view(shown.id, values=_filled(shown, values or {}))
        trigger = self._world.new_trigger(who.id)
        ack = await self._interact(payloads.view_submission(self.state, user=who, view=filled, trigger_id=trigger))
        if ack.ok:
            self._follow(filled, ack.payload)
        self._world.bell.ring()
        return ack

    def _follow(self, view: View, answer: Json) -> None:
        action = answer.get("response_action")
        if action == "errors":
            return
        if action in ("update", "push"):
            new = answer.get("view")
            if not isinstance(new, dict) or refused_view(new, surface="modal", limits=self._world.limits):
                return  # Slack shows "we had some trouble connecting" and leaves the modal as it is
            if action == "update":
                self.state.change_view(view.id, body=new)
            else:
                self.state.add_view(user=view.user, body=new, previous=view)
            return
        for shown in self.state.open_views(view.user) if action == "clear" else (view,):
            self.state.change_view(shown.id, is_open=False)

    async def close_view(self, user: str, view: View) -> None:
        """Closes a modal; the app hears of it when the view has notify_on_close."""
        who = self._user(user)
        shown = self.state.change_view(self._shown(who, view).id, is_open=False)
        if shown.body.get("notify_on_close"):
            await self._interact(payloads.view_closed(self.state, user=who, view=shown))
        self._world.bell.ring()

    async def options(self, user: str, target: Message | View, action_id: str, typed: str) -> list[Json]:
        """Types into a select whose options come from the app; the options it offers."""
        who = self._user(user)
        shown = self._shown(who, target) if isinstance(target, View) else self._current(target)
        blocks = shown.body["blocks"] if isinstance(shown, View) else shown.blocks
        found = found_element(blocks, action_id, None)
        ack = await self._interact(payloads.suggestion(self.state, user=who, container=shown, found=found, typed=typed))
        return list(ack.payload.get("options", ()))

    async def message_shortcut(self, user: str, message: Message, callback_id: str) -> Ack:
        """Picks an entry of the app in the menu beside a message."""
        who, _ = self._present(user, message.channel)
        payload = payloads.message_shortcut(
            self.state,
            user=who,
            message=self._current(message),
            callback_id=callback_id,
            trigger_id=self._world.new_trigger(who.id),
            response_url=self._world.new_response_url(who.id, message.channel, message),
        )
        return await self._interact(payload)

    async def shortcut(self, user: str, callback_id: str) -> Ack:
        """Picks an entry of the app in the global shortcut menu."""
        who = self._user(user)
        trigger, ts = self._world.new_trigger(who.id), self.state.next_ts(self._world.clock())
        return await self._interact(
            payloads.global_shortcut(self.state, user=who, callback_id=callback_id, trigger_id=trigger, action_ts=ts)
        )

    def dm(self, user: str) -> str:
        """The id of the direct message between this person and the app."""
        return self.state.im_with(self._user(user).id, BOT_USER).id

    async def _interact(self, payload: Json) -> Ack:
        ack = await self._courier.deliver(Parcel(kind="interactive", payload=payload))
        self._world.bell.ring()
        return ack

    def _send_event(self, event: Json, channel: Channel | None, redeliver: int = 0) -> None:
        envelope = payloads.event_callback(
            self.state,
            event,
            event_id=self.state.next_id("Ev"),
            now=self._world.clock(),
            is_ext_shared=channel is not None and channel.is_ext_shared,
        )
        self._courier.deliver_later(Parcel(kind="events_api", payload=envelope), again=redeliver)

    def _user(self, reference: str) -> User:
        user = self.state.user_named(reference)
        if user is None:
            raise LookupError(f"no such person: {reference}")
        return user

    def _channel(self, reference: str) -> Channel:
        channel = self.state.channel_named(reference)
        if channel is None:
            raise LookupError(f"no such channel: {reference}")
        return channel

    def _present(self, user: str, channel: str) -> tuple[User, Channel]:
        who, where = self._user(user), self._channel(channel)
        if who.id not in where.members:
            raise LookupError(f"{who.name} is not in {where.name or where.id}")
        return who, where

    def _current(self, message: Message) -> Message:
        current = self.state.messages.get((message.channel, message.ts))
        if current is None:
            raise LookupError(f"the message {message.ts} is gone")
        return current

    def _shown(self, who: User, view: View) -> View:
        shown = self.state.views[view.id]
        if shown.user != who.id or not shown.is_open:
            raise LookupError(f"{who.name} does not have {view.id} open")
        return shown


def found_element(blocks: Sequence[Json], action_id: str, value: str | None) -> Json:
    """The element a person would use. Raises LookupError, naming what there is, when it is not there."""
    elements = list(payloads.interactive_elements(blocks))
    for element in elements:
        same_button = element["type"] != "button" or value is None or element.get("value") == value
        if element["action_id"] == action_id and same_button:
            return element
    there = sorted({str(element["action_id"]) for element in elements})
    raise LookupError(f"nothing with action_id {action_id!r} (value {value!r}) here; there is: {', '.join(there)}")


def _selected_state(element: Json, action: Json) -> Json:
    chosen = {name: content for name, content in action.items() if name.startswith("selected_")}
    return {element["block_id"]: {element["action_id"]: {"type": element["type"], **chosen}}} if chosen else {}


def _filled(view: View, values: Mapping[str, str]) -> Json:
    """The view's state after filling in. Raises LookupError for a field that is not there or a required one left empty."""
    state: dict[str, Any] = {}
    left = dict(values)
    for block in view.body["blocks"]:
        if block.get("type") != "input":
            continue
        element = {**block["element"], "block_id": block["block_id"]}
        value = left.pop(element["action_id"], _initial(element))
        if not value and not block.get("optional"):
            raise LookupError(f"{element['action_id']} must be filled in")
        state[block["block_id"]] = {element["action_id"]: payloads.chosen_input(element, value)}
    if left:
        raise LookupError(f"no such field: {', '.join(sorted(left))}")
    return state


def _initial(element: Json) -> str:
    option = element.get("initial_option")
    return str(option["value"] if option else element.get("initial_value", ""))
