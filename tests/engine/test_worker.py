"""The worker: turns, what happens when a turn takes too long, and what it does with runs it can't advance."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from tests.engine.conftest import DAY, Connection, FakeClock, chain, delivery, events_of, pool, publish, run_of

from meshhook import census
from meshhook.definition import parse
from meshhook.model import Request, Response
from meshhook.replay import divergence
from meshhook.store import Store
from meshhook.worker import Worker

pytestmark = pytest.mark.usefixtures("sql")


async def no_network(request: Request, headers: dict[str, str]) -> Response:
    raise AssertionError("nothing here calls")


def worker(store: Store, name: str = "w", **changes: Any) -> Worker:
    options = {"send": no_network, "shards": 1, "batch_max": 500, "hold_s": 60.0, "lease_s": 30.0, "poll_s": 0.01}
    return Worker(store, name=name, **(options | changes))


async def accept(sql: Connection, store: Store, definition: dict[str, Any], *bodies: Any) -> list[str]:
    endpoint = await publish(sql, definition)
    deliveries = [delivery(endpoint, body) for body in bodies]
    await store.accept(0, deliveries, DAY)
    return [made.run_id for made in deliveries]


async def types_of(sql: Connection, run_id: str) -> list[str]:
    return [event["type"] for event in await events_of(sql, run_id)]


async def until_idle(working: Worker) -> None:
    while await working._round():
        pass


async def test_one_turn_runs_pure_runs_to_their_end_in_one_commit(sql: Connection, store: Store) -> None:
    ids = await accept(sql, store, chain("input.n", "{double: sum([input, input])}"), *({"n": n} for n in range(20)))
    one = worker(store)
    assert await one.turn(0) == 20
    for n, run_id in enumerate(ids):
        assert (await events_of(sql, run_id))[-1] == {"type": "run.completed", "output": {"double": 2 * n}}
        assert await sql.fetchval("SELECT count(*) FROM meshhook.journal WHERE run_id = $1", run_id) == 2
    assert (one.counts.completed, one.counts.failed, one.counts.steps) == (20, 0, 60)
    assert await one.turn(0) == 0


async def test_a_step_that_keeps_the_processor_fails_as_timed_out_and_is_no_divergence(
    database: str, sql: Connection
) -> None:
    greedy = {
        "id": "n",
        "type": "transform",
        "config": {"expression": "input" + "|[?@ >= `0`]" * 10},
        "on_error": "port",
    }
    after = {"id": "after", "type": "transform", "config": {"expression": "input.error.type"}}
    edges = [{"from": "trigger", "to": "n"}, {"from": "n", "port": "error", "to": "after"}]
    definition = {"nodes": [greedy, after], "edges": edges}
    async with pool(database) as opened:
        run_id, short = await accept(sql, Store(opened), definition, list(range(40_000)), [1])
        await until_idle(worker(Store(opened), hold_s=0.0, step_processor_s=0.02))
        diverged = [divergence(record, parse(definition)) async for record in census.records(opened)]
    assert (await events_of(sql, run_id))[-1] == {"type": "run.completed", "output": "timeout"}
    assert (await run_of(sql, short))["status"] == "completed"
    assert diverged == [None, None]


async def test_a_run_that_fails_is_no_trouble_for_its_neighbours(sql: Connection, store: Store) -> None:
    good, bad = await accept(sql, store, chain("sum(input)"), [1, 2], "no list")
    one = worker(store)
    await one.turn(0)
    assert (await run_of(sql, good))["status"] == "completed"
    assert (await run_of(sql, bad))["status"] == "failed"
    assert (one.counts.completed, one.counts.failed) == (1, 1)


async def test_a_run_over_the_bound_goes_on_under_a_lease(sql: Connection, store: Store) -> None:
    """Every look at the clock is a second, a turn may last half of one: so each step is a slice of its own."""
    (run_id,) = await accept(sql, store, chain("'a'", "'b'", "'c'"), None)
    one = worker(store, hold_s=0.5, clock=FakeClock(step=1.0))
    await one.turn(0)
    assert await types_of(sql, run_id) == ["run.accepted", "step.completed", "lease.taken"]
    assert (await run_of(sql, run_id))["status"] == "running"
    assert await sql.fetchval("SELECT owner FROM meshhook.tasks") == "w"
    await until_idle(one)
    assert (await types_of(sql, run_id))[3:] == ["step.completed", "step.completed", "run.completed"]
    rows = await sql.fetch("SELECT seq, epoch FROM meshhook.journal WHERE run_id = $1 ORDER BY seq", run_id)
    assert [tuple(row) for row in rows] == [(1, 0), (2, 1), (4, 1), (5, 1), (6, 1)]
    assert await sql.fetchval("SELECT count(*) FROM meshhook.tasks") == 0


async def test_what_a_turn_has_no_time_for_is_put_back_and_the_next_turn_takes_less(
    sql: Connection, store: Store
) -> None:
    await accept(sql, store, chain("input"), *range(10))
    one = worker(store, hold_s=2.5, clock=FakeClock(step=1.0))
    await one.turn(0)
    left = await sql.fetchval("SELECT count(*) FROM meshhook.tasks WHERE owner IS NULL AND epoch = 0")
    assert 0 < left < 10
    assert one._portions[0].runs < 10
    while left := await sql.fetchval("SELECT count(*) FROM meshhook.tasks"):
        await one._round()
    assert await sql.fetchval("SELECT count(*) FROM meshhook.runs WHERE status = 'completed'") == 10


async def test_a_worker_that_died_is_followed_by_another_where_it_stopped(sql: Connection, store: Store) -> None:
    (run_id,) = await accept(sql, store, chain("'a'", "'b'", "'c'"), None)
    await worker(store, "dead", hold_s=0.5, clock=FakeClock(step=1.0), lease_s=0.0).turn(0)
    heir = worker(store, "heir")
    await heir.turn(0)
    events = await events_of(sql, run_id)
    assert [event["type"] for event in events] == [
        "run.accepted", "step.completed", "lease.taken", "lease.expired",
        "step.completed", "step.completed", "run.completed",
    ]  # fmt: skip
    assert events[3]["owner"] == "dead"
    assert events[2]["until"] == events[3]["until"]
    assert heir.counts.taken_over == 1


async def test_a_zombie_writes_nothing_and_lets_go(sql: Connection, store: Store) -> None:
    (run_id,) = await accept(sql, store, chain("'a'", "'b'"), None)
    zombie = worker(store, "zombie", hold_s=0.5, clock=FakeClock(step=1.0), lease_s=0.0)
    await zombie.turn(0)
    await worker(store, "heir").turn(0)
    before = await events_of(sql, run_id)
    await zombie._round()
    assert await events_of(sql, run_id) == before
    assert zombie.counts.refused == 1
    assert not zombie._held


async def test_a_lease_lost_while_renewing_is_let_go(sql: Connection, store: Store) -> None:
    await accept(sql, store, chain("'a'", "'b'"), None)
    one = worker(store, hold_s=0.5, clock=FakeClock(step=1.0))
    await one.turn(0)
    end = await sql.fetchval("SELECT due_at FROM meshhook.tasks")
    await one.renew()
    assert await sql.fetchval("SELECT due_at FROM meshhook.tasks") > end
    await sql.execute("UPDATE meshhook.tasks SET epoch = epoch + 1, owner = 'other'")
    await one.renew()
    assert not one._held


async def test_who_comes_too_late_to_renew_is_refused_and_knows_it(sql: Connection, store: Store) -> None:
    await accept(sql, store, chain("'a'", "'b'"), None)
    zombie = worker(store, "zombie", hold_s=0.5, clock=FakeClock(step=1.0), lease_s=0.0)
    await zombie.turn(0)
    assert zombie._held
    await zombie.renew()
    assert not zombie._held
    assert zombie.counts.refused == 1


async def test_stopping_hands_back_what_is_held(sql: Connection, store: Store) -> None:
    (run_id,) = await accept(sql, store, chain("'a'", "'b'"), None)
    one = worker(store, hold_s=0.5, clock=FakeClock(step=1.0))
    await one.turn(0)
    one.stop()
    await one.run()
    assert (await types_of(sql, run_id))[-1] == "lease.released"
    other = worker(store, "other")
    assert await other.turn(0) == 1
    assert (await run_of(sql, run_id))["status"] == "completed"
    assert other.counts.taken_over == 0


async def test_a_run_whose_journal_or_definition_is_broken_ends_as_failed(sql: Connection, store: Store) -> None:
    torn, odd = await accept(sql, store, chain("input"), 1, 2)
    await sql.execute("ALTER TABLE meshhook.journal DISABLE TRIGGER USER")
    await sql.execute('UPDATE meshhook.journal SET events = \'[{"type":"moon.risen"}]\' WHERE run_id = $1', torn)
    await sql.execute("ALTER TABLE meshhook.journal ENABLE TRIGGER USER")
    await sql.execute("ALTER TABLE meshhook.versions DISABLE TRIGGER USER")
    await sql.execute("UPDATE meshhook.versions SET definition = '{}'")
    one = worker(store)
    assert await one.turn(0) == 2
    for run_id in (torn, odd):
        last = (await events_of(sql, run_id))[-1]
        assert (last["type"], last["error"]["type"]) == ("run.failed", "engine")
    assert await sql.fetchval("SELECT count(*) FROM meshhook.tasks") == 0


async def test_work_is_found_when_it_is_told_of_and_when_it_is_not(sql: Connection, store: Store) -> None:
    one = worker(store, poll_s=0.005)
    working = asyncio.create_task(one.run())
    try:
        (run_id,) = await accept(sql, store, chain("input"), json.dumps("x"))
        one.wake()
        while (await run_of(sql, run_id))["status"] != "completed":
            assert not working.done()
        (run_id,) = await accept(sql, store, chain("input"), 2)
        while (await run_of(sql, run_id))["status"] != "completed":
            assert not working.done()
    finally:
        one.stop()
        await working


async def test_every_shard_is_worked(sql: Connection, store: Store) -> None:
    endpoint = await publish(sql, chain("input"))
    for shard in range(4):
        await store.accept(shard, [delivery(endpoint, shard, shard=shard)], DAY)
    await until_idle(worker(store, shards=4))
    assert await sql.fetchval("SELECT count(*) FROM meshhook.runs WHERE status = 'completed'") == 4
