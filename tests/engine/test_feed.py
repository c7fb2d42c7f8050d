"""The feed: every journal row once and in order, however transactions overlap."""

from __future__ import annotations

import asyncio
import json
import random
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from tests.engine.conftest import DAY, chain, delivery, pool, publish

from meshhook.errors import Refusal
from meshhook.feed import Feed
from meshhook.frames import Position, frames_of
from meshhook.store import Append, Store

Connection = asyncpg.Connection
START = Position(1)


@pytest.fixture
async def feed(database: str) -> Any:
    async with pool(database) as opened:
        yield Feed(opened, shards=2)


async def told(feed: Feed, after: Position = START, bytes_max: int = 10**6) -> list[tuple[str, int]]:
    """(run, seq) of every event behind a position, page by page."""
    found: list[tuple[str, int]] = []
    while True:
        page = await feed.page(after, bytes_max)
        assert not page.forgotten
        for row in page.rows:
            orders = [frame.order for frame in frames_of(row)]
            found += [(str(row.run_id), row.seq + n) for n, order in enumerate(orders) if order > after]
        after = page.upto
        if not page.more:
            return found


async def stored(sql: Connection) -> set[tuple[str, int]]:
    return {(str(row["run_id"]), row["seq"]) for row in await sql.fetch("SELECT run_id, seq FROM meshhook.run_events")}


async def advance(store: Store, shard: int = 0, limit: int = 100, status: str = "completed") -> int:
    """One turn that ends every claimed run, or keeps it alive."""
    async with store.turn(shard) as turn:
        claimed = await turn.claim(limit)
        due = None if status == "completed" else claimed[0].claimed_at if claimed else None
        seqs = {run.run_id: sum(len(json.loads(part)) for part in run.journal) + 1 for run in claimed}
        events = json.dumps([{"type": "step.completed", "node": "a"}, {"type": f"run.{status}"}])
        if claimed:
            await turn.commit(
                [Append(r.run_id, r.claimed_at, r.epoch, seqs[r.run_id], events, status, due) for r in claimed]
            )
        return len(claimed)


async def test_tells_every_event_once_in_the_order_of_its_run(store: Store, sql: Connection, feed: Feed) -> None:
    endpoint = await publish(sql, chain("input"))
    for shard in (0, 1):
        await store.accept(shard, [delivery(endpoint, n, shard=shard) for n in range(5)], DAY)
    await advance(store, 0, status="running")
    await advance(store, 0)
    await advance(store, 1)

    found = await told(feed)

    assert len(found) == len(set(found))
    assert set(found) == await stored(sql)
    for run in {run for run, _ in found}:
        seqs = [seq for of, seq in found if of == run]
        assert seqs == sorted(seqs)


async def test_says_whose_run_it_is_and_where_it_stood_after_each_commit(
    store: Store, sql: Connection, feed: Feed
) -> None:
    endpoint = await publish(sql, chain("input"), name="orders")
    await store.accept(0, [delivery(endpoint)], DAY)
    await advance(store, status="running")
    await advance(store)

    page = await feed.page(START, 10**6)

    assert [(row.workflow, row.project_id, row.status) for row in page.rows] == [
        ("orders", 0, None),
        ("orders", 0, "running"),
        ("orders", 0, "completed"),
    ]


async def test_goes_on_from_any_event_and_from_any_page(store: Store, sql: Connection, feed: Feed) -> None:
    endpoint = await publish(sql, chain("input"))
    await store.accept(0, [delivery(endpoint, n) for n in range(7)], DAY)
    await advance(store)
    whole = await told(feed)
    cursors = [frame.order for row in (await feed.page(START, 10**6)).rows for frame in frames_of(row)]

    assert await told(feed, bytes_max=1) == whole
    for number, cursor in enumerate(cursors):
        assert isinstance(cursor, Position)
        assert await told(feed, Position.parse(str(cursor)) or START) == whole[number + 1 :]


