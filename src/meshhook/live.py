"""What happens, told as it commits: one tailer of the feed for all watchers of a process, and the story of one watcher.

    feed (Postgres) ──page──► Tailer ──chunk──► Buffer ──► stream() ──► one connection
                                                   └ full: lagged ► stream() reads the database itself, until it has caught up

A watcher begins *behind*: what he has missed is read from the database, a page at a time, as fast as he takes it. Then he is
attached to the tailer, reads the little that came meanwhile, and goes on *live*. Where one begins and the other ends nothing
can be lost or told twice, for both know the place of every event.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import defaultdict
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Protocol
from uuid import UUID

import structlog

from meshhook.errors import DatabaseError, Refusal
from meshhook.feed import Feed, Page
from meshhook.frames import HEARTBEAT, Frame, Position, frames_of, mark, notice, retry
from meshhook.watching import Buffer, Chunk, Filter, Order, RunOf, Wanted

_log = structlog.get_logger("meshhook.live")

_PAGE_BYTES: Final = 4 * 1024 * 1024
_BUSY_S: Final = 0.04
"""How often the feed is read while things happen."""

_BUSY_FOR_S: Final = 2.0
_CATCH_UP_BYTES: Final = 256 * 1024
_CATCH_UP_MAX: Final = 2
"""Watchers that read the database at once: the others have a turn when these have theirs."""

_RETRY_S: Final = 0.5
_SHARE_OF_ONE_PROJECT: Final = 0.8
_RETRY_MS: Final = (500, 3_000)


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
            await asyncio.sleep(_BUSY_S)
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


@dataclass(slots=True)
class Batch:
    """What one look into the database gave a watcher. ``ended``: there will never be more."""

    text: bytes
    upto: Order
    more: bool
    ended: bool = False


class Source(Protocol):
    """Where a watcher reads what he has missed. ``at`` is how far he has come."""

    wanted: Wanted
    at: Order

    async def read(self) -> Batch:
        """What comes next, at most a page."""


class FeedSource:
    """The events of a project."""

    def __init__(self, feed: Feed, wanted: Filter, at: Position) -> None:
        self._feed = feed
        self.wanted: Wanted = wanted
        self._filter = wanted
        self.at: Order = at

    async def read(self) -> Batch:
        """What comes next; the notice ``reset`` when it is forgotten: then the stream goes on from now."""
        at = self.at
        assert isinstance(at, Position)
        page = await self._feed.page(at, _CATCH_UP_BYTES)
        if page.forgotten:
            now = await self._feed.end()
            why = "What comes behind the cursor is forgotten. List the runs; the stream goes on from now."
            return Batch(notice("reset", now, was=str(at), detail=why), now, more=True)
        frames = [frame for row in page.rows if self._filter.takes(row) for frame in self._filter.pick(frames_of(row))]
        return Batch(b"".join(it.text for it in frames if it.order > at), page.upto, page.more)  # type: ignore[operator]


class RunSource:
    """The events of one run, from its journal, which is never forgotten before the run is."""

    def __init__(self, feed: Feed, wanted: RunOf, at: int) -> None:
        self._feed = feed
        self.wanted: Wanted = wanted
        self._run = wanted
        self.at: Order = at

    async def read(self) -> Batch:
        """What comes next; behind the last event of a run that has ended, the notice ``end``."""
        at = self.at
        assert isinstance(at, int)
        page = await self._feed.run_page(self._run.project_id, str(self._run.run_id), at, _CATCH_UP_BYTES)
        frames = [frame for row in page.rows for frame in frames_of(row)]
        upto = max(at, frames[-1].order) if frames else at
        text = b"".join(frame.text for frame in frames if frame.order > at)  # type: ignore[operator]
        if page.ended:
            text += notice("end", upto, status=page.status)
        return Batch(text, upto, page.more, page.ended)


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
        page = await self._feed.run_page(project_id, id, after, _CATCH_UP_BYTES)
        told = [frame.order for row in page.rows for frame in frames_of(row)]
        if page.ended and after > 0 and max(told, default=0) <= after:  # type: ignore[operator]
            return None
        return RunSource(self._feed, RunOf(project_id, UUID(id)), after)

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
                        "lagged", source.at, detail="You read too slowly; the stream goes on from the database."
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
        since: Order | None = None
        while not buffer.is_closed():
            try:
                async with self._catching_up:
                    batch = await source.read()
            except DatabaseError:
                yield HEARTBEAT
                await asyncio.sleep(_RETRY_S)
                continue
            moved, source.at = batch.upto != source.at, batch.upto
            if batch.text:
                yield batch.text
            if batch.ended:
                buffer.close()
                return
            if batch.more:
                continue
            if since is not None:
                # The end of the feed can be seen a little earlier than the tailer saw it: never begin below where it stands.
                if not isinstance(source.at, Position) or source.at >= since:  # type: ignore[operator]
                    return
                if not moved:
                    await asyncio.sleep(_BUSY_S)
                continue
            self._tailer.attach(buffer)
            while (since := await self._tailer.placed(self._heartbeat_s)) is None and not buffer.is_closed():
                yield HEARTBEAT

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
        if isinstance(source.at, Position) and buffer.upto is not None and buffer.upto > source.at:
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
