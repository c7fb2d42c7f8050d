"""Fairness between projects, and what a claim costs when much waits: by the entries of indexes that it reads."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest
from tests.engine.conftest import DAY, Connection, chain, delivery, pool, publish
from tests.engine.test_store_turns import ended, reads
from tests.engine.test_worker import until_idle, worker

from meshhook.store import Claimed, Store


async def projects(sql: Connection, count: int) -> list[int]:
    """An endpoint in each of so many projects."""
    await sql.execute(
        "INSERT INTO meshhook.projects (id, name) SELECT n, 'p' || n FROM generate_series(1, $1::int) n", count
    )
    return [await publish(sql, chain("input"), f"w{n}", project=n) for n in range(1, count + 1)]


async def backlog(sql: Connection, like: str, count: int, **columns: Any) -> None:
    """Copies of an accepted run, with these columns in the queue."""
    columns = {"due_at": "clock_timestamp()"} | columns
    names = ", ".join(columns)
    await sql.execute(
        f"""
        WITH ids AS (
            SELECT (substr($1, 1, 24) || lpad(to_hex(n), 12, '0'))::uuid AS id, n FROM generate_series(1, $2::int) n
        ), runs AS (
            INSERT INTO meshhook.runs (shard, id, project_id, workflow_id, version_id)
            SELECT 0, ids.id, r.project_id, r.workflow_id, r.version_id FROM ids, meshhook.runs r WHERE r.id = $1::uuid
        ), journals AS (
            INSERT INTO meshhook.journal (shard, run_id, seq, epoch, at, events)
            SELECT 0, ids.id, 1, 0, j.at, j.events FROM ids, meshhook.journal j WHERE j.run_id = $1::uuid
        )
        INSERT INTO meshhook.tasks (shard, run_id, {names})
        SELECT 0, id, {", ".join(str(value) for value in columns.values())} FROM ids
        """,
        like,
        count,
    )


async def claim(store: Store, limit: int) -> list[Claimed]:
    async with store.turn(0) as turn:
        claimed = await turn.claim(limit)
        if claimed:
            assert not (await turn.commit([ended(run) for run in claimed])).refused
    return claimed


async def project_of(sql: Connection, claimed: list[Claimed]) -> Counter[int]:
    rows = await sql.fetch("SELECT project_id FROM meshhook.runs WHERE id = ANY ($1)", [run.run_id for run in claimed])
    return Counter(row["project_id"] for row in rows)


async def test_a_backlog_of_one_project_does_not_keep_another_waiting(sql: Connection, store: Store) -> None:
    noisy, quiet = await projects(sql, 2)
    for n in range(3):
        await store.accept(0, [delivery(noisy, i) for i in range(100)], DAY)
        await store.accept(0, [delivery(quiet, n)], DAY)
    claimed = await claim(store, 50)
    assert await project_of(sql, claimed) == {1: 47, 2: 3}


async def test_every_one_of_many_projects_has_its_share(sql: Connection, store: Store) -> None:
    endpoints = await projects(sql, 100)
    for endpoint in endpoints:
        await store.accept(0, [delivery(endpoint, n) for n in range(10)], DAY)
    seen: Counter[int] = Counter()
    for _ in range(12):
        claimed = await claim(store, 64)
        assert len(claimed) == 64
        seen += await project_of(sql, claimed)
    assert len(seen) == 100  # each had a turn
    assert max(seen.values()) <= 12


async def test_many_timers_of_one_project_do_not_keep_another_waiting(sql: Connection, store: Store) -> None:
    noisy, quiet = await projects(sql, 2)
    await store.accept(0, [delivery(noisy, n) for n in range(300)], DAY)
    await sql.execute("UPDATE meshhook.tasks SET queue = 2")  # as if they all had slept until now
    await store.accept(0, [delivery(quiet, 1)], DAY)
    assert (await project_of(sql, await claim(store, 50)))[2] == 1
    total = 50
    while claimed := await claim(store, 50):
        total += len(claimed)
    assert total == 301


async def test_lanes_and_ready_runs_do_not_starve_each_other(sql: Connection, store: Store) -> None:
    free = await publish(sql, chain("input"), "free")
    keyed = await publish(sql, chain("input") | {"settings": {"concurrency": {"limit": 1, "key": "input"}}}, "keyed")
    await store.accept(0, [delivery(keyed, n) for n in range(100)], DAY)
    assert await worker(store).turn(0) == 100  # all are placed, each in its lane
    await store.accept(0, [delivery(free, n) for n in range(100)], DAY)
    claimed = await claim(store, 20)
    assert 8 <= sum(run.lane is None for run in claimed) <= 12
    await until_idle(worker(store))
    assert await sql.fetchval("SELECT count(*) FROM meshhook.tasks") == 0


@pytest.mark.slow
async def test_a_claim_reads_little_whatever_waits(sql: Connection, database: str, store: Store) -> None:
    """A million ready, 100,000 in one lane whose slot is taken, 100,000 asleep: a claim reads its batch and a few entries more."""
    endpoint = await publish(sql, chain("input"))
    ready, laned, asleep = (delivery(endpoint, n).run_id for n in range(3))
    for run_id in (ready, laned, asleep):
        await store.accept(0, [delivery(endpoint, 0)._replace(run_id=run_id)], DAY)
    lane = await sql.fetchval(
        "INSERT INTO meshhook.lanes (shard, workflow_id, project_id, key, slots) VALUES (0, 1, 0, '1', 1) RETURNING id"
    )
    await sql.execute("DELETE FROM meshhook.tasks")
    await backlog(sql, ready, 1_000_000, queue=0)
    await backlog(sql, laned, 100_000, queue=1, lane=lane, place="n")
    await backlog(sql, asleep, 100_000, queue=2, due_at="clock_timestamp() + interval '1 day'")
    await sql.execute(
        "UPDATE meshhook.tasks SET queue = 3, owner = 'w', due_at = clock_timestamp() + interval '1 h' "
        "WHERE lane = $1 AND place = 1",
        lane,
    )
    await sql.execute("INSERT INTO meshhook.openings (shard, at, lane) VALUES (0, clock_timestamp(), $1)", lane)
    await sql.execute("ANALYZE meshhook.tasks")
    before = await reads(sql)
    async with pool(database) as other:  # a backend reports its counts when it ends
        claimed = await claim(Store(other), 500)
    assert len(claimed) == 500
    assert all(run.lane is None for run in claimed)
    query = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'test' AND datname = current_database()"
    while await sql.fetchval(query) > 1:
        await asyncio.sleep(0)
    after = await reads(sql)
    touched = {name: after[name] - before[name] for name in after}
    assert touched["seq_scan of tasks"] == touched["seq_scan of runs"] == touched["seq_scan of journal"] == 0
    assert 500 <= touched["tasks_ready"] <= 600
    for index in ("tasks_timed", "tasks_lane", "openings_due", "lanes_pkey"):
        assert touched[index] <= 10, index
    assert (
        await sql.fetchval("SELECT count(*) FROM meshhook.openings") == 0
    )  # the slot is taken: who gives it back says so