async def test_does_not_pass_a_commit_that_is_still_under_way(database: str, sql: Connection, feed: Feed) -> None:
    endpoint = await publish(sql, chain("input"))
    first, second = delivery(endpoint, 1), delivery(endpoint, 2)
    accept = "SELECT meshhook.accept(0::smallint, $1::uuid[], $2, $3, $4, $5, '1 day')"

    def arguments(of: Any) -> list[Any]:
        return [[of.run_id], [endpoint], [None], [None], [of.trigger]]

    slow, quick = await asyncpg.connect(database), await asyncpg.connect(database)
    try:
        async with slow.transaction():
            await slow.execute(accept, *arguments(first))
            await quick.execute(accept, *arguments(second))  # takes a later place, and commits before the other
            begin = await feed.page(START, 10**6)
            assert begin.rows == [], "what comes behind an open place must not be told yet"
            assert not begin.more
        found = await told(feed, begin.upto)
    finally:
        await slow.close()
        await quick.close()

    assert found == [(first.run_id, 1), (second.run_id, 1)]


async def test_a_place_that_was_rolled_back_holds_nobody_up(database: str, sql: Connection, feed: Feed) -> None:
    endpoint = await publish(sql, chain("input"))
    async with pool(database) as opened:
        store = Store(opened)
        taken = delivery(endpoint)
        call = "SELECT meshhook.accept(0::smallint, ARRAY[$1::uuid], ARRAY[$2::int], '{null}', '{null}', ARRAY['{}'], '1 h')"
        transaction = sql.transaction()
        await transaction.start()
        await sql.execute(call, taken.run_id, endpoint)
        await transaction.rollback()
        kept = delivery(endpoint)
        await store.accept(0, [kept], DAY)

    assert await told(feed) == [(kept.run_id, 1)]


async def test_a_transaction_that_appends_often_holds_one_lock_and_is_told_whole(
    database: str, sql: Connection, feed: Feed
) -> None:
    endpoint = await publish(sql, chain("input"))
    accept = (
        "SELECT meshhook.accept(0::smallint, ARRAY[$1::uuid], ARRAY[$2::int], '{null}', '{null}', ARRAY['{}'], '1 h')"
    )
    locks = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()"
    many = [delivery(endpoint).run_id for _ in range(50)]
    transaction = sql.transaction()
    await transaction.start()
    for run_id in many[:49]:
        await sql.execute(accept, run_id, endpoint)
    with pytest.raises(asyncpg.PostgresError):  # a part that is rolled back takes nothing with it
        async with sql.transaction():
            await sql.execute(accept, many[0], endpoint)
    await sql.execute(accept, many[49], endpoint)
    assert await sql.fetchval(locks) == 1
    async with pool(database) as opened:
        other = delivery(endpoint)
        await Store(opened).accept(0, [other], DAY)
        assert await told(feed) == []
    await transaction.commit()

    assert await sql.fetchval(locks) == 0
    assert [run for run, _ in await told(feed)] == [*many, other.run_id]
    async with sql.transaction():  # the next one takes a lock again
        await sql.execute(accept, delivery(endpoint).run_id, endpoint)
        assert await sql.fetchval(locks) == 1


async def test_transactions_that_write_no_journal_hold_nobody_up(store: Store, sql: Connection, feed: Feed) -> None:
    endpoint = await publish(sql, chain("input"))
    async with sql.transaction():
        await sql.execute(
            "INSERT INTO meshhook.projects (name) VALUES ('slow')"
        )  # it has a transaction id, and is open
        accepted = delivery(endpoint)
        await store.accept(0, [accepted], DAY)
        assert await told(feed) == [(accepted.run_id, 1)]


async def test_many_writers_at_once_leave_no_gap_for_who_reads_meanwhile(
    database: str, sql: Connection, feed: Feed
) -> None:
    endpoint = await publish(sql, chain("input"))
    random_ = random.Random(7)

    async def write(opened: Any) -> None:
        store = Store(opened)
        for _ in range(25):
            await store.accept(0, [delivery(endpoint) for _ in range(random_.randint(1, 5))], DAY)
            await advance(store, limit=random_.randint(1, 6))

    async def read(done: asyncio.Event) -> list[tuple[str, int]]:
        found: list[tuple[str, int]] = []
        after = START
        while True:
            last = done.is_set()
            page = await feed.page(after, 2_000)
            found += [(str(row.run_id), row.seq + n) for row in page.rows for n, _ in enumerate(frames_of(row))]
            after = page.upto
            if last and not page.more:
                return found

    async with pool(database, size=6) as opened:
        done = asyncio.Event()
        reading = asyncio.create_task(read(done))
        await asyncio.gather(*(write(opened) for _ in range(5)))
        done.set()
        found = await reading

    assert len(found) == len(set(found))
    assert set(found) == await stored(sql)
    last: dict[str, int] = {}
    for run, seq in found:
        assert seq == last.get(run, 0) + 1
        last[run] = seq


