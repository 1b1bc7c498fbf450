"""One call to a Prometheus-compatible server as its worker thread knows it."""

import contextlib
import socket
import threading
import time
from collections.abc import Callable
from contextvars import ContextVar
from typing import TypeVar

T = TypeVar("T")


class Call:
    """One piece of work in a worker thread: its deadline, its limits, what the server said, and the way to cut it short."""

    def __init__(self, *, deadline_s: float, max_bytes: int) -> None:
        self.deadline_s = deadline_s  # on time.monotonic()
        self.max_bytes = max_bytes
        self.warnings: tuple[str, ...] = ()
        self.result_type = ""
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._aborted = False

    def run(self, work: Callable[[], T]) -> T:
        """Does the work as this call; connections it uses can be cut until it ends."""
        token = CURRENT.set(self)
        try:
            return work()
        finally:
            CURRENT.reset(token)
            with self._lock:
                self._socket = None  # the connection goes back to the pool and is no longer ours to cut

    def abort(self) -> None:
        """Cuts the connection: the worker wakes with an error nobody waits for, and the server can stop working."""
        with self._lock:
            self._aborted = True
            self._cut()

    def hold(self, connection: object) -> None:
        """Remembers the connection in use."""
        with self._lock:
            self._socket = connection if isinstance(connection, socket.socket) else None
            if self._aborted:
                self._cut()

    def remaining_s(self) -> float:
        return self.deadline_s - time.monotonic()

    def _cut(self) -> None:
        if self._socket is not None:
            with contextlib.suppress(OSError):  # closed by the other side already
                # The plain socket's shutdown: the TLS one would change state under the thread that reads.
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)


CURRENT: ContextVar[Call] = ContextVar("prometheus call")
