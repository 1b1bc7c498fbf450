"""The response_url endpoint: five answers in thirty minutes to one interaction, without a token."""

from dataclasses import replace
from typing import Any

from aiohttp import web

from bot.demo.workspace.limits import refused_message, response_url_error
from bot.demo.workspace.seed import BOT_ID, BOT_USER
from bot.demo.workspace.state import Json, Message, ResponseUrl
from bot.demo.workspace.world import World


class ResponseUrls:
    """The route /hooks/response/<id> of one world, and the same posting for answers inside an ack."""

    def __init__(self, world: World) -> None:
        self._world = world

    def add_routes(self, app: web.Application) -> None:
        """Mounts the endpoint in an application."""
        app.router.add_post("/hooks/response/{id}", self._handle)

    async def _handle(self, request: web.Request) -> web.Response:
        state = self._world.state
        url = state.response_urls.get(request.match_info["id"])
        error = response_url_error(url, self._world.clock(), self._world.limits)
        if url is None or error:
            return web.json_response({"ok": False, "error": error}, status=404)
        try:
            body = await request.json()
        except ValueError:
            return web.Response(status=400, text="invalid_payload")
        if not isinstance(body, dict):
            return web.Response(status=400, text="invalid_payload")
        state.response_urls[url.id] = replace(url, uses=url.uses + 1)
        refusal = self.respond(url, body)
        self._world.bell.ring()
        return web.Response(status=400, text=refusal) if refusal else web.Response(text="ok")

    def respond(self, url: ResponseUrl, body: Json) -> str | None:
        """Does what the body says: a private or public message, or a change of the original. Slack's error, or None."""
        original = self._original(url)
        if body.get("delete_original"):
            if original is not None:
                del self._world.state.messages[(original.channel, original.ts)]
            return None
        text, blocks = str(body.get("text") or ""), body.get("blocks") or []
        attachments = body.get("attachments") or []
        refusal = refused_message(text, blocks, attachments, limits=self._world.limits)
        if refusal is not None:
            return refusal.error
        content: dict[str, Any] = {"text": text, "blocks": blocks, "attachments": tuple(attachments)}
        if body.get("replace_original") and original is not None:
            self._replace(original, content)
        else:
            self._post(url, body, content)
        return None

    def _original(self, url: ResponseUrl) -> Message | None:
        return self._world.state.messages.get((url.channel, url.message_ts or ""))

    def _replace(self, original: Message, content: dict[str, Any]) -> None:
        edited = self._world.state.next_ts(self._world.clock())
        self._world.state.change_message(original, **content, edited_by=BOT_USER, edited_ts=edited)

    def _post(self, url: ResponseUrl, body: Json, content: dict[str, Any]) -> None:
        everyone = body.get("response_type") == "in_channel"
        message = self._world.state.post(
            now=self._world.clock(),
            channel=url.channel,
            user=BOT_USER,
            bot_id=BOT_ID,
            thread_ts=body.get("thread_ts") or url.thread_ts,
            to_user=None if everyone else url.user,
            **content,
        )
        if everyone:
            self._world.posted(message)
