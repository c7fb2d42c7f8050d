"""What the door refuses is written in batches, kept in a ring, and not lost while the database is away."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from tests.engine.conftest import Connection, pool

from meshhook.db.connect import Database
from meshhook.errors import Refusal, Unavailable
from meshhook.refusals import Refusals

WRONG = Refusal(401, "signature-wrong", "The signature is wrong", "It fits no secret.")


async def test_what_was_noted_is_written_once(database: str, sql: Connection) -> None:
    async with pool(database) as opened:
        refusals = Refusals(opened)
        refusals.note(1, WRONG, "127.0.0.1:5", "key\0 \ud800")
        refusals.note(2, Refusal(400, "invalid-json", "", "x" * 10_000), None, None)
        await refusals.flush()
        await refusals.flush()
    rows = await sql.fetch("SELECT * FROM meshhook.refusals ORDER BY id")
    assert [(row["endpoint_id"], row["status"], row["problem"]) for row in rows] == [
        (1, 401, "signature-wrong"),
        (2, 400, "invalid-json"),
    ]
    assert rows[0]["delivery_key"] == "key\ufffd ?"
    assert len(rows[1]["detail"]) == 500


async def test_a_flood_is_a_few_rows_and_an_exact_count(
    database: str, sql: Connection, fake_clock: Callable[..., Any]
) -> None:
    async with pool(database) as opened:
        refusals = Refusals(opened, fake_clock(step=0.001))
        for _ in range(5):
            for _ in range(10_000):
                refusals.note(1, WRONG, None, None)
            await refusals.flush()
    assert await sql.fetchval("SELECT sum(refused) FROM meshhook.refusal_counts") == 50_000
    rows, unwritten = await sql.fetchrow("SELECT count(*), sum(unwritten) FROM meshhook.refusals")
    assert rows <= 20 + 50 * 0.2 + 1
    assert 45_000 < rows + unwritten <= 50_000


async def test_what_could_not_be_written_is_written_later(
    database: str, sql: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with pool(database) as opened:
        refusals = Refusals(opened)
        refusals.note(1, WRONG, None, None)
        closed = Database(database, size=1, name="closed")
        with pytest.raises(Unavailable):
            await closed.call("SELECT 1")
        monkeypatch.setattr(refusals, "_database", closed)
        await refusals.flush()
        refusals.note(1, WRONG, None, None)
        monkeypatch.setattr(refusals, "_database", opened)
        await refusals.flush()
    assert await sql.fetchval("SELECT count(*) FROM meshhook.refusals") == 2
    assert await sql.fetchval("SELECT refused FROM meshhook.refusal_counts") == 2


async def test_the_ring_lets_the_oldest_go(database: str, sql: Connection) -> None:
    await sql.execute(
        "INSERT INTO meshhook.refusals (at, endpoint_id, status, problem, detail) "
        "SELECT now(), 1, 401, 'signature-wrong', '' FROM generate_series(1, 104000)"
    )
    await sql.execute(
        "INSERT INTO meshhook.refusal_counts VALUES (1, 'signature-wrong', now() - interval '31 days', 7)"
    )
    async with pool(database) as opened:
        refusals = Refusals(opened)
        refusals.note(1, WRONG, None, None)
        await refusals.flush()
    assert await sql.fetchval("SELECT count(*) FROM meshhook.refusals") == 100_000
    assert await sql.fetchval("SELECT min(id) FROM meshhook.refusals") == 4_002
    assert await sql.fetchval("SELECT sum(refused) FROM meshhook.refusal_counts") == 1, "counts are kept for 30 days"


async def test_reading_and_trimming_go_by_index(database: str, sql: Connection) -> None:
    await sql.execute(
        "INSERT INTO meshhook.refusals (at, endpoint_id, status, problem, detail) "
        "SELECT now(), n % 50, 401, 'signature-wrong', '' FROM generate_series(1, 20000) n"
    )
    await sql.execute("ANALYZE meshhook.refusals")
    plan = await sql.fetch(
        "EXPLAIN SELECT * FROM meshhook.refusals WHERE endpoint_id = 7 AND id < 15000 ORDER BY id DESC LIMIT 51"
    )
    assert "refusals_of_endpoint" in str(plan)
    assert "Sort" not in str(plan)
