"""Work that survives a crash, on dbos, in the same database as the store.

Every story runs as one generic dbos workflow whose id is the key, every step as a dbos step. dbos is imported when the
journal starts: the import takes half a second, and commands that need no journal should not wait for it.
"""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import structlog
from sqlalchemy import Engine

from bot.adapters.database import database_file, open_database, store_errors
from bot.adapters.lock import DirectoryLock
from bot.domain.codec import Json
from bot.errors import GroundwireError, StoreError
from bot.ports import Step, Story

if TYPE_CHECKING:
    from dbos import DBOSClient, DBOSConfig, EnqueueOptions, WorkflowStatus

T = TypeVar("T")

_APPLICATION = "groundwire"
_QUEUE = "stories"
_WORKFLOW = "story"

# Names the way stories take their steps. Work begun under another version is not taken up again, so it only changes when
# an old story cannot be gone on with; by default dbos derives it from source code and its own version.
_VERSION = "1"

# The one live process of this database. Unfinished work belongs to this name and is found again under it.
_EXECUTOR = "groundwire-1"

_MAX_RESTARTS = 3  # then a story is given up: one that kills the process each time must not do so for ever
_POLL_S = (
    0.1  # until accepted work begins; looking this often costs an idle bot about 3 % of a core (once a second: 1 %)
)
_BUSY_TIMEOUT_MS = 30_000  # dbos' own figure: its threads wait for the lock rather than fail
_THREADS = 16  # for dbos' checkpoints, each of about a millisecond
_ACCEPT_S = 2.5  # for work to be stored; Slack gives up after 3 s, and dbos would wait for a locked file for ever
_FINISH_S = 5.0  # for the steps being taken when the journal stops; this and the next two together stay below 10 s
_CANCEL_S = 1.0  # for stories to let go of what they hold
_DESTROY_S = 2.5  # for dbos' threads
_UNFINISHED = ("PENDING", "ENQUEUED", "DELAYED")

_log = structlog.get_logger(__name__)


class StoryFailed(Exception):
    """How a failed story is recorded; what happened is in the log."""


