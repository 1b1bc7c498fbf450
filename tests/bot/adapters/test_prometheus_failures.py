"""A Prometheus that misbehaves, over a real socket: what the source makes of it."""

import asyncio
import json
import math
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from bot.adapters.endpoint import Endpoint
from bot.adapters.links import Explore, ExploreKind
from bot.adapters.prometheus import PrometheusSource
from bot.adapters.prometheus_alerts import PrometheusAlerts
from bot.domain.query import MetricQuery, Selector, equal
from bot.domain.scope import Window
from bot.errors import QueryRefused, SourceError, SourceUnavailable
from bot.ports import SeriesAnswer

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

WINDOW = Window(start_s=1_750_000_200, end_s=1_750_000_320)
QUERY = MetricQuery(selector=Selector(metric="up"), window=WINDOW, step_s=60)
SOON_S = 5.0


@asynccontextmanager
async def answering(handler: Handler, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """A server on a free port that answers everything with `handler`, which is cancelled when the client goes away."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    listening = socket.create_server(("127.0.0.1", 0))
    await web.SockSite(runner, listening, ssl_context=tls).start()
    try:
        yield f"{'https' if tls else 'http'}://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        await runner.cleanup()


def always(status: int, body: str, **headers: str) -> tuple[Handler, list[web.Request]]:
    """A handler with one answer, and the requests it saw."""
    seen: list[web.Request] = []

    async def handler(request: web.Request) -> web.Response:
        await request.post()
        seen.append(request)
        return web.Response(
            status=status, text=body, headers={name.replace("_", "-"): v for name, v in headers.items()}
        )

    return handler, seen


def matrix(*results: dict[str, Any], **beside: object) -> str:
    return json.dumps({"status": "success", "data": {"resultType": "matrix", "result": results}, **beside})


def refused_with(kind: str, text: str) -> str:
    return json.dumps({"status": "error", "errorType": kind, "error": text})


async def ask(url: str, *, timeout_s: float = SOON_S, **options: Any) -> SeriesAnswer:
    source = PrometheusSource("test", Endpoint(url=url), **options)
    try:
        return await source.range(QUERY, timeout_s=timeout_s)
    finally:
        source.close()


async def failure(handler: Handler, *, timeout_s: float = SOON_S, **options: Any) -> SourceError:
    async with answering(handler) as url:
        with pytest.raises(SourceError) as failed:
            await ask(url, timeout_s=timeout_s, **options)
    return failed.value


@pytest.mark.parametrize(
    ("status", "body", "kind", "code", "says"),
    [
        (400, refused_with("bad_data", "1:5: parse error: unexpected x"), QueryRefused, "MET-004", "1:5: parse error"),
        (422, refused_with("execution", "many-to-many matching"), QueryRefused, "MET-004", "many-to-many"),
        (
            422,
            refused_with("execution", "expanding series: context deadline exceeded"),
            SourceUnavailable,
            "MET-002",
            "",
        ),
        (503, refused_with("timeout", "query timed out in expression evaluation"), SourceUnavailable, "MET-002", ""),
        (504, "<html>Gateway Time-out</html>", SourceUnavailable, "MET-002", "HTML page"),
        (500, refused_with("internal", "disk on fire"), SourceUnavailable, "MET-003", "disk on fire"),
        (401, "", QueryRefused, "MET-005", "401"),
        (403, "<html>no</html>", QueryRefused, "MET-005", "403"),
        (404, "404 page not found", QueryRefused, "MET-006", "404 page not found"),
        (302, "", QueryRefused, "MET-006", "redirects"),
        (200, "<html>Please sign in</html>", QueryRefused, "MET-006", "not JSON"),
        (200, "[1, 2]", QueryRefused, "MET-006", "no status"),
        (200, "[" * 100_000, QueryRefused, "MET-006", "not JSON"),
        (200, '{"status":"success","data":{"result":[{"values":[[1,"x"]]}]}}', QueryRefused, "MET-006", "shape"),
        (200, '{"status":"success","data":{"result":7}}', QueryRefused, "MET-006", "shape"),
        (200, '{"status":"success"}', QueryRefused, "MET-006", "shape"),
        (200, refused_with("bad_data", "too long"), QueryRefused, "MET-004", "too long"),
    ],
)
async def test_each_failure_has_its_type_code_and_the_servers_words(
    status: int, body: str, kind: type[SourceError], code: str, says: str
) -> None:
    handler, seen = always(status, body)

    failed = await failure(handler)

    assert type(failed) is kind or isinstance(failed, kind)
    assert failed.code == code
    assert says in failed.message
    assert failed.remedy
    assert len(seen) == 1  # none of these is asked again


@pytest.mark.parametrize("status", [429, 502, 503])
async def test_a_passing_failure_is_tried_again(status: int) -> None:
    seen = 0

    async def handler(_: web.Request) -> web.Response:
        nonlocal seen
        seen += 1
        if seen < 3:
            return web.Response(status=status, text="come back later")
        return web.Response(text=matrix({"metric": {}, "values": [[WINDOW.start_s, "1"]]}))

    async with answering(handler) as url:
        answer = await ask(url)

    assert answer.series[0].values[0] == 1
    assert seen == 3


async def test_a_failure_that_stays_is_told_after_three_attempts() -> None:
    handler, seen = always(429, "too many outstanding requests")

    failed = await failure(handler)

    assert isinstance(failed, SourceUnavailable)
    assert failed.code == "MET-003"
    assert "too many outstanding requests" in failed.message
    assert len(seen) == 3


async def test_a_wait_the_server_wants_is_kept_only_when_there_is_time() -> None:
    handler, seen = always(503, "busy", Retry_After="30")
    started_s = time.monotonic()

    failed = await failure(handler, timeout_s=10.0)

    assert failed.code == "MET-003"
    assert len(seen) == 1
    assert time.monotonic() - started_s < 5.0


async def test_a_server_that_is_not_there_is_unreachable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

    with pytest.raises(SourceUnavailable) as failed:
        await ask(f"http://127.0.0.1:{port}")

    assert failed.value.code == "MET-001"
    assert "refused" in failed.value.message.lower()


async def test_a_server_that_hangs_costs_its_deadline_and_sees_the_connection_close() -> None:
    gone = asyncio.Event()

    async def handler(request: web.Request) -> web.Response:
        try:
            await asyncio.Event().wait()
        finally:
            gone.set()
        raise AssertionError("unreachable")

    async with answering(handler) as url:
        started_s = time.monotonic()
        with pytest.raises(SourceUnavailable) as failed:
            await ask(url, timeout_s=0.3)
        took_s = time.monotonic() - started_s
        await asyncio.wait_for(gone.wait(), SOON_S)

    assert failed.value.code == "MET-002"
    assert 0.25 < took_s < 3.0


async def test_cancelling_returns_at_once_and_closes_the_connection() -> None:
    asked, gone = asyncio.Event(), asyncio.Event()

    async def handler(request: web.Request) -> web.Response:
        asked.set()
        try:
            await asyncio.Event().wait()
        finally:
            gone.set()
        raise AssertionError("unreachable")

    async with answering(handler) as url:
        task = asyncio.create_task(ask(url, timeout_s=60))
        await asyncio.wait_for(asked.wait(), SOON_S)
        started_s = time.monotonic()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        took_s = time.monotonic() - started_s
        await asyncio.wait_for(gone.wait(), SOON_S)

    assert took_s < 3.0


async def test_cancelled_calls_free_their_threads() -> None:
    hanging = True
    asked = asyncio.Semaphore(0)

    async def handler(request: web.Request) -> web.Response:
        asked.release()
        if hanging:
            await asyncio.Event().wait()
        return web.Response(text=matrix())

    async with answering(handler) as url:
        source = PrometheusSource("test", Endpoint(url=url))
        tasks = [asyncio.create_task(source.range(QUERY, timeout_s=60)) for _ in range(12)]
        for _ in range(8):  # as many as there are threads; the others wait for one
            await asyncio.wait_for(asked.acquire(), SOON_S)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        hanging = False

        answer = await source.range(QUERY, timeout_s=SOON_S)
        source.close()

    assert answer.series == ()


@pytest.mark.parametrize("part", ["head", "body"])
async def test_an_answer_that_drips_ends_at_the_deadline(part: str) -> None:
    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n" + (b"" if part == "head" else b"Content-Length: 100000\r\n\r\n"))
        try:
            while True:
                writer.write(b"x")
                await writer.drain()
                await asyncio.sleep(0.02)
        except ConnectionError:
            writer.close()

    server = await asyncio.start_server(drip, "127.0.0.1", 0)
    started_s = time.monotonic()
    async with server:
        with pytest.raises(SourceUnavailable) as failed:
            await ask(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", timeout_s=0.4)

    assert failed.value.code == "MET-002"
    assert time.monotonic() - started_s < 3.0


async def test_a_huge_answer_is_refused_before_it_fills_the_memory() -> None:
    sent = 0

    async def handler(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(1000):
            await response.write(b" " * 100_000)
            sent += 100_000
        return response

    failed = await failure(handler, max_bytes=2_000_000)

    assert isinstance(failed, QueryRefused)
    assert failed.code == "MET-007"
    assert sent < 50_000_000


async def test_a_compressed_bomb_counts_as_large_as_it_unpacks() -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.Response(body=b" " * 30_000_000)
        response.enable_compression(web.ContentCoding.gzip)
        return response

    assert (await failure(handler, max_bytes=2_000_000)).code == "MET-007"


async def test_a_redirect_is_not_followed_and_its_query_not_told() -> None:
    handler, seen = always(302, "", Location="http://login.example/start?token=hunter2")

    failed = await failure(handler)

    assert "login.example" in failed.message
    assert "hunter2" not in str(failed)
    assert len(seen) == 1


async def test_warnings_of_partial_answers_are_kept() -> None:
    handler, _ = always(
        200, matrix(warnings=["store 10.0.0.7 unavailable"], infos=["metric might not be a counter"], isPartial=True)
    )

    async with answering(handler) as url:
        answer = await ask(url)

    assert answer.warnings[:2] == ("store 10.0.0.7 unavailable", "metric might not be a counter")
    assert "partial" in answer.warnings[2]


async def test_infinities_become_gaps_and_are_told() -> None:
    values = [[WINDOW.start_s, "+Inf"], [WINDOW.start_s + 60, "3"]]
    handler, _ = always(200, matrix({"metric": {"a": "b"}, "values": values}))

    async with answering(handler) as url:
        answer = await ask(url)

    assert math.isnan(answer.series[0].values[0])
    assert answer.series[0].values[1] == 3
    assert "infinite" in answer.warnings[0]


async def test_native_histograms_are_left_out_and_told() -> None:
    handler, _ = always(
        200,
        matrix(
            {"metric": {"a": "b"}, "histograms": [[WINDOW.start_s, {"count": "1"}]]},
            {"metric": {"a": "c"}, "values": [[WINDOW.start_s, "1"]]},
        ),
    )

    async with answering(handler) as url:
        answer = await ask(url)

    assert [one.labels for one in answer.series] == [{"a": "c"}]
    assert "native histograms" in answer.warnings[0]


async def test_a_scalar_is_a_series_without_labels() -> None:
    body = {"status": "success", "data": {"resultType": "scalar", "result": [WINDOW.start_s, "7"]}}
    handler, _ = always(200, json.dumps(body))

    async with answering(handler) as url:
        [one] = (await ask(url)).series

    assert one.labels == {}
    assert one.values[0] == 7


async def test_the_query_travels_in_the_body_with_the_operators_parameters_and_a_deadline() -> None:
    forms: list[dict[str, str]] = []

    async def handler(request: web.Request) -> web.Response:
        forms.append({name: str(value) for name, value in (await request.post()).items()})
        assert request.method == "POST"
        assert request.path == "/prefix/api/v1/query_range"
        assert not request.query_string
        return web.Response(text=matrix())

    async with answering(handler) as url:
        answer = await ask(url + "/prefix/", timeout_s=10, parameters={"dedup": "true", "max_source_resolution": "5m"})

    assert forms == [
        {
            "query": answer.query,
            "start": str(int(WINDOW.start_s)),
            "end": str(int(WINDOW.end_s) - 60),
            "step": "60",
            "timeout": "9000ms",
            "dedup": "true",
            "max_source_resolution": "5m",
        }
    ]


async def test_a_proxy_that_allows_get_alone_gets_get() -> None:
    async def handler(request: web.Request) -> web.Response:
        if request.method == "POST":
            return web.Response(status=405)
        assert request.query["query"] == "up"
        return web.Response(text=matrix())

    async with answering(handler) as url:
        assert (await ask(url)).series == ()


async def test_credentials_are_sent_and_a_rotated_token_is_read_again(tmp_path: Path) -> None:
    token = tmp_path / "token"
    handler, seen = always(200, matrix())

    async with answering(handler) as url:
        endpoint = Endpoint(url=url, tenant="shop", bearer_file=token, headers={"X-Extra": "1"})
        source = PrometheusSource("test", endpoint)
        for secret in ("first", "second"):
            token.write_text(secret + "\n")
            await source.range(QUERY, timeout_s=SOON_S)
        source.close()

    assert [request.headers["Authorization"] for request in seen] == ["Bearer first", "Bearer second"]
    assert seen[0].headers["X-Scope-OrgID"] == "shop"
    assert seen[0].headers["X-Extra"] == "1"


async def test_basic_authentication_is_ours_even_with_a_netrc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login eve password wrong\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    handler, seen = always(200, matrix())

    async with answering(handler) as url:
        source = PrometheusSource("test", Endpoint(url=url, user="ada", password="hunter2"))
        await source.range(QUERY, timeout_s=SOON_S)
        source.close()

    assert seen[0].headers["Authorization"] == "Basic YWRhOmh1bnRlcjI="


async def test_a_token_file_that_is_not_there_is_a_clear_refusal(tmp_path: Path) -> None:
    source = PrometheusSource("test", Endpoint(url="http://127.0.0.1:1", bearer_file=tmp_path / "missing"))

    with pytest.raises(QueryRefused) as failed:
        await source.range(QUERY, timeout_s=SOON_S)
    source.close()

    assert failed.value.code == "MET-008"
    assert "missing" in failed.value.message


async def test_too_many_points_are_refused_without_asking() -> None:
    source = PrometheusSource("test", Endpoint(url="http://127.0.0.1:1"))
    long = MetricQuery(selector=Selector(metric="up"), window=Window(start_s=0, end_s=11_001 * 15), step_s=15)

    with pytest.raises(QueryRefused) as failed:
        await source.range(long, timeout_s=SOON_S)
    source.close()

    assert failed.value.code == "MET-009"
    assert "11001" in failed.value.message


async def test_label_sets_beyond_the_cap_are_cut_here_when_the_server_does_not() -> None:
    body = json.dumps({"status": "success", "data": [{"__name__": "up", "i": str(i)} for i in range(50)]})
    handler, _ = always(200, body)

    async with answering(handler) as url:
        source = PrometheusSource("test", Endpoint(url=url), max_label_sets=20)
        answer = await source.series((equal("a", "b"),), WINDOW, timeout_s=SOON_S)
        source.close()

    assert len(answer.sets) == 20
    assert not answer.complete


async def test_metadata_is_asked_once_in_a_while_and_may_be_missing() -> None:
    entries = {"requests": [{"type": "counter", "help": "H", "unit": ""}], "odd": [{"type": "info", "help": ""}]}
    handler, seen = always(200, json.dumps({"status": "success", "data": entries}))
    without, _ = always(404, "404 page not found")

    async with answering(handler) as url:
        source = PrometheusSource("test", Endpoint(url=url))
        known = await source.metadata(timeout_s=SOON_S)
        assert await source.metadata(timeout_s=SOON_S) == known
        source.close()
    async with answering(without) as url:
        source = PrometheusSource("test", Endpoint(url=url))
        assert await source.metadata(timeout_s=SOON_S) == {}
        source.close()

    assert {name: entry.kind for name, entry in known.items()} == {
        "requests": "counter",
        "requests_total": "counter",
        "odd": "unknown",
    }
    assert len(seen) == 1


async def test_health_says_what_is_wrong_and_what_to_do() -> None:
    handler, _ = always(401, "")

    async with answering(handler) as url:
        source = PrometheusSource("test", Endpoint(url=url))
        health = await source.health(timeout_s=SOON_S)
        source.close()

    assert not health.ok
    assert "401" in health.detail
    assert health.remedy


async def test_a_server_without_build_information_is_healthy_when_it_answers_queries() -> None:
    async def handler(request: web.Request) -> web.Response:
        if request.path.endswith("/query"):
            return web.Response(text='{"status":"success","data":{"resultType":"vector","result":[]}}')
        return web.Response(status=404)

    async with answering(handler) as url:
        source = PrometheusSource("test", Endpoint(url=url))
        assert (await source.health(timeout_s=SOON_S)).ok
        source.close()


async def test_no_more_than_eight_queries_run_at_once() -> None:
    running = most = 0

    async def handler(request: web.Request) -> web.Response:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.02)
        running -= 1
        return web.Response(text=matrix())

    async with answering(handler) as url:
        source = PrometheusSource("test", Endpoint(url=url), max_parallel=50)
        await asyncio.gather(*(source.range(QUERY, timeout_s=SOON_S) for _ in range(30)))
        source.close()

    assert most == 8


async def test_an_answer_links_to_where_people_look() -> None:
    handler, _ = always(200, matrix())
    explore = Explore(kind=ExploreKind.GRAFANA, url="https://grafana.example", datasource_uid="prom")

    async with answering(handler) as url:
        linked, bare = await ask(url, explore_url=explore), await ask(url)

    assert (linked.link or "").startswith("https://grafana.example/explore?")
    assert bare.link is None


async def test_alerts_are_told_even_where_rules_cannot_be_read() -> None:
    alert = {
        "labels": {"alertname": "Slow", "service": "cart"},
        "annotations": None,
        "state": "firing",
        "activeAt": "2026-11-20T16:29:43.576123456Z",
    }

    async def handler(request: web.Request) -> web.Response:
        if request.path.endswith("/rules"):
            return web.Response(status=404)
        waiting = {**alert, "state": "pending"}
        return web.json_response({"status": "success", "data": {"alerts": [alert, waiting]}})

    async with answering(handler) as url:
        source = PrometheusAlerts("test", Endpoint(url=url))
        [firing] = await source.firing(timeout_s=SOON_S)
        source.close()

    assert (firing.name, firing.expr) == ("Slow", "")
    assert firing.started_at_s == pytest.approx(1795192183.576, abs=0.01)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1 with its key, signed by itself."""
    if not shutil.which("openssl"):
        pytest.skip("no openssl on this machine to make a certificate with")
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    made = subprocess.run(
        (
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"),
            *("-addext", "subjectAltName=IP:127.0.0.1", "-keyout", "-", "-out", "-"),
        ),
        capture_output=True,
        check=True,
    )
    path.write_bytes(made.stdout)
    return path


def server_tls(certificate: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(certificate))
    context.load_cert_chain(str(certificate))
    return context


async def test_both_sides_of_mutual_tls_know_each_other(
    certificate: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path))  # a machine's own choice does not replace ours
    handler, seen = always(200, matrix())
    tls = server_tls(certificate)
    tls.verify_mode = ssl.CERT_REQUIRED

    async with answering(handler, tls) as url:
        source = PrometheusSource("test", Endpoint(url=url, ca_file=certificate, cert_file=certificate))
        await source.range(QUERY, timeout_s=SOON_S)
        source.close()

    assert len(seen) == 1


