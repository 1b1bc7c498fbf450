"""`groundwire ask`: the same report without Slack."""

import json
import re
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import pytest_asyncio

from bot.demo.loki.server import fake_loki, running_loki
from bot.demo.shop.questions import question
from bot.domain.codec import from_json
from bot.domain.evidence import Evidence
from bot.domain.report import Report
from tests.cli.command import groundwire
from tests.cli.shop import Backends, shop_in_backends

NOWHERE = "http://127.0.0.1:9"  # the discard port: nothing listens there


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def backends() -> AsyncIterator[Backends]:
    async with shop_in_backends("pool_exhaustion") as running:
        yield running


@pytest.mark.asyncio(loop_scope="module")
async def test_a_question_gets_the_report_that_slack_would_show(backends: Backends, tmp_path: Path) -> None:
    asked = question(backends.shop, ZoneInfo("UTC"))
    began_s = time.time()

    done = await groundwire(tmp_path, "ask", asked, PROMETHEUS_URL=backends.prometheus, LOKI_URL=backends.loki)

    assert (done.code, done.err) == (0, "")
    truth = backends.shop.truth
    assert truth is not None
    assert f"{truth.services[0]}: {truth.fault.value}" in done.out
    assert "[E" in done.out
    assert "no model used" in done.out
    hours = {f"{datetime.fromtimestamp(at_s, UTC):%H:%M}" for at_s in (began_s, time.time())}
    assert done.out.splitlines()[0].split()[1] in hours
    assert not any(button in done.out for button in ("[Approve]", "[Reject]", "[Show E", "[Helpful]"))


@pytest.mark.asyncio(loop_scope="module")
async def test_changes_are_listed_as_in_slack(backends: Backends, tmp_path: Path) -> None:
    done = await groundwire(tmp_path, "ask", "changes 2h", PROMETHEUS_URL=backends.prometheus)

    assert (done.code, done.err) == (0, "")
    assert re.search(r"^\d+ changes from \d\d:\d\d to \d\d:\d\d", done.out, re.MULTILINE)


@pytest.mark.parametrize("asked", ["", "  ", "help", " HELP "])
async def test_help_is_given_without_any_configuration(tmp_path: Path, asked: str) -> None:
    done = await groundwire(tmp_path, "ask", asked)

    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("Ask in plain words what is broken")


@pytest.mark.parametrize("option", [("--json",), ("--save", "incident")])
async def test_what_has_no_report_is_neither_json_nor_saved(tmp_path: Path, option: tuple[str, ...]) -> None:
    done = await groundwire(tmp_path, "ask", "changes 2h", *option)

    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("ASK-001: ")


@pytest.mark.asyncio(loop_scope="module")
async def test_json_is_the_report_and_its_evidence_and_saved_files_are_the_same(
    backends: Backends, tmp_path: Path
) -> None:
    asked = f"{question(backends.shop, ZoneInfo('UTC'))} password=hunter2"
    incident = tmp_path / "deep" / "incident"

    done = await groundwire(
        tmp_path,
        *("ask", asked, "--json", "--save", str(incident)),
        PROMETHEUS_URL=backends.prometheus,
        LOKI_URL=backends.loki,
    )

    assert (done.code, done.err) == (0, "")
    told = json.loads(done.out)
    report = from_json(Report, told["report"])
    evidence = from_json(tuple[Evidence, ...], told["evidence"])
    assert report.cause is not None
    assert [e.id for e in evidence] == [f"E{n}" for n in range(1, len(evidence) + 1)]
    assert {e for f in report.findings for e in f.statement.evidence} <= {e.id for e in evidence}
    assert json.loads((incident / "report.json").read_text()) == told["report"]
    assert json.loads((incident / "evidence.json").read_text()) == told["evidence"]
    assert "hunter2" not in done.out + (incident / "report.json").read_text()


@pytest.mark.asyncio(loop_scope="module")
async def test_a_service_nobody_knows_is_named_with_those_that_are(backends: Backends, tmp_path: Path) -> None:
    done = await groundwire(tmp_path, "ask", "service=zzz", "--json", PROMETHEUS_URL=backends.prometheus)

    assert (done.code, done.out) == (2, "")
    assert "No service called “zzz” is known. Known: " in done.err
    assert "checkout" in done.err


@pytest.mark.asyncio(loop_scope="module")
async def test_a_place_that_cannot_be_written_to_is_named(backends: Backends, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    done = await groundwire(tmp_path, "ask", "frontend", "--save", str(tmp_path / "file"), LOKI_URL=backends.loki)

    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("CFG-016: ")


async def test_sources_that_are_all_down_make_a_report_of_gaps_and_a_problem(tmp_path: Path) -> None:
    async with running_loki(fake_loki(auth_enabled=True)) as loki:
        done = await groundwire(tmp_path, "ask", "checkout is slow", "--json", PROMETHEUS_URL=NOWHERE, LOKI_URL=loki)

    assert (done.code, done.err) == (1, "")
    report = from_json(Report, json.loads(done.out)["report"])
    assert report.cause is None
    gaps = {gap.what.split(":")[0]: gap for gap in report.gaps}
    assert gaps.keys() >= {"prometheus", "loki"}
    assert all(gap.why and gap.remedy for gap in gaps.values())


async def test_without_a_source_nothing_can_be_asked(tmp_path: Path) -> None:
    done = await groundwire(tmp_path, "ask", "checkout is slow")

    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("CFG-015: ")


async def test_a_window_that_cannot_be_is_explained(tmp_path: Path) -> None:
    done = await groundwire(tmp_path, "ask", "what happens since=9999h", PROMETHEUS_URL=NOWHERE)

    assert (done.code, done.out) == (2, "")
    assert "The time window is longer than 7 days." in done.err
