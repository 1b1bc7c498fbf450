"""Calls to a Prometheus-compatible server that can be awaited, cancelled and repeated.

`prometheus-api-client` is synchronous, so each call runs in one of a few threads. Whoever waits is free at once when it is
cancelled or the time is over; the thread's connection is cut then, and what it still brings is dropped.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

from bot.adapters import prometheus_errors as errors
from bot.adapters.endpoint import Endpoint
from bot.adapters.prometheus_call import Call
from bot.adapters.refusals import Passing

T = TypeVar("T")

MOST_PARALLEL = 8  # the library's pool keeps 10 connections and throws away those above it (measured)
MAX_BYTES = 32_000_000  # 200,000 points are 5 MB; more than this is a query gone wrong
_ATTEMPTS = 3
_SHORTEST_RETRY_S = 0.3  # with less time left another attempt only hides what went wrong


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What a call gave: the part of the answer the library returns, its `resultType`, and the server's warnings."""

    data: Any
    result_type: str
    warnings: tuple[str, ...]


class Client:
    """The library and the session under it. Made on first use, in a worker thread: importing them takes a tenth of a second."""

    def __init__(self, source: str, endpoint: Endpoint) -> None:
        from prometheus_api_client import PrometheusConnect

        from bot.adapters.prometheus_session import CuttableAdapter, PrometheusSession

        self.session = PrometheusSession(source, endpoint)
        self.prometheus: Any = PrometheusConnect(url=endpoint.url, session=self.session, method="POST")
        self.session.mount(endpoint.url, CuttableAdapter())  # in place of the library's, which repeats in secret
        self._url = endpoint.url

    def read(self, path: str, parameters: Mapping[str, str] | None = None) -> Any:
        """The data of a part of the API the library does not know (alerts, rules, status)."""
        return self.session.request("GET", self._url + path, params=parameters).json()["data"]


class PrometheusApi:
    """One server. `source` is its name in errors; `max_parallel` above 8 is cut to 8."""

    def __init__(
        self, *, source: str, endpoint: Endpoint, max_parallel: int = MOST_PARALLEL, max_bytes: int = MAX_BYTES
    ) -> None:
        self.source = source
        self._endpoint = endpoint
        self._max_bytes = max_bytes
        self._threads = ThreadPoolExecutor(max(1, min(max_parallel, MOST_PARALLEL)), f"prometheus-{source}")
        self._client: Client | None = None
        self._connecting = threading.Lock()

    async def ask(self, work: Callable[[Client], Any], read: Callable[[Said], T], *, timeout_s: float) -> T:
        """`read` of what `work` brings, both done in a worker thread; passing failures are tried again within the time.

        Raises:
            SourceUnavailable, QueryRefused: nothing else, shapes of an answer nobody expects included.
        """
        import stamina  # late, to start fast

        deadline_s = time.monotonic() + timeout_s

        def again(failed: Exception) -> bool | float:
            if not isinstance(failed, Passing):
                return False
            wait_s = failed.retry_after_s
            if (wait_s or 0) + _SHORTEST_RETRY_S > deadline_s - time.monotonic():
                return False
            return True if wait_s is None else wait_s

        retries = stamina.retry_context(
            again, attempts=_ATTEMPTS, timeout=timeout_s, wait_initial=0.1, wait_max=1.0, wait_jitter=0.1
        )
        try:
            async with asyncio.timeout(timeout_s):
                async for attempt in retries:
                    with attempt:
                        return await self._attempt(work, read, deadline_s)
        except TimeoutError:
            raise errors.timed_out(self.source, f"{timeout_s:g} s") from None
        raise AssertionError("the last attempt returns or raises")

    def close(self) -> None:
        """Lets go of threads and connections; work that still runs ends by its own deadline."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        if self._client is not None:
            self._client.session.close()

    async def _attempt(self, work: Callable[[Client], Any], read: Callable[[Said], T], deadline_s: float) -> T:
        call = Call(deadline_s=deadline_s, max_bytes=self._max_bytes)
        running = asyncio.get_running_loop().run_in_executor(
            self._threads, call.run, lambda: self._answer(call, work, read)
        )
        try:
            return await running
        finally:
            if running.cancelled():
                call.abort()

    def _answer(self, call: Call, work: Callable[[Client], Any], read: Callable[[Said], T]) -> T:
        try:
            data = work(self._connected())
            return read(Said(data=data, result_type=call.result_type, warnings=call.warnings))
        except (LookupError, TypeError, AttributeError, ValueError, ArithmeticError) as unexpected:
            # The library and the readers take the documented shape for granted; a server may send anything.
            raise errors.not_prometheus(self.source, "its answer has an unknown shape") from unexpected

    def _connected(self) -> Client:
        with self._connecting:
            if self._client is None:
                self._client = Client(self.source, self._endpoint)
            return self._client
