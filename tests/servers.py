"""Real Prometheus and Alertmanager processes for tests, each on its own free port of 127.0.0.1, gone when the test is."""

import re
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.debian import alertmanager_home, program

READY_WITHIN_S = 20.0  # measured 0.1 s on an idle machine; a shared one under load needs room

_LISTENING = re.compile(r'msg="?Listening on"? address=(127\.0\.0\.1:\d+)')


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A running server: its address and its process id."""

    url: str
    pid: int


@contextmanager
def running_prometheus(
    history: Iterable[str] = (), *, rules: str | None = None, alertmanager: str | None = None, scrape: str | None = None
) -> Iterator[Server]:
    """A Prometheus that holds `history`, gone at the end.

    `history` are OpenMetrics lines (`# TYPE name counter`, `name{labels} value unix_seconds`), one metric family after the
    other; a closing `# EOF` may be missing. `rules` is the YAML text of a rule file, evaluated every second; `alertmanager` and
    `scrape` are addresses (`http://127.0.0.1:1234`) alerts go to and metrics come from every second.
    """
    with tempfile.TemporaryDirectory(prefix="groundwire-prometheus-") as folder:
        home = Path(folder)
        _backfill(home, history)
        (home / "prometheus.yml").write_text(_prometheus_config(home, rules, alertmanager, scrape))
        command = [
            str(program("prometheus")),
            f"--config.file={home / 'prometheus.yml'}",
            f"--storage.tsdb.path={home / 'data'}",
            "--storage.tsdb.retention.time=3650d",  # shorter than the age of the data and its blocks vanish
            "--web.listen-address=127.0.0.1:0",
            "--enable-feature=native-histograms",
            "--rules.alert.resend-delay=1s",  # the first alert is older than the discovery of its Alertmanager (5 s)
        ]
        with _running(command, home / "prometheus.log", ready="/-/ready") as server:
            yield server


@contextmanager
def running_alertmanager(*, webhook: str | None = None) -> Iterator[Server]:
    """An Alertmanager that tells every alert to `webhook` within a second (or to nobody), gone at the end."""
    with tempfile.TemporaryDirectory(prefix="groundwire-alertmanager-") as folder:
        home = Path(folder)
        receiver = f"\n    webhook_configs: [{{url: '{webhook}', send_resolved: true}}]" if webhook else ""
        (home / "am.yml").write_text(
            "route: {receiver: test, group_by: ['...'], group_wait: 0s, group_interval: 1s, repeat_interval: 1h}\n"
            f"receivers:\n  - name: test{receiver}\n"
        )
        command = [
            str(program("prometheus-alertmanager")),
            f"--config.file={home / 'am.yml'}",
            f"--storage.path={home / 'data'}",
            "--web.listen-address=127.0.0.1:0",
            "--cluster.listen-address=",  # gossip would bind every address of the machine
        ]
        with _running(command, home / "alertmanager.log", ready="/-/ready", folder=alertmanager_home()) as server:
            yield server


def _backfill(home: Path, history: Iterable[str]) -> None:
    data = home / "data"
    data.mkdir()
    text = home / "history.om"
    with text.open("w") as file:
        lines = 0
        for line in history:
            if line != "# EOF":  # ours comes below
                file.write(line.rstrip("\n") + "\n")
                lines += 1
        file.write("# EOF\n")
    if lines:
        done = subprocess.run(
            [str(program("promtool")), "tsdb", "create-blocks-from", "openmetrics", str(text), str(data)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"promtool refused the history: {done.stdout[-500:]} {done.stderr[-500:]}"


def _prometheus_config(home: Path, rules: str | None, alertmanager: str | None, scrape: str | None) -> str:
    parts = ["global: {evaluation_interval: 1s, scrape_interval: 1s}"]
    if rules is not None:
        (home / "rules.yml").write_text(rules)
        parts.append(f"rule_files: ['{home / 'rules.yml'}']")
    if alertmanager is not None:
        targets = f"[{{targets: ['{_address(alertmanager)}']}}]"
        parts.append(f"alerting: {{alertmanagers: [{{static_configs: {targets}}}]}}")
    if scrape is not None:
        parts.append(f"scrape_configs: [{{job_name: test, static_configs: [{{targets: ['{_address(scrape)}']}}]}}]")
    return "\n".join(parts) + "\n"


def _address(url: str) -> str:
    return url.removeprefix("http://").rstrip("/")


@contextmanager
def _running(command: list[str], log: Path, *, ready: str, folder: Path | None = None) -> Iterator[Server]:
    with log.open("w") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, cwd=folder or log.parent
        )
    try:
        deadline = time.monotonic() + READY_WITHIN_S
        url = _listening_url(process, log, deadline)
        _wait_ready(url + ready, log, deadline)
        yield Server(url=url, pid=process.pid)
    finally:
        process.kill()
        process.wait()


def _listening_url(process: subprocess.Popen[bytes], log: Path, deadline: float) -> str:
    """The address the server chose by itself (port 0), read from its log: no port can be taken in between."""
    while time.monotonic() < deadline:
        found = _LISTENING.search(log.read_text())
        if found:
            return "http://" + found.group(1)
        assert process.poll() is None, f"the server ended at once: {log.read_text()[-1000:]}"
        time.sleep(0.02)
    raise AssertionError(f"the server never listened: {log.read_text()[-1000:]}")


def _wait_ready(url: str, log: Path, deadline: float) -> None:
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.02)
    raise AssertionError(f"the server never became ready: {log.read_text()[-1000:]}")
