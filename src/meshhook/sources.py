"""Where a watcher reads what he has missed: the feed of a project, or the journal of one run, a page at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

from meshhook.feed import Feed, RunPage
from meshhook.frames import Frame, Position, frames_of, notice
from meshhook.watching import Filter, Order, RunOf, Wanted

PAGE_BYTES: Final = 256 * 1024
"""A page waits in memory until its watcher has taken it."""


@dataclass(slots=True)
class Batch:
    """What one look into the database gave a watcher. ``notice``: what is to be said after that.

    ``more``: there is more right now; ``ended``: there will never be more, and the run stands at ``status``.
    """

    frames: list[Frame]
    upto: Order
    more: bool
    notice: bytes = b""
    ended: bool = False
    status: str = ""

    @property
    def text(self) -> bytes:
        """All of it, to be sent."""
        return b"".join(frame.text for frame in self.frames) + self.notice


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
        page = await self._feed.page(
            at, PAGE_BYTES, project_id=self._filter.project_id, workflows=self._filter.workflows
        )
        if page.forgotten:
            now = await self._feed.end()
            why = "What comes behind the cursor is forgotten. List the runs; the stream goes on from now."
            return Batch([], now, more=True, notice=notice("reset", now, was=str(at), detail=why))
        frames = [frame for row in page.rows if self._filter.takes(row) for frame in self._filter.pick(frames_of(row))]
        return Batch([frame for frame in frames if frame.order > at], page.upto, page.more)  # type: ignore[operator]


class RunSource:
    """The events of one run, from its journal, which is never forgotten before the run is."""

    def __init__(self, feed: Feed, wanted: RunOf, at: int, first: RunPage | None = None) -> None:
        """``first`` is the page behind ``at``, where it has been read already."""
        self._feed = feed
        self.wanted: Wanted = wanted
        self._run = wanted
        self.at: Order = at
        self._first = first

    async def read(self) -> Batch:
        """What comes next; behind the last event of a run that has ended, the notice ``end``."""
        at = self.at
        assert isinstance(at, int)
        page, self._first = self._first, None
        if page is None:
            page = await self._feed.run_page(self._run.project_id, str(self._run.run_id), at, PAGE_BYTES)
        frames = [frame for row in page.rows for frame in frames_of(row)]
        upto = max(at, frames[-1].order) if frames else at
        frames = [frame for frame in frames if frame.order > at]  # type: ignore[operator]
        end = notice("end", upto, status=page.status) if page.ended else b""
        return Batch(frames, upto, page.more, end, page.ended, page.status)
