"""The one size-or-time buffer: many callers put single items in, batches come out, every caller gets its own result.

While a batch is being flushed the next one gathers, so batches grow by themselves as load grows (group commit).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from meshhook.errors import MeshHookError

Item = TypeVar("Item")
Result = TypeVar("Result")


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
        linger_s: how long a batch that is not full waits for company, when others are being flushed or have just been.
        lanes: batches in flight at once.
    """

    def __init__(
        self,
        flush: Callable[[list[Item]], Awaitable[list[Result]]],
        *,
        batch_max: int,
        waiting_max: int,
        linger_s: float = 0.0,
        lanes: int = 1,
    ) -> None:
        self._flush = flush
        self._batch_max = batch_max
        self._waiting_max = waiting_max
        self._linger_s = linger_s
        self._waiting: deque[tuple[Item, asyncio.Future[Result]]] = deque()
        self._arrived = asyncio.Event()
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
        return future

    async def close(self) -> None:
        """Take nothing more, flush what is waiting, and return when all of it is done."""
        self._closing = True
        self._arrived.set()
        await asyncio.gather(*self._lanes)

    async def _run(self) -> None:
        while await self._some():
            batch = self._take()
            if batch:
                await self._flush_one(batch)
                if self._linger_s and 0 < len(self._waiting) < self._batch_max and not self._closing:
                    await asyncio.sleep(self._linger_s)

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
        try:
            results = await self._flush([item for item, _ in batch])
        except Exception as error:  # noqa: BLE001 whatever it is, it is the answer to everyone in this batch
            for _, future in batch:
                if not future.done():
                    future.set_exception(error)
            return
        for (_, future), result in zip(batch, results, strict=True):
            if not future.done():
                future.set_result(result)
