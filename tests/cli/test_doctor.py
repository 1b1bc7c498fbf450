"""`groundwire doctor`: every broken thing is named with its remedy, and nothing is touched."""

import socket
import sqlite3
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from bot.adapters.database import database_url
from bot.adapters.store import SqlStore
from bot.cli.doctor import Check, examine
from bot.demo.loki.server import fake_loki, running_loki
from bot.demo.workspace.driver import Workspace
from bot.settings import read_settings
from tests.cli.command import groundwire
from tests.servers import running_prometheus

NOWHERE = "http://127.0.0.1:9"  # the discard port: nothing listens there


@pytest_asyncio.fixture
async def workspace() -> AsyncIterator[Workspace]:
    async with Workspace() as running:
        yield running


def slack(workspace: Workspace) -> dict[str, str]:
    return {
        "GROUNDWIRE_SLACK_API_URL": workspace.api_url,
        "SLACK_BOT_TOKEN": workspace.bot_token,
        "SLACK_APP_TOKEN": workspace.app_token,
    }


async def checked(home: Path, environ: dict[str, str], toml: str = "") -> dict[str, Check]:
    """What the doctor finds with this environment and file, by name."""
    (home / "groundwire.toml").write_text(toml)
    environ = {"GROUNDWIRE_HOME": str(home), **environ}
    found = await examine(read_settings(environ, working_directory=home), environ)
    return {check.name: check for check in found}


def failed(checks: dict[str, Check]) -> dict[str, str]:
    for check in checks.values():
        assert check.health.ok or check.health.remedy, check
    return {name: check.health.detail for name, check in checks.items() if not check.health.ok}


async def test_when_all_is_well_it_says_so_and_makes_nothing(workspace: Workspace, tmp_path: Path) -> None:
    with running_prometheus(["# TYPE up gauge", 'up{job="cart"} 1 1795102800']) as prometheus:
        async with running_loki() as loki:
            done = await groundwire(
                tmp_path, "doctor", PROMETHEUS_URL=prometheus.url, LOKI_URL=loki, **slack(workspace)
            )

    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert all(line.startswith("ok   ") for line in lines[:-1])
    assert lines[-1] == f"{len(lines) - 1} of {len(lines) - 1} checks passed"
    for name in ("configuration", "database", "Slack", "prometheus", "loki", "changes from prometheus"):
        assert f"ok   {name}: " in done.out
    assert workspace.messages("incidents") == []
    assert not (tmp_path / "groundwire").exists()


async def test_what_is_broken_is_named_with_its_remedy_and_the_rest_is_still_checked(tmp_path: Path) -> None:
    async with running_loki() as loki:
        done = await groundwire(tmp_path, "doctor", PROMETHEUS_URL=NOWHERE, LOKI_URL=loki)

    assert (done.code, done.err) == (1, "")
    lines = done.out.splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith("FAIL prometheus: "))
    assert lines[at + 1].startswith("     Check its url")
    assert any(line.startswith("FAIL Slack: CFG-003 SLACK_BOT_TOKEN is not set.") for line in lines)
    assert any(line.startswith("ok   loki: ") for line in lines)


async def test_every_problem_of_the_configuration_is_told_at_once_and_the_rest_is_still_checked(tmp_path: Path) -> None:
    async with running_loki() as loki:
        toml = (
            f'zone = "Middle/Earth"\n[[loki]]\nname = "lines"\nurl = "{loki}"\n[[loki]]\nname = "bad"\nurl = "ftp://x"\n'
            f'[[loki]]\nname = "locked"\nurl = "{loki}"\nbasic_user = "u"\nbasic_password_env = "NOT_SET"\n'
        )
        (tmp_path / "groundwire.toml").write_text(toml)
        done = await groundwire(
            tmp_path,
            "doctor",
            PROMETHEUS_URL=NOWHERE,
            GROUNDWIRE_PORT="x",
            GROUNDWIRE_LOG_LEVEL="loud",
            GROUNDWIRE_SLACK_API_URL="slack",
            SLACK_BOT_TOKEN="wrong",
        )

    assert (done.code, done.err) == (2, "")
    lines = done.out.splitlines()
    failed = {line.removeprefix("FAIL ")[: line.index(":") + 4] for line in lines if line.startswith("FAIL ")}
    assert failed == {
        *(f"configuration: CFG-{number}" for number in ("007", "011", "012", "013")),
        *("Slack: CFG-004", "Slack: CFG-005", "locked: CFG-014", "prometheus: MET-001"),
    }
    for at, line in enumerate(lines):
        assert not line.startswith("FAIL") or lines[at + 1].startswith("     "), line
    assert {line.split(":")[0] for line in lines if line.startswith("ok ")} >= {"ok   database", "ok   lines"}
    assert sum("CFG-007" in line for line in lines) == 2


async def test_no_source_is_told_beside_a_wrong_port(workspace: Workspace, tmp_path: Path) -> None:
    done = await groundwire(tmp_path, "doctor", **{**slack(workspace), "GROUNDWIRE_PORT": "x"})

    assert "FAIL configuration: CFG-012 " in done.out
    assert "FAIL sources: CFG-015 " in done.out


