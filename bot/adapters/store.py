"""What Groundwire remembers, in SQL: one implementation for SQLite and database servers."""

import asyncio
import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, Select, Table, select
from sqlalchemy.dialects import postgresql, sqlite

from bot.adapters.database import BUSY_TIMEOUT_MS, open_database, store_errors
from bot.adapters.migrations import migrate, version_of
from bot.adapters.tables import DECISIONS, EVIDENCE, FEEDBACK, INVESTIGATIONS, REPORTS, SUGGESTIONS
from bot.domain.codec import from_json, to_json
from bot.domain.evidence import Evidence
from bot.domain.question import Thread
from bot.domain.report import Report
from bot.domain.suggestion import Decision, Suggestion
from bot.errors import StoreError
from bot.ports import Health, Investigation

T = TypeVar("T")
Row = dict[str, object]

_FROM_PEOPLE = "slack"  # where people click today
_READERS = 4  # reads take well under a millisecond; more threads only wait for each other


class SqlStore:
    """The Store port on a database URL.

    Writes go one after the other through one thread (SQLite has one writer; a queue of ours is fairer than its lock),
    reads run beside them. Several processes may open the same database.
    """

    def __init__(self, url: str, *, busy_timeout_ms: int = BUSY_TIMEOUT_MS) -> None:
        self._url = url
        self._busy_timeout_ms = busy_timeout_ms
        self._engine: Engine | None = None
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="store-writer")
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix="store-reader")

    async def open(self) -> None:
        await self._run(self._writer, self._open)

    async def close(self) -> None:
        if self._engine is not None:
            await self._run(self._writer, self._engine.dispose)
            self._engine = None
        self._writer.shutdown(wait=False)
        self._readers.shutdown(wait=False)

    async def health(self) -> Health:
        try:
            version = await self._read(version_of)
        except StoreError as error:
            return Health(ok=False, detail=f"{error.code} {error.message}", remedy=error.remedy)
        dialect = self._opened.dialect
        server = ".".join(str(part) for part in dialect.server_version_info or ())
        return Health(ok=True, detail=f"{dialect.name} {server}, schema {version}")

    async def save_investigation(self, investigation: Investigation) -> None:
        question, thread = investigation.question, investigation.thread
        row: Row = {
            "key": investigation.key,
            "team_id": question.team_id,
            "source": question.origin.value,
            "state": investigation.state,
            "channel_id": thread.channel_id if thread else None,
            "thread_ts": thread.ts if thread else None,
            "asked_at_s": question.asked_at_s,
            "body": _written(investigation),
        }
        await self._write(partial(_upsert, INVESTIGATIONS, [row]))

    async def investigation(self, key: str) -> Investigation | None:
        return await self._one(Investigation, select(INVESTIGATIONS.c.body).where(INVESTIGATIONS.c.key == key))

    async def investigation_in(self, team_id: str, thread: Thread) -> Investigation | None:
        table = INVESTIGATIONS.c
        told_here = (table.team_id == team_id, table.channel_id == thread.channel_id, table.thread_ts == thread.ts)
        newest_first = select(table.body).where(*told_here).order_by(table.asked_at_s.desc()).limit(1)
        return await self._one(Investigation, newest_first)

    async def running(self, team_id: str) -> tuple[Investigation, ...]:
        table = INVESTIGATIONS.c
        query = select(table.body).where(table.team_id == team_id, table.state == "running").order_by(table.asked_at_s)
        return await self._all(Investigation, query)

    async def save_evidence(self, team_id: str, thread_key: str, evidence: Sequence[Evidence]) -> None:
        rows: list[Row] = [
            {
                "team_id": team_id,
                "thread_key": thread_key,
                "number": _number(piece),
                "source": piece.source,
                "body": _written(piece),
            }
            for piece in evidence
        ]
        if rows:
            await self._write(partial(_upsert, EVIDENCE, rows))

    async def evidence(self, team_id: str, thread_key: str) -> tuple[Evidence, ...]:
        table = EVIDENCE.c
        of_thread = (table.team_id == team_id, table.thread_key == thread_key)
        return await self._all(Evidence, select(table.body).where(*of_thread).order_by(table.number))

    async def save_report(self, team_id: str, report: Report) -> None:
        origin: Row = {
            "team_id": team_id,
            "source": report.usage.model or "rules",
            "investigation": report.investigation,
        }
        suggestions: list[Row] = [{**origin, "id": s.id, "body": _written(s)} for s in report.suggestions]

        def save(connection: Connection) -> None:
            _upsert(REPORTS, [{**origin, "body": _written(report)}], connection)
            if suggestions:
                _upsert(SUGGESTIONS, suggestions, connection)

        await self._write(save)

    async def report(self, investigation: str) -> Report | None:
        return await self._one(Report, select(REPORTS.c.body).where(REPORTS.c.investigation == investigation))

    async def suggestion(self, suggestion_id: str) -> tuple[Suggestion, str] | None:
        query = select(SUGGESTIONS.c.body, SUGGESTIONS.c.investigation).where(SUGGESTIONS.c.id == suggestion_id)
        row = await self._read(lambda connection: connection.execute(query).one_or_none())
        return None if row is None else (_noun(Suggestion, row.body), row.investigation)

    async def decide(self, team_id: str, decision: Decision) -> Decision:
        row: Row = {
            "suggestion_id": decision.suggestion_id,
            "team_id": team_id,
            "source": _FROM_PEOPLE,
            "decided_at_s": decision.decided_at_s,
            "body": _written(decision),
        }

        def compare_and_set(connection: Connection) -> str:
            # The key is the suggestion: of all who insert at once the database lets one through.
            connection.execute(_insert_into(DECISIONS, connection).on_conflict_do_nothing(), row)
            return str(connection.execute(_standing(decision.suggestion_id)).scalar_one())

        return _noun(Decision, await self._write(compare_and_set))

    async def decision(self, suggestion_id: str) -> Decision | None:
        return await self._one(Decision, _standing(suggestion_id))

    async def save_feedback(self, team_id: str, investigation: str, user_id: str, helpful: bool, at_s: float) -> None:
        row: Row = {
            "team_id": team_id,
            "investigation": investigation,
            "user_id": user_id,
            "source": _FROM_PEOPLE,
            "helpful": helpful,
            "at_s": at_s,
        }
        await self._write(partial(_upsert, FEEDBACK, [row]))

    def _open(self) -> None:
        engine = open_database(self._url, busy_timeout_ms=self._busy_timeout_ms)
        try:
            with engine.begin() as connection:
                migrate(connection)
        except BaseException:
            engine.dispose()
            raise
        self._engine = engine

    @property
    def _opened(self) -> Engine:
        if self._engine is None:
            raise RuntimeError("the store is used before it is opened")
        return self._engine

    async def _write(self, change: Callable[[Connection], T]) -> T:
        def run() -> T:
            with self._opened.begin() as connection:
                return change(connection)

        return await self._run(self._writer, run)

    async def _read(self, look: Callable[[Connection], T]) -> T:
        def run() -> T:
            with self._opened.connect() as connection:
                return look(connection)

        return await self._run(self._readers, run)

    async def _one(self, kind: type[T], query: Select[tuple[str]]) -> T | None:
        body = await self._read(lambda connection: connection.scalar(query))
        return None if body is None else _noun(kind, body)

    async def _all(self, kind: type[T], query: Select[tuple[str]]) -> tuple[T, ...]:
        def read(connection: Connection) -> tuple[T, ...]:
            return tuple(_noun(kind, body) for body in connection.scalars(query))

        return await self._read(read)

    async def _run(self, threads: ThreadPoolExecutor, work: Callable[[], T]) -> T:
        with store_errors():
            return await asyncio.get_running_loop().run_in_executor(threads, work)


def _upsert(table: Table, rows: list[Row], connection: Connection) -> None:
    insert = _insert_into(table, connection)
    new = {column.name: insert.excluded[column.name] for column in table.columns if not column.primary_key}
    connection.execute(insert.on_conflict_do_update(index_elements=list(table.primary_key), set_=new), rows)


def _insert_into(table: Table, connection: Connection) -> "sqlite.Insert | postgresql.Insert":
    if connection.dialect.name == "postgresql":
        return postgresql.insert(table)
    return sqlite.insert(table)


def _standing(suggestion_id: str) -> Select[tuple[str]]:
    return select(DECISIONS.c.body).where(DECISIONS.c.suggestion_id == suggestion_id)


def _number(evidence: Evidence) -> int:
    return int(evidence.id.removeprefix("E"))


def _written(noun: object) -> str:
    # ASCII with escapes: half a surrogate pair, which a log line may well hold, cannot be written any other way.
    return json.dumps(to_json(noun), separators=(",", ":"))


def _noun(kind: type[T], body: Any) -> T:
    return from_json(kind, json.loads(body))
