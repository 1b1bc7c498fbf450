"""Wiring: every setting reaches the source it is for, every source is guarded, every connection is let go."""

import asyncio
import base64
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aiohttp import web

from bot.demo.memory import (
    FixedDirectory,
    ManualClock,
    MemoryJournal,
    MemoryStore,
    RecordingMeter,
    RecordingNotifier,
)
from bot.domain.query import LogCountQuery, MetricQuery, Selector, equal
from bot.domain.report import Ownership
from bot.domain.scope import Window
from bot.errors import ConfigError, SourceError
from bot.ports import Ports, Sources
from bot.settings import File, Settings, read_settings
from bot.wiring import (
    guarded_sources,
    investigator_of,
    journal_of,
    open_sources,
    ownership_of,
    store_health,
    store_of,
    stories_of,
)

WINDOW = Window(start_s=1_795_099_200.0, end_s=1_795_102_800.0)
NOWHERE = "http://127.0.0.1:9"  # the discard port: nothing listens there


@dataclass(slots=True, kw_only=True)
class Server:
    """Answers every question with an empty result and remembers who asked."""

    url: str = ""
    headers: dict[str, Mapping[str, str]] = field(default_factory=dict)
    parameters: list[Mapping[str, str]] = field(default_factory=list)
    transports: list[asyncio.BaseTransport] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.Response:
        assert request.transport is not None
        form = {key: str(value) for key, value in (await request.post()).items()}
        self.headers[request.path] = dict(request.headers)
        self.parameters.append({**request.query, **form})
        self.transports.append(request.transport)
        return web.json_response({"status": "success", "data": {"resultType": "matrix", "result": []}})


@asynccontextmanager
async def serving() -> AsyncIterator[Server]:
    server = Server()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield server
    finally:
        await runner.cleanup()


def settings(home: Path, toml: str = "", **environ: str) -> Settings:
    (home / "groundwire.toml").write_text(toml)
    return read_settings({"GROUNDWIRE_HOME": str(home), **environ}, working_directory=home)


def everything(home: Path, url: str) -> File:
    """Two environments, each with metrics and logs, every kind of credential and two repositories."""
    (home / "token").write_text("first-token\n")
    shared = 'tenant = "team-a"\nheaders = { X-Team = "shop" }\nservice_labels = ["app"]\n'
    return settings(
        home,
        f'[[prometheus]]\nname = "metrics"\nurl = "{url}/prefix/"\nenvironment = "prod"\nbasic_user = "reader"\n'
        f'basic_password_env = "PASSWORD"\nresolution_s = 15\nparameters = {{ dedup = "true" }}\n'
        f'explore = {{ url = "https://grafana.test", datasource = "uid-1" }}\n{shared}'
        f'[[loki]]\nname = "lines"\nurl = "{url}"\nenvironment = "prod"\nbearer_file = "{home / "token"}"\n'
        f'level_label = "severity"\ndeploy_query = \'{{app="deployer"}}\'\n'
        f'explore = {{ url = "https://grafana.test", datasource = "uid-2" }}\n{shared}'
        f'[[prometheus]]\nname = "other"\nurl = "{url}"\n[[loki]]\nname = "more"\nurl = "{url}"\n'
        f'[[git]]\npath = "{home}"\nservice = "cart"\nenvironment = "prod"\n'
        f'[[git]]\npath = "{home}"\nservice = "cart"\n[[git]]\npath = "{home}"\nservice = "web"\n',
    ).file


LOOK = MetricQuery(selector=Selector(metric="up"), window=WINDOW, step_s=60)
COUNT = LogCountQuery(selector=Selector(matchers=(equal("app", "cart"),)), window=WINDOW, step_s=60)


async def test_every_setting_reaches_its_source(tmp_path: Path) -> None:
    async with (
        serving() as server,
        open_sources(everything(tmp_path, server.url), {"PASSWORD": "hunter2"}) as sources,
    ):
        metrics, other = sources.metrics
        lines, more = sources.logs
        looked = await metrics.range(LOOK, timeout_s=5)
        counted = await lines.count(COUNT, timeout_s=5)

    assert (metrics.name, metrics.environment, metrics.service_labels) == ("metrics", "prod", ("app",))
    assert (metrics.resolution_s, other.resolution_s, other.environment, more.environment) == (15, 30, None, None)
    assert (lines.level_label, more.level_label) == ("severity", "detected_level")
    for path, authorization in (
        ("/prefix/api/v1/query_range", "Basic " + base64.b64encode(b"reader:hunter2").decode()),
        ("/loki/api/v1/query_range", "Bearer first-token"),
    ):
        sent = server.headers[path]
        assert (sent["X-Scope-OrgID"], sent["X-Team"], sent["Authorization"]) == ("team-a", "shop", authorization)
    assert server.parameters[0]["dedup"] == "true"
    assert looked.link is not None
    assert "uid-1" in looked.link
    assert counted.link is not None
    assert "uid-2" in counted.link


async def test_every_kind_of_source_comes_from_the_file(tmp_path: Path) -> None:
    async with open_sources(everything(tmp_path, NOWHERE), {"PASSWORD": "hunter2"}) as sources:
        assert [s.name for s in sources.servers] == ["metrics", "other", "lines", "more"]
        assert [(s.name, s.environment) for s in sources.alerts] == [("metrics", "prod"), ("other", None)]
        assert [(s.name, s.environment) for s in sources.changes] == [
            ("metrics", "prod"),
            ("other", None),
            ("lines", "prod"),
            ("git", None),
            ("git", "prod"),
        ]


