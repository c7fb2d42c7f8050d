"""One project has a backlog of 100,000 runs; what another sends starts about as soon as ever. A real worker, on a real database.

How soon in milliseconds depends on the machine, and is what the scenario ``noisy_neighbour`` of the suite measures. Here the runs
are counted that go before.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from datetime import datetime
from typing import Any

import pytest
from tests.engine.conftest import DAY, Connection, delivery, pool, publish
from tests.engine.processes import Running
from tests.engine.test_fairness import backlog, projects

from meshhook.store import Store

BACKLOG = 100_000
TURN = 500
SENT = 200


async def waits(sql: Connection, store: Store, endpoint: int) -> list[tuple[datetime, datetime]]:
    """From when to when each of some runs waited: its acceptance and its first claim, by the clock of the database."""
    made = []
    for n in range(SENT):
        made.append(delivery(endpoint, n))
        await store.accept(0, made[-1:], DAY)
        await asyncio.sleep(0.01)  # the pace of a quiet sender
    ids = [one.run_id for one in made]
    left = "SELECT count(*) FROM meshhook.runs WHERE id = ANY ($1) AND finished_at IS NULL"
    async with asyncio.timeout(60):
        while await sql.fetchval(left, ids):
            await asyncio.sleep(0.01)
    rows = await sql.fetch(
        "SELECT door.at, work.claimed_at FROM meshhook.journal door "
        "JOIN meshhook.journal work ON work.run_id = door.run_id AND work.seq = 2 WHERE door.seq = 1 AND door.run_id = ANY ($1)",
        ids,
    )
    return [(row["at"], row["claimed_at"]) for row in rows]


def steps(count: int) -> dict[str, Any]:
    ids = [f"s{n}" for n in range(count)]
    return {
        "nodes": [{"id": id, "type": "transform", "config": {"expression": "{n: input}"}} for id in ids],
        "edges": [{"from": source, "to": target} for source, target in zip(["trigger", *ids], ids, strict=False)],
    }


@pytest.mark.slow
async def test_a_backlog_of_another_project_hardly_shows(sql: Connection, database: str, store: Store) -> None:
    _, quiet = await projects(sql, 2)
    noisy = await publish(sql, steps(10), "noisy", project=1)
    async with pool(database) as loading, Running("work", database):
        await waits(sql, store, quiet)  # warm
        like = delivery(noisy, 1)
        await Store(loading).accept(0, [like], DAY)
        await backlog(sql, like.run_id, BACKLOG, queue=0, project_id=1)
        beside = await waits(sql, store, quiet)
        left = await sql.fetchval("SELECT count(*) FROM meshhook.tasks WHERE project_id = 1")
    assert left > 0, "the backlog was gone before the last run was sent"
    begun = await sql.fetch(
        "SELECT j.claimed_at FROM meshhook.journal j JOIN meshhook.runs r ON r.id = j.run_id "
        "WHERE r.project_id = 1 AND j.seq = 2 ORDER BY j.claimed_at"
    )
    claims = [row["claimed_at"] for row in begun]
    before = [bisect_left(claims, claimed) - bisect_left(claims, accepted) for accepted, claimed in beside]
    assert len(before) == SENT
    assert max(before) <= 3 * TURN, "a run of the quiet project waited for more than what was in the worker's hands"
