"""Requests to a Loki server: at most a few at once, within a deadline, tried again where that is safe, read to a limit.

A task that is cancelled closes its connection: Loki notices and stops working on the query.
"""

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar
from urllib.parse import urlencode, urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
import structlog
from yarl import URL

from bot.adapters import loki_errors as errors
from bot.adapters.endpoint import Endpoint
from bot.adapters.refusals import NoSuchEndpoint, Passing
from bot.domain.codec import Json

T = TypeVar("T")

_log = structlog.get_logger(__name__)

MOST_PARALLEL = 4  # Loki splits each query by the hour: a few fill its queue, and more are told 429
MAX_BYTES = 32_000_000  # a page of 5,000 lines of 150 characters is below 1 MB
_API = "/loki/api/v1/"
_ATTEMPTS = 3
_SHORTEST_RETRY_S = 0.3  # with less time left another attempt only hides what went wrong
_CONNECT_WITHIN_S = 5.0  # a host that swallows packets shows itself sooner than at the deadline of a long query
_LONGEST_ADDRESS = 4000  # proxies take lines of 8 kB; longer parameters go into a form
_LARGE_BYTES = 2_000_000  # takes some 10 ms to read: done beside the event loop from here on
_MISSING_FOR_S = 3600.0  # a server may be upgraded while we run


