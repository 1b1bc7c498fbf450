"""Which tenant a request belongs to."""

import string

from bot.demo.loki.refusal import Refusal

# The tenant of everything when the server does not ask for one.
ONLY_TENANT = "fake"

_ALLOWED = frozenset(string.ascii_letters + string.digits + "!-_.*'()")
_LONGEST = 150


def tenant_of(header: str | None, *, auth_enabled: bool, writing: bool = False) -> str:
    """The tenant named by X-Scope-OrgID. Raises Refusal; the words differ between reading and writing."""
    if not auth_enabled:
        return ONLY_TENANT
    if not header:
        raise Refusal(401, "no org id\n")
    if "|" in header:
        raise Refusal(500, "multiple org IDs present")
    reason = _wrong(header)
    if reason:
        raise Refusal(400, f"{reason}\n" if writing else f"rpc error: code = Code(400) desc = {reason}")
    return header


def _wrong(tenant: str) -> str:
    for character in tenant:
        if character not in _ALLOWED:
            return f"tenant ID '{tenant}' contains unsupported character '{character}'"
    if len(tenant) > _LONGEST:
        return f"tenant ID is too long: max {_LONGEST} characters"
    return "tenant ID is '.' or '..'" if tenant in (".", "..") else ""
