"""Measure what a hundred similar log lines weigh as evidence, beside Loki's own answer that holds them.

    python -m benchmarks.evidence_tokens [--show]

The lines (155 characters, 9 labels) are pushed to the Loki fake over HTTP, read by the real Loki source and the looks at logs,
minted, and kept in a SQLite store; what is weighed is the text of its rows. A token is taken as 3.5 characters.
"""

import argparse
import asyncio
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import aiohttp

from bot.adapters.clock import SystemClock
from bot.adapters.database import database_url, open_database
from bot.adapters.endpoint import Endpoint
from bot.adapters.loki import LokiSource
from bot.adapters.store import SqlStore
from bot.demo.loki.server import fake_loki, running_loki
from bot.domain.scope import Scope, Window
from bot.workflows.discover import LogSurvey
from bot.workflows.logs import look_at_logs
from bot.workflows.looking import Lookout
from bot.workflows.minting import Mint

BAR_TOKENS = 600
PEER_TOKENS = 15_389  # HolmesGPT 0.45.0 for the same kind of answer, measured elsewhere; it is not run here
CHARACTERS_PER_TOKEN = 3.5
LINES, LINE_CHARACTERS = 100, 155
TEAM, THREAD = "T1", "inv:tokens"
LABELS = {
    "cluster": "prod-eu-1",
    "namespace": "shop",
    "app": "checkout",
    "service_name": "checkout",
    "container": "server",
    "pod": "checkout-6d5f9c7b8-x2x9k",
    "node": "ip-10-0-3-17",
    "stream": "stderr",
    "team": "payments",
}


def lines(window: Window) -> list[tuple[int, str]]:
    """The lines, spread evenly over the window (ns since 1970, text): one sentence, other values every time."""
    step_s = window.duration_s / LINES
    made = []
    for i in range(LINES):
        said = f"level=error component=gateway order={730_000 + 37 * i} attempt={i % 4 + 1} took={900 + 13 * i % 700:04}ms "
        said += f'trace={i * 2_654_435_761 % 2**48:012x} msg="payment provider timed out, card not charged'
        made.append((round((window.start_s + i * step_s) * 1e9), said.ljust(LINE_CHARACTERS - 1, ".") + '"'))
    return made


async def measure(*, show: bool) -> None:
    now_s = time.time() // 60 * 60
    scope = Scope(
        window=Window(start_s=now_s - 3600, end_s=now_s),
        baseline=Window(start_s=now_s - 3 * 3600, end_s=now_s - 3600),
        service="checkout",
    )
    said = lines(scope.window)
    assert {len(text) for _, text in said} == {LINE_CHARACTERS}
    async with running_loki(fake_loki()) as url:
        raw = await _push_and_ask(url, said, scope.window)
        stored = await _stored_evidence(url, scope)
    print(
        f"{LINES} lines of {LINE_CHARACTERS} characters with {len(LABELS)} labels; a token is {CHARACTERS_PER_TOKEN} characters"
    )
    _row("Loki's own answer, as it came", raw)
    print(f"{'the same as HolmesGPT 0.45.0 hands it on':45} {'':8} {PEER_TOKENS:7,} tokens (its figure, not run here)")
    for title, body in stored.items():
        _row(f"evidence: {title}", body)
    whole = "".join(stored.values())
    _row("stored evidence, all of it", whole)
    tokens = len(whole) / CHARACTERS_PER_TOKEN
    verdict = "within" if tokens <= BAR_TOKENS else "OVER"
    print(f"{verdict} the bar of {BAR_TOKENS} tokens; {PEER_TOKENS / tokens:.0f} times less than the peer's figure")
    if show:
        print(*stored.values(), sep="\n")


async def _push_and_ask(url: str, said: list[tuple[int, str]], window: Window) -> str:
    """Loki's answer to a plain query for the lines, after they were pushed."""
    values = [[str(ts_ns), text] for ts_ns, text in said]
    asked = {
        "query": '{service_name="checkout"}',
        "start": str(round((window.start_s - 60) * 1e9)),
        "end": str(round(window.end_s * 1e9)),
        "limit": str(LINES),
    }
    async with aiohttp.ClientSession(base_url=url) as session:
        body = {"streams": [{"stream": LABELS, "values": values}]}
        async with session.post("/loki/api/v1/push", json=body) as answer:
            answer.raise_for_status()
        async with session.get("/loki/api/v1/query_range", params=asked) as answer:
            answer.raise_for_status()
            return await answer.text()


async def _stored_evidence(url: str, scope: Scope) -> dict[str, str]:
    """The rows of the store by title, after the looks at logs."""
    source = LokiSource("loki", Endpoint(url=url), service_labels=("service_name",))
    survey = LogSurvey(source=source, labels=frozenset(LABELS), label="service_name", values=("checkout",))
    try:
        nobody: asyncio.Future[Sequence[str]] = asyncio.get_running_loop().create_future()
        nobody.set_result(())
        drafts = await look_at_logs((survey,), scope, Lookout(SystemClock(), deadline_s=30), nobody)
    finally:
        await source.close()
    mint = Mint()
    evidence = [mint(draft) for draft in drafts]
    with tempfile.TemporaryDirectory(prefix="groundwire-tokens-") as home:
        store = SqlStore(database_url(Path(home)))
        await store.open()
        await store.save_evidence(TEAM, THREAD, evidence)
        assert len(await store.evidence(TEAM, THREAD)) == len(evidence)
        await store.close()
        engine = open_database(database_url(Path(home)))
        with engine.connect() as connection:
            bodies = [str(row[0]) for row in connection.exec_driver_sql("SELECT body FROM evidence ORDER BY number")]
        engine.dispose()
    return {one.title: body for one, body in zip(evidence, bodies, strict=True)}


def _row(title: str, text: str) -> None:
    print(f"{title:45} {len(text):8,} characters {len(text) / CHARACTERS_PER_TOKEN:7,.0f} tokens")


def main() -> None:
    parser = argparse.ArgumentParser(description="What similar log lines weigh as stored evidence.")
    parser.add_argument("--show", action="store_true", help="print the stored evidence")
    asyncio.run(measure(show=parser.parse_args().show))


if __name__ == "__main__":
    main()
