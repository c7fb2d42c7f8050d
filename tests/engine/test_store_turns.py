"""claim(), commit(), renew(), put_back(): who holds a run, and whose writes count."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from tests.engine.conftest import DAY, Connection, chain, delivery, events_of, pool, publish, run_of

from meshhook.store import Append, Claimed, Store

LEASE = timedelta(seconds=30)


async def accept(sql: Connection, store: Store, count: int = 1) -> list[str]:
    endpoint = await publish(sql, chain("input"))
    deliveries = [delivery(endpoint, n) for n in range(count)]
    await store.accept(0, deliveries, DAY)
    return [made.run_id for made in deliveries]


def ended(run: Claimed, seq: int = 2, **changes: Any) -> Append:
    events = json.dumps([{"type": "run.completed", "output": 1}])
    return Append(run.run_id, run.claimed_at, run.epoch, seq, events, "completed")._replace(**changes)


def leased(run: Claimed, owner: str, until: datetime, seq: int = 2) -> Append:
    events = json.dumps([{"type": "lease.taken", "owner": owner, "until": until.isoformat()}])
    return Append(run.run_id, run.claimed_at, run.epoch, seq, events, "running", until, owner)


async def take_lease(store: Store, owner: str, *, ends_in: timedelta = LEASE, seq: int = 2) -> Claimed:
    async with store.turn(0) as turn:
        (run,) = await turn.claim(10)
        assert (await turn.commit([leased(run, owner, run.claimed_at + ends_in, seq)])).refused == set()
    return run


async def commit_held(store: Store, appends: list[Append]) -> set[UUID]:
    async with store.holding(0) as holding:
        return (await holding.commit(appends)).refused


async def test_a_turn_takes_runs_and_ends_them(sql: Connection, store: Store) -> None:
    ids = await accept(sql, store, 5)
    async with store.turn(0) as turn:
        claimed = await turn.claim(3)
        assert [str(run.run_id) for run in claimed] == sorted(str(run.run_id) for run in claimed)
        assert all(run.epoch == 1 and run.expired_owner is None and len(run.journal) == 1 for run in claimed)
        assert (await turn.commit([ended(run) for run in claimed])).refused == set()
    done = {str(run.run_id) for run in claimed}
    assert done < set(ids)
    for run_id in ids:
        run = await run_of(sql, run_id)
        assert (run["status"], run["epoch"]) == (("completed", 1) if run_id in done else ("queued", 0))
    assert await sql.fetchval("SELECT count(*) FROM meshhook.tasks") == 2


async def test_two_workers_never_take_the_same_run(sql: Connection, database: str, store: Store) -> None:
    await accept(sql, store, 40)
    async with pool(database) as other, store.turn(0) as turn, Store(other).turn(0) as second:
        mine, theirs = await turn.claim(25), await second.claim(25)
        assert (len(mine), len(theirs)) == (25, 15)
        assert not {run.run_id for run in mine} & {run.run_id for run in theirs}


async def test_a_crash_in_a_turn_gives_everything_back_at_once(sql: Connection, store: Store) -> None:
    (run_id,) = await accept(sql, store)
    with pytest.raises(RuntimeError, match="crash"):  # noqa: PT012
        async with store.turn(0) as turn:
            await turn.commit([ended(run) for run in await turn.claim(1)])
            raise RuntimeError("crash")
    assert (await run_of(sql, run_id))["status"] == "queued"
    assert len(await events_of(sql, run_id)) == 1
    async with store.turn(0) as turn:
        assert len(await turn.claim(1)) == 1


async def test_put_back_leaves_a_run_as_it_was(sql: Connection, store: Store) -> None:
    await accept(sql, store, 3)
    before = await sql.fetch("SELECT * FROM meshhook.tasks ORDER BY run_id")
    async with store.turn(0) as turn:
        await turn.put_back(await turn.claim(10))
    assert await sql.fetch("SELECT * FROM meshhook.tasks ORDER BY run_id") == before


async def test_a_lease_keeps_others_out_until_it_ends(sql: Connection, store: Store) -> None:
    (run_id,) = await accept(sql, store)
    held = await take_lease(store, "one")
    async with store.turn(0) as turn:
        assert await turn.claim(10) == []
    assert (await run_of(sql, run_id))["status"] == "running"
    assert await commit_held(store, [ended(held, 3)]) == set()
    assert [event["type"] for event in await events_of(sql, run_id)] == ["run.accepted", "lease.taken", "run.completed"]
    assert await sql.fetchval("SELECT count(*) FROM meshhook.tasks") == 0


async def test_a_lease_that_ended_is_taken_over_and_its_holder_is_refused(sql: Connection, store: Store) -> None:
    (run_id,) = await accept(sql, store)
    zombie = await take_lease(store, "zombie", ends_in=timedelta(0))
    heir = await take_lease(store, "heir", seq=3)
    assert (heir.epoch, heir.expired_owner, len(heir.journal)) == (2, "zombie", 2)
    assert await commit_held(store, [ended(zombie, 3)]) == {zombie.run_id}
    assert await store.renew(0, "zombie", [zombie.run_id], [zombie.epoch], LEASE) == {}
    assert (await run_of(sql, run_id))["status"] == "running"
    assert await commit_held(store, [ended(heir, 4)]) == set()
    rows = await sql.fetch("SELECT seq, epoch FROM meshhook.journal WHERE run_id = $1 ORDER BY seq", run_id)
    assert [tuple(row) for row in rows] == [(1, 0), (2, 1), (3, 2), (4, 2)]


async def test_an_expired_lease_may_still_be_committed_while_nobody_took_over(sql: Connection, store: Store) -> None:
    """Fencing is by epoch, not by clock: as long as nobody else holds the run, its holder's work is not thrown away."""
    (run_id,) = await accept(sql, store)
    held = await take_lease(store, "slow", ends_in=timedelta(0))
    assert await commit_held(store, [ended(held, 3)]) == set()
    assert (await run_of(sql, run_id))["status"] == "completed"


