"""The durable journal as an operator relies on it: killed for real, one per directory, plain text on disk."""

import asyncio
import contextlib
import logging
import pickle
import signal
import sqlite3
import subprocess
import sys
import time
from base64 import b64decode
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import structlog
from sqlalchemy import Engine, event

from bot.adapters.database import database_url
from bot.adapters.journal import DbosJournal
from bot.adapters.lock import DirectoryLock
from bot.adapters.store import SqlStore
from bot.domain.codec import Json
from bot.errors import StoreError
from bot.ports import Step

ROOT = Path(__file__).resolve().parents[3]
SOON_S = 5.0


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "groundwire"


@pytest.fixture
async def journal(home: Path) -> AsyncIterator[DbosJournal]:
    journal = DbosJournal(database_url(home), at_once=2, poll_s=0.02, finish_s=0.1)
    yield journal
    await journal.stop()


def run_story(home: Path, mode: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.bot.adapters.killed_story", str(home), mode],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )


def effects(home: Path) -> list[str]:
    file = home / "effects"
    return file.read_text().split() if file.exists() else []


def test_killed_in_a_step_the_story_goes_on_with_that_step_and_repeats_no_other(home: Path) -> None:
    with run_story(home, "hang") as first:
        deadline = time.monotonic() + 20
        while "once:b" not in effects(home):
            assert time.monotonic() < deadline
            assert first.poll() is None
            time.sleep(0.02)
        first.send_signal(signal.SIGKILL)

    with run_story(home, "go-on") as second:
        told, _ = second.communicate(timeout=20)

    assert second.returncode == 0
    assert told == "known\n"
    assert effects(home) == ["once:a", "once:b", "once:b", "once:c"]


def rows(home: Path, statement: str) -> list[tuple[object, ...]]:
    connection = sqlite3.connect(home / "groundwire.db")
    found = connection.execute(statement).fetchall()
    connection.close()
    return found


async def nothing(payload: Json, step: Step) -> None:
    async def look() -> Json:
        return {"seen": payload}

    await step("look", look)


async def test_the_engine_s_connections_write_through_to_the_disk(home: Path, journal: DbosJournal) -> None:
    seen: set[tuple[object, object]] = set()

    @event.listens_for(Engine, "checkout")
    def look(connection: sqlite3.Connection, *_: object) -> None:
        settings = [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")]
        seen.add((settings[0], settings[1]))

    try:
        await journal.start({"nothing": nothing})
        await journal.accept("k", "nothing", 1)
        await journal.wait("k", timeout_s=SOON_S)
    finally:
        event.remove(Engine, "checkout", look)

    assert seen == {("wal", 2)}  # 2 is FULL


async def test_what_is_stored_is_json_under_our_own_version_and_name(home: Path, journal: DbosJournal) -> None:
    await journal.start({"nothing": nothing})
    await journal.accept("k", "nothing", {"text": "words"})
    await journal.wait("k", timeout_s=SOON_S)

    named = rows(home, "SELECT serialization, application_version, executor_id, status FROM workflow_status")
    written = [str(value) for (value,) in rows(home, "SELECT output FROM operation_outputs")]
    written += [str(value) for (value,) in rows(home, "SELECT inputs FROM workflow_input")]

    assert named == [("groundwire_json", "1", "groundwire-1", "SUCCESS")]
    assert written[0] == '{"value": {"seen": {"text": "words"}}}'
    for text in written:
        with pytest.raises((pickle.UnpicklingError, ValueError)):
            pickle.loads(b64decode(text, validate=True))


async def test_the_text_of_an_unforeseen_error_is_not_stored(home: Path, journal: DbosJournal) -> None:
    async def story(payload: Json, step: Step) -> None:
        async def broken() -> Json:
            raise RuntimeError("password=hunter2hunter2")

        await step("broken", broken)

    await journal.start({"story": story})
    with structlog.testing.capture_logs() as logged:
        await journal.accept("k", "story", None)
        await journal.wait("k", timeout_s=SOON_S)
    await journal.stop()

    assert not any(b"hunter2" in content for content in _contents(home))
    assert [(line["event"], line["story"], line["log_level"]) for line in logged] == [
        ("story failed", "story", "error")
    ]


def _contents(home: Path) -> list[bytes]:
    return [file.read_bytes() for file in home.iterdir()]


async def test_a_failure_is_logged_once(journal: DbosJournal, caplog: pytest.LogCaptureFixture) -> None:
    async def story(payload: Json, step: Step) -> None:
        raise RuntimeError("a mistake of ours")

    await journal.start({"story": story})
    with caplog.at_level(logging.WARNING), structlog.testing.capture_logs() as logged:
        await journal.accept("k", "story", None)
        await journal.wait("k", timeout_s=SOON_S)

    assert [line["event"] for line in logged] == ["story failed"]
    assert [record.getMessage() for record in caplog.records] == []


async def test_no_more_stories_run_at_once_than_allowed(journal: DbosJournal) -> None:
    running: set[str] = set()
    most = 0
    two = asyncio.Barrier(2)

    async def story(payload: Json, step: Step) -> None:
        nonlocal most
        running.add(payload)
        most = max(most, len(running))
        async with two:  # only ever passed by two together
            running.discard(payload)

    await journal.start({"story": story})
    for n in range(4):
        await journal.accept(f"k{n}", "story", str(n))
    for n in range(4):
        await journal.wait(f"k{n}", timeout_s=SOON_S)

    assert most == 2


async def test_a_second_bot_on_the_same_directory_is_refused(home: Path, journal: DbosJournal) -> None:
    other = DirectoryLock(home)
    other.take()

    with pytest.raises(StoreError) as refused:
        await journal.start({})

    assert refused.value.code == "STO-007"
    assert "another directory" in refused.value.remedy
    other.release()
    await journal.start({})


async def test_a_locked_file_refuses_new_work_in_time_and_loses_none(home: Path) -> None:
    journal = DbosJournal(database_url(home), poll_s=0.02, accept_s=0.2)
    await journal.start({"nothing": nothing})
    holder = sqlite3.connect(home / "groundwire.db", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")

    with pytest.raises(StoreError) as refused:
        await journal.accept("k", "nothing", 1)
    holder.close()
    await journal.accept("k", "nothing", 1)
    await journal.wait("k", timeout_s=SOON_S)

    assert refused.value.code == "STO-005"
    assert rows(home, "SELECT workflow_uuid, status FROM workflow_status") == [("k", "SUCCESS")]
    await journal.stop()


async def test_a_story_that_never_survives_is_given_up_after_three_restarts(home: Path) -> None:
    began = asyncio.Event()
    starts: list[int] = []

    async def story(payload: Json, step: Step) -> None:
        starts.append(1)
        began.set()
        await asyncio.Event().wait()

    for restart in range(5):
        journal = DbosJournal(database_url(home), poll_s=0.02, finish_s=0)
        await journal.start({"story": story})
        if not restart:
            await journal.accept("k", "story", None)
        if restart < 4:
            await asyncio.wait_for(began.wait(), SOON_S)
            began.clear()
        else:
            await journal.wait("k", timeout_s=SOON_S)
            assert await journal.unfinished() == ()
        await journal.stop()

    assert len(starts) == 4


async def test_a_command_reads_the_store_beside_a_running_bot(home: Path, journal: DbosJournal) -> None:
    await journal.start({"nothing": nothing})

    store = SqlStore(database_url(home))
    await store.open()

    assert (await store.health()).ok
    await store.close()


async def test_a_file_that_is_no_database_is_refused_and_the_directory_let_go(home: Path, journal: DbosJournal) -> None:
    _write_garbage(home)

    with pytest.raises(StoreError) as refused:
        await journal.start({})

    assert refused.value.code == "STO-002"
    lock = DirectoryLock(home)
    lock.take()
    lock.release()


def _write_garbage(home: Path) -> None:
    home.mkdir()
    (home / "groundwire.db").write_bytes(b"no database" * 500)


async def test_two_journals_in_one_process_are_a_mistake(home: Path, journal: DbosJournal, tmp_path: Path) -> None:
    await journal.start({})

    with pytest.raises(RuntimeError, match="one journal at a time"):
        await DbosJournal(database_url(tmp_path / "other")).start({})


async def test_a_step_being_taken_finishes_before_the_journal_stops(home: Path) -> None:
    began, done = asyncio.Event(), asyncio.Event()
    after: list[str] = []

    async def story(payload: Json, step: Step) -> None:
        async def post() -> Json:
            began.set()
            await done.wait()
            return "posted"

        async def next_post() -> Json:
            after.append("posted more")
            return None

        await step("post", post)
        await step("next", next_post)

    journal = DbosJournal(database_url(home))
    await journal.start({"story": story})
    await journal.accept("k", "story", None)
    await asyncio.wait_for(began.wait(), SOON_S)

    stopping = asyncio.create_task(journal.stop())
    await asyncio.sleep(0)
    done.set()
    await stopping

    assert rows(home, "SELECT function_name, output FROM operation_outputs") == [("post", '{"value": "posted"}')]
    assert after == []


async def test_a_story_that_will_not_let_go_holds_the_stop_up_for_seconds_only(home: Path) -> None:
    began = asyncio.Event()
    released = asyncio.Event()

    async def story(payload: Json, step: Step) -> None:
        began.set()
        while not released.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await released.wait()

    journal = DbosJournal(database_url(home), finish_s=0)
    await journal.start({"story": story})
    await journal.accept("k", "story", None)
    await asyncio.wait_for(began.wait(), SOON_S)

    async with asyncio.timeout(SOON_S):
        await journal.stop()

    released.set()
    assert rows(home, "SELECT status FROM workflow_status") == [("PENDING",)]


async def test_threads_of_the_event_loop_still_work_after_a_stop(journal: DbosJournal) -> None:
    await journal.start({"nothing": nothing})
    await journal.accept("k", "nothing", 1)
    await journal.wait("k", timeout_s=SOON_S)
    await journal.stop()

    assert await asyncio.to_thread(lambda: "still works") == "still works"


async def test_a_journal_that_is_not_started_says_so(journal: DbosJournal) -> None:
    with pytest.raises(RuntimeError, match="before it is started"):
        await journal.unfinished()
