"""The real clock is the machine's."""

import time

from bot.adapters.clock import SystemClock


def test_now_is_now_and_durations_never_run_backwards() -> None:
    clock = SystemClock()

    before_s, began_s = time.time(), clock.elapsed_s()

    assert before_s <= clock.now_s() <= time.time()
    assert clock.elapsed_s() >= began_s
