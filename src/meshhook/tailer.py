"""The tailer: reads the feed once for all watchers of a process, as long as there are any."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final
from uuid import UUID

import structlog

from meshhook.errors import DatabaseError
from meshhook.feed import Feed
from meshhook.frames import Position, Written, frames_of
from meshhook.recent import Passage, Recent
from meshhook.sources import PAGE_BYTES, Batch
from meshhook.watching import Buffer, Chunk, Filter, Wanted

_log = structlog.get_logger("meshhook.live")

BUSY_S: Final = 0.03
BUSY_S_MAX: Final = 0.1
"""How often the feed is read while things happen: seldom enough that no more is written to watchers than ``_WRITES_A_S``, each of
which costs about the same, however much it tells."""

_WRITES_A_S: Final = 2_000

_BUSY_FOR_S: Final = 2.0
_PAGE_BYTES: Final = 4 * 1024 * 1024
_RETRY_S: Final = 0.5


class Tailer:
    """Reads the feed once for everybody, as long as anybody watches.

    Args:
        poll_s: how often it looks when nothing happens and nobody wakes it.
        listen: calls what it is given when something may have happened, until it is cancelled.
    """

    def __init__(
        self, feed: Feed, *, poll_s: float, listen: Callable[[Callable[[], None]], Awaitable[None]] | None = None
    ) -> None:
        self._feed = feed
        self._poll_s = poll_s
        self._listen = listen
        self._filters: defaultdict[Filter, set[Buffer]] = defaultdict(set)
        self._runs: defaultdict[UUID, set[Buffer]] = defaultdict(set)
        self._attached: set[Buffer] = set()
        self._recent = Recent()
        self._position: Position | None = None
        self._placed = asyncio.Event()
        self._needed = 0
        self._wanted = asyncio.Event()
        self._wake = asyncio.Event()
        self._busy_until = 0.0
        self.read = 0

    @contextmanager
    def needed(self) -> Iterator[None]:
        """While this is open the feed is read."""
        self._needed += 1
        self._wanted.set()
        try:
            yield
        finally:
            self._needed -= 1
            if not self._needed:
                self._wanted.clear()

    def attach(self, buffer: Buffer) -> None:
        """From where the tailer stands on, tell this one too; see ``placed``."""
        self._attached.add(buffer)
        self._all_of(buffer.wanted).add(buffer)

    def detach(self, buffer: Buffer) -> None:
        """Tell this one nothing any more."""
        self._attached.discard(buffer)
        among = self._all_of(buffer.wanted)
        among.discard(buffer)
        if not among:
            self._forget(buffer.wanted)

    def join(self, buffer: Buffer, filter: Filter, at: Position) -> Batch | None:
        """What was told lately behind a position, a page at most. With the last page the buffer is attached: nothing comes between.

        ``None``: that was too long ago, or the tailer does not know where it stands; the database does.
        """
        if self._position is None:
            return None
        if at >= self._position:
            self.attach(buffer)
            return Batch([], at, more=False)
        if (told := self._recent.behind(at, filter, PAGE_BYTES)) is None:
            return None
        if not told.more:
            self.attach(buffer)
        return Batch(*told)

    async def placed(self, timeout_s: float) -> Position | None:
        """Where the tailer stands; ``None`` when it does not know in time, for the database is away."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._placed.wait()
        return self._position

    async def run(self) -> None:
        """Tell everybody, until cancelled."""
        while True:
            await self._wanted.wait()
            listening = None if self._listen is None else asyncio.create_task(self._hear(self._listen))
            try:
                while self._wanted.is_set():
                    await self._follow()
            finally:
                self._lose_place()
                if listening is not None:
                    listening.cancel()

    async def _hear(self, listen: Callable[[Callable[[], None]], Awaitable[None]]) -> None:
        await listen(self._wake.set)

    async def _follow(self) -> None:
        """Read a page and tell it; then pause, unless there is more."""
        try:
            if self._position is None:
                self._position = await self._feed.end()
                self._placed.set()
            page = await self._feed.page(self._position, _PAGE_BYTES)
        except DatabaseError as error:
            _log.warning("the feed can't be read, and is tried again", error=str(error))
            await asyncio.sleep(_RETRY_S)
            return
        if page.forgotten:  # the database was away for longer than the feed is kept
            self._lose_place()
            for buffer in self._attached:
                buffer.lag()
            return
        reached = self._tell(Passage(self._position, page.upto, page.rows), page.rows)
        self._position = page.upto
        if not page.more:
            await self._pause(min(max(BUSY_S, reached / _WRITES_A_S), BUSY_S_MAX), busy=bool(page.rows))

    def _lose_place(self) -> None:
        self._position = None
        self._placed.clear()
        self._recent.clear()

    async def _pause(self, busy_s: float, *, busy: bool) -> None:
        now = time.monotonic()
        if busy:
            self._busy_until = now + _BUSY_FOR_S
        if now < self._busy_until:  # however often we are woken
            await asyncio.sleep(busy_s)
            return
        self._wake.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(self._poll_s):
                await self._wake.wait()

    def _tell(self, passage: Passage, rows: list[Written]) -> int:
        """Tell everybody what he wants; returns how many were reached. Work is done for each kind of watcher, not for each."""
        self.read += len(rows)
        self._recent.add(passage)
        reached = sum(self._tell_run(row) for row in rows if row.run_id in self._runs)
        for filter, buffers in self._filters.items():
            if (chunk := passage.chunk(filter)).frames:
                reached += len(buffers)
                for buffer in buffers:
                    buffer.put(chunk)
        for buffer in self._attached:
            buffer.upto = passage.end
        return reached

    def _tell_run(self, row: Written) -> int:
        """Tell those who watch one run by itself."""
        if not (frames := frames_of(row._replace(position=None))):
            return 0
        chunk = Chunk(frames, row.seq - 1, frames[-1].order, row.finished)
        takers = [buffer for buffer in self._runs[row.run_id] if buffer.wanted.project_id == row.project_id]
        for buffer in takers:
            buffer.put(chunk)
        return len(takers)

    def _all_of(self, wanted: Wanted) -> set[Buffer]:
        return self._filters[wanted] if isinstance(wanted, Filter) else self._runs[wanted.run_id]

    def _forget(self, wanted: Wanted) -> None:
        if isinstance(wanted, Filter):
            self._filters.pop(wanted, None)
        else:
            self._runs.pop(wanted.run_id, None)
