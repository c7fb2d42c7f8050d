"""The suite's connection to the database: whoever asks has his turn."""

from __future__ import annotations

import asyncio

import asyncpg

from meshproof.database import Reader

WAITING = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"


async def test_many_ask_one_connection_and_each_is_answered(dsn: str) -> None:
    reader, holder = Reader(dsn), await asyncpg.connect(dsn)
    try:
        await holder.execute("SELECT pg_advisory_lock(7)")
        slow = asyncio.create_task(reader.fetch("SELECT 1 FROM pg_advisory_xact_lock(7)"))
        while not await holder.fetchval(WAITING):
            assert not slow.done()
        others = [asyncio.create_task(reader.fetch("SELECT 2")), asyncio.create_task(_in_one_snapshot(reader))]
        # They have asked by the time the holder is answered, and nobody was.
        await holder.fetchval("SELECT 1")
        assert not any(task.done() for task in (slow, *others))
        await holder.execute("SELECT pg_advisory_unlock(7)")
        assert [rows[0][0] for rows in await asyncio.gather(slow, *others)] == [1, 2, 3]
    finally:
        await reader.close()
        await holder.close()


async def _in_one_snapshot(reader: Reader) -> list[asyncpg.Record]:
    async with reader.snapshot() as connection:
        rows: list[asyncpg.Record] = await connection.fetch("SELECT 3")
        return rows