async def test_a_file_that_cannot_be_read_is_told_once(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "groundwire.toml").write_text("nonsense")

    done = await groundwire(tmp_path, "doctor", **slack(workspace))

    failed = [line for line in done.out.splitlines() if line.startswith("FAIL")]
    assert done.code == 2
    assert [line[:28] for line in failed] == ["FAIL configuration: CFG-002 "]
    assert "ok   Slack: " in done.out


async def test_a_source_that_wants_credentials_is_named(workspace: Workspace, tmp_path: Path) -> None:
    async with running_loki(fake_loki(auth_enabled=True)) as loki:
        bad = failed(await checked(tmp_path, {"LOKI_URL": loki, **slack(workspace)}))
        good = failed(
            await checked(tmp_path, slack(workspace), f'[[loki]]\nname = "lines"\nurl = "{loki}"\ntenant = "shop"')
        )

    assert bad.keys() == {"loki"}
    assert "401" in bad["loki"]
    assert good == {}


async def test_no_source_is_a_problem(workspace: Workspace, tmp_path: Path) -> None:
    assert failed(await checked(tmp_path, slack(workspace))).keys() == {"sources"}


@pytest.mark.parametrize("key", ["SLACK_BOT_TOKEN", "SLACK_APP_TOKEN"])
async def test_a_token_slack_does_not_know_is_named(workspace: Workspace, tmp_path: Path, key: str) -> None:
    bad = {**slack(workspace), key: ("xoxb-" if "BOT" in key else "xapp-") + "revoked"}
    async with running_loki() as loki:
        checks = await checked(tmp_path, {"LOKI_URL": loki, **bad})

    assert failed(checks).keys() == {"Slack"}
    assert key in checks["Slack"].health.remedy
    assert "revoked" not in str(checks)


async def test_slack_that_does_not_answer_is_named(tmp_path: Path) -> None:
    environ = {
        "GROUNDWIRE_SLACK_API_URL": f"{NOWHERE}/api/",
        "SLACK_BOT_TOKEN": "xoxb-1",
        "SLACK_SIGNING_SECRET": "s",
    }

    assert "SLK-006" in failed(await checked(tmp_path, environ))["Slack"]


async def test_a_repository_that_is_none_is_named(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    async with running_loki() as loki:
        toml = f'[[git]]\npath = "{tmp_path / "empty"}"\nservice = "cart"\n'
        bad = failed(await checked(tmp_path, {"LOKI_URL": loki, **slack(workspace)}, toml))

    assert bad.keys() == {"changes from git"}


async def test_a_deploy_query_nobody_understands_is_named(workspace: Workspace, tmp_path: Path) -> None:
    async with running_loki() as loki:
        toml = f'[[loki]]\nname = "lines"\nurl = "{loki}"\ndeploy_query = "{{"\n'
        bad = failed(await checked(tmp_path, slack(workspace), toml))

    assert bad.keys() == {"changes from lines"}


async def database(home: Path) -> Path:
    """The file a first start leaves behind."""
    store = SqlStore(database_url(home))
    await store.open()
    await store.close()
    return home / "groundwire.db"


async def test_a_database_of_a_newer_version_is_named_and_left_alone(workspace: Workspace, tmp_path: Path) -> None:
    file = await database(tmp_path)
    with sqlite3.connect(file) as connection:
        connection.execute("INSERT INTO schema_version VALUES (99)")
    connection.close()
    before = file.read_bytes()

    checks = await checked(tmp_path, slack(workspace))

    assert failed(checks)["database"].startswith("STO-001 ")
    assert file.read_bytes() == before


async def test_a_file_that_is_no_database_is_named(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "groundwire.db").write_text("not a database, but long enough to be taken for a page of one" * 100)

    assert failed(await checked(tmp_path, slack(workspace)))["database"].startswith("STO-002 ")


async def test_a_home_that_cannot_be_made_is_named(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    environ = {"GROUNDWIRE_HOME": str(tmp_path / "file" / "home"), **slack(workspace)}

    found = await examine(read_settings(environ, working_directory=tmp_path), environ)

    assert [c.health.detail[:8] for c in found if c.name == "database"] == ["STO-006 "]


def git(*arguments: str) -> None:
    subprocess.run(["git", *arguments], check=True, capture_output=True)


async def test_a_database_in_use_and_a_repository_with_commits_are_well(workspace: Workspace, tmp_path: Path) -> None:
    git("init", "-q", str(tmp_path / "cart"))
    store = SqlStore(database_url(tmp_path))
    await store.open()
    async with running_loki() as loki:
        toml = f'[[git]]\npath = "{tmp_path / "cart"}"\nservice = "cart"\n'
        checks = await checked(tmp_path, {"LOKI_URL": loki, **slack(workspace)}, toml)
    await store.close()

    assert failed(checks) == {}
    assert checks["database"].health.detail.endswith("schema 1")


async def test_a_source_that_never_answers_is_given_up(workspace: Workspace, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        settings = read_settings(
            {
                "GROUNDWIRE_HOME": str(tmp_path),
                "LOKI_URL": f"http://127.0.0.1:{deaf.getsockname()[1]}",
                **slack(workspace),
            },
            working_directory=tmp_path,
        )
        found = await examine(settings, {}, timeout_s=0.3)

    (loki,) = [check for check in found if check.name == "loki"]
    assert not loki.health.ok
    assert loki.health.remedy
