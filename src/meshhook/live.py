"""What happens, told as it commits: one tailer of the feed for all watchers of a process, and the story of one watcher.

    feed (Postgres) ──page──► Tailer ──chunk──► Buffer ──► stream() ──► one connection
                                                   └ full: lagged ► stream() reads what was missed, until it has caught up

A watcher begins *behind*: what he has missed is read a page at a time, as fast as he takes it; from the tailer's memory if it was
told a moment ago, from the database otherwise. Then he is attached to the tailer and goes on *live*. Where one begins and the
other ends nothing can be lost or told twice, for both know the place of every event.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import defaultdict
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Final
from uuid import UUID

import structlog

from meshhook.errors import DatabaseError, Refusal
from meshhook.feed import Feed
from meshhook.frames import HEARTBEAT, Position, frames_of, mark, notice, retry
from meshhook.sources import PAGE_BYTES, Batch, FeedSource, RunSource, Source
from meshhook.tailer import BUSY_S, Tailer
from meshhook.watching import Buffer, Filter, RunOf

_log = structlog.get_logger("meshhook.live")

_CATCH_UP_MAX: Final = 2
"""Watchers that read the database at once: the others have a turn when these have theirs."""

_RETRY_S: Final = 0.5
_SHARE_OF_ONE_PROJECT: Final = 0.8
_RETRY_MS: Final = (500, 3_000)


class Live:
    """All watchers of one process.

    Args:
        watchers_max: how many there may be; one project may have four fifths of them.
        buffer_bytes: how much may wait for one of them.
        heartbeat_s: after so long without an event, a sign of life is sent.
    """

    def __init__(self, feed: Feed, tailer: Tailer, *, watchers_max: int, buffer_bytes: int, heartbeat_s: float) -> None:
        self._feed = feed
        self._tailer = tailer
        self._watchers_max = watchers_max
        self._buffer_bytes = buffer_bytes
        self._heartbeat_s = heartbeat_s
        self._catching_up = asyncio.Semaphore(_CATCH_UP_MAX)
        self._by_project: defaultdict[int, int] = defaultdict(int)
        self._buffers: set[Buffer] = set()
        self.lagged = 0
        self.closing = False

    @property
    def watchers(self) -> int:
        """How many there are."""
        return len(self._buffers)

    async def of_project(self, filter: Filter, after: Position | None) -> Source:
        """The events of a project behind a position, or from now on.

        Raises:
            Refusal: there are too many watchers. Unavailable: the database can't be asked.
        """
        self._check_room(filter.project_id)
        return FeedSource(self._feed, filter, after or await self._feed.end())

    async def of_run(self, project_id: int, id: str, after: int) -> Source | None:
        """The events of a run behind ``after``; ``None`` when it has ended and all were told.

        Raises:
            Refusal: there is no such run, or there are too many watchers. Unavailable: the database can't be asked.
        """
        self._check_room(project_id)
        page = await self._feed.run_page(project_id, id, after, PAGE_BYTES)
        told = [frame.order for row in page.rows for frame in frames_of(row)]
        if page.ended and after > 0 and max(told, default=0) <= after:  # type: ignore[operator]
            return None
        return RunSource(self._feed, RunOf(project_id, UUID(id)), after, page)

    async def stream(self, source: Source, may_go_on: Callable[[], Awaitable[None]]) -> AsyncGenerator[bytes, None]:
        """What to send to one watcher, from ``source.at`` on, until the run has ended or this process stops.

        ``may_go_on`` is asked now and then; a ``Refusal`` ends the stream.
        """
        buffer = Buffer(source.wanted, self._buffer_bytes)
        if self.closing:
            buffer.close()
        self._buffers.add(buffer)
        self._by_project[source.wanted.project_id] += 1
        try:
            with self._tailer.needed():
                yield retry(random.randint(*_RETRY_MS)) + mark(source.at)
                while not buffer.is_closed():
                    async for text in self._behind(source, buffer):
                        yield text
                    async for text in self._live(source, buffer, may_go_on):
                        yield text
                    if buffer.lagged and not buffer.is_closed():
                        self.lagged += 1
                        self._tailer.detach(buffer)
                        yield notice(
                            "lagged", source.at, detail="You read too slowly; you are told all that you missed."
                        )
                if self.closing:  # not all at once
                    yield retry(random.randint(*_RETRY_MS))
        finally:
            self._tailer.detach(buffer)
            self._buffers.discard(buffer)
            self._by_project[source.wanted.project_id] -= 1
            if not self._by_project[source.wanted.project_id]:
                del self._by_project[source.wanted.project_id]

    def close(self) -> None:
        """End every stream."""
        self.closing = True
        for buffer in self._buffers:
            buffer.close()

    async def _behind(self, source: Source, buffer: Buffer) -> AsyncGenerator[bytes, None]:
        """What was missed, until the tailer has taken over. Closes the buffer when a run has ended."""
        buffer.restart()
        attached = False
        while not buffer.is_closed():
            if (batch := self._joined(source, buffer)) is not None:
                attached = not batch.more
            else:
                try:
                    async with self._catching_up:
                        batch = await source.read()
                except DatabaseError:
                    yield HEARTBEAT
                    await asyncio.sleep(_RETRY_S)
                    continue
            moved, source.at = batch.upto != source.at, batch.upto
            if text := batch.text or (mark(source.at) if batch.more else b""):
                yield text
            if batch.ended:
                buffer.close()
            elif not batch.more:
                if attached:
                    return
                if isinstance(source.wanted, RunOf):  # what comes between the two is read once more
                    self._tailer.attach(buffer)
                    attached = True
                elif not moved:  # the end of the feed can be seen a little earlier than the tailer saw it
                    await asyncio.sleep(BUSY_S)
                while await self._tailer.placed(self._heartbeat_s) is None and not buffer.is_closed():
                    yield HEARTBEAT

    def _joined(self, source: Source, buffer: Buffer) -> Batch | None:
        if isinstance(source.wanted, Filter) and isinstance(source.at, Position):
            return self._tailer.join(buffer, source.wanted, source.at)
        return None

    async def _live(
        self, source: Source, buffer: Buffer, may_go_on: Callable[[], Awaitable[None]]
    ) -> AsyncGenerator[bytes, None]:
        """What the tailer finds, until the reader lags or the run has ended."""
        asked_at = time.monotonic()
        while buffer.is_followed():
            chunk = await buffer.get(self._heartbeat_s)
            if time.monotonic() - asked_at >= self._heartbeat_s:
                asked_at = time.monotonic()
                try:
                    await may_go_on()
                except Refusal:
                    buffer.close()
                    return
                except DatabaseError:
                    pass  # whoever was let in stays in while nobody can be asked
            if chunk is None:
                if buffer.is_followed():
                    yield self._sign_of_life(source, buffer)
                continue
            if text := chunk.behind(source.at):
                yield text
            source.at = max(source.at, chunk.end)
            if chunk.finished:
                return  # what is behind it, and the end, is read from the database

    def _sign_of_life(self, source: Source, buffer: Buffer) -> bytes:
        """With the cursor of what was not for him, unless something was found while he was asked whether he may go on."""
        if (
            isinstance(source.at, Position)
            and buffer.is_empty()
            and buffer.upto is not None
            and buffer.upto > source.at
        ):
            source.at = buffer.upto
            return mark(source.at)
        return HEARTBEAT

    def _check_room(self, project_id: int) -> None:
        if self.watchers >= self._watchers_max:
            raise _too_many(503, "This server has as many watchers as it takes.")
        if self._by_project.get(project_id, 0) >= max(1, int(self._watchers_max * _SHARE_OF_ONE_PROJECT)):
            raise _too_many(429, "This project has as many watchers as one may have.")


def _too_many(status: int, detail: str) -> Refusal:
    return Refusal(status, "too-many-watchers", "There are too many watchers", detail, headers={"retry-after": "5"})