async def test_a_rotated_token_is_read_again(tmp_path: Path) -> None:
    async with (
        serving() as server,
        open_sources(everything(tmp_path, server.url), {"PASSWORD": "hunter2"}) as sources,
    ):
        await sources.logs[0].count(COUNT, timeout_s=5)
        (tmp_path / "token").write_text("second-token")
        await sources.logs[0].count(COUNT, timeout_s=5)

    assert server.headers["/loki/api/v1/query_range"]["Authorization"] == "Bearer second-token"


async def test_a_password_that_is_nowhere_is_named_before_anything_is_asked(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        async with open_sources(everything(tmp_path, NOWHERE), {}):
            pass

    assert caught.value.code == "CFG-014"
    assert "metrics" in caught.value.message


async def test_files_that_cannot_be_read_are_told_by_the_source(tmp_path: Path) -> None:
    toml = (
        f'[[loki]]\nname = "l"\nurl = "{NOWHERE}"\nbearer_file = "/nowhere/token"\n'
        '[[loki]]\nname = "m"\nurl = "https://127.0.0.1:9"\nca_file = "/nowhere/ca.pem"\n'
        f'[[prometheus]]\nname = "p"\nurl = "{NOWHERE}"\nbearer_file = "/nowhere/token"\n'
        '[[prometheus]]\nname = "q"\nurl = "https://127.0.0.1:9"\nca_file = "/nowhere/ca.pem"\n'
    )
    async with open_sources(settings(tmp_path, toml).file, {}) as sources:
        found = [await source.health(timeout_s=5) for source in sources.servers]

    assert [(health.ok, bool(health.detail and health.remedy)) for health in found] == [(False, True)] * 4


async def test_connections_are_let_go_at_the_end(tmp_path: Path) -> None:
    async with serving() as server:
        async with open_sources(everything(tmp_path, server.url), {"PASSWORD": "hunter2"}) as sources:
            for source in sources.servers:
                await source.health(timeout_s=5)
            with suppress(SourceError):  # an empty answer is none to this question
                await sources.alerts[0].firing(timeout_s=5)
            open_meanwhile = [transport for transport in server.transports if not transport.is_closing()]
        deadline = time.monotonic() + 5
        while any(not transport.is_closing() for transport in server.transports):
            assert time.monotonic() < deadline, "a connection stayed open"
            await asyncio.sleep(0.01)

    assert open_meanwhile


async def test_every_source_is_measured_and_cut_off_when_it_keeps_failing(tmp_path: Path) -> None:
    meter, clock = RecordingMeter(), ManualClock()
    toml = f'[[git]]\npath = "{tmp_path / "gone"}"\nservice = "cart"\n'
    file = settings(tmp_path, toml, PROMETHEUS_URL=NOWHERE, LOKI_URL=NOWHERE).file
    async with open_sources(file, {}) as bare:
        sources = guarded_sources(bare, clock, meter)
        asks: list[Callable[[], Awaitable[object]]] = [
            lambda: sources.metrics[0].range(LOOK, timeout_s=1),
            lambda: sources.logs[0].count(COUNT, timeout_s=1),
            lambda: sources.alerts[0].firing(timeout_s=1),
            lambda: sources.changes[1].changes((), WINDOW, timeout_s=1),
        ]
        for ask in asks:
            with pytest.raises(SourceError):
                await ask()
        refused = ""
        for _ in range(20):
            with pytest.raises(SourceError) as caught:
                await sources.metrics[0].label_names(WINDOW, timeout_s=0.01)
            refused = caught.value.code
            if refused == "SRC-001":
                break

    errors = [
        meter.counted("groundwire_source_errors_total", kind=kind, source=source)
        for kind, source in (("metrics", "prometheus"), ("logs", "loki"), ("alerts", "prometheus"), ("changes", "git"))
    ]
    assert all(errors)
    assert refused == "SRC-001"
    assert meter.counted("groundwire_source_errors_total", code="SRC-001") == 1


def test_what_is_known_of_services_and_who_may_ask_comes_from_the_file(tmp_path: Path) -> None:
    file = settings(
        tmp_path,
        'zone = "Europe/Berlin"\n[services.cart]\nowner = "#cart"\nrunbook = "https://r.test"\naliases = ["basket"]\n'
        '[access]\nchannels = ["C1"]\ngroups = ["S1"]\nusers = ["U1"]\nallow_shared_channels = true\n',
    ).file
    investigator = investigator_of(file)

    assert ownership_of(file) == {"cart": Ownership(owner="#cart", runbook="https://r.test")}
    assert (investigator.aliases, investigator.default_zone) == ({"basket": "cart"}, "Europe/Berlin")
    assert (investigator.rules.channels, investigator.rules.groups, investigator.rules.users) == (
        frozenset({"C1"}),
        frozenset({"S1"}),
        frozenset({"U1"}),
    )
    assert investigator.rules.allow_shared


async def test_store_and_journal_share_the_file_in_the_home(tmp_path: Path) -> None:
    known = settings(tmp_path)
    store, journal = store_of(known), journal_of(known)

    await store.open()
    await journal.start({})
    health = store_health(known)
    await journal.stop()
    await store.close()

    assert health.ok
    assert str(known.database) in health.detail


def test_handlers_find_every_story_by_its_name() -> None:
    ports = Ports(
        sources=Sources(),
        store=MemoryStore(),
        journal=MemoryJournal(),
        notifier=RecordingNotifier(),
        directory=FixedDirectory(),
        clock=ManualClock(),
        meter=RecordingMeter(),
    )

    known = stories_of(ports, investigator_of(File())).keys()

    assert known == {"investigate", "investigate failed", "changes", "help", "decide", "feedback"}