async def test_a_stale_write_is_refused_by_the_run_itself_too(sql: Connection, store: Store) -> None:
    (run_id,) = await accept(sql, store)
    await sql.execute("UPDATE meshhook.runs SET epoch = 7 WHERE id = $1", run_id)
    async with store.turn(0) as turn:
        (run,) = await turn.claim(1)
        assert (await turn.commit([ended(run)])).refused == {run.run_id}
    assert len(await events_of(sql, run_id)) == 1


async def test_renewing_pushes_the_end_of_a_lease_out(sql: Connection, store: Store) -> None:
    await accept(sql, store)
    held = await take_lease(store, "one")
    before = await sql.fetchval("SELECT due_at FROM meshhook.tasks")
    renewed = await store.renew(0, "one", [held.run_id], [held.epoch], LEASE * 2)
    after = await sql.fetchval("SELECT due_at FROM meshhook.tasks")
    assert renewed == {held.run_id: (after, False)}
    assert after - before >= LEASE


async def test_a_lease_that_ran_out_is_not_renewed(sql: Connection, store: Store) -> None:
    await accept(sql, store)
    held = await take_lease(store, "one", ends_in=timedelta(0))
    assert await store.renew(0, "one", [held.run_id], [held.epoch], LEASE) == {}


async def test_leases_count_by_the_clock_of_the_database_alone(sql: Connection, store: Store) -> None:
    """The lease ends in 30 s; a session that lives an hour later sees it ended, whatever the process' clock says."""
    await accept(sql, store)
    await take_lease(store, "one")
    await sql.execute("SELECT set_config('meshhook.fake_now', (clock_timestamp() + interval '1 hour')::text, false)")
    rows = await sql.fetch("SELECT * FROM meshhook.claim(0::smallint, 10)")
    assert [row["owner"] for row in rows] == ["one", "one"]  # two journal rows of one run


