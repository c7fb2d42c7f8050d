"""What the faults see of the database."""

from __future__ import annotations

import asyncpg

from meshproof.faults.eye import Eye


async def test_transactions_that_pass_while_another_is_held_open_are_counted(database: str) -> None:
    held, busy, eye = await asyncpg.connect(database), await asyncpg.connect(database), Eye(database)
    try:
        await held.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        await held.fetchval("SELECT 1")
        session = held.get_server_pid()
        before, _ = await eye.passed(session)
        for _ in range(3):
            await busy.fetchval("SELECT pg_current_xact_id()")
        after, _ = await eye.passed(session)
        assert after >= before + 3
        await held.execute("ROLLBACK")
        assert (await eye.passed(session))[0] == 0
    finally:
        await eye.close()
        for connection in (held, busy):
            await connection.close()
