"""The one size-or-time buffer: many callers put single items in, batches come out, every caller gets its own result.

While a batch is being flushed the next one gathers, so batches grow by themselves as load grows (group commit). And when
many callers were under way at once a moment ago, a batch waits a little for those that will be back: a larger batch costs
less of everything (measured: half the transactions, a tenth less CPU a run), and with few callers nobody waits.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from time import perf_counter
from typing import Generic, TypeVar

from meshhook.errors import MeshHookError

Item = TypeVar("Item")
Result = TypeVar("Result")


_MOST = 0.9
_FORGET = 0.98
"""Of how many callers are expected back after each batch: a burst is forgotten after some dozens of them."""


class Full(MeshHookError):
    """The buffer holds as many items as it may; nothing was put in."""


class Closed(MeshHookError):
    """The buffer is being closed; nothing was put in."""


class Batcher(Generic[Item, Result]):
    """Gathers items and hands them to ``flush`` in batches.

    Args:
        flush: gets at most ``batch_max`` items and returns one result for each, in order. When it raises, every item of
            that batch gets the error.
        batch_max: items a batch.
        waiting_max: items waiting at most, over all; one more is refused with ``Full``.
        linger_s: how long a batch waits at most for the callers that are expected back.
        lanes: batches in flight at once.
        note: is told how many items each batch had that was flushed, and how many seconds that took.
    """

    def __init__(
        self,
        flush: Callable[[list[Item]], Awaitable[list[Result]]],
        *,
        batch_max: int,
        waiting_max: int,
        linger_s: float = 0.0,
        lanes: int = 1,
        note: Callable[[int, float], None] = lambda _, __: None,
    ) -> None:
        self._flush = flush
        self._batch_max = batch_max
        self._waiting_max = waiting_max
        self._linger_s = linger_s
        self._note = note
        self._waiting: deque[tuple[Item, asyncio.Future[Result]]] = deque()
        self._arrived = asyncio.Event()
        self._gathered = asyncio.Event()
        self._goal = 0
        self._flushing = 0
        self._expected = 0.0
        self._closing = False
        self._lanes = [asyncio.create_task(self._run(), name=f"batch-lane-{lane}") for lane in range(lanes)]

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, item: Item) -> asyncio.Future[Result]:
        """Put one item in; the future is done when its batch is.

        Raises:
            Full: the bound is reached.
            Closed: ``close`` was called.
        """
        if self._closing:
            raise Closed("shutting down")
        if len(self._waiting) >= self._waiting_max:
            raise Full(f"{self._waiting_max} items are waiting already")
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        self._arrived.set()
        self._expected = max(self._expected, len(self._waiting) + self._flushing)
        if len(self._waiting) >= self._goal:
            self._gathered.set()
        return future

    async def close(self) -> None:
        """Take nothing more, flush what is waiting, and return when all of it is done."""
        self._closing = True
        self._arrived.set()
        self._gathered.set()
        await asyncio.gather(*self._lanes)

    async def _run(self) -> None:
        while await self._some():
            await self._gather()
            if batch := self._take():
                self._flushing += len(batch)
                await self._flush_one(batch)
                self._flushing -= len(batch)

    async def _gather(self) -> None:
        """Wait until most of the callers that were recently under way at once are here, but no longer than may be."""
        self._expected = max(len(self._waiting), self._expected * _FORGET)
        self._goal = min(self._batch_max, int(self._expected * _MOST))
        if len(self._waiting) >= self._goal or not self._linger_s or self._closing:
            return
        self._gathered.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(self._linger_s):
                await self._gathered.wait()

    async def _some(self) -> bool:
        while not self._waiting:
            if self._closing:
                return False
            self._arrived.clear()
            await self._arrived.wait()
        return True

    def _take(self) -> list[tuple[Item, asyncio.Future[Result]]]:
        return [self._waiting.popleft() for _ in range(min(self._batch_max, len(self._waiting)))]

    async def _flush_one(self, batch: list[tuple[Item, asyncio.Future[Result]]]) -> None:
        began = perf_counter()
        try:
            results = await self._flush([item for item, _ in batch])
            self._note(len(batch), perf_counter() - began)
        except Exception as error:  # noqa: BLE001 whatever it is, it is the answer to everyone in this batch
            for _, future in batch:
                if not future.done():
                    future.set_exception(error)
            return
        for (_, future), result in zip(batch, results, strict=True):
            if not future.done():
                future.set_result(result)
