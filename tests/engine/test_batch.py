"""The buffer: bounded, every caller gets his own result, nothing is left behind when it closes."""

from __future__ import annotations

import asyncio

import pytest

from meshhook.batch import Batcher, Closed, Full


class Sink:
    """Doubles numbers; a batch can be held back, to see what gathers behind it."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.open = asyncio.Event()
        self.open.set()

    async def flush(self, items: list[int]) -> list[int]:
        self.batches.append(items)
        await self.open.wait()
        if 666 in items:
            raise ValueError("666")
        return [2 * item for item in items]


async def test_every_caller_gets_his_own_result() -> None:
    sink = Sink()
    batcher = Batcher(sink.flush, batch_max=10, waiting_max=100)
    assert await asyncio.gather(*(batcher.put(n) for n in range(25))) == [2 * n for n in range(25)]
    assert [len(batch) for batch in sink.batches] == [10, 10, 5]
    await batcher.close()


async def test_while_one_batch_is_flushed_the_next_gathers() -> None:
    sink = Sink()
    sink.open.clear()
    batcher = Batcher(sink.flush, batch_max=10, waiting_max=100)
    first = batcher.put(1)
    while not sink.batches:
        await asyncio.sleep(0)
    rest = [batcher.put(n) for n in range(5)]
    sink.open.set()
    await asyncio.gather(first, *rest)
    assert sink.batches == [[1], [0, 1, 2, 3, 4]]
    await batcher.close()


async def test_the_bound_holds() -> None:
    sink = Sink()
    batcher = Batcher(sink.flush, batch_max=10, waiting_max=3)
    futures = [batcher.put(n) for n in range(3)]
    with pytest.raises(Full):
        batcher.put(4)
    assert len(batcher) == 3
    await asyncio.gather(*futures)
    await batcher.close()


async def test_a_batch_that_fails_fails_for_its_callers_alone() -> None:
    sink = Sink()
    batcher = Batcher(sink.flush, batch_max=2, waiting_max=100)
    results = await asyncio.gather(*(batcher.put(n) for n in (12, 666, 14, 15)), return_exceptions=True)
    assert [str(result) for result in results] == ["666", "666", "28", "30"]
    await batcher.close()


async def test_closing_flushes_what_waits_and_takes_nothing_more() -> None:
    sink = Sink()
    sink.open.clear()
    batcher = Batcher(sink.flush, batch_max=1, waiting_max=100, linger_s=60.0)
    futures = [batcher.put(n) for n in range(3)]
    closing = asyncio.create_task(batcher.close())
    await asyncio.sleep(0)
    with pytest.raises(Closed):
        batcher.put(4)
    sink.open.set()
    await closing
    assert [future.result() for future in futures] == [0, 2, 4]


async def test_a_batch_waits_for_callers_that_are_expected_back_and_no_others() -> None:
    """Ten callers that come back at once make batches of ten; one caller alone never waits (60 s would fail the test)."""
    sink = Sink()
    batcher = Batcher(sink.flush, batch_max=100, waiting_max=100, linger_s=60.0)
    assert await batcher.put(1) == 2

    async def caller() -> None:
        for n in range(20):
            await batcher.put(n)

    async with asyncio.TaskGroup() as callers:
        waiting = [callers.create_task(caller()) for _ in range(10)]
    assert all(task.done() for task in waiting)
    assert len(sink.batches[-2]) >= 9
    await batcher.close()
