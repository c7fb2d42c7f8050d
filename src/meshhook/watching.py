"""What one watcher wants to see, and the bounded buffer between the tailer, which is quick, and a reader, who may not be."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from typing import NamedTuple
from uuid import UUID

from meshhook.frames import Frame, Position, Written

Order = Position | int


class Filter(NamedTuple):
    """Which events of a project; ``None`` is any. ``statuses``: where a run stood after the commit that wrote the event."""

    project_id: int
    workflows: frozenset[str] | None = None
    statuses: frozenset[str] | None = None
    types: frozenset[str] | None = None

    def takes(self, written: Written) -> bool:
        """Whether events of this journal row may be wanted."""
        return (
            written.project_id == self.project_id
            and (self.workflows is None or written.workflow in self.workflows)
            and (self.statuses is None or (written.status or "queued") in self.statuses)
        )

    def pick(self, frames: list[Frame]) -> list[Frame]:
        """Those of the events of a row that are wanted."""
        return frames if self.types is None else [frame for frame in frames if frame.type in self.types]


class RunOf(NamedTuple):
    """All events of one run of a project."""

    project_id: int
    run_id: UUID


Wanted = Filter | RunOf


@dataclass(slots=True)
class Chunk:
    """Events the tailer found in one go, shared by all who want the same.

    They are from ``start`` on, and up to ``end`` there is nothing else for them. ``finished``: the run has ended.
    """

    frames: list[Frame]
    start: Order
    end: Order
    finished: bool = False
    text: bytes = field(init=False)

    def __post_init__(self) -> None:
        self.text = b"".join(frame.text for frame in self.frames)

    def behind(self, order: Order) -> bytes:
        """What of it comes behind ``order``."""
        if order <= self.start:  # type: ignore[operator]  # both are of one stream
            return self.text
        return b"".join(frame.text for frame in self.frames if frame.order > order)  # type: ignore[operator]


class Buffer:
    """What the tailer has found for one watcher and he has not taken yet; ``bytes_max`` of it at most.

    When it would be more, all of it is let go and ``lagged`` says so: the watcher reads it from the database, at his pace.
    """

    def __init__(self, wanted: Wanted, bytes_max: int) -> None:
        self.wanted = wanted
        self.lagged = False
        self._closed = False
        self.upto: Position | None = None
        self._bytes_max = bytes_max
        self._bytes = 0
        self._chunks: deque[Chunk] = deque()
        self._news = asyncio.Event()

    def put(self, chunk: Chunk) -> None:
        """Something for him was found."""
        if self.lagged:
            return
        self._bytes += len(chunk.text)
        if self._bytes > self._bytes_max:
            self.lag()
        else:
            self._chunks.append(chunk)
        self._news.set()

    def lag(self) -> None:
        """He does not get what is found any more, and has to read it."""
        self.lagged = True
        self._chunks.clear()
        self._bytes = 0
        self._news.set()

    def close(self) -> None:
        """The stream shall end."""
        self._closed = True
        self._news.set()

    def is_closed(self) -> bool:
        """Whether the stream shall end."""
        return self._closed

    def is_followed(self) -> bool:
        """Whether what is found comes here."""
        return not self.lagged and not self._closed

    def is_empty(self) -> bool:
        """Whether he has taken all that was found."""
        return not self._chunks

    def restart(self) -> None:
        """As new."""
        self.lagged = False
        self.upto = None
        self._chunks.clear()
        self._bytes = 0

    async def get(self, timeout_s: float) -> Chunk | None:
        """The next chunk; ``None`` when there is none for a while, he has lagged, or the stream shall end."""
        if not self._chunks and not self.lagged and not self._closed:
            self._news.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(timeout_s):
                    await self._news.wait()
        if not self._chunks or self._closed:
            return None
        chunk = self._chunks.popleft()
        self._bytes -= len(chunk.text)
        return chunk
