"""A server that answers over HTTP as Loki 3.7.6 does, from memory: for the demo and for tests.

loki = fake_loki()
async with running_loki(loki) as url:
    ...
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from bot.demo.loki import answers, index, parameters
from bot.demo.loki.drilldown import drilldown_limits
from bot.demo.loki.faults import Faults, PlannedAnswer
from bot.demo.loki.limits import Limits
from bot.demo.loki.parameters import Parameters
from bot.demo.loki.parser import parse_matchers, parse_query
from bot.demo.loki.push import parse_body, push
from bot.demo.loki.queries import instant_query, range_query
from bot.demo.loki.refusal import Refusal
from bot.demo.loki.storage import Storage, Tenant
from bot.demo.loki.syntax import LogSelector, Matcher
from bot.demo.loki.tenancy import tenant_of

VERSION = "3.7.6"
FLAGS_HEADER = "X-Loki-Response-Encoding-Flags"
TENANT_HEADER = "X-Scope-OrgID"

_API = "/loki/api/v1/"
# Above the largest batch a pusher sends; aiohttp's own default is 1 MiB.
_MAX_BODY_BYTES = 256 * 1024 * 1024
_PARQUET = "application/vnd.apache.parquet"
_BUILD = dict.fromkeys(("version", "revision", "branch", "buildUser", "buildDate", "goVersion"), "") | {
    "version": VERSION
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """A request as it came in: path, parameters of query string and form, headers (names in lower case)."""

    method: str
    path: str
    parameters: tuple[tuple[str, str], ...]
    headers: Mapping[str, str]


@dataclass(slots=True, kw_only=True)
class FakeLoki:
    """A server, what it holds, what it was asked, and the switches for what goes wrong.

    `received` lists every request in order; `disconnected` counts clients that went away before their answer.
    """

    auth_enabled: bool
    faults: Faults
    limits: Limits
    now_ns: Callable[[], int]
    app: web.Application
    storage: Storage = field(default_factory=Storage)
    received: list[Received] = field(default_factory=list)
    disconnected: int = 0


def fake_loki(
    *,
    auth_enabled: bool = False,
    faults: Faults | None = None,
    limits: Limits | None = None,
    now_ns: Callable[[], int] = time.time_ns,
) -> FakeLoki:
    """A server that holds nothing yet; `now_ns` is its clock (ns since 1970)."""
    app = web.Application(client_max_size=_MAX_BODY_BYTES)
    loki = FakeLoki(
        auth_enabled=auth_enabled, faults=faults or Faults(), limits=limits or Limits(), now_ns=now_ns, app=app
    )
    app.middlewares.append(_middleware(loki))
    _add_routes(app, _Handlers(loki))
    return loki


@asynccontextmanager
async def running_loki(loki: FakeLoki | None = None) -> AsyncIterator[str]:
    """The server on a free port of 127.0.0.1; gives its URL without a slash at the end."""
    loki = loki or fake_loki()
    # Cancelling handlers is how a client that goes away is noticed; a hanging one must not hold up the end.
    runner = web.AppRunner(loki.app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()


_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def _middleware(loki: FakeLoki) -> Any:
    @web.middleware
    async def answer(request: web.Request, handler: _Handler) -> web.StreamResponse:
        loki.received.append(await _received(request))
        try:
            return await _answered(loki, request, handler)
        except Refusal as refusal:
            return _text(refusal.status, refusal.text)
        except web.HTTPNotFound:
            return _text(404, "404 page not found\n")
        except web.HTTPMethodNotAllowed:
            return web.Response(status=405)
        except asyncio.CancelledError:
            loki.disconnected += 1
            raise

    return answer


async def _received(request: web.Request) -> Received:
    form = await request.post() if request.content_type == "application/x-www-form-urlencoded" else {}
    pairs = [(name, value) for name, value in form.items() if isinstance(value, str)]
    return Received(
        method=request.method,
        path=request.path,
        parameters=(*pairs, *request.query.items()),
        headers={name.lower(): value for name, value in request.headers.items()},
    )


async def _answered(loki: FakeLoki, request: web.Request, handler: _Handler) -> web.StreamResponse:
    faults = loki.faults
    if not request.path.startswith(_API) or request.path == _API + "push":
        return await handler(request)
    if faults.is_disabled(request.path):
        return _text(404, "404 page not found\n")
    if faults.latency_s:
        await asyncio.sleep(faults.latency_s)
    if faults.hang:
        await asyncio.Event().wait()
    if faults.planned:
        return _planned(faults.planned.popleft())
    response = await handler(request)
    if faults.cut_after_bytes is not None and isinstance(response, web.Response) and isinstance(response.body, bytes):
        return await _cut(request, response, response.body[: faults.cut_after_bytes])
    return response


def _planned(answer: PlannedAnswer) -> web.Response:
    response = web.Response(
        status=answer.status, body=answer.text.encode(), headers={"Content-Type": answer.content_type}
    )
    if answer.retry_after_s is not None:
        response.headers["Retry-After"] = str(answer.retry_after_s)
    return response


async def _cut(request: web.Request, whole: web.Response, body: bytes) -> web.StreamResponse:
    part = web.StreamResponse(status=whole.status, headers={"Content-Type": whole.headers["Content-Type"]})
    part.enable_chunked_encoding()
    await part.prepare(request)
    await part.write(body)
    if request.transport is not None:
        request.transport.close()
    return part


def _text(status: int, text: str) -> web.Response:
    return web.Response(status=status, body=text.encode(), headers={"Content-Type": answers.TEXT})


async def _json(body: Any, content_type: str = answers.JSON, status: int = 200) -> web.Response:
    encoded = await asyncio.to_thread(lambda: json.dumps(body, ensure_ascii=False).encode())
    response = web.Response(status=status, body=encoded, headers={"Content-Type": content_type})
    response.enable_chunked_encoding()  # Loki never names the length of an answer
    return response


def _add_routes(app: web.Application, handlers: "_Handlers") -> None:
    reading: dict[str, _Handler] = {
        "query_range": handlers.query_range,
        "query": handlers.query,
        "labels": handlers.labels,
        "label": handlers.labels,
        "label/{name}/values": handlers.label_values,
        "series": handlers.series,
        "index/stats": handlers.stats,
        "index/volume": handlers.volume,
        "index/volume_range": handlers.volume_range,
        "patterns": handlers.patterns,
        "detected_labels": handlers.detected_labels,
        "detected_fields": handlers.detected_fields,
        "detected_field/{name}/values": handlers.detected_values,
        "format_query": handlers.format_query,
    }
    for path, handler in reading.items():
        app.router.add_get(_API + path, handler)
        app.router.add_post(_API + path, handler)
    app.router.add_post(_API + "push", handlers.push)
    app.router.add_get(_API + "status/buildinfo", handlers.build)
    app.router.add_get(_API + "drilldown-limits", handlers.drilldown)
    app.router.add_get("/api/prom/label", handlers.old_labels)
    app.router.add_get("/ready", handlers.ready)
    app.router.add_post("/flush", handlers.flush)


@dataclass(frozen=True, slots=True)
class _Asked:
    """A request for data: the tenant's, with parameters and the time span they name."""

    tenant: Tenant
    parameters: Parameters
    query: str
    start_ns: int
    end_ns: int


