import socket

import pytest


def test_no_test_can_reach_another_machine() -> None:
    with socket.socket() as outside, pytest.raises(AssertionError, match="only this machine"):
        outside.connect(("192.0.2.1", 80))  # an address reserved for documentation
