"""A run told in lines of JSON while it goes on (`--events FILE|-`), for a program that shows it. They are listed in
docs/concurrency/events.md.

One writer for all of a run. What is told here is for watching, like everything live; the verdict comes from the ledgers alone.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from contextlib import suppress
from contextvars import ContextVar
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import msgspec

EVENTS: Final[ContextVar[str | None]] = ContextVar("events", default=None)
"""Where the command under way tells its run: a file, or `-` for standard output; `None`: nowhere."""

STDOUT: Final = "-"


class EventsError(RuntimeError):
    """The events can't be written; the message says why."""


class Events:
    """Writes events, one a line, each handed over at once. Also from other threads."""

    def __init__(self, place: str | None) -> None:
        """`place` as in `EVENTS`; a file that was there is begun anew. Raises EventsError."""
        self._lock = threading.Lock()
        self._number = 0
        self._fd: int | None = None
        try:
            if place == STDOUT:
                self._fd = os.dup(sys.stdout.fileno())
            elif place is not None:
                Path(place).parent.mkdir(parents=True, exist_ok=True)
                self._fd = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o644)
        except OSError as error:
            raise EventsError(f"--events {place} can't be written to: {error.strerror}.") from error

    def tell(self, event: str, **members: Any) -> None:
        """One event. Its number rises by one each time; a reader who has gone is no reason to end a run."""
        with self._lock:
            if self._fd is None:
                return
            self._number += 1
            line = {"n": self._number, "at_us": time.time_ns() // 1_000, "event": event, **members}
            rest = memoryview(msgspec.json.encode(line) + b"\n")
            try:
                while rest:
                    rest = rest[os.write(self._fd, rest) :]
            except OSError:
                self._close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with self._lock:
            self._close()

    def _close(self) -> None:
        fd, self._fd = self._fd, None
        if fd is not None:
            with suppress(OSError):
                os.close(fd)
