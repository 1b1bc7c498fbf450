"""The Web API over HTTP: reads a call, checks token and scope, runs the method, answers as Slack does."""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from aiohttp import web

from bot.demo.workspace import chat_methods, directory_methods, surface_methods
from bot.demo.workspace.call import Call, RateLimited, Refused, Token
from bot.demo.workspace.limits import scope_needed
from bot.demo.workspace.state import Json
from bot.demo.workspace.world import World

LARGEST_BODY = 32 * 1024 * 1024  # bytes; uploads come through here too
_CHANNEL_ARGUMENTS = ("channel", "channel_id")


def _api_test(call: Call) -> Json:
    if call.text("error"):
        raise Refused(call.text("error"), args=call.args)
    return {"args": call.args}


BOT_METHODS: Mapping[str, Callable[[Call], Json]] = {
    **chat_methods.METHODS,
    **directory_methods.METHODS,
    **surface_methods.METHODS,
}
OPEN_SOCKET = "apps.connections.open"
ALL_METHODS = frozenset({*BOT_METHODS, OPEN_SOCKET, "api.test"})


class WebApi:
    """The routes /api/<method>, /upload/<file> and /files/<file> of one world."""

    def __init__(self, world: World) -> None:
        self._world = world

    def add_routes(self, app: web.Application) -> None:
        """Mounts the API in an application."""
        app.router.add_route("GET", "/api/{method}", self._handle)
        app.router.add_route("POST", "/api/{method}", self._handle)
        app.router.add_post("/upload/{file}", self._upload)
        app.router.add_get("/files/{file}", self._download)

    async def _handle(self, request: web.Request) -> web.Response:
        method = request.match_info["method"]
        headers: dict[str, str] = {}
        status = 200
        try:
            answer = self._answer(method, await _arguments(request), _bearer(request), headers)
        except Refused as refused:
            status = int(refused.extra.pop("status", 200))
            answer = {"ok": False, "error": refused.error, **refused.extra}
        except RateLimited as limited:
            status, answer = 429, {"ok": False, "error": "ratelimited"}
            headers["Retry-After"] = str(max(1, math.ceil(limited.retry_after_s)))
        self._world.bell.ring()
        return web.json_response(answer, status=status, headers=headers)

    def _answer(self, method: str, args: Json, bearer: str, headers: dict[str, str]) -> Json:
        if method not in ALL_METHODS:
            raise Refused("unknown_method", req_method=method)
        token = self._world.tokens.get(bearer or str(args.pop("token", "")))
        args.pop("token", None)
        self._suffer_fault(method)
        if method == "api.test":
            return {"ok": True, **_api_test(self._call(method, args, token or _NOBODY))}
        if token is None:
            raise Refused("invalid_auth" if bearer else "not_authed")
        headers["X-OAuth-Scopes"] = ",".join(sorted(token.scopes))
        if (token.kind == "app") != (method == OPEN_SOCKET):
            raise Refused("not_allowed_token_type")
        call = self._call(method, args, token)
        self._check_scope(call)
        self._check_pace(call)
        if method == OPEN_SOCKET:
            return {"ok": True, "url": self._world.new_socket_url()}
        return {"ok": True, **BOT_METHODS[method](call)}

    def _call(self, method: str, args: Json, token: Token) -> Call:
        world = self._world
        return Call(
            method=method,
            args=args,
            token=token,
            state=world.state,
            limits=world.limits,
            pace=world.post_pace,
            now=world.clock(),
            base_url=world.base_url,
            posted=world.posted,
        )

    def _suffer_fault(self, method: str) -> None:
        fault = next((f for f in self._world.faults if f.method == method), None)
        if fault is None:
            return
        self._world.faults.remove(fault)
        if fault.retry_after_s is not None:
            raise RateLimited(fault.retry_after_s)
        raise Refused(fault.error, status=fault.status)

    def _check_scope(self, call: Call) -> None:
        named = next((call.text(name) for name in _CHANNEL_ARGUMENTS if call.text(name)), "")
        channel = call.state.channel_named(named)
        needed = scope_needed(call.method, channel.kind if channel else None, call.token.scopes)
        if needed:
            raise Refused("missing_scope", needed=needed, provided=",".join(sorted(call.token.scopes)))

    def _check_pace(self, call: Call) -> None:
        pace = self._world.method_paces.get(call.method)
        wait_s = pace.wait_s(call.method, call.now) if pace else 0.0
        if wait_s:
            raise RateLimited(wait_s)

    async def _upload(self, request: web.Request) -> web.Response:
        file = self._world.state.files.get(request.match_info["file"])
        content = await _uploaded(request)
        if file is None or len(content) != file.length:
            return web.Response(status=400, text="the length is not the one announced")
        self._world.state.files[file.id] = replace(file, content=content)
        self._world.bell.ring()
        return web.Response(text=f"OK - {file.length}")

    async def _download(self, request: web.Request) -> web.Response:
        file = self._world.state.files.get(request.match_info["file"])
        token = self._world.tokens.get(_bearer(request))
        if file is None or file.content is None or token is None or "files:read" not in token.scopes:
            return web.Response(status=404)
        return web.Response(body=file.content, content_type="application/octet-stream")


_NOBODY = Token(value="", kind="none", scopes=frozenset())


def _bearer(request: web.Request) -> str:
    scheme, _, value = request.headers.get("Authorization", "").partition(" ")
    return value.strip() if scheme.lower() == "bearer" else ""


async def _arguments(request: web.Request) -> Json:
    """Query, form and JSON arguments together. Raises Refused(invalid_json) for a broken JSON body."""
    args: Json = dict(request.query)
    if request.method != "POST" or not request.can_read_body:
        return args
    if request.content_type == "application/json":
        return args | _json_object(await request.text())
    form = await request.post()
    return args | {name: value for name, value in form.items() if isinstance(value, str)}


def _json_object(text: str) -> dict[str, Any]:
    try:
        body = json.loads(text) if text.strip() else {}
    except ValueError:
        raise Refused("invalid_json") from None
    if not isinstance(body, dict):
        raise Refused("json_not_object")
    return body


async def _uploaded(request: web.Request) -> bytes:
    """The bytes, sent raw or as the one file of a multipart form."""
    if request.content_type != "multipart/form-data":
        return await request.read()
    for part in (await request.post()).values():
        if isinstance(part, web.FileField):
            return part.file.read()
    return b""
