"""One project has a backlog of 100,000 runs; what another sends starts about as soon as ever. A real worker, on a real database."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.engine.conftest import DAY, Connection, delivery, pool, publish
from tests.engine.processes import Running
from tests.engine.test_fairness import backlog, projects

from meshhook.store import Store

BACKLOG = 100_000
SENT = 200


async def start_latency_ms(sql: Connection, store: Store, endpoint: int) -> list[float]:
    """How long each of some runs waited from its acceptance to its first claim, by the clock of the database."""
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
        "SELECT extract(epoch FROM work.claimed_at - door.at)::float8 * 1000 AS ms FROM meshhook.journal door "
        "JOIN meshhook.journal work ON work.run_id = door.run_id AND work.seq = 2 WHERE door.seq = 1 AND door.run_id = ANY ($1)",
        ids,
    )
    return sorted(row["ms"] for row in rows)


def p99(values: list[float]) -> float:
    return values[int(len(values) * 0.99) - 1]


def steps(count: int) -> dict[str, Any]:
    ids = [f"s{n}" for n in range(count)]
    return {
        "nodes": [{"id": id, "type": "transform", "config": {"expression": "{n: input}"}} for id in ids],
        "edges": [{"from": source, "to": target} for source, target in zip(["trigger", *ids], ids, strict=False)],
    }


@pytest.mark.slow
async def test_a_backlog_of_another_project_hardly_shows(
    sql: Connection, database: str, store: Store, record_property: Any
) -> None:
    _, quiet = await projects(sql, 2)
    noisy = await publish(sql, steps(10), "noisy", project=1)
    async with pool(database) as loading, Running("work", database):
        await start_latency_ms(sql, store, quiet)  # warm
        alone = p99(await start_latency_ms(sql, store, quiet))
        like = delivery(noisy, 1)
        await Store(loading).accept(0, [like], DAY)
        await backlog(sql, like.run_id, BACKLOG, queue=0, project_id=1)
        beside = p99(await start_latency_ms(sql, store, quiet))
        left = await sql.fetchval("SELECT count(*) FROM meshhook.tasks WHERE project_id = 1")
    record_property("p99_ms", {"alone": alone, "beside": beside, "left": left})
    print(f"start latency p99: alone {alone:.1f} ms, beside {BACKLOG:,} runs {beside:.1f} ms, {left:,} of them left")
    assert left > 0, "the backlog was gone before the last run was sent"
    assert beside < 2 * alone + 250