class _Handlers:
    """One method an endpoint."""

    def __init__(self, loki: FakeLoki) -> None:
        self._loki = loki

    def _tenant(self, request: web.Request, *, writing: bool = False) -> Tenant:
        return self._loki.storage.tenant(self._user(request, writing=writing))

    def _user(self, request: web.Request, *, writing: bool = False) -> str:
        header = request.headers.get(TENANT_HEADER)
        return tenant_of(header, auth_enabled=self._loki.auth_enabled, writing=writing)

    async def _parameters(self, request: web.Request) -> Parameters:
        return Parameters((await _received(request)).parameters)

    async def _asked(self, request: web.Request) -> _Asked:
        tenant = self._tenant(request)
        found = await self._parameters(request)
        start_ns, end_ns = parameters.bounds(found, self._loki.now_ns())
        return _Asked(tenant, found, found.get("query"), start_ns, end_ns)

    # Queries.

    async def query_range(self, request: web.Request) -> web.Response:
        tenant = self._tenant(request)
        if _PARQUET in request.headers.get("Accept", ""):
            flag = "Enable with -frontend.support-parquet-encoding=true"
            raise Refusal(400, f"support for Parquet encoded responses is disabled. {flag}")
        sent = "" if self._loki.faults.drop_encoding_flags else request.headers.get(FLAGS_HEADER, "")
        flags = [flag.strip() for flag in sent.split(",") if flag.strip()]
        asked = await self._parameters(request)
        now_ns = self._loki.now_ns()
        return await _json(await asyncio.to_thread(range_query, tenant, asked, flags, self._loki.limits, now_ns))

    async def query(self, request: web.Request) -> web.Response:
        tenant = self._tenant(request)
        asked = await self._parameters(request)
        now_ns = self._loki.now_ns()
        return await _json(await asyncio.to_thread(instant_query, tenant, asked, self._loki.limits, now_ns))

    async def format_query(self, request: web.Request) -> web.Response:
        asked = await self._parameters(request)
        try:
            query = parse_query(asked.get("query"))
        except Refusal as refusal:
            return await _json({"status": "invalid-query", "error": refusal.text}, answers.JSON_SMALL, status=400)
        return await _json({"status": "success", "data": str(query)}, answers.JSON_SMALL)

    # Labels and series.

    async def labels(self, request: web.Request) -> web.Response:
        return await _json(answers.names(_label_names(await self._asked(request))))

    async def old_labels(self, request: web.Request) -> web.Response:
        return await _json({"values": _label_names(await self._asked(request))})

    async def label_values(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        asked = await self._asked(request)
        streams = asked.tenant.select(_matchers(asked.query))
        return await _json(answers.names(sorted({s.labels[name] for s in streams if name in s.labels})))

    async def series(self, request: web.Request) -> web.Response:
        asked = await self._asked(request)
        selectors = asked.parameters.all("match[]", "match") or [""]
        found = {
            stream.text: stream.labels
            for selector in selectors
            for stream, _ in asked.tenant.between(_matchers(selector), asked.start_ns, asked.end_ns)
        }
        return await _json(answers.listing([found[text] for text in sorted(found)]))

    # The index.

    async def stats(self, request: web.Request) -> web.Response:
        asked = await self._asked(request)
        matchers = parse_matchers(asked.query, any_stream=False)
        return await _json(index.stats(asked.tenant, asked.query, matchers, asked.start_ns, asked.end_ns))

    async def volume(self, request: web.Request) -> web.Response:
        asked = await self._asked(request)
        rows = index.volumes(asked.tenant, _volume_request(asked, asked.start_ns, asked.end_ns))
        return await _json(answers.volume_vector(rows, asked.end_ns))

    async def volume_range(self, request: web.Request) -> web.Response:
        asked = await self._asked(request)
        step_ns = parameters.step(asked.parameters, asked.start_ns, asked.end_ns, self._loki.limits)
        return await _json(answers.volume_matrix(_volume_rows(asked, step_ns)))

    async def patterns(self, request: web.Request) -> web.Response:
        """No patterns: a server without the pattern ingester, which is Loki's default."""
        parse_matchers((await self._asked(request)).query, any_stream=False)
        return await _json(answers.listing([]))

    async def detected_labels(self, request: web.Request) -> web.Response:
        asked = await self._asked(request)
        found = index.detected_labels(asked.tenant, _matchers(asked.query))
        return await _json({"detectedLabels": found} if found else {})

    async def detected_fields(self, request: web.Request) -> web.Response:
        asked = await self._asked(request)
        limit = parameters.count(asked.parameters, default=1000)
        lines = parameters.count(asked.parameters, "line_limit")
        selector = _log_query(asked.query)
        found = index.detected_fields(asked.tenant, selector, asked.start_ns, asked.end_ns, lines, limit)
        return await _json({"fields": found, "limit": limit} if found else {})

    async def detected_values(self, request: web.Request) -> web.Response:
        asked = await self._asked(request)
        limit = parameters.count(asked.parameters, default=1000)
        name, selector = request.match_info["name"], _log_query(asked.query)
        values = index.detected_values(asked.tenant, name, selector, asked.start_ns, asked.end_ns)[:limit]
        return await _json({"values": values, "limit": limit} if values else {})

    # Writing and status.

    async def push(self, request: web.Request) -> web.Response:
        user = self._user(request, writing=True)
        tenant = self._loki.storage.tenant(user)
        body, content_type = await request.read(), request.headers.get("Content-Type", "")
        now_ns = self._loki.now_ns()

        def store() -> None:
            push(tenant, user, parse_body(body, content_type), self._loki.limits, now_ns)

        await asyncio.to_thread(store)
        return web.Response(status=204)

    async def flush(self, _request: web.Request) -> web.Response:
        self._loki.storage.flush()
        return web.Response(status=204)

    async def ready(self, _request: web.Request) -> web.Response:
        return _text(200, "ready\n")

    async def build(self, _request: web.Request) -> web.Response:
        return await _json(_BUILD, answers.JSON_BARE)

    async def drilldown(self, request: web.Request) -> web.Response:
        tenant_of(request.headers.get(TENANT_HEADER), auth_enabled=True)  # asked for even where no tenant is needed
        return await _json(drilldown_limits(self._loki.limits, VERSION), answers.JSON_BARE)


def _matchers(text: str) -> tuple[Matcher, ...]:
    return parse_matchers(text, any_stream=True) if text else ()


def _log_query(text: str) -> LogSelector:
    query = parse_query(text)
    if not isinstance(query, LogSelector):
        raise Refusal(400, "only log selector is supported")
    return query


def _label_names(asked: _Asked) -> list[str]:
    # The time span is not looked at: Loki lists the labels of everything it still has in memory.
    return sorted({name for stream in asked.tenant.select(_matchers(asked.query)) for name in stream.labels})


def _volume_request(asked: _Asked, start_ns: int, end_ns: int) -> index.VolumeRequest:
    targets = asked.parameters.get("targetLabels")
    return index.VolumeRequest(
        matchers=parse_matchers(asked.query, any_stream=True),
        start_ns=start_ns,
        end_ns=end_ns,
        target_labels=tuple(targets.split(",")) if targets else (),
        by_label_name=asked.parameters.get("aggregateBy") == "labels",
        limit=parameters.count(asked.parameters),
    )


def _volume_rows(asked: _Asked, step_ns: int) -> list[tuple[dict[str, str], list[tuple[int, int]]]]:
    points: dict[tuple[tuple[str, str], ...], list[tuple[int, int]]] = {}
    for start_ns in range(asked.start_ns, asked.end_ns, step_ns):
        # A bucket ends a millisecond before the next one begins; the last ends with the span.
        end_ns = min(start_ns + step_ns - 1_000_000, asked.end_ns)
        end_ns = asked.end_ns if start_ns + step_ns >= asked.end_ns else end_ns
        for labels, size in index.volumes(asked.tenant, _volume_request(asked, start_ns, end_ns)):
            points.setdefault(tuple(labels.items()), []).append((end_ns, size))
    ranked = sorted(points, key=lambda labels: (-sum(size for _, size in points[labels]), labels))
    return [(dict(labels), points[labels]) for labels in ranked]
