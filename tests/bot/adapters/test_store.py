"""The SQL store as an operator meets it: one file, safe on disk, refused with a remedy when it cannot be used."""

import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import Connection, create_engine, inspect

from bot.adapters.database import database_url, open_database, store_error
from bot.adapters.migrations import MIGRATIONS
from bot.adapters.store import SqlStore
from bot.adapters.tables import METADATA
from bot.domain.suggestion import Decision, Verdict
from bot.errors import StoreError


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "groundwire"


async def opened(home: Path) -> SqlStore:
    store = SqlStore(database_url(home), busy_timeout_ms=50)
    await store.open()
    return store


async def refusal(home: Path) -> StoreError:
    with pytest.raises(StoreError) as refused:
        await opened(home)
    assert refused.value.remedy
    return refused.value


def put(home: Path, content: bytes, *, mode: int = 0o600) -> None:
    home.mkdir()
    (home / "groundwire.db").write_bytes(content)
    (home / "groundwire.db").chmod(mode)


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def sql(home: Path, statement: str) -> list[tuple[object, ...]]:
    connection = sqlite3.connect(home / "groundwire.db")
    with connection:
        rows = connection.execute(statement).fetchall()
    connection.close()
    return rows


async def test_the_file_is_for_groundwire_alone_and_survives_a_power_cut(home: Path) -> None:
    await (await opened(home)).close()

    engine = open_database(database_url(home))
    with engine.connect() as connection:
        settings = [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in ("journal_mode", "synchronous")]
        timeout_ms = connection.exec_driver_sql("PRAGMA busy_timeout").scalar()
    engine.dispose()

    assert settings == ["wal", 2]  # 2 is FULL
    assert timeout_ms == 5000
    assert mode(home / "groundwire.db") == 0o600
    assert mode(home) == 0o700


async def test_a_file_others_could_read_is_closed_to_them(home: Path) -> None:
    put(home, b"", mode=0o644)

    await (await opened(home)).close()

    assert mode(home / "groundwire.db") == 0o600


async def test_what_was_saved_is_there_after_a_restart(home: Path) -> None:
    made = Decision(suggestion_id="s", verdict=Verdict.APPROVED, decided_by="U", decided_at_s=1.0, content_hash="c")
    store = await opened(home)
    await store.decide("T1", made)
    await store.close()

    again = await opened(home)

    assert await again.decision("s") == made
    await again.close()


async def test_two_stores_may_have_the_same_file_open(home: Path) -> None:
    made = Decision(suggestion_id="s", verdict=Verdict.APPROVED, decided_by="U", decided_at_s=1.0, content_hash="c")
    bot, command = await opened(home), await opened(home)

    await bot.decide("T1", made)

    assert await command.decision("s") == made
    await bot.close()
    await command.close()


async def test_the_last_feedback_of_a_person_counts(home: Path) -> None:
    store = await opened(home)

    await store.save_feedback("T1", "inv:1", "U1", True, 1.0)
    await store.save_feedback("T1", "inv:1", "U1", False, 2.0)
    await store.close()

    assert sql(home, "SELECT team_id, user_id, source, helpful, at_s FROM feedback") == [("T1", "U1", "slack", 0, 2.0)]


async def test_a_newer_schema_is_refused_and_left_as_it_is(home: Path) -> None:
    await (await opened(home)).close()
    newer = len(MIGRATIONS) + 1
    sql(home, f"INSERT INTO schema_version VALUES ({newer})")

    refused = await refusal(home)

    assert refused.code == "STO-001"
    assert "newer version" in refused.remedy
    assert sql(home, "SELECT max(version) FROM schema_version") == [(newer,)]


async def test_a_file_that_is_no_database_is_refused_and_not_touched(home: Path) -> None:
    garbage = b"this is a letter, not a database" * 100
    put(home, garbage)

    refused = await refusal(home)

    assert refused.code == "STO-002"
    assert (home / "groundwire.db").read_bytes() == garbage


async def test_a_file_somebody_has_locked_is_refused(home: Path) -> None:
    await (await opened(home)).close()
    holder = sqlite3.connect(home / "groundwire.db", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")

    refused = await refusal(home)

    assert refused.code == "STO-005"
    holder.close()


async def test_a_home_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    assert (await refusal(tmp_path / "file" / "home")).code == "STO-006"


async def test_a_path_that_depends_on_where_the_bot_is_started_is_refused() -> None:
    store = SqlStore("sqlite:///groundwire.db")

    with pytest.raises(StoreError, match="not absolute"):
        await store.open()


async def test_health_says_what_is_wrong(home: Path) -> None:
    store = await opened(home)
    sql(home, "DROP TABLE schema_version")
    sql(home, "CREATE TABLE schema_version (something_else INTEGER)")

    health = await store.health()

    assert not health.ok
    assert health.remedy
    await store.close()


def test_a_full_disk_and_a_read_only_file_are_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "small.db"
    full = sqlite3.connect(path)
    full.execute("CREATE TABLE t (x)")
    full.execute("PRAGMA max_page_count = 3")
    with pytest.raises(sqlite3.Error) as no_space:
        full.execute("INSERT INTO t VALUES (zeroblob(100000))")
    full.close()
    reader = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    with pytest.raises(sqlite3.Error) as no_writing:
        reader.execute("INSERT INTO t VALUES (1)")
    reader.close()

    assert store_error(no_space.value).code == "STO-004"
    assert store_error(no_writing.value).code == "STO-003"


async def test_the_migrations_make_the_tables_the_queries_speak_of(home: Path) -> None:
    await (await opened(home)).close()
    declared = create_engine("sqlite://")
    METADATA.create_all(declared)

    made = create_engine(database_url(home))
    with declared.connect() as expected, made.connect() as actual:
        assert _shape(actual) == _shape(expected)
    made.dispose()
    declared.dispose()


def _shape(connection: Connection) -> dict[str, object]:
    seen = inspect(connection)
    return {
        table: (
            {
                (column["name"], column["nullable"], _affinity(str(column["type"])))
                for column in seen.get_columns(table)
            },
            seen.get_pk_constraint(table)["constrained_columns"],
            {(index["name"], tuple(index["column_names"])) for index in seen.get_indexes(table)},
        )
        for table in seen.get_table_names()
    }


def _affinity(declared: str) -> str:
    return "REAL" if declared in ("FLOAT", "DOUBLE PRECISION", "DOUBLE_PRECISION") else declared


async def test_every_row_says_its_team_and_its_source(home: Path) -> None:
    for table in METADATA.tables.values():
        if table.name != "schema_version":
            assert {"team_id", "source"} <= set(table.columns.keys())
