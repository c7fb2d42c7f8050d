"""start_runs(): runs that no webhook began, on a given version or the published one, once a key."""

from __future__ import annotations

import asyncio
import hashlib
import json
from datetime import datetime
from typing import Any

import pytest
from tests.engine.conftest import DAY, Connection, chain, delivery, events_of, pool, publish, run_of

from meshhook.ids import make_run_id
from meshhook.store import NotNew, RunStart, Store, start_runs


def start(body: Any = None, **changes: Any) -> RunStart:
    """A start by hand; with a key, under the scope ``manual``."""
    made = RunStart(
        run_id=make_run_id(0, int(datetime.now().timestamp() * 1000)),  # noqa: DTZ005
        project_id=0,
        workflow="work",
        version_id=None,
        scope="manual",
        key=None,
        body_hash=hashlib.sha256(json.dumps(body).encode()).digest(),
        trigger=json.dumps({"body": body}),
        members='{"source":"manual"}',
    )
    return made._replace(**changes)


async def test_a_batch_becomes_runs_of_no_endpoint_with_their_members(sql: Connection, store: Store) -> None:
    await publish(sql, chain("input"))
    starts = [start(n, members=members) for n, members in enumerate(['{"source":"replay","replay_of":"x"}', "{}"])]
    assert await store.start_runs(0, starts, DAY) == [None, None]
    (first,) = await events_of(sql, starts[0].run_id)
    run = await run_of(sql, starts[0].run_id)
    assert (run["status"], run["endpoint_id"], run["delivery_key"]) == ("queued", None, None)
    assert list(first) == ["type", "workflow", "version", "version_id", "source", "replay_of", "trigger"]
    (second,) = await events_of(sql, starts[1].run_id)
    assert second == {
        "type": "run.accepted", "workflow": "work", "version": 1, "version_id": run["version_id"], "trigger": {"body": 1},
    }  # fmt: skip
    assert await sql.fetchval("SELECT count(*) FROM meshhook.tasks WHERE owner IS NULL") == 2
    assert await sql.fetchval("SELECT count(*) FROM meshhook.dedupe") == 0


async def test_a_key_counts_once_within_its_scope(sql: Connection, store: Store) -> None:
    endpoint = await publish(sql, chain("input"))
    await store.accept(0, [delivery(endpoint, 1, key="k")], DAY)
    first = start(1, key="k")
    assert await store.start_runs(0, [first, start(1, key="k", scope="other")], DAY) == [None, None]
    assert (await run_of(sql, first.run_id))["delivery_key"] == "k"
    answers = await store.start_runs(0, [start(1, key="k"), start(2, key="new")], DAY)
    assert answers == [NotNew("duplicate", first.run_id), None]
    assert await store.start_runs(0, [start(2, key="k")], DAY) == [NotNew("key-reused", first.run_id)]


async def test_the_version_is_the_one_given_or_else_the_published_one(sql: Connection, store: Store) -> None:
    await publish(sql, chain("'one'"))
    await publish(sql, chain("'two'"))
    old = await sql.fetchval("SELECT id FROM meshhook.versions WHERE number = 1")
    starts = [start(), start(version_id=old)]
    assert await store.start_runs(0, starts, DAY) == [None, None]
    assert [(await events_of(sql, made.run_id))[0]["version"] for made in starts] == [2, 1]


async def test_what_can_not_start_leaves_nothing(sql: Connection, store: Store) -> None:
    await publish(sql, chain("input"), "other")
    foreign = await sql.fetchval("SELECT id FROM meshhook.versions")
    await publish(sql, chain("input"))
    await sql.execute("UPDATE meshhook.workflows SET published_version_id = NULL WHERE name = 'work'")
    starts = [
        start(key="a"), start(key="b", workflow="none"), start(key="c", version_id=foreign), start(key="d", project_id=7),
    ]  # fmt: skip
    outcomes = [answer.outcome for answer in await store.start_runs(0, starts, DAY) if answer]
    assert outcomes == ["unpublished", "gone", "gone", "gone"]
    for table in ("runs", "journal", "tasks", "dedupe"):
        assert await sql.fetchval(f"SELECT count(*) FROM meshhook.{table}") == 0


async def test_within_a_transaction_runs_are_there_when_that_is(sql: Connection, database: str) -> None:
    await publish(sql, chain("input"))
    async with pool(database) as opened:

        async def break_off() -> None:
            async with opened.transaction() as connection:
                assert await start_runs(connection, 0, [start(key="k")], DAY) == [None]
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await break_off()
        assert await sql.fetchval("SELECT count(*) FROM meshhook.runs") == 0
        assert await Store(opened).start_runs(0, [start(key="k")], DAY) == [None]


async def test_of_many_at_once_with_one_key_one_becomes_a_run(sql: Connection, database: str) -> None:
    await publish(sql, chain("input"))
    async with pool(database, size=8) as opened:
        store = Store(opened)
        answers = await asyncio.gather(*(store.start_runs(0, [start(key="k")], DAY) for _ in range(20)))
    assert sorted(answer.outcome if answer else "new" for (answer,) in answers) == ["duplicate"] * 19 + ["new"]
    assert await sql.fetchval("SELECT count(*) FROM meshhook.runs") == 1
