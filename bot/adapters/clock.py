"""The real clock."""

import time


class SystemClock:
    """The Clock port: the machine's time of day, and its monotonic clock for durations."""

    def now_s(self) -> float:
        return time.time()

    def elapsed_s(self) -> float:
        return time.monotonic()
