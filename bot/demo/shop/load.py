"""The shop's history for real servers: OpenMetrics text for promtool, push bodies for Loki, repositories for git."""

import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bot.demo.shop.family import Family, Row
from bot.demo.shop.history import Commit, mail
from bot.demo.shop.lines import Lines
from bot.demo.shop.shop import Shop
from bot.domain.logs import LogLine
from bot.domain.scope import Window

PUSH_ENTRIES = 5000  # a body; about 1 MB, far below what Loki takes at once


def openmetrics(shop: Shop, windows: Sequence[Window]) -> Iterator[str]:
    """The samples of the windows as text for `promtool tsdb create-blocks-from openmetrics`, ending in `# EOF`.

    Each item is one or more whole lines without the last line break. Overlapping windows give each sample once.
    """
    ticks = np.unique(np.concatenate([_ticks(shop, w) for w in windows])) if windows else np.array([], dtype=np.int64)
    for family in shop.families.values():
        rows = [(row, low) for low, high in _runs(ticks) for row in shop.samples(family, low, high)]
        if rows:
            yield f"# TYPE {_family_name(family)} {family.kind}\n# HELP {_family_name(family)} {family.help}"
            for row, first in sorted(rows, key=lambda r: _order(r[0])):
                yield _samples(row, first, shop.step_s)
    yield "# EOF"


def _ticks(shop: Shop, window: Window) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    first = int(np.ceil(window.start_s / shop.step_s))
    return np.arange(first, int(np.ceil(window.end_s / shop.step_s)), dtype=np.int64)


def _runs(ticks: np.ndarray[tuple[int, ...], np.dtype[np.int64]]) -> list[tuple[int, int]]:
    """Stretches of ticks without a gap, both ends included."""
    if not len(ticks):
        return []
    return [(int(run[0]), int(run[-1])) for run in np.split(ticks, np.flatnonzero(np.diff(ticks) != 1) + 1)]


def _family_name(family: Family) -> str:
    """OpenMetrics names a counter's family without `_total`."""
    return family.name.removesuffix("_total") if family.kind == "counter" else family.name


def _order(row: Row) -> tuple[str, list[tuple[str, str]]]:
    return row.name, sorted(row.labels.items())


def _samples(row: Row, first: int, step_s: int) -> str:
    labels = ",".join(f'{name}="{escaped(value)}"' for name, value in row.labels.items())
    head = f"{row.name}{{{labels}}}"
    places = np.flatnonzero(~np.isnan(row.values))
    pairs = zip(row.values[places].tolist(), ((places + first) * step_s).tolist(), strict=True)
    return "\n".join(f"{head} {value!r} {at_s}" for value, at_s in pairs)


def escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def loki_push_bodies(shop: Shop, window: Window) -> Iterator[dict[str, Any]]:
    """The lines of the window as JSON bodies for `/loki/api/v1/push`, oldest first, at most PUSH_ENTRIES lines each."""
    found = Lines(shop).of_streams(window.start_s, window.end_s)
    for start in range(0, len(found), PUSH_ENTRIES):
        yield {"streams": _streams(found[start : start + PUSH_ENTRIES])}


def _streams(lines: Sequence[LogLine]) -> list[dict[str, Any]]:
    streams: dict[tuple[tuple[str, str], ...], list[list[str]]] = {}
    for line in lines:
        streams.setdefault(tuple(sorted(line.labels.items())), []).append([str(line.ts_ns), line.line])
    return [{"stream": dict(key), "values": values} for key, values in streams.items()]


def write_git(shop: Shop, directory: Path) -> dict[str, Path]:
    """Writes one repository a service into the directory and gives its path by service.

    The commits have the hashes the simulated metrics and changes speak of. Raises CalledProcessError when git fails.
    """
    paths = {}
    for service, commits in shop.past.commits.items():
        path = paths[service] = directory / service
        path.mkdir(parents=True)
        _git(path, "init", "--quiet", "--initial-branch=main")
        seen = [c for c in commits if c.at_s <= shop.now_s]
        _git(path, "fast-import", "--quiet", feed=b"".join(_imported(c) for c in seen))
        _git(path, "reset", "--quiet", "--hard", "main")
    return paths


def _imported(commit: Commit) -> bytes:
    """One commit in the language of git fast-import: all files anew, as there are few."""
    who = f"{commit.author} <{mail(commit.author)}> {commit.at_s} +0000"
    message = f"{commit.message}\n".encode()
    head = f"commit refs/heads/main\nauthor {who}\ncommitter {who}\ndata {len(message)}\n".encode()
    files = b"".join(
        f"M 100644 inline {path}\ndata {len(text.encode())}\n{text}\n".encode() for path, text in commit.files.items()
    )
    return head + message + files + b"\n"


def _git(path: Path, *arguments: str, feed: bytes | None = None) -> None:
    subprocess.run(  # noqa: S603  # a fixed command; the paths are ours
        ["git", "-C", str(path), *arguments],  # noqa: S607  # git is looked up in PATH as everywhere
        input=feed,
        check=True,
        capture_output=True,
    )
