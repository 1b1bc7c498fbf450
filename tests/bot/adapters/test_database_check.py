"""A look at the database that makes and changes nothing."""

import sqlite3
from pathlib import Path

import pytest

from bot.adapters.database import database_url
from bot.adapters.database_check import check_database
from bot.adapters.store import SqlStore
from bot.errors import StoreError


async def made(home: Path) -> Path:
    store = SqlStore(database_url(home))
    await store.open()
    await store.close()
    return home / "groundwire.db"


def contents(home: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in home.iterdir()}


def refused(home: Path) -> str:
    with pytest.raises(StoreError) as caught:
        check_database(database_url(home), busy_timeout_ms=20)
    assert caught.value.remedy
    return caught.value.code


def test_a_database_still_to_be_made_is_well_and_stays_so(tmp_path: Path) -> None:
    health = check_database(database_url(tmp_path / "new" / "home"))

    assert health.ok
    assert not (tmp_path / "new").exists()


async def test_a_database_is_looked_at_without_a_byte_changing(tmp_path: Path) -> None:
    file = await made(tmp_path)
    before = contents(tmp_path)

    health = check_database(database_url(tmp_path))

    assert (health.ok, health.detail) == (True, f"{file}, schema 1")
    assert contents(tmp_path) == before


async def test_a_database_that_somebody_writes_to_is_refused_in_time(tmp_path: Path) -> None:
    holder = sqlite3.connect(await made(tmp_path), isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    try:
        assert refused(tmp_path) == "STO-005"
    finally:
        holder.close()


def test_a_database_without_our_tables_has_no_schema_yet(tmp_path: Path) -> None:
    (tmp_path / "groundwire.db").touch()

    assert check_database(database_url(tmp_path)).detail.endswith("schema 0")


def test_a_directory_in_the_place_of_the_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "groundwire.db").mkdir()

    assert refused(tmp_path) == "STO-006"


def test_a_home_below_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    assert refused(tmp_path / "file" / "home") == "STO-006"


def test_a_path_with_characters_of_an_address_is_still_the_file(tmp_path: Path) -> None:
    home = tmp_path / "100% #home"
    home.mkdir()
    (home / "groundwire.db").touch()

    assert check_database(database_url(home)).detail == f"{home / 'groundwire.db'}, schema 0"
    assert [path.name for path in tmp_path.iterdir()] == [home.name]
