"""One live bot per data directory."""

import fcntl
import os
from pathlib import Path

from bot.adapters.database import store_errors
from bot.errors import StoreError


class DirectoryLock:
    """A lock on a directory that the operating system gives back when the process dies, however it dies.

    Commands that only open the store beside a running bot do not take it.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._file: int | None = None

    def take(self) -> None:
        """Holds the directory until `release`.

        Raises:
            StoreError: another process holds it, or the directory cannot be written to.
        """
        with store_errors():
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            file = os.open(self._directory / "groundwire.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(file, 20, 0).decode(errors="replace").strip()
            os.close(file)
            raise StoreError(
                "STO-007",
                f"Another Groundwire already runs on {self._directory} (process {holder or 'unknown'}).",
                "Stop that one first, or set GROUNDWIRE_HOME to another directory.",
            ) from None
        os.truncate(file, 0)
        os.pwrite(file, f"{os.getpid()}\n".encode(), 0)
        self._file = file

    def release(self) -> None:
        """Lets go; nothing happens when it is not held."""
        if self._file is not None:
            os.close(self._file)
            self._file = None
