"""Where a backend is and how to introduce ourselves: address, tenant, credentials, certificates."""

import base64
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One server. `url` may carry a path prefix (`https://host/prometheus`), which is kept.

    `tenant` is sent as X-Scope-OrgID (Loki, Mimir, Thanos). `user` with `password` is basic authentication; `bearer_file`
    holds a token and is read again for every request, because tokens of workloads are rotated. `ca_file` is trusted instead
    of the system's authorities; `cert_file` with `key_file` is our side of mutual TLS. Printing it shows no secret.
    """

    url: str
    tenant: str = ""
    user: str = ""
    password: str = field(default="", repr=False)
    bearer_file: Path | None = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("an endpoint's url starts with http:// or https:// and names a host")
        if parts.username is not None or parts.query or parts.fragment:
            raise ValueError(
                "an endpoint's url holds no credentials, query or fragment: they have settings of their own"
            )
        object.__setattr__(self, "url", self.url.rstrip("/"))

    def address(self, path: str) -> str:
        """The whole address of a path such as `/api/v1/query`, the prefix included."""
        return self.url + path

    def request_headers(self) -> dict[str, str]:
        """Headers for one request: the configured ones, the tenant, the credentials as they are now.

        Raises:
            OSError: the bearer file cannot be read.
        """
        headers = dict(self.headers)
        if self.tenant:
            headers["X-Scope-OrgID"] = self.tenant
        if self.bearer_file is not None:
            headers["Authorization"] = f"Bearer {self.bearer_file.read_text(encoding='utf-8').strip()}"
        elif self.user or self.password:
            pair = f"{self.user}:{self.password}".encode()
            headers["Authorization"] = f"Basic {base64.b64encode(pair).decode('ascii')}"
        return headers

    def ssl_context(self) -> ssl.SSLContext | None:
        """What aiohttp's `ssl=` takes; None for plain http.

        Raises:
            OSError: a certificate file cannot be read or is not one (ssl.SSLError is an OSError).
        """
        if not self.url.startswith("https"):
            return None
        context = ssl.create_default_context(cafile=str(self.ca_file) if self.ca_file else None)
        if self.cert_file is not None:
            context.load_cert_chain(str(self.cert_file), str(self.key_file) if self.key_file else None)
        return context

    def requests_verify(self) -> bool | str:
        """What requests' `verify=` takes: the authority's file, or True for the system's."""
        return str(self.ca_file) if self.ca_file else True

    def requests_cert(self) -> str | tuple[str, str] | None:
        """What requests' `cert=` takes."""
        if self.cert_file is None:
            return None
        return (str(self.cert_file), str(self.key_file)) if self.key_file else str(self.cert_file)