async def test_an_unknown_authority_is_refused_with_a_remedy(certificate: Path) -> None:
    handler, seen = always(200, matrix())

    async with answering(handler, server_tls(certificate)) as url:
        with pytest.raises(QueryRefused) as failed:
            await ask(url)

    assert failed.value.code == "MET-008"
    assert "ca_file" in failed.value.remedy
    assert not seen


async def test_cancelling_closes_an_encrypted_connection_too(certificate: Path) -> None:
    gone = asyncio.Event()

    async def handler(request: web.Request) -> web.Response:
        try:
            await asyncio.Event().wait()
        finally:
            gone.set()
        raise AssertionError("unreachable")

    async with answering(handler, server_tls(certificate)) as url:
        source = PrometheusSource("test", Endpoint(url=url, ca_file=certificate))
        with pytest.raises(SourceUnavailable):
            await source.range(QUERY, timeout_s=0.4)
        await asyncio.wait_for(gone.wait(), SOON_S)
        source.close()


def test_printing_an_endpoint_shows_no_secret() -> None:
    endpoint = Endpoint(url="https://prom.example", user="ada", password="hunter2", headers={"X-Key": "hunter3"})

    assert "hunter" not in repr(endpoint)


@pytest.mark.parametrize("url", ["prom:9090", "ftp://prom", "http://", "https://ada:hunter2@prom", "http://prom/?a=b"])
def test_an_address_that_cannot_be_one_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(ValueError, match="endpoint's url") as refused:
        Endpoint(url=url)

    assert "hunter2" not in str(refused.value)
