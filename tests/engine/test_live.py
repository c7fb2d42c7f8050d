"""The story of one watcher, against a feed that is made by hand: nothing is lost between two looks."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from typing import Any

from tests.engine.test_recent import row

from meshhook.feed import Page
from meshhook.frames import Position
from meshhook.live import Live
from meshhook.tailer import Tailer
from meshhook.watching import Filter
from meshproof.sse import Parser

BOUND_S = 120.0


class Feed:
    """A feed that says what it is given, and counts how often somebody other than the tailer asks."""

    def __init__(self) -> None:
        self.pages: deque[Page] = deque()
        self.upto = Position(1)
        self.asked = 0

    async def end(self) -> Position:
        return self.upto

    async def page(self, after: Position, bytes_max: int, *, project_id: int | None = None, **_: Any) -> Page:
        if project_id is not None:
            self.asked += 1
            return Page([], max(after, self.upto), more=False)
        return self.pages.popleft() if self.pages else Page([], after, more=False)

    def write(self, place: int) -> None:
        """Two events."""
        self.upto = Position(place + 1)
        self.pages.append(Page([row(place)], self.upto, more=False))


async def places(texts: AsyncGenerator[bytes, None], count: int, parser: Parser) -> list[int]:
    """The places of so many events of a stream."""
    found: list[int] = []
    async with asyncio.timeout(BOUND_S):
        while len(found) < count:
            found += [
                int(event.id.partition(".")[0])
                for event in parser.feed(await anext(texts))
                if not event.name.startswith("l")
            ]
    return found


def watched(feed: Feed, heartbeat_s: float = 0.005, buffer_bytes: int = 10**6) -> tuple[Tailer, Live]:
    tailer = Tailer(feed, poll_s=0.001)  # type: ignore[arg-type]
    return tailer, Live(
        feed,  # type: ignore[arg-type]
        tailer,
        watchers_max=10,
        buffer_bytes=buffer_bytes,
        heartbeat_s=heartbeat_s,
    )


async def allowed() -> None:
    """May go on."""


async def test_what_is_found_while_a_watcher_is_asked_for_his_key_is_told() -> None:
    feed = Feed()
    tailer, live = watched(feed)
    written = asyncio.Event()

    async def ask() -> None:
        if not written.is_set() and tailer.read == 0:
            feed.write(5)
            written.set()
            while tailer.read == 0:
                await asyncio.sleep(0)

    running = asyncio.create_task(tailer.run())
    texts = live.stream(await live.of_project(Filter(0), None), ask)
    try:
        assert await places(texts, 2, Parser()) == [5, 5]
    finally:
        await texts.aclose()
        running.cancel()


async def test_who_connects_again_is_told_from_memory() -> None:
    feed = Feed()
    tailer, live = watched(feed)
    running = asyncio.create_task(tailer.run())
    stays = live.stream(await live.of_project(Filter(0), None), allowed)
    try:
        telling = asyncio.create_task(places(stays, 6, Parser()))
        async with asyncio.timeout(BOUND_S):
            while await tailer.placed(1) is None:
                await asyncio.sleep(0)
            for place in (3, 4, 5):
                feed.write(place)
            assert await telling == [3, 3, 4, 4, 5, 5]
        asked = feed.asked
        again = live.stream(await live.of_project(Filter(0), Position(3, 1, 1)), allowed)
        assert await places(again, 5, Parser()) == [3, 4, 4, 5, 5]
        await again.aclose()
        assert feed.asked == asked
    finally:
        await stays.aclose()
        running.cancel()
