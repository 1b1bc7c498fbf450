"""Prometheus and Alertmanager programs from Debian's packages, unpacked without installing or starting anything.

A program on PATH is used as it is. Otherwise the package is fetched with `apt-get download` and unpacked with `dpkg -x`
into `.cache/debian/` of the repository, once for all test processes.
"""

import fcntl
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

CACHE = Path(__file__).resolve().parents[1] / ".cache" / "debian"

# The folder Debian's Alertmanager reads its notification templates from.
_TEMPLATES = b"/usr/share/prometheus/alertmanager"

_PACKAGES = {
    "prometheus": "prometheus",
    "promtool": "prometheus",
    "prometheus-alertmanager": "prometheus-alertmanager",
}


def program(name: str) -> Path:
    """The path of `prometheus`, `promtool` or `prometheus-alertmanager`; skips the test where it cannot be had, and says why."""
    found = shutil.which(name)
    if found:
        return Path(found)
    unpacked = CACHE / "usr" / "bin" / name
    with _locked():
        if not unpacked.exists():
            _unpack(_PACKAGES[name])
    return unpacked


def alertmanager_home() -> Path:
    """The directory Alertmanager is to run in, so that an unpacked one finds its templates."""
    unpacked = CACHE / _TEMPLATES.decode().lstrip("/")
    return unpacked if unpacked.exists() else Path.cwd()


@contextmanager
def _locked() -> Iterator[None]:
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _unpack(package: str) -> None:
    for tool in ("apt-get", "dpkg"):
        if not shutil.which(tool):
            pytest.skip(f"{package} is not installed and this machine has no {tool} to fetch it with")
    fetched = _fetch(package)
    if fetched.returncode and os.geteuid() == 0:
        _run("apt-get", "-qq", "update")  # a fresh container image knows no package yet
        fetched = _fetch(package)
    if fetched.returncode:
        pytest.skip(f"{package} is not installed and cannot be fetched: {fetched.stderr.strip()[-300:]}")
    for archive in CACHE.glob(f"{package}_*.deb"):
        unpacked = _run("dpkg", "-x", str(archive), str(CACHE))
        archive.unlink()
        if unpacked.returncode:
            pytest.skip(f"{package} cannot be unpacked: {unpacked.stderr.strip()[-300:]}")
    if package == "prometheus-alertmanager":
        _look_in_working_directory(CACHE / "usr" / "bin" / package)


def _look_in_working_directory(alertmanager: Path) -> None:
    """Lets the unpacked Alertmanager find its templates where it runs.

    Debian's build reads them from a fixed folder that exists only after an installation; the folder's name in our copy is
    overwritten by a relative one of the same length.
    """
    program_bytes = alertmanager.read_bytes()
    here = b"./" * (len(_TEMPLATES) // 2)
    alertmanager.write_bytes(re.sub(re.escape(_TEMPLATES) + rb"(?!/)", here, program_bytes))


def _fetch(package: str) -> subprocess.CompletedProcess[str]:
    return _run("apt-get", "-qq", "-o", "Acquire::http::Timeout=20", "download", package)


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=CACHE, capture_output=True, text=True, check=False, timeout=180)
