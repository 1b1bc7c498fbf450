"""The HTTP session `prometheus-api-client` works through: it adds what the library lacks.

One total deadline a call, POST bodies for queries, a cap on the answer's size, the server's warnings and its own words for
errors, credentials read afresh, no redirects, and connections that another thread can cut. Imported on first use only:
requests alone takes a tenth of a second and 10 MB.
"""

import json
import ssl
from collections.abc import Mapping
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError
from urllib3.util.retry import Retry

from bot.adapters import prometheus_errors as errors
from bot.adapters.endpoint import Endpoint
from bot.adapters.prometheus_call import CURRENT, Call
from bot.errors import GroundwireError

_BY_POST = ("/query", "/query_range", "/series", "/labels")  # what takes a form: long queries do not fit an address
_CONNECT_WITHIN_S = 5.0  # a host that swallows packets shows itself sooner than at the deadline of a long query
_PIECE_BYTES = 65536


class PrometheusSession(requests.Session):
    """A session for one endpoint. Every request runs inside a `Call` and gives a success or raises a SourceError."""

    def __init__(self, source: str, endpoint: Endpoint) -> None:
        super().__init__()
        self._source = source
        self._endpoint = endpoint
        self.verify = endpoint.requests_verify()
        self.cert = endpoint.requests_cert()
        self.auth = _as_is

    def request(self, method: str | bytes, url: str | bytes, *args: Any, **kwargs: Any) -> requests.Response:
        """The answer with its JSON already read. Only `params` of what the library passes is used.

        Raises:
            SourceUnavailable, QueryRefused: whatever went wrong.
        """
        call = CURRENT.get()
        address = url.decode() if isinstance(url, bytes) else url
        try:
            status, headers, body = self._exchange(call, address, kwargs.get("params") or {})
        except requests.Timeout as late:
            raise self._late(late) from late
        except (requests.RequestException, HTTPError) as failed:
            raise self._failed(failed) from failed
        except OSError as unreadable:
            raise errors.unusable_files(self._source, str(unreadable)) from unreadable
        return self._success(call, status, headers, body)

    def _exchange(self, call: Call, url: str, params: Mapping[str, Any]) -> tuple[int, Mapping[str, str], bytes]:
        headers = self._endpoint.request_headers()
        methods = ("POST", "GET") if url.endswith(_BY_POST) else ("GET",)
        for method in methods:
            left_s = max(0.001, call.remaining_s())
            response = super().request(
                method,
                url,
                data=params if method == "POST" else None,
                params=None if method == "POST" else params,
                headers=headers,
                verify=self.verify,  # said here, because REQUESTS_CA_BUNDLE would win over the session's
                timeout=(min(left_s, _CONNECT_WITHIN_S), left_s),
                allow_redirects=False,
                stream=True,
            )
            with response:
                body = self._body(call, response)
            if response.status_code != 405:  # a proxy in front may allow reading by GET alone
                break
        return response.status_code, response.headers, body

    def _body(self, call: Call, response: requests.Response) -> bytes:
        pieces: list[bytes] = []
        size = 0
        while piece := response.raw.read1(_PIECE_BYTES, decode_content=True):
            pieces.append(piece)
            size += len(piece)
            if size > call.max_bytes:
                raise errors.too_large(self._source, call.max_bytes)
            if call.remaining_s() <= 0:
                raise errors.timed_out(self._source, "the answer came too slowly")
        return b"".join(pieces)

    def _success(self, call: Call, status: int, headers: Mapping[str, str], body: bytes) -> "_Answer":
        if not 200 <= status < 300:
            raise errors.server_error(self._source, status, headers, body)
        try:
            envelope = json.loads(body)
        except (ValueError, RecursionError) as broken:
            raise errors.not_prometheus(self._source, "its answer is not JSON") from broken
        if not isinstance(envelope, dict) or "status" not in envelope:
            raise errors.not_prometheus(self._source, "its answer has no status")
        if envelope["status"] != "success":
            raise errors.server_error(self._source, 422, headers, body)
        envelope["data"] = envelope.get("data") or []  # some servers say null for nothing
        call.warnings += _warnings(envelope)
        call.result_type = _result_type(envelope)
        return _Answer(envelope)

    def _late(self, late: requests.Timeout) -> GroundwireError:
        if isinstance(late, requests.ConnectTimeout):
            return errors.unreachable(self._source, "no connection was accepted in time")
        return errors.timed_out(self._source, "nothing came")

    def _failed(self, failed: Exception) -> GroundwireError:
        cause = _root(failed)
        if isinstance(cause, ssl.SSLCertVerificationError):
            return errors.unusable_files(
                self._source, f"the server's certificate is not trusted, {cause.verify_message}"
            )
        if isinstance(cause, TimeoutError):
            return errors.timed_out(self._source, "nothing came")
        reason = getattr(cause, "strerror", None) or type(cause).__name__
        return errors.unreachable(self._source, str(reason))


class _Answer(requests.Response):
    """A success whose JSON was read once; the library asks for the status and the JSON alone."""

    def __init__(self, envelope: dict[str, Any]) -> None:
        super().__init__()
        self.status_code = 200
        self._envelope = envelope

    def json(self, **kwargs: Any) -> Any:
        return self._envelope


class CuttableAdapter(HTTPAdapter):
    """Sends requests over connections their `Call` knows; never repeats one by itself."""

    def __init__(self) -> None:
        super().__init__(max_retries=Retry(0, read=False))

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, proxy: str, **proxy_kwargs: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **proxy_kwargs)
        manager.pool_classes_by_scheme = _POOLS
        return manager


class _Connection(HTTPConnection):
    def connect(self) -> None:
        super().connect()
        CURRENT.get().hold(self.sock)

    def putrequest(self, *args: Any, **kwargs: Any) -> None:
        CURRENT.get().hold(self.sock)  # one from the pool is connected already
        super().putrequest(*args, **kwargs)


class _SecureConnection(HTTPSConnection):
    def connect(self) -> None:
        super().connect()
        CURRENT.get().hold(self.sock)

    def putrequest(self, *args: Any, **kwargs: Any) -> None:
        CURRENT.get().hold(self.sock)
        super().putrequest(*args, **kwargs)


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _SecureConnection


_POOLS: Any = {"http": _Pool, "https": _SecurePool}


def _as_is(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Keeps our credentials: without an auth of its own a session would take some from a .netrc file."""
    return request


def _warnings(envelope: Mapping[str, Any]) -> tuple[str, ...]:
    said = [*(envelope.get("warnings") or ()), *(envelope.get("infos") or ())]
    if envelope.get("isPartial") is True:  # VictoriaMetrics' way to say it
        said.append("partial answer: some of the storage did not respond")
    return tuple(str(text) for text in said)


def _result_type(envelope: Mapping[str, Any]) -> str:
    data = envelope["data"]
    return str(data.get("resultType", "")) if isinstance(data, dict) else ""


def _root(error: BaseException) -> BaseException:
    """The innermost cause, where the operating system or TLS says what happened."""
    reason = getattr(error, "reason", None)
    inner = error.__cause__ or error.__context__ or (reason if isinstance(reason, BaseException) else None)
    return _root(inner) if inner is not None else error