async def test_what_is_finished_never_changes(sql: Connection, store: Store) -> None:
    (run_id,) = await accept(sql, store)
    async with store.turn(0) as turn:
        (run,) = await turn.claim(1)
        await turn.commit([ended(run)])
    for statement in (
        "UPDATE meshhook.runs SET status = 'queued', finished_at = NULL",
        "UPDATE meshhook.runs SET epoch = 9",
        "UPDATE meshhook.journal SET events = '[]'",
    ):
        with pytest.raises(asyncpg.IntegrityConstraintViolationError, match="immutable"):
            await sql.execute(statement)
    await sql.execute("INSERT INTO meshhook.tasks (shard, run_id, due_at) VALUES (0, $1, now())", run_id)
    async with store.turn(0) as turn:
        (again,) = await turn.claim(1)
        assert (await turn.commit([ended(again, 3)])).refused == {again.run_id}


async def test_a_journal_takes_no_sequence_number_twice(sql: Connection, store: Store) -> None:
    (run_id,) = await accept(sql, store)
    with pytest.raises(asyncpg.UniqueViolationError):  # noqa: PT012
        async with store.turn(0) as turn:
            (run,) = await turn.claim(1)
            await turn.commit([ended(run, seq=1)])
    assert (await run_of(sql, run_id))["status"] == "queued"


async def test_holders_and_claimers_lock_in_one_order(sql: Connection, database: str, store: Store) -> None:
    """A holder commits while a claimer of the same expired lease is in its turn: the holder waits, is refused, no deadlock."""
    await accept(sql, store)
    zombie = await take_lease(store, "zombie", ends_in=timedelta(0))
    async with pool(database) as other:
        async with store.turn(0) as turn:
            (heir,) = await turn.claim(1)
            late = asyncio.create_task(commit_held(Store(other), [ended(zombie, 3)]))
            while not await sql.fetchval("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"):
                assert not late.done()
                await asyncio.sleep(0)
            assert (await turn.commit([ended(heir, 3)])).refused == set()
        assert await late == {zombie.run_id}


async def test_events_can_be_read_whatever_they_hold(sql: Connection, store: Store) -> None:
    endpoint = await publish(sql, chain("input"))
    await store.accept(0, [delivery(endpoint, 'nul \x00 "type":"run.failed" {}')], DAY)
    (row,) = await sql.fetch("SELECT type, event FROM meshhook.run_events")
    assert row["type"] == "run.accepted"
    assert json.loads(row["event"])["trigger"]["body"].startswith("nul \x00")


async def test_shards_are_apart(sql: Connection, store: Store) -> None:
    endpoint = await publish(sql, chain("input"))
    await store.accept(3, [delivery(endpoint, shard=3)], DAY)
    async with store.turn(0) as turn:
        assert await turn.claim(10) == []
    async with store.turn(3) as turn:
        assert len(await turn.claim(10)) == 1


async def test_the_oldest_are_taken_first(sql: Connection, store: Store) -> None:
    ids = [(await accept(sql, store))[0] for _ in range(5)]
    async with store.turn(0) as turn:
        assert [str(run.run_id) for run in await turn.claim(3)] == sorted(ids[:3])


async def test_pressure_tells_how_far_behind_the_workers_are(sql: Connection, store: Store) -> None:
    assert (await store.pressure(timedelta(seconds=5))).lag_s == 0
    await accept(sql, store)
    await sql.execute("UPDATE meshhook.tasks SET due_at = due_at - interval '90 s'")
    await store.heartbeat("one", 10, 0)
    await store.heartbeat("one", 12, 0)
    await store.heartbeat("two", 5, 0)
    await sql.execute(
        "UPDATE meshhook.workers SET seen_at = $1 WHERE id = 'two'", datetime.now(UTC) - timedelta(minutes=1)
    )
    pressure = await store.pressure(timedelta(seconds=5))
    assert 90 <= pressure.lag_s < 120
    assert (pressure.committed, pressure.workers) == (12, 1)


