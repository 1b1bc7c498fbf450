"""`groundwire demo`: the whole way from a question to an approved suggestion, without keys."""

import time
from pathlib import Path

import pytest

from bot.__main__ import main
from bot.demo.shop.faults import FAULTS
from tests.cli.command import groundwire


async def test_the_demo_prints_a_thread_with_its_decision_soon(tmp_path: Path) -> None:
    began_s = time.monotonic()

    done = await groundwire(tmp_path, "demo", "--once")

    assert done.code == 0, done.err
    assert time.monotonic() - began_s < 60
    assert "Ana types: /debug " in done.out
    assert "an exhausted connection pool" in done.out
    assert "[E" in done.out
    assert "Approved by" in done.out


async def test_a_quiet_shop_can_be_asked_about_in_other_words(tmp_path: Path) -> None:
    done = await groundwire(
        tmp_path, "demo", "--once", "--fault", "none", "--topology", "4", "--ask", "anything wrong?"
    )

    assert done.code == 0, done.err
    assert "Ana types: /debug anything wrong?" in done.out
    assert "no model used" in done.out


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ("help", "Ask in plain words what is broken"),
        ("   ", "Ask in plain words what is broken"),
        ("changes 2h", " changes from "),
        ("checkout last 9999h", "The time window is longer than 7 days."),
        ("checkout last -5m", "“last -5m” is not a time."),
        ("service=zzz", "No service called “zzz” is known."),
    ],
)
async def test_what_starts_no_investigation_is_answered_at_once(tmp_path: Path, asked: str, told: str) -> None:
    began_s = time.monotonic()

    done = await groundwire(tmp_path, "demo", "--once", "--ask", asked)

    assert (done.code, done.err) == (0, "")
    assert told in " ".join(done.out.split())
    assert time.monotonic() - began_s < 30


def test_the_faults_can_be_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--fault", "list"]) == 0

    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == [*FAULTS, "none"]
    assert all(len(line.split()) > 2 for line in lines)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("--fault", "gremlins"), "ASK-002"),
        (("--topology", "castle"), "ASK-003"),
        (("--topology", "²"), "ASK-003"),
        (("--topology", "9" * 5000), "ASK-003"),
    ],
)
def test_what_the_demo_does_not_have_is_named(
    arguments: tuple[str, str], code: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["demo", *arguments]) == 2

    assert capsys.readouterr().err.startswith(f"{code}: ")
