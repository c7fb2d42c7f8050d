"""accept(): one call makes deliveries into runs, and says of each other one why not."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta

import asyncpg
import pytest
from tests.engine.conftest import DAY, Connection, chain, delivery, events_of, pool, publish, run_of

from meshhook.store import Delivery, NotNew, Store


async def test_a_batch_becomes_runs_journals_and_tasks(sql: Connection, store: Store) -> None:
    endpoint = await publish(sql, chain("input"))
    deliveries = [delivery(endpoint, {"n": n}, key=f"k{n}" if n % 2 else None) for n in range(10)]
    assert await store.accept(0, deliveries, DAY) == [None] * 10
    for made in deliveries:
        run = await run_of(sql, made.run_id)
        assert (run["status"], run["epoch"], run["delivery_key"], run["finished_at"]) == ("queued", 0, made.key, None)
        (event,) = await events_of(sql, made.run_id)
        assert event == {
            "type": "run.accepted", "workflow": "work", "version": 1, "version_id": run["version_id"],
            "trigger": json.loads(made.trigger),
        }  # fmt: skip
    assert await sql.fetchval("SELECT count(*) FROM meshhook.tasks WHERE owner IS NULL AND epoch = 0") == 10
    assert await sql.fetchval("SELECT count(*) FROM meshhook.dedupe") == 5


async def test_a_key_seen_before_gives_the_first_run(sql: Connection, store: Store) -> None:
    endpoint = await publish(sql, chain("input"))
    first = delivery(endpoint, 1, key="same")
    assert await store.accept(0, [first], DAY) == [None]
    again = [delivery(endpoint, 1, key="same"), delivery(endpoint, 2, key="other"), delivery(endpoint, 2, key="same")]
    again = [again[0], again[1]]
    assert await store.accept(0, again, DAY) == [NotNew("duplicate", first.run_id), None]
    assert await store.accept(0, [delivery(endpoint, 2, key="same")], DAY) == [NotNew("key-reused", first.run_id)]
    assert await sql.fetchval("SELECT count(*) FROM meshhook.runs") == 2


async def test_a_key_is_of_its_endpoint_alone(sql: Connection, store: Store) -> None:
    here, there = await publish(sql, chain("input"), "here"), await publish(sql, chain("input"), "there")
    assert await store.accept(0, [delivery(here, 1, key="k"), delivery(there, 2, key="k")], DAY) == [None, None]


async def test_a_key_is_forgotten_after_its_time(sql: Connection, database: str) -> None:
    endpoint = await publish(sql, chain("input"))
    async with pool(database) as opened:
        store = Store(opened)
        await store.accept(0, [delivery(endpoint, 1, key="k")], timedelta(hours=-1))
        assert await store.accept(0, [delivery(endpoint, 2, key="k")], DAY) == [None]
        await store.accept(0, [delivery(endpoint, 3, key="gone")], timedelta(hours=-1))
        assert await store.forget() == 1
        assert await sql.fetchval("SELECT array_agg(key) FROM meshhook.dedupe") == ["k"]


async def test_what_has_no_published_workflow_is_not_stored(sql: Connection, store: Store) -> None:
    endpoint = await publish(sql, chain("input"))
    await sql.execute("UPDATE meshhook.workflows SET published_version_id = NULL")
    answers = await store.accept(0, [delivery(endpoint, 1, key="k"), delivery(endpoint, 1), delivery(999, 1)], DAY)
    assert answers == [NotNew("unpublished", None), NotNew("unpublished", None), NotNew("gone", None)]
    for table in ("runs", "journal", "tasks", "dedupe"):
        assert await sql.fetchval(f"SELECT count(*) FROM meshhook.{table}") == 0


async def test_a_run_is_pinned_to_the_version_published_when_it_was_accepted(sql: Connection, store: Store) -> None:
    endpoint = await publish(sql, chain("'one'"))
    before = delivery(endpoint)
    await store.accept(0, [before], DAY)
    await publish(sql, chain("'two'"))
    after = delivery(endpoint)
    await store.accept(0, [after], DAY)
    assert [(await events_of(sql, made.run_id))[0]["version"] for made in (before, after)] == [1, 2]


async def test_one_bad_row_leaves_nothing_of_its_batch(sql: Connection, store: Store) -> None:
    endpoint = await publish(sql, chain("input"))
    bad = Delivery(delivery(endpoint).run_id, endpoint, None, None, "{no json")
    with pytest.raises(asyncpg.InvalidTextRepresentationError):
        await store.accept(0, [delivery(endpoint, 1, key="k"), bad], DAY)
    assert await sql.fetchval("SELECT count(*) FROM meshhook.dedupe") == 0


async def test_processes_with_the_same_keys_wait_for_each_other_and_never_deadlock(
    sql: Connection, database: str
) -> None:
    """Two batches hold the same 50 keys in opposite orders; with rows taken as they come, they would deadlock."""
    endpoint = await publish(sql, chain("input"))
    keys = [f"k{n:02}" for n in range(50)]
    async with pool(database) as one, pool(database) as two:
        for round_ in range(10):
            there = [delivery(endpoint, round_, key=f"{round_}-{key}") for key in keys]
            back = [delivery(endpoint, round_, key=f"{round_}-{key}") for key in reversed(keys)]
            answers = await asyncio.gather(Store(one).accept(0, there, DAY), Store(two).accept(0, back, DAY))
            assert sum(answer is None for batch in answers for answer in batch) == len(keys)
    assert await sql.fetchval("SELECT count(*) FROM meshhook.runs") == 10 * len(keys)
