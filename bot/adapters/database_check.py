"""Whether the database could be used, found out without creating, migrating or writing anything."""

import os
import sqlite3
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import create_engine

from bot.adapters.database import BUSY_TIMEOUT_MS, database_file, store_errors
from bot.adapters.migrations import known_version_of
from bot.errors import StoreError
from bot.ports import Health


def check_database(url: str, *, busy_timeout_ms: int = BUSY_TIMEOUT_MS) -> Health:
    """How the database is; one that is still to be made is well when its directory can be written to.

    Raises:
        StoreError: it cannot be used, with what to do about it.
    """
    path = database_file(url)
    if path is None:
        engine = create_engine(url)
    elif not path.exists():
        return _to_be_made(path)
    else:
        engine = create_engine("sqlite://", creator=lambda: _opened(path, busy_timeout_ms))
    try:
        with store_errors(), engine.connect() as connection:
            if path is not None:
                connection.exec_driver_sql("BEGIN IMMEDIATE")  # asks for the writer's lock; nothing is written
            version = known_version_of(connection)
            connection.rollback()
    finally:
        engine.dispose()
    return Health(ok=True, detail=f"{path or engine.dialect.name}, schema {version}")


def _opened(path: Path, busy_timeout_ms: int) -> sqlite3.Connection:
    # mode=rw: a file that is gone by now is not made again.
    connection = sqlite3.connect(f"file:{quote(str(path))}?mode=rw", uri=True, isolation_level=None)
    connection.execute(f"PRAGMA busy_timeout={busy_timeout_ms:d}")
    return connection


def _to_be_made(path: Path) -> Health:
    nearest = next(folder for folder in path.parents if folder.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        raise StoreError(
            "STO-006",
            f"{path} cannot be made: {nearest} is not a directory this user can write to.",
            "Check that GROUNDWIRE_HOME is a directory Groundwire's user can write to.",
        )
    return Health(ok=True, detail=f"{path} is made at the first start")
