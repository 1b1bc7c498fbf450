"""The one database of this installation: a SQLite file, opened so that a commit survives a power cut.

The store and the journal share it. A URL of another kind is opened as it is.
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Engine, create_engine, event, make_url
from sqlalchemy.exc import DBAPIError

from bot.errors import StoreError

FILE_NAME = "groundwire.db"

# Long enough to sit out any transaction of ours (the slowest measured took 1.6 s), short enough that a person who waits
# for an answer hears of a stuck lock.
BUSY_TIMEOUT_MS = 5000


def database_url(home: Path) -> str:
    """The URL of the database under Groundwire's home directory, as an absolute path."""
    return f"sqlite:///{(home.expanduser().absolute() / FILE_NAME)}"


def database_file(url: str) -> Path | None:
    """The SQLite file a URL names, None for a database server. Raises StoreError for a path that is not absolute."""
    parts = make_url(url)
    if parts.get_backend_name() != "sqlite":
        return None
    path = Path(parts.database or "")
    if not path.is_absolute():
        raise StoreError(
            "STO-006",
            f"The database path {str(path)!r} is not absolute.",
            "Set GROUNDWIRE_HOME to an absolute directory, so that every start finds the same file.",
        )
    return path


def open_database(url: str, *, busy_timeout_ms: int = BUSY_TIMEOUT_MS) -> Engine:
    """An engine on the database, which is created if need be: directory 0700, file 0600, write-ahead log.

    Raises:
        StoreError: the file cannot be used, with what to do about it.
    """
    path = database_file(url)
    if path is None:
        return create_engine(url)
    with store_errors():
        _prepare_file(path, busy_timeout_ms)
    engine = create_engine(url)

    @event.listens_for(engine, "connect")
    def set_up(connection: sqlite3.Connection, _: object) -> None:
        # Writers queue for the lock when they begin, not in the middle, where SQLite could only refuse them.
        connection.isolation_level = "IMMEDIATE"
        connection.execute(f"PRAGMA busy_timeout={busy_timeout_ms:d}")
        connection.execute("PRAGMA foreign_keys=ON")
        # FULL and not NORMAL: after a power cut NORMAL may forget the last commits, and with them a decision.
        connection.execute("PRAGMA synchronous=FULL")

    return engine


@contextmanager
def store_errors() -> Iterator[None]:
    """Turns what the driver and the file system raise into a StoreError with a remedy."""
    try:
        yield
    except DBAPIError as error:
        raise store_error(error.orig or error) from error
    except (sqlite3.Error, OSError) as error:
        raise store_error(error) from error


def store_error(error: BaseException) -> StoreError:
    """What a driver's or the system's error means for an operator."""
    if isinstance(error, sqlite3.Error):
        code, remedy = _SQLITE.get(getattr(error, "sqlite_errorcode", 0) & 0xFF, _OTHER)
    else:
        code, remedy = _CANNOT_OPEN if isinstance(error, OSError) else _OTHER
    return StoreError(code, f"The database cannot be used: {error}.", remedy)


_OTHER = ("STO-008", "See the log for the details; if it keeps happening, restore the last backup.")
_CANNOT_OPEN = ("STO-006", "Check that GROUNDWIRE_HOME is a directory Groundwire's user can write to.")
_DAMAGED = (
    "STO-002",
    "Move the file away and restore the last backup; without one, a new file is made at the next start.",
)
_LOCKED = ("STO-005", "Another program holds the file: close database tools that have it open and ask again.")

# SQLite's primary result codes (the lower byte of what the driver gives).
_SQLITE = {
    sqlite3.SQLITE_NOTADB: _DAMAGED,
    sqlite3.SQLITE_CORRUPT: _DAMAGED,
    sqlite3.SQLITE_READONLY: ("STO-003", "Give Groundwire's user write access to the file and its directory."),
    sqlite3.SQLITE_FULL: ("STO-004", "Free some space on the disk that holds GROUNDWIRE_HOME."),
    sqlite3.SQLITE_BUSY: _LOCKED,
    sqlite3.SQLITE_LOCKED: _LOCKED,
    sqlite3.SQLITE_CANTOPEN: _CANNOT_OPEN,
    sqlite3.SQLITE_PERM: _CANNOT_OPEN,
    sqlite3.SQLITE_IOERR: ("STO-009", "Check the disk that holds GROUNDWIRE_HOME: it failed to read or write."),
}


def _prepare_file(path: Path, busy_timeout_ms: int) -> None:
    from sqlite_utils import Database  # a third of a second to import, and only needed here

    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    if path.stat().st_mode & 0o077:
        path.chmod(0o600)
    connection = sqlite3.connect(path, timeout=busy_timeout_ms / 1000)
    try:
        Database(connection).enable_wal()
    finally:
        connection.close()
