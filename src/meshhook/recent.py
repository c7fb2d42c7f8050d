"""What was told lately, kept for a moment. Pure.

Who connects again, or fell behind a little, finds here what he missed, and the database is left alone.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Sequence
from typing import Final, NamedTuple

from meshhook.frames import Frame, Position, Written, frames_of
from meshhook.watching import Chunk, Filter

BYTES_MAX: Final = 8 * 1024 * 1024
"""Events in the journal's own form; as frames they take about three times as much memory."""

Owner = tuple[int, str]
"""A project and the name of one of its workflows."""


class Passage:
    """What one look at the feed found, from ``start`` on; up to ``end`` there is nothing else.

    A row becomes frames when the first one wants it, and the frames one chunk for all who want the same.
    """

    def __init__(self, start: Position, end: Position, rows: Sequence[Written]) -> None:
        self.start = start
        self.end = end
        self.bytes = sum(len(row.events) for row in rows)
        self._rows = rows
        self._of_project: defaultdict[int, list[int]] = defaultdict(list)
        self._of_workflow: defaultdict[Owner, list[int]] = defaultdict(list)
        for number, row in enumerate(rows):
            self._of_project[row.project_id].append(number)
            self._of_workflow[row.project_id, row.workflow].append(number)
        self._frames: dict[int, list[Frame]] = {}
        self._chunks: dict[Filter, Chunk] = {}

    def chunk(self, filter: Filter) -> Chunk:
        """What of it somebody wants; it may hold no frames."""
        if (known := self._chunks.get(filter)) is not None:
            return known
        frames: list[Frame] = []
        for number in self._numbers(filter):
            if filter.takes(self._rows[number]):
                frames += filter.pick(self._frames_of(number))
        made = self._chunks[filter] = Chunk(frames, self.start, self.end)
        return made

    def _numbers(self, filter: Filter) -> list[int]:
        """The rows that may be wanted: nobody looks at those of other workflows."""
        if filter.workflows is None:
            return self._of_project.get(filter.project_id, [])
        found = [self._of_workflow.get((filter.project_id, name), []) for name in filter.workflows]
        return found[0] if len(found) == 1 else sorted(number for numbers in found for number in numbers)

    def _frames_of(self, number: int) -> list[Frame]:
        if (known := self._frames.get(number)) is None:
            known = self._frames[number] = frames_of(self._rows[number])
        return known


class Told(NamedTuple):
    """Some of what somebody wants, and how far that goes; ``more``: there is more here."""

    frames: list[Frame]
    upto: Position
    more: bool


class Recent:
    """The last passages, without a gap between them, up to ``bytes_max``; the last one is always there."""

    def __init__(self, bytes_max: int = BYTES_MAX) -> None:
        self._bytes_max = bytes_max
        self._bytes = 0
        self._passages: deque[Passage] = deque()

    def add(self, passage: Passage) -> None:
        """The next one was told."""
        self._passages.append(passage)
        self._bytes += passage.bytes
        while self._bytes > self._bytes_max and len(self._passages) > 1:
            self._bytes -= self._passages.popleft().bytes

    def clear(self) -> None:
        """What comes next does not follow what is here."""
        self._passages.clear()
        self._bytes = 0

    def behind(self, at: Position, filter: Filter, bytes_max: int) -> Told | None:
        """What somebody wants of what comes behind a position; ``bytes_max`` of it, and one frame more, at most.

        ``None``: that was too long ago.
        """
        if not self._passages or at < self._passages[0].start:
            return None
        frames: list[Frame] = []
        bytes = 0
        for passage in self._passages:
            if passage.end <= at:
                continue
            for frame in passage.chunk(filter).frames:
                if frame.order > at:  # type: ignore[operator]  # both are of the feed
                    frames.append(frame)
                    bytes += len(frame.text)
                    if bytes >= bytes_max:
                        return Told(frames, frame.order, more=True)  # type: ignore[arg-type]
        return Told(frames, max(at, self._passages[-1].end), more=False)