class DbosJournal:
    """The Journal port on a database URL.

    At most `at_once` stories run at a time, the others wait in the order they were accepted. A story takes its steps in
    the same order every time (steps side by side: begin them together, before waiting for anything), and a step's name
    occurs once in it. What a step raises is remembered like a result.

    dbos keeps its state in the process, so one journal runs at a time; `stop` takes that state down whole, and then
    another may start. `poll_s` is how often accepted work is looked for, `accept_s` how long storing it may take, `finish_s`
    how long `stop` lets the steps being taken go on.
    """

    _live: ClassVar["DbosJournal | None"] = None

    def __init__(
        self,
        url: str,
        *,
        at_once: int = 8,
        poll_s: float = _POLL_S,
        accept_s: float = _ACCEPT_S,
        finish_s: float = _FINISH_S,
    ) -> None:
        self._url = url
        self._at_once = at_once
        self._poll_s = poll_s
        self._accept_s = accept_s
        self._finish_s = finish_s
        self._stories: Mapping[str, Story] = {}
        self._tasks: dict[str, asyncio.Task[Any]] = {}
        self._steps_being_taken = 0
        self._no_step = asyncio.Event()
        self._stopping = False
        self._lock: DirectoryLock | None = None
        self._engine: Engine | None = None
        self._client: DBOSClient | None = None
        self._thread: ThreadPoolExecutor | None = None

    async def start(self, stories: Mapping[str, Story]) -> None:
        """Opens the journal and goes on with unfinished work.

        Raises:
            StoreError: the database cannot be used, or another bot runs on it.
        """
        if DbosJournal._live is not None:
            raise RuntimeError("one journal at a time: stop the running one first")
        file = database_file(self._url)
        if file is not None:
            self._lock = DirectoryLock(file.parent)
            self._lock.take()
        DbosJournal._live = self
        self._stories, self._stopping = dict(stories), False
        self._no_step.set()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="journal")
        try:
            self._client = await self._in_thread(self._connect)
            with store_errors():
                self._launch()  # here and not in the thread: stories run on the loop of the thread that launches dbos
        except BaseException:
            await self.stop()
            raise

    async def accept(self, key: str, story: str, payload: Json) -> bool:
        if story not in self._stories:
            raise ValueError(f"no story is called {story!r}")
        from dbos import error

        options: EnqueueOptions = {
            "workflow_name": _WORKFLOW,
            "queue_name": _QUEUE,
            "workflow_id": key,
            "workflow_id_reuse_policy": "reject",
            "app_version": _VERSION,
        }
        client = self._opened
        try:
            async with asyncio.timeout(self._accept_s):
                await self._in_thread(lambda: client.enqueue(options, story, payload))
        except error.DBOSWorkflowIDInUseError:
            return False
        except TimeoutError:
            raise StoreError(
                "STO-005",
                f"The database did not take new work within {self._accept_s:g} s.",
                "Close database tools that have the file open and ask again.",
            ) from None
        return True

    async def wait(self, key: str, *, timeout_s: float) -> None:
        pause_s = 0.02
        async with asyncio.timeout(timeout_s):
            while not await self._has_ended(key):
                await asyncio.sleep(pause_s)
                pause_s = min(pause_s * 1.5, 0.5)

    async def unfinished(self) -> tuple[str, ...]:
        client = self._opened
        found: list[WorkflowStatus] = await self._in_thread(
            lambda: client.list_workflows(status=list(_UNFINISHED), load_input=False, load_output=False)
        )
        return tuple(work.workflow_id for work in found)

    async def cancel(self, key: str) -> None:
        client = self._opened
        await self._in_thread(lambda: client.cancel_workflow(key))
        if task := self._tasks.get(key):
            task.cancel()  # dbos alone would notice only at the story's next step
            await asyncio.wait([task], timeout=_CANCEL_S)

    async def stop(self) -> None:
        """Begins nothing new, lets the steps being taken finish, then stops; below 10 s in all.

        Stories that have not ended go on at the next start.
        """
        if DbosJournal._live is not self:
            return
        self._stopping = True
        logging.getLogger("dbos").setLevel(logging.ERROR)  # it warns of every task that is cancelled below
        with suppress(TimeoutError):
            async with asyncio.timeout(self._finish_s):
                await self._no_step.wait()
        for task in self._tasks.values():
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks.values(), timeout=_CANCEL_S)
        await self._let_go()

    async def _has_ended(self, key: str) -> bool:
        client = self._opened
        found: list[WorkflowStatus] = await self._in_thread(
            lambda: client.list_workflows(workflow_ids=[key], load_input=False, load_output=False)
        )
        return bool(found) and found[0].status not in _UNFINISHED

    def _connect(self) -> "DBOSClient":
        from dbos import DBOS, DBOSClient

        from bot.adapters.journal_json import JsonSerializer

        _tame_logging()
        self._engine = open_database(self._url, busy_timeout_ms=_BUSY_TIMEOUT_MS)
        DBOS.migrate(self._url)
        client = DBOSClient(
            system_database_engine=self._engine, serializer=JsonSerializer(), application_name=_APPLICATION
        )
        # Before the launch: dbos notices a queue that comes later only after up to a second.
        client.register_queue(_QUEUE, worker_concurrency=self._at_once, polling_interval_sec=self._poll_s)
        return client

    def _launch(self) -> None:
        from dbos import DBOS

        from bot.adapters.journal_json import JsonSerializer

        config: DBOSConfig = {
            "name": _APPLICATION,
            "system_database_url": self._url,
            "system_database_engine": self._engine,
            "application_version": _VERSION,
            "executor_id": _EXECUTOR,
            "serializer": JsonSerializer(),
            "log_level": "WARNING",  # below that it advertises a paid service
            "max_executor_threads": _THREADS,
            # We wait for no notifications; the thread that looks for them only has to notice the end soon.
            "notification_listener_polling_interval_sec": 0.1,
        }
        DBOS(config=config)

        @DBOS.workflow(name=_WORKFLOW, max_recovery_attempts=_MAX_RESTARTS)
        async def run(story: str, payload: Json) -> None:
            await self._supervise(str(DBOS.workflow_id), story, payload)

        DBOS.launch()

    async def _supervise(self, key: str, story: str, payload: Json) -> None:
        """Runs one story; whatever it raises ends it and nothing else."""
        task = asyncio.current_task()
        if task is None or self._stopping:
            raise asyncio.CancelledError
        self._tasks[key] = task
        task.add_done_callback(lambda _: self._tasks.pop(key, None))
        with structlog.contextvars.bound_contextvars(investigation=key):
            try:
                await self._stories[story](payload, self._steps())
                _log.info("story ended", story=story)
            except asyncio.CancelledError:
                if task.cancelling():
                    raise
                # Nobody stopped this story: something inside it was cancelled, which would leave it open for ever.
                _log.exception("story failed", story=story)
                raise StoryFailed("cancelled from within") from None
            except Exception as error:
                _log.exception("story failed", story=story)
                await self._tell_failure(story, payload)
                raise StoryFailed(type(error).__name__) from error

    async def _tell_failure(self, story: str, payload: Json) -> None:
        """Runs the story that tells of the failure, where there is one; it may fail for the same reason."""
        telling = self._stories.get(f"{story} failed")
        if telling is None:
            return
        try:
            await telling(payload, self._steps())
        except GroundwireError:
            _log.exception("nobody could be told", story=story)

    def _steps(self) -> Step:
        """How one story takes its steps."""
        from dbos import DBOS

        names: set[str] = set()

        async def step(name: str, work: Callable[[], Awaitable[Json]]) -> Json:
            if name in names:
                raise ValueError(f"the step {name!r} occurs twice in one story")
            names.add(name)
            if self._stopping:
                await asyncio.Event().wait()  # until `stop` cancels the story

            async def take() -> Json:
                return json.loads(json.dumps(await work()))  # the same now as when it is read back

            self._steps_being_taken += 1
            self._no_step.clear()
            try:
                return await DBOS.run_step_async({"name": name}, take)
            finally:
                self._steps_being_taken -= 1
                if not self._steps_being_taken:
                    self._no_step.set()

        return step

    async def _let_go(self) -> None:
        from dbos import DBOS

        loop = asyncio.get_running_loop()
        try:
            destroyed = loop.run_in_executor(self._thread, lambda: DBOS.destroy(destroy_registry=True))
            await asyncio.wait_for(destroyed, _DESTROY_S)
        except TimeoutError:
            _log.warning("the journal's threads did not stop in time", timeout_s=_DESTROY_S)
        finally:
            loop.set_default_executor(ThreadPoolExecutor(thread_name_prefix="asyncio"))  # dbos had put its own there
            if self._thread:
                self._thread.shutdown(wait=False)
            if self._engine:
                self._engine.dispose()
            if self._lock:
                self._lock.release()
            self._client = self._engine = self._lock = self._thread = None
            DbosJournal._live = None

    @property
    def _opened(self) -> "DBOSClient":
        if self._client is None:
            raise RuntimeError("the journal is used before it is started")
        return self._client

    async def _in_thread(self, work: Callable[[], T]) -> T:
        with store_errors():
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)


class _NotTwice(logging.Filter):
    """Drops dbos' own report of a story's failure: the supervisor has logged it, with the story and the traceback."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not (record.exc_info and isinstance(record.exc_info[1], StoryFailed))


def _tame_logging() -> None:
    """Sends dbos' log lines through ours: it adds a handler that writes to the terminal unless it finds one."""
    logger = logging.getLogger("dbos")
    logger.setLevel(logging.WARNING)  # it names every one of its hundred migrations
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())
        logger.addFilter(_NotTwice())
