"""The overview: what is told of a project, of workers and of the database is what is there, and a long queue costs no more."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from tests.engine.conftest import DAY, Connection, chain, delivery, publish

from meshhook import control, overview
from meshhook.config import Settings
from meshhook.db.figures import QUEUE_BLOCKS, Figures, Queued, figures, storage
from meshhook.db.health import WORKER_ALIVE
from meshhook.ids import unix_ms_of
from meshhook.overview import Overseer, backlog_of
from meshhook.store import Pressure, Store
from meshhook.worker import Worker

WAITING = {
    "nodes": [{"id": "wait", "type": "wait_event", "config": {"event": "go", "timeout_s": 3600}}],
    "edges": [{"from": "trigger", "to": "wait"}],
}


async def accept(store: Store, endpoint: int, count: int) -> list[str]:
    made = [delivery(endpoint, number) for number in range(count)]
    await store.accept(0, made, DAY)
    return [one.run_id for one in made]


async def work(store: Store) -> None:
    async def no_call(*_: object) -> Any:
        raise AssertionError("no workflow here makes calls")

    worker = Worker(store, no_call, name="w", shards=1, batch_max=500, hold_s=60.0, lease_s=30.0, poll_s=1.0)
    while await worker.turn(0):
        pass


async def test_every_live_run_of_a_project_is_in_one_state(sql: Connection, store: Store) -> None:
    await sql.execute("INSERT INTO meshhook.projects (id, name, backlog_max) VALUES (7, 'seven', 99)")
    waiting = await accept(store, await publish(sql, WAITING, "wait", project=7), 5)
    await work(store)
    for id in waiting[:2]:
        await control.tell(store._database, 7, id, "pause", None)
    await accept(store, await publish(sql, chain("sum(input)"), "bad", project=7), 3)
    await accept(store, await publish(sql, chain("input"), "mine"), 1)
    await work(store)
    held, *_ = await accept(store, await publish(sql, chain("input"), "ready", project=7), 4)
    await sql.execute(
        "UPDATE meshhook.tasks SET owner = 'w', queue = 2, due_at = meshhook.now() + interval '20 s' WHERE run_id = $1",
        held,
    )
    overseer = Overseer(store._database, Settings())
    _, told = await overseer.project(7, await figures(store._database))
    assert (told.name, told.backlog_max, told.dead_letters, told.share) == ("seven", 99, 3, 1.0)
    backlog = told.backlog
    assert (backlog.ready, backlog.leased, backlog.waiting, backlog.paused, backlog.live) == (3, 1, 0, 2, 9)
    assert backlog.sleeping == 3  # the others wait for their event no longer than its timeout
    assert backlog.ready_oldest_s > 0
    _, mine = await overseer.project(0, await figures(store._database))
    assert (mine.backlog.live, mine.dead_letters, mine.backlog_max) == (0, 0, None)


async def test_workers_are_told_with_what_they_hold(sql: Connection, store: Store) -> None:
    await store.heartbeat("living", 10, 1)
    await store.heartbeat("gone", 5, 0)
    await sql.execute("UPDATE meshhook.workers SET seen_at = seen_at - interval '1 min' WHERE id = 'gone'")
    runs = await accept(store, await publish(sql, chain("input")), 3)
    await sql.execute(
        "UPDATE meshhook.tasks SET owner = 'living', queue = 2, due_at = meshhook.now() + interval '20 s'"
    )
    living, gone = sorted(await Overseer(store._database, Settings()).workers(), key=lambda worker: worker.id == "gone")
    assert (living.alive, living.committed, living.refused, living.leases) == (True, 10, 1, 3)
    oldest = min(runs)
    assert (str(living.oldest_run_id), living.oldest_run_at) == (oldest, moment(oldest))
    assert living.lease_until is not None
    assert (gone.alive, gone.leases, gone.oldest_run_id, gone.lease_until) == (False, 0, None, None)


async def test_the_installation_is_told_as_the_database_has_it(sql: Connection, store: Store) -> None:
    await accept(store, await publish(sql, chain("input")), 2)
    found, slow = await figures(store._database), await storage(store._database, 30)
    told = overview.installation(found, slow, Pressure(1.5, 2, 0, 1), [], live_runs_max=1000, slowed=False, full=False)
    assert (told.door.lag_s, told.door.live_runs, told.door.live_runs_max) == (1.5, 2, 1000)
    assert [(it.name, it.live, it.ready) for it in told.projects] == [("default", 2, 2)]
    database = told.database
    assert database.version == await sql.fetchval("SHOW server_version")
    assert database.connections_max == int(await sql.fetchval("SHOW max_connections"))
    assert database.connections == sum(it.sessions for it in database.sessions) >= 1
    assert database.committed_total > 0
    assert {"runs", "journal", "tasks"} <= {table.name for table in database.tables}
    assert database.tables == sorted(database.tables, key=lambda table: (-table.bytes, table.name))
    assert (database.days_ahead, database.days_kept) == (7, 0)


async def test_a_long_queue_costs_no_more(sql: Connection, store: Store) -> None:
    """Of 100,000 waiting runs so many blocks are looked at as asked for, and 2,000 runs for those that are paused."""
    await sql.execute(
        "INSERT INTO meshhook.tasks (shard, run_id, due_at, queue, owner) "
        "SELECT 0, gen_random_uuid(), '9999-01-01', 2, CASE WHEN n % 10 = 0 THEN 'w' END FROM generate_series(1, 100000) n"
    )
    await store.heartbeat("w", 1, 0)
    assert await reads(sql, overview._PROJECT, 0, 40) < 10_000  # 2,000 probes of four pages or so
    assert await reads(sql, overview._WORKERS, WORKER_ALIVE, 40) < 200
    rows = await sql.fetch(overview._WORKERS, WORKER_ALIVE, 400)
    assert 7_000 < rows[0]["leases"] < 13_000
    assert (await sql.fetch(overview._WORKERS, WORKER_ALIVE, QUEUE_BLOCKS))[0]["leases"] == 10_000


async def test_the_checks_of_the_doctor(sql: Connection, store: Store) -> None:
    told = await Overseer(store._database, Settings(backlog_max=10)).checkup()
    found = {check.name: check.status for check in told.checks}
    assert found["schema"] == found["days"] == "ok"
    assert found["workers"] == "warn"
    assert all(bool(check.advice) == (check.status != "ok") for check in told.checks)


# Pure -----------------------------------------------------------------------------------------------------------------


def test_of_a_sample_the_paused_are_estimated() -> None:
    queue = [Queued("p", "waiting", 1000, 0, 0.0), Queued("p", "in_lane", 7, 3, 2.5), Queued("q", "ready", 5, 0, 1.0)]
    told = backlog_of("p", Figures(queue, 0.5, {}, []), sampled=200, paused=50)
    assert (told.waiting, told.paused, told.live) == (750, 250, 1007)
    assert (told.in_lane, told.lanes_waiting, told.in_lane_oldest_s) == (7, 3, 2.5)
    assert backlog_of("none", Figures(queue, 1, {}, []), 0, 0).live == 0


def moment(run_id: str) -> datetime:
    return datetime.fromtimestamp(unix_ms_of(run_id) / 1000, UTC)


async def reads(sql: Connection, query: str, *arguments: Any) -> int:
    """Pages a statement touches."""
    await sql.fetch(query, *arguments)  # the catalog is read once
    [[plan]] = await sql.fetch("EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON, TIMING OFF) " + query, *arguments)
    root = json.loads(plan)[0]["Plan"]
    return int(root["Shared Hit Blocks"] + root["Shared Read Blocks"])
