"""What holds for every test: none reaches anything but this machine."""

import ipaddress
import sys


def _stay_here(event: str, arguments: tuple[object, ...]) -> None:
    """Makes every connection to another machine an error, whoever tries it. Child processes are not covered."""
    if event != "socket.connect":
        return
    address = arguments[1]
    if isinstance(address, tuple) and not _is_loopback(str(address[0])):
        raise AssertionError(f"a test tried to reach {address[0]}: only this machine may be reached")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.split("%")[0]).is_loopback
    except ValueError:
        return host == "localhost"


sys.addaudithook(_stay_here)
