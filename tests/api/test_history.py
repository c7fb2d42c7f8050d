"""Listing runs: order, filters, shards, bounded work, and plans that stay on the primary key."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
from tests.api.conftest import transform

from meshhook import catalog, drafts, history, keys, listing
from meshhook.db.connect import Database
from meshhook.errors import Refusal
from meshhook.listing import RunFilter

Connection = asyncpg.Connection
NOW_MS = int(time.time() * 1000)
FIRST, LAST = uuid.UUID(int=0), uuid.UUID(int=(1 << 128) - 1)


@pytest.fixture
async def sql(database: str) -> AsyncIterator[Connection]:
    connection = await asyncpg.connect(database)
    yield connection
    await connection.close()


@pytest.fixture
async def opened(database: str) -> AsyncIterator[Database]:
    pool = Database(database, size=2, name="test")
    await pool.connect()
    yield pool
    await pool.close()


async def publish(opened: Database, name: str, project_id: int = 0) -> int:
    await drafts.save(opened, project_id, name, json.dumps(transform()))
    return (await catalog.publish(opened, project_id, name))[0].version_id


async def make_runs(
    sql: Connection, version_id: int, count: int, *, shard: int = 0, status: str = "completed", from_ms: int = NOW_MS
) -> list[uuid.UUID]:
    """Runs one ms apart, newest first."""
    ids = [uuid.UUID(int=(from_ms - n) << 80 | 7 << 76 | shard << 64 | 2 << 62 | n) for n in range(count)]
    await sql.execute(
        """
        INSERT INTO meshhook.runs (shard, id, project_id, workflow_id, version_id, status, finished_at)
        SELECT $1, made.id, w.project_id, w.id, v.id, $4::meshhook.run_status,
               CASE WHEN $4 IN ('completed', 'failed') THEN now() END
        FROM unnest($2::uuid[]) AS made (id), meshhook.versions v JOIN meshhook.workflows w ON w.id = v.workflow_id
        WHERE v.id = $3
        """,
        shard,
        ids,
        version_id,
        status,
    )
    await sql.execute(
        """
        INSERT INTO meshhook.journal (shard, run_id, seq, epoch, at, events)
        SELECT $1, made.id, 1, 0, now(), '[{"type": "run.accepted", "trigger": null}]' FROM unnest($2::uuid[]) AS made (id)
        """,
        shard,
        ids,
    )
    return ids


async def walk(opened: Database, project_id: int = 0, limit: int = 100, **filter: Any) -> tuple[list[uuid.UUID], int]:
    """Every run, page by page, and how many pages that took."""
    found: list[uuid.UUID] = []
    cursor, pages = None, 0
    while True:
        page = await listing.runs(opened, project_id, RunFilter(**filter), cursor=cursor, limit=limit)
        found += [run.id for run in page.items]
        pages += 1
        if page.next is None:
            return found, pages
        cursor = page.next


async def test_every_run_comes_once_newest_first(opened: Database, sql: Connection) -> None:
    ids = await make_runs(sql, await publish(opened, "work"), 257)
    assert await walk(opened) == (ids, 3)
    assert await walk(opened, limit=257) == (ids, 1)
    assert (await walk(opened, limit=1))[0] == ids


async def test_runs_of_all_shards_are_merged(opened: Database, sql: Connection) -> None:
    await sql.execute("UPDATE meshhook.settings SET value = '3' WHERE name = 'shards'")
    version = await publish(opened, "work")
    ids = [id for shard in range(3) for id in await make_runs(sql, version, 100 * (shard + 1), shard=shard)]
    found, _ = await walk(opened, limit=7)
    assert found == sorted(ids, reverse=True)


async def test_filters(opened: Database, sql: Connection) -> None:
    one, two = await publish(opened, "one"), await publish(opened, "two")
    done = await make_runs(sql, one, 5)
    failed = await make_runs(sql, one, 5, status="failed", from_ms=NOW_MS - 100)
    other = await make_runs(sql, two, 5, from_ms=NOW_MS - 200)
    assert (await walk(opened, workflows=["one"]))[0] == done + failed
    assert (await walk(opened, statuses=["failed"]))[0] == failed
    assert (await walk(opened, workflows=["two"], statuses=["completed"]))[0] == other
    assert (await walk(opened, workflows=["two"], statuses=["queued"]))[0] == []


async def test_a_rare_filter_makes_short_pages_and_misses_nothing(opened: Database, sql: Connection) -> None:
    await sql.execute("UPDATE meshhook.settings SET value = '2' WHERE name = 'shards'")
    common, rare = await publish(opened, "common"), await publish(opened, "rare")
    await make_runs(sql, common, 25_000)
    await make_runs(sql, common, 12_000, shard=1)
    wanted = await make_runs(sql, rare, 3, from_ms=NOW_MS - 5_000)
    wanted += await make_runs(sql, rare, 3, shard=1, from_ms=NOW_MS - 11_000)
    wanted += await make_runs(sql, rare, 2, from_ms=NOW_MS - 24_990)
    found, pages = await walk(opened, workflows=["rare"])
    assert (found, pages) == (sorted(wanted, reverse=True), 3)


async def test_projects_do_not_see_each_other(opened: Database, sql: Connection) -> None:
    other = await keys.save_project(opened, "other")
    mine = await make_runs(sql, await publish(opened, "same-name"), 3)
    theirs = await make_runs(sql, await publish(opened, "same-name", other), 3, from_ms=NOW_MS - 50)
    assert (await walk(opened))[0] == mine
    assert (await walk(opened, project_id=other))[0] == theirs
    for read in (history.run, history.events):
        assert await read(opened, other, str(theirs[0]))
        with pytest.raises(Refusal, match="unknown-run"):
            await read(opened, 0, str(theirs[0]))


async def test_events_are_paged_by_number_and_by_size(opened: Database, sql: Connection) -> None:
    [id] = await make_runs(sql, await publish(opened, "work"), 1, status="running")
    small = [{"type": "step.completed", "node": f"n{n}", "output": n} for n in range(10)]
    large = [{"type": "step.completed", "node": f"l{n}", "output": "x" * 5 * 1024 * 1024} for n in range(3)]
    for seq, events in ((2, small), (12, large)):
        await sql.execute(
            "INSERT INTO meshhook.journal (shard, run_id, seq, epoch, claimed_at, at, events) "
            "VALUES (0, $1, $2, 1, now(), now(), $3)",
            id,
            seq,
            json.dumps(events),
        )
    pages, after = [], 0
    while after is not None:
        page = await history.events(opened, 0, str(id), after=after, limit=6)
        pages.append([event["seq"] for event in page.items])
        after = page.next
    assert pages == [[1, 2, 3, 4, 5, 6], [7, 8, 9, 10, 11, 12], [13, 14]]
    assert (await history.events(opened, 0, str(id), after=14)).items == []


@pytest.mark.parametrize("tamper", [lambda c: c[:-1], lambda c: c + "AAAA", lambda _: "", lambda _: "é" * 28])
async def test_a_cursor_of_somebody_elses_making_is_refused(opened: Database, sql: Connection, tamper: Any) -> None:
    await make_runs(sql, await publish(opened, "work"), 3)
    cursor = (await listing.runs(opened, 0, limit=1)).next
    assert cursor is not None
    with pytest.raises(Refusal, match="bad-cursor"):
        await listing.runs(opened, 0, cursor=tamper(cursor))


async def test_no_flipped_bit_of_a_cursor_goes_unseen(opened: Database, sql: Connection) -> None:
    await make_runs(sql, await publish(opened, "work"), 2)
    cursor = (await listing.runs(opened, 0, limit=1)).next
    assert cursor is not None
    for place, letter in enumerate(cursor):
        other = "B" if letter == "A" else "A"
        with pytest.raises(Refusal):
            await listing.runs(opened, 0, cursor=cursor[:place] + other + cursor[place + 1 :])


async def test_a_page_reads_only_its_rows_before_there_are_statistics(opened: Database, sql: Connection) -> None:
    version = await publish(opened, "work")
    ids = await make_runs(sql, version, 50_000)
    page = "SELECT * FROM meshhook.runs_page(0::smallint, $1, $2, 0, {}, NULL, NULL, {}, 51)"
    assert await reads(sql, page.format("NULL", "NULL"), LAST, FIRST) < 300
    assert await reads(sql, page.format("NULL", "NULL"), ids[40_000], FIRST) < 300
    assert await reads(sql, page.format("NULL", "NULL"), LAST, ids[51]) < 300
    assert await reads(sql, page.format("'{failed}'", "NULL"), LAST, FIRST) < 600
    assert await reads(sql, page.format("NULL", "false"), LAST, FIRST) < 400
    assert (
        await reads(sql, page.format("NULL", "true"), LAST, FIRST) < 15_000
    )  # whether it is one, for each it looks at
    assert await reads(sql, "SELECT meshhook.runs_scanned(0::smallint, $1, $2)", LAST, FIRST) < 600
    assert await reads(sql, listing._LISTED, [0] * 50, ids[30_000:30_050]) < 1_000
    assert (
        await reads(sql, listing._SEARCH, 0, LAST, FIRST, 0, None, None, None, None, "x", "x", 51, 200, 1_000_000)
        < 4_000
    )
    assert await reads(sql, history._RUN, 0, ids[7], 0) < 100
    assert await reads(sql, history._EVENTS, 0, ids[7], 0, 0, 1_000) < 100


async def reads(sql: Connection, query: str, *arguments: Any) -> int:
    """Pages a statement touches when its plan is generic, as that of a prepared statement is after some calls."""
    await sql.execute("SET plan_cache_mode = force_generic_plan")
    await sql.fetch(query, *arguments)  # the catalog is read once
    [[plan]] = await sql.fetch("EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON, TIMING OFF) " + query, *arguments)
    root = json.loads(plan)[0]["Plan"]
    return int(root["Shared Hit Blocks"] + root["Shared Read Blocks"])
