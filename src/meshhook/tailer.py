"""The tailer: reads the feed once for all watchers of a process, as long as there are any."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final
from uuid import UUID

import structlog

from meshhook.errors import DatabaseError
from meshhook.feed import Feed, Page
from meshhook.frames import Frame, Position, frames_of
from meshhook.watching import Buffer, Chunk, Filter, Wanted

_log = structlog.get_logger("meshhook.live")

BUSY_S: Final = 0.03
"""How often the feed is read while things happen."""

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
        self._position: Position | None = None
        self._placed = asyncio.Event()
        self._wanted = asyncio.Event()
        self._wake = asyncio.Event()
        self._busy_until = 0.0
        self.read = 0

    def attach(self, buffer: Buffer) -> None:
        """From where the tailer stands on, tell this one too; see ``placed``."""
        self._attached.add(buffer)
        self._all_of(buffer.wanted).add(buffer)
        self._wanted.set()

    def detach(self, buffer: Buffer) -> None:
        """Tell this one nothing any more."""
        self._attached.discard(buffer)
        among = self._all_of(buffer.wanted)
        among.discard(buffer)
        if not among:
            self._forget(buffer.wanted)
        if not self._attached:
            self._wanted.clear()

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
                self._position = None
                self._placed.clear()
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
        self._tell(self._position, page)
        self._position = page.upto
        if page.forgotten:  # the database was away for longer than the feed is kept
            self._position = None
        elif not page.more:
            await self._pause(busy=bool(page.rows))

    async def _pause(self, *, busy: bool) -> None:
        now = time.monotonic()
        if busy:
            self._busy_until = now + _BUSY_FOR_S
        if now < self._busy_until:  # however often we are woken
            await asyncio.sleep(BUSY_S)
            return
        self._wake.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(self._poll_s):
                await self._wake.wait()

    def _tell(self, start: Position, page: Page) -> None:
        self.read += len(page.rows)
        if page.forgotten:
            for buffer in self._attached:
                buffer.lag()
            return
        wanted = self._sort(page)
        for filter, frames in wanted.items():
            chunk = Chunk(frames, start, page.upto)
            for buffer in self._filters[filter]:
                buffer.put(chunk)
        for buffer in self._attached:
            buffer.upto = page.upto

    def _sort(self, page: Page) -> dict[Filter, list[Frame]]:
        """Which frames go to whom; those of a run that is watched by itself go there at once."""
        by_project: defaultdict[int, list[Filter]] = defaultdict(list)
        for filter in self._filters:
            by_project[filter.project_id].append(filter)
        wanted: defaultdict[Filter, list[Frame]] = defaultdict(list)
        for row in page.rows:
            takers = [filter for filter in by_project.get(row.project_id, ()) if filter.takes(row)]
            if takers:
                frames = frames_of(row)
                for filter in takers:
                    if picked := filter.pick(frames):
                        wanted[filter] += picked
            if row.run_id in self._runs and (own := frames_of(row._replace(position=None))):
                chunk = Chunk(own, row.seq - 1, own[-1].order, row.finished)
                for buffer in self._runs[row.run_id]:
                    if buffer.wanted.project_id == row.project_id:
                        buffer.put(chunk)
        return wanted

    def _all_of(self, wanted: Wanted) -> set[Buffer]:
        return self._filters[wanted] if isinstance(wanted, Filter) else self._runs[wanted.run_id]

    def _forget(self, wanted: Wanted) -> None:
        if isinstance(wanted, Filter):
            self._filters.pop(wanted, None)
        else:
            self._runs.pop(wanted.run_id, None)