@pytest.mark.slow
async def test_a_claim_touches_its_batch_and_not_the_backlog(sql: Connection, database: str, store: Store) -> None:
    """A million runs wait. A turn of 500 reads 500 entries of the right indexes, and scans no table."""
    (run_id,) = await accept(sql, store)
    await sql.execute(
        """
        WITH ids AS (
            SELECT (substr($1, 1, 24) || lpad(to_hex(n), 12, '0'))::uuid AS id FROM generate_series(1, 1000000) n
        ), runs AS (
            INSERT INTO meshhook.runs (shard, id, project_id, workflow_id, version_id)
            SELECT 0, id, 0, 1, 1 FROM ids
        ), journals AS (
            INSERT INTO meshhook.journal (shard, run_id, seq, epoch, at, events)
            SELECT 0, id, 1, 0, clock_timestamp(), '[{"type":"run.accepted"}]' FROM ids
        )
        INSERT INTO meshhook.tasks (shard, run_id, due_at, queue) SELECT 0, id, clock_timestamp(), 0 FROM ids
        """,
        run_id,
    )
    before = await reads(sql)
    async with pool(database) as other, Store(other).turn(0) as turn:  # a backend reports its counts when it ends
        claimed = await turn.claim(500)
        assert len(claimed) == 500
        assert (await turn.commit([ended(run) for run in claimed])).refused == set()
    await until_alone(sql)
    after = await reads(sql)
    touched = {name: after[name] - before[name] for name in after}
    assert touched["seq_scan of tasks"] == touched["seq_scan of runs"] == touched["seq_scan of journal"] == 0
    assert 500 <= touched["tasks_ready"] <= 600
    assert touched["tasks_timed"] == touched["tasks_lane"] == 0
    assert 500 <= sum(count for name, count in touched.items() if name.startswith("runs_2")) <= 1_000
    assert 500 <= sum(count for name, count in touched.items() if name.startswith("journal_2")) <= 1_000


async def test_a_commit_touches_its_batch_also_on_a_new_day(sql: Connection, database: str, store: Store) -> None:
    """Every day begins with an empty partition, of which the planner knows nothing; its plans are kept when it fills up."""
    await accept(sql, store)
    async with pool(database) as other:
        early = Store(other)
        await take_lease(early, "early")  # from here on the plans are made
        await accept(sql, store, 2_000)
        before = await reads(sql)
        async with early.turn(0) as turn:
            runs = await turn.claim(20)
            assert (await turn.commit([leased(run, "w", run.claimed_at + LEASE) for run in runs])).refused == set()
        ids, epochs = [run.run_id for run in runs], [run.epoch for run in runs]
        assert len(await early.renew(0, "w", ids, epochs, LEASE)) == 20
        assert await commit_held(early, [ended(run, seq=3) for run in runs]) == set()
    await until_alone(sql)
    after = await reads(sql)
    touched = {name: after[name] - before[name] for name in after}
    assert touched["seq_scan of tasks"] == touched["seq_scan of runs"] == 0
    assert sum(count for name, count in touched.items() if name.startswith("tasks_")) <= 200
    assert sum(count for name, count in touched.items() if name.startswith("runs_2")) <= 200


async def until_alone(sql: Connection) -> None:
    """Wait until every other connection of the test has ended: a backend reports its counts then."""
    others = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'test' AND datname = current_database()"
    while await sql.fetchval(others) > 1:
        await asyncio.sleep(0)


async def reads(sql: Connection) -> dict[str, int]:
    """Entries read of each index, and scans of each hot table, by Postgres' own count."""
    await sql.execute("SELECT pg_stat_force_next_flush()")
    await sql.execute("SELECT pg_stat_clear_snapshot()")
    found: dict[str, int] = {}
    for row in await sql.fetch(
        "SELECT indexrelname, idx_tup_read FROM pg_stat_user_indexes WHERE schemaname = 'meshhook'"
    ):
        found[row["indexrelname"]] = row["idx_tup_read"]
    for table in ("tasks", "runs", "journal"):
        found[f"seq_scan of {table}"] = await sql.fetchval(
            "SELECT coalesce(sum(seq_scan), 0) FROM pg_stat_user_tables WHERE schemaname = 'meshhook' AND relname ~ $1",
            f"^{table}(_2|$)",
        )
    return found
