"""From where on to look into the queue.

Rows that were taken stay in the indexes of the queue, dead, until the oldest open transaction of the whole server is over. Somebody
who keeps one open for minutes (a dump, a forgotten session) makes each look from the beginning wade through all that was done
since. But what is due is nearly always newer than that. So while looks at everything are slow, most looks begin at the *front*,
where the last one found the oldest that was there, less a *slack*; and all is looked at only so often that it costs a fiftieth of
the time.

What a look from the front on can miss, and when it is found:

- written by a transaction that began before the front and ended after the look, so due from before: within the slack, at the next
  look; later than that, at the next look at everything. As is whatever was written with a clock that had gone back.
- put back or placed by this process, due since long: it says so (``again``), and finds it at its next look. Others find it when
  they look at everything, should this process die before.
- moved to among the due by this process because its time in line was over: it asks for a look at everything (``look_at_all``).

So nothing hangs on the front: a look at everything comes at the latest ``WHOLE_PAUSE_S_MAX`` after the last.

Pure but for the clock, which is an argument: seconds of any monotonic clock. Times of the queue are those of the database.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

BEGINNING: Final = datetime(1970, 1, 1, tzinfo=UTC)
"""Before anything was due: from here on everything is seen, and the front is told."""

SLACK: Final = timedelta(seconds=2)
"""So much later than it was due may something come to light and still be found at once. Costs the dead rows of that time."""

SLOW_S: Final = 0.01
SLOW_RUN_S: Final = 0.0001
"""A look at everything that takes no longer than this, and this for each run it found, needs no help."""

WHOLE_SHARE: Final = 0.02
WHOLE_PAUSE_S_MAX: Final = 60.0


class Lookback:
    """What one process knows of where one part of the queue begins. Call ``since``, look, call ``saw``."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._is_slow = False
        self._front: datetime | None = None
        self._next_whole = 0.0
        self._began = 0.0
        self._since: datetime | None = None

    def since(self) -> datetime | None:
        """A look begins: from where on. ``None`` is from the beginning, without asking for the front."""
        self._began = self._clock()
        if not self._is_slow:
            self._since = None
        elif self._front is None or self._began >= self._next_whole:
            self._since = BEGINNING
        else:
            self._since = self._front - SLACK
        return self._since

    def saw(self, front: datetime | None, found: int = 0) -> None:
        """The look is over: the front, if it was told, and how many runs were found."""
        if self._since is None or self._since == BEGINNING:
            ended = self._clock()
            took_s = ended - self._began
            told_nothing = (
                self._since is not None and front is None
            )  # see front.sql: there are too many projects for it
            self._is_slow = took_s > SLOW_S + found * SLOW_RUN_S and not told_nothing
            self._next_whole = ended + min(WHOLE_PAUSE_S_MAX, took_s / WHOLE_SHARE)
        self._front = front

    def again(self, due_at: datetime) -> None:
        """Something is in the queue (again), and was due before now."""
        if self._front is not None:
            self._front = min(self._front, due_at)

    def look_at_all(self) -> None:
        """Look at everything next."""
        self._front = None
