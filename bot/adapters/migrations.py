"""How the tables came to be: numbered steps, forward only.

A step is plain SQL that SQLite and Postgres both understand, and it is never edited once released: files in the field
have run it. A change of a table is a new step at the end.
"""

from sqlalchemy import Connection, inspect, select, text

from bot.adapters.tables import SCHEMA_VERSION
from bot.errors import StoreError

_FIRST = (
    """CREATE TABLE investigations (
        key TEXT NOT NULL PRIMARY KEY, team_id TEXT NOT NULL, source TEXT NOT NULL, state TEXT NOT NULL,
        channel_id TEXT, thread_ts TEXT, asked_at_s DOUBLE PRECISION NOT NULL, body TEXT NOT NULL)""",
    "CREATE INDEX investigations_by_thread ON investigations (team_id, channel_id, thread_ts, asked_at_s)",
    "CREATE INDEX investigations_by_state ON investigations (team_id, state, asked_at_s)",
    """CREATE TABLE evidence (
        team_id TEXT NOT NULL, thread_key TEXT NOT NULL, number INTEGER NOT NULL, source TEXT NOT NULL,
        body TEXT NOT NULL, PRIMARY KEY (team_id, thread_key, number))""",
    """CREATE TABLE reports (
        investigation TEXT NOT NULL PRIMARY KEY, team_id TEXT NOT NULL, source TEXT NOT NULL, body TEXT NOT NULL)""",
    """CREATE TABLE suggestions (
        id TEXT NOT NULL PRIMARY KEY, team_id TEXT NOT NULL, source TEXT NOT NULL, investigation TEXT NOT NULL,
        body TEXT NOT NULL)""",
    """CREATE TABLE decisions (
        suggestion_id TEXT NOT NULL PRIMARY KEY, team_id TEXT NOT NULL, source TEXT NOT NULL,
        decided_at_s DOUBLE PRECISION NOT NULL, body TEXT NOT NULL)""",
    """CREATE TABLE feedback (
        team_id TEXT NOT NULL, investigation TEXT NOT NULL, user_id TEXT NOT NULL, source TEXT NOT NULL,
        helpful BOOLEAN NOT NULL, at_s DOUBLE PRECISION NOT NULL, PRIMARY KEY (team_id, investigation, user_id))""",
)

MIGRATIONS: tuple[tuple[str, ...], ...] = (_FIRST,)


def migrate(connection: Connection) -> int:
    """Runs the steps this database has not had, all in the caller's transaction; gives the version it now has.

    Raises:
        StoreError: the database was written by a newer version.
    """
    if connection.dialect.name == "sqlite":
        # The driver begins a transaction only before it writes rows; without this each CREATE would commit by itself.
        connection.execute(text("BEGIN IMMEDIATE"))
    found = known_version_of(connection)
    known = len(MIGRATIONS)
    if not found:
        connection.execute(text("CREATE TABLE IF NOT EXISTS schema_version (version INTEGER NOT NULL PRIMARY KEY)"))
    for version in range(found + 1, known + 1):
        for statement in MIGRATIONS[version - 1]:
            connection.execute(text(statement))
        connection.execute(SCHEMA_VERSION.insert().values(version=version))
    return known


def known_version_of(connection: Connection) -> int:
    """As `version_of`.

    Raises:
        StoreError: the database was written by a newer version.
    """
    found, known = version_of(connection), len(MIGRATIONS)
    if found > known:
        raise StoreError(
            "STO-001",
            f"The database has schema {found}, this version of Groundwire knows {known}.",
            "Run the newer version again, or restore the backup made before the upgrade.",
        )
    return found


def version_of(connection: Connection) -> int:
    """The schema version of the database, 0 for one without our tables."""
    if not inspect(connection).has_table(SCHEMA_VERSION.name):
        return 0
    newest = connection.scalar(select(SCHEMA_VERSION.c.version).order_by(SCHEMA_VERSION.c.version.desc()).limit(1))
    return newest or 0
