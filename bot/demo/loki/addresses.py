"""Addresses in text, for LogQL's `ip("...")`."""

import ipaddress
import re
from collections.abc import Callable
from functools import lru_cache

from bot.demo.loki.refusal import ParseRefusal

_ADDRESS = re.compile(r"[0-9a-fA-F:.]*[.:][0-9a-fA-F:.]*")


@lru_cache(maxsize=256)
def address_test(pattern: str) -> Callable[[str], bool]:
    """Whether a text holds an address that is `pattern`: one address, `10.0.0.0/8` or `10.0.0.1-10.0.0.9`.

    Raises ParseRefusal.
    """
    networks = _networks(pattern)

    def test(text: str) -> bool:
        return any(_inside(candidate, networks) for candidate in _ADDRESS.findall(text))

    return test


_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def _networks(pattern: str) -> list[_Network]:
    first, _, last = pattern.partition("-")
    try:
        if last:
            return list(ipaddress.summarize_address_range(ipaddress.IPv4Address(first), ipaddress.IPv4Address(last)))
        return [ipaddress.ip_network(pattern, strict=False)]
    except ValueError as reason:
        raise ParseRefusal(f"ip: {reason}") from reason


def _inside(candidate: str, networks: list[_Network]) -> bool:
    try:
        address = ipaddress.ip_address(candidate.strip("."))
    except ValueError:
        return False
    return any(address in network for network in networks)