class LokiApi:
    """One server. `source` is its name in errors. The session begins with the first request and ends with `close`."""

    def __init__(
        self, *, source: str, endpoint: Endpoint, max_parallel: int = MOST_PARALLEL, max_bytes: int = MAX_BYTES
    ) -> None:
        self.source = source
        self.max_bytes = max_bytes
        self._endpoint = endpoint
        self._slots = asyncio.Semaphore(max_parallel)
        self._session: aiohttp.ClientSession | None = None
        self._missing_until_s: dict[str, float] = {}

    async def ask(
        self, path: str, parameters: Mapping[str, str], read: Callable[[Json], T], *, feature: str, deadline_s: float
    ) -> T:
        """`read` of the answer's JSON; passing failures are tried again before `deadline_s` (on time.monotonic()).

        `feature` tells operators in Loki's own query log which part of us asked.

        Raises:
            SourceUnavailable, QueryRefused: nothing else, shapes of an answer nobody expects included.
        """
        import stamina  # late, to start fast

        timeout_s = deadline_s - time.monotonic()

        def again(failed: Exception) -> bool | float:
            if not isinstance(failed, Passing):
                return False
            wait_s = failed.retry_after_s
            if (wait_s or 0) + _SHORTEST_RETRY_S > deadline_s - time.monotonic():
                return False
            return True if wait_s is None else wait_s

        # Wide jitter: when a queue was full, all who were refused would otherwise come back together.
        retries = stamina.retry_context(
            again, attempts=_ATTEMPTS, timeout=max(timeout_s, 0.001), wait_initial=0.1, wait_max=1.0, wait_jitter=0.3
        )
        try:
            async with asyncio.timeout(timeout_s):
                async for attempt in retries:
                    with attempt:
                        async with self._slots:
                            body = await self._exchange(path, parameters, feature)
                        return await self._read(body, read)
        except TimeoutError:
            raise errors.timed_out(self.source, "the time for it was over") from None
        raise AssertionError("the last attempt returns or raises")

    async def ask_if_there(
        self, path: str, parameters: Mapping[str, str], read: Callable[[Json], T], *, feature: str, deadline_s: float
    ) -> T | None:
        """As `ask`, for a part of the API that some servers leave out: None there, remembered for an hour."""
        if time.monotonic() < self._missing_until_s.get(path, 0.0):
            return None
        try:
            return await self.ask(path, parameters, read, feature=feature, deadline_s=deadline_s)
        except NoSuchEndpoint:
            self._missing_until_s[path] = time.monotonic() + _MISSING_FOR_S
            return None

    async def close(self) -> None:
        """Lets go of the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _exchange(self, path: str, parameters: Mapping[str, str], feature: str) -> bytes:
        try:
            headers = {
                **self._endpoint.request_headers(),
                "X-Loki-Response-Encoding-Flags": "categorize-labels",
                "X-Query-Tags": f"Source=groundwire,Feature={feature}",
            }
            session = self._connected()
        except OSError as unusable:
            raise errors.unusable_files(self.source, str(unusable)) from unusable
        try:
            return await self._sent(session, path, parameters, headers)
        except aiohttp.ClientConnectorCertificateError as untrusted:
            reason = f"the server's certificate is not trusted, {untrusted.certificate_error}"
            raise errors.unusable_files(self.source, reason) from untrusted
        except (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError) as lost:
            raise errors.unreachable(self.source, _reason(lost)) from lost
        except (aiohttp.ClientError, ValueError) as odd:  # ValueError: a header or an address that cannot be sent
            raise errors.not_loki(self.source, f"{type(odd).__name__}: {odd}"[:300]) from odd

    async def _sent(
        self, session: aiohttp.ClientSession, path: str, parameters: Mapping[str, str], headers: Mapping[str, str]
    ) -> bytes:
        address = self._endpoint.address(_API + path)
        text = urlencode(parameters, errors="replace")
        if len(text) <= _LONGEST_ADDRESS:
            method, url, form = "GET", URL(f"{address}?{text}", encoded=True), None
        else:
            method, url, form = "POST", URL(address, encoded=True), text.encode()
            headers = {**headers, "Content-Type": "application/x-www-form-urlencoded"}
        async with session.request(
            method, url, data=form, headers=headers, proxy=_proxy_for(address), allow_redirects=False
        ) as response:
            body = await self._body(response)
            if response.status == 200:
                return body
            refused = errors.server_error(self.source, response.status, response.headers, body)
            if "parse error" in refused.message:  # our own mistake, or one in the configuration: keep what was sent
                _log.warning("loki cannot parse a query", query=parameters.get("query"), error=refused.message)
            raise refused

    async def _body(self, response: aiohttp.ClientResponse) -> bytes:
        pieces: list[bytes] = []
        size = 0
        async for piece in response.content.iter_any():
            size += len(piece)
            if size > self.max_bytes:
                response.close()
                raise errors.too_large(self.source, self.max_bytes)
            pieces.append(piece)
        return b"".join(pieces)

    async def _read(self, body: bytes, read: Callable[[Json], T]) -> T:
        def answer() -> T:
            try:
                return read(json.loads(body))
            except (LookupError, TypeError, AttributeError, ValueError, RecursionError) as odd:
                # The readers take the documented shape for granted; a server may send anything.
                raise errors.not_loki(self.source, "its answer has an unknown shape") from odd

        return await asyncio.to_thread(answer) if len(body) > _LARGE_BYTES else answer()

    def _connected(self) -> aiohttp.ClientSession:
        if self._session is None:
            context = self._endpoint.ssl_context()
            connector = aiohttp.TCPConnector(ssl=True if context is None else context)
            # The deadline is kept by `ask`; no .netrc, no cookies: only what was configured is sent.
            timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_WITHIN_S)
            self._session = aiohttp.ClientSession(
                connector=connector, timeout=timeout, cookie_jar=aiohttp.DummyCookieJar()
            )
        return self._session


def _proxy_for(address: str) -> str | None:
    """The proxy of the machine's settings, as other clients on it use: HTTPS_PROXY, HTTP_PROXY, NO_PROXY."""
    parts = urlsplit(address)
    proxy: Any = getproxies().get(parts.scheme)
    return proxy if proxy and not proxy_bypass(parts.hostname or "") else None


def _reason(lost: Exception) -> str:
    if isinstance(lost, aiohttp.ServerTimeoutError):
        return "no connection was accepted in time"
    inner = lost.os_error if isinstance(lost, aiohttp.ClientConnectorError) else lost
    return getattr(inner, "strerror", None) or str(inner) or type(inner).__name__
