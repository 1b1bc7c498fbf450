"""The command `groundwire`: one file per command in bot/cli, imported only when it is asked for."""

import argparse
import importlib
import sys
from collections.abc import Sequence

from bot.errors import GroundwireError

_COMMANDS = {
    "run": "serve Slack: investigate what people ask",
    "ask": "investigate one question here and print the report",
    "demo": "watch the whole thing work on a simulated shop; no keys needed",
    "doctor": "check the configuration and reach every dependency",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; gives the exit code (0 well, 1 a problem was found, 2 it could not be done)."""
    parser = _parser()
    known = parser.parse_args(arguments)
    if known.command is None:
        parser.print_help()
        return 0
    command = importlib.import_module(f"bot.cli.{known.command}")
    try:
        code: int = command.run(known)
    except GroundwireError as error:
        print(f"{error.code}: {error.message}\n  {error.remedy}", file=sys.stderr)  # noqa: T201  # the command's own voice
        return 2
    except KeyboardInterrupt:
        return 130
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="groundwire",
        description="Finds out why production is broken, and proves what it says.",
        epilog="docs/ tells more: slack-setup.md to install it, configuration.md for every setting.",
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    added = {name: commands.add_parser(name, help=text, description=text) for name, text in _COMMANDS.items()}
    _ask_options(added["ask"])
    _demo_options(added["demo"])
    return parser


def _ask_options(ask: argparse.ArgumentParser) -> None:
    ask.add_argument("question", help='what is wrong, such as "checkout is slow since 14:00"')
    ask.add_argument("--json", action="store_true", help="print the report and its evidence as JSON")
    ask.add_argument("--save", metavar="DIR", help="also keep the incident in this directory, without secrets")


def _demo_options(demo: argparse.ArgumentParser) -> None:
    demo.add_argument("--once", action="store_true", help="ask once, print the thread and end")
    demo.add_argument("--fault", default="pool_exhaustion", help="what goes wrong in the shop, or `list`")
    demo.add_argument("--ask", metavar="QUESTION", help="the question; default: what a user of the shop would notice")
    demo.add_argument("--seed", type=int, default=1, help="the same number gives the same shop (default 1)")
    demo.add_argument("--topology", default="shop", help="`shop`, or a number that draws another one")


if __name__ == "__main__":
    sys.exit(main())