async def test_a_position_that_is_forgotten_is_told_so(store: Store, sql: Connection, feed: Feed) -> None:
    endpoint = await publish(sql, chain("input"))
    await store.accept(0, [delivery(endpoint)], DAY)
    old = START
    now = (await feed.page(old, 10**6)).upto

    assert await store.forget_feed(0, timedelta(hours=1)) == 0
    assert await store.forget_feed(0, timedelta(0)) == 1

    assert (await feed.page(old, 10**6)).forgotten
    assert not (await feed.page(now, 10**6)).forgotten
    assert await sql.fetchval("SELECT count(*) FROM meshhook.feed") == 0
    later = delivery(endpoint)
    await store.accept(0, [later], DAY)
    assert await told(feed, now) == [(later.run_id, 1)]


async def test_an_event_that_is_too_long_is_told_of_without_its_data(store: Store, sql: Connection, feed: Feed) -> None:
    endpoint = await publish(sql, chain("input"))
    await store.accept(0, [delivery(endpoint, "x" * 100_000), delivery(endpoint, "x" * 10_000)], DAY)

    long, short = [frame.text for row in (await feed.page(START, 10**6)).rows for frame in frames_of(row)]

    assert len(long) < 1_000
    assert b'"truncated" : 100' in long
    assert len(short) > 10_000


async def test_what_is_of_others_is_passed_over_within_bounds(store: Store, sql: Connection, feed: Feed) -> None:
    wanted, other = await publish(sql, chain("input"), "wanted"), await publish(sql, chain("input"), "other")
    for _ in range(11):
        await store.accept(0, [delivery(other) for _ in range(500)], DAY)
    last = delivery(wanted)
    await store.accept(0, [last], DAY)

    first = await feed.page(START, 10**6, project_id=0, workflows=["wanted"])
    assert (first.rows, first.more) == ([], True)
    second = await feed.page(first.upto, 10**6, project_id=0, workflows=["wanted"])
    assert ([str(row.run_id) for row in second.rows], second.more) == ([last.run_id], False)
    assert (await feed.page(START, 10**6, project_id=99)).rows == []


async def test_pages_of_a_run_end_with_it(store: Store, sql: Connection, feed: Feed) -> None:
    endpoint = await publish(sql, chain("input"))
    of = delivery(endpoint)
    await store.accept(0, [of], DAY)
    assert [row.seq for row in (await feed.run_page(0, of.run_id, 0, 10**6)).rows] == [1]
    assert not (await feed.run_page(0, of.run_id, 1, 10**6)).ended
    await advance(store)

    part = await feed.run_page(0, of.run_id, 0, 1)
    rest = await feed.run_page(0, of.run_id, 1, 10**6)

    assert (part.more, part.ended) == (True, False)
    assert (rest.more, rest.ended, rest.status) == (False, True, "completed")
    assert [row.seq for row in rest.rows] == [2]
    for other in (UUID(int=7 << 76), of.run_id):
        with pytest.raises(Refusal, match="unknown-run"):
            await feed.run_page(99, str(other), 0, 1)


async def test_reading_the_feed_stays_on_the_primary_keys(store: Store, sql: Connection, database: str) -> None:
    endpoint = await publish(sql, chain("input"))
    for _ in range(20):
        await store.accept(0, [delivery(endpoint) for _ in range(50)], DAY)
    end = await sql.fetchval("SELECT meshhook.feed_end()")
    await sql.execute("SELECT pg_stat_force_next_flush()")
    before = await sql.fetchval("SELECT seq_scan FROM pg_stat_user_tables WHERE relname = 'feed'")

    rows = await sql.fetch("SELECT * FROM meshhook.feed_page(1, $1, 1, NULL, NULL, 500, 1000000)", end)
    await sql.execute("SELECT pg_stat_force_next_flush()")

    assert len(rows) == 51
    assert await sql.fetchval("SELECT seq_scan FROM pg_stat_user_tables WHERE relname = 'feed'") == before
