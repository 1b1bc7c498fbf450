"""The command line itself: what it offers, how it fails, and that asking for help is quick."""

import subprocess
import sys
from pathlib import Path

import pytest

from bot.__main__ import main
from tests.cli.command import ROOT, groundwire

HEAVY = ("numpy", "aiohttp", "dbos", "slack_bolt", "slack_sdk", "prometheus_api_client", "sqlalchemy", "cattrs", "re2")


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])

    shown = capsys.readouterr().out
    assert ended.value.code == 0
    for command in ("run", "ask", "demo", "doctor"):
        assert f"\n    {command} " in shown


def test_nothing_asked_for_is_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0

    assert "usage: groundwire" in capsys.readouterr().out


def test_help_imports_nothing_heavy() -> None:
    script = (
        "import sys\nfrom bot.__main__ import main\ntry:\n main(['--help'])\nexcept SystemExit:\n pass\n"
        f"print('heavy:', sorted(set({HEAVY!r}) & set(sys.modules)))"
    )

    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True, timeout=30
    )

    assert done.stdout.endswith("heavy: []\n")


@pytest.mark.parametrize("arguments", [["fly"], ["ask"], ["demo", "--seed", "x"], ["run", "--port", "1"]])
def test_what_is_no_command_line_is_explained(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)

    assert ended.value.code == 2
    assert "usage: groundwire" in capsys.readouterr().err


@pytest.mark.parametrize("command", [("ask", "checkout is slow"), ("run",)])
async def test_a_broken_configuration_is_told_in_two_lines(tmp_path: Path, command: tuple[str, ...]) -> None:
    (tmp_path / "groundwire.toml").write_text("zone = 3")

    done = await groundwire(tmp_path, *command)

    assert (done.code, done.out) == (2, "")
    first, remedy = done.err.splitlines()
    assert first.startswith("CFG-002: ")
    assert "zone" in first
    assert remedy.startswith("  docs/configuration.md")
