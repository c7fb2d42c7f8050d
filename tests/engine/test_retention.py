"""Retention: days made ahead and dropped without blocking accepting, live runs kept, payloads trimmed."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime
from typing import Any

import asyncpg
import pytest
from tests.engine.conftest import DAY, Connection, chain, delivery, events_of, pool, publish, run_of
from tests.engine.test_schedules import Clock
from tests.engine.test_worker import until_idle, worker

from meshhook import census, chores, retention
from meshhook.db.connect import Database
from meshhook.errors import NoPartition
from meshhook.replay import is_repeatable
from meshhook.store import Delivery, Store
from meshhook.verify import differences

NOW = datetime.now(UTC)
OLD = NOW - 40 * DAY


@pytest.fixture
async def opened(database: str) -> AsyncIterator[Database]:
    async with pool(database) as made:
        yield made


async def run_then(sql: Connection, dsn: str, moment: datetime, body: Any = None, *, ended: bool = True) -> str:
    """A run accepted at a moment, in the partition of that day; worked off, or left live."""
    endpoint = await publish(sql, chain("input"))
    async with pool(dsn, size=1) as then:
        await Clock(then).put(moment)
        made = delivery(endpoint, body, ms=int(moment.timestamp() * 1000))
        assert await Store(then).accept(0, [made], DAY) == [None]
        if ended:
            await until_idle(worker(Store(then)))
    return made.run_id


async def days_there(opened: Database) -> list[date]:
    return [day.day for day in await retention.days(opened)]


async def test_days_are_made_and_dropped_with_all_they_hold(sql: Connection, database: str, opened: Database) -> None:
    old, new = await run_then(sql, database, OLD, 1), await run_then(sql, database, NOW, 2)
    assert OLD.date() in await days_there(opened)
    dropped = await retention.drop_old(opened, 30)
    assert OLD.date() in dropped
    assert [day for day in await days_there(opened) if day < NOW.date() - 30 * DAY] == []
    assert await sql.fetchval("SELECT array_agg(id::text) FROM meshhook.runs") == [new]
    assert await sql.fetchval("SELECT count(*) FROM meshhook.journal WHERE run_id = $1", old) == 0
    assert await retention.drop_old(opened, 30) == []


async def test_a_day_with_a_live_run_is_kept_until_that_has_ended(
    sql: Connection, database: str, opened: Database
) -> None:
    live = await run_then(sql, database, OLD, 1, ended=False)
    assert OLD.date() not in await retention.drop_old(opened, 30)
    assert {day.day: day.live for day in await retention.days(opened)}[OLD.date()] == 1
    await until_idle(worker(Store(opened)))
    assert (await run_of(sql, live))["status"] == "completed"
    assert OLD.date() in await retention.drop_old(opened, 30)


async def test_days_are_dropped_and_made_beside_a_long_reader_while_accepting_goes_on(
    sql: Connection, database: str, opened: Database
) -> None:
    """A reader has the tables open all the time. Dropping waits for it, is broken off, and ends once the reader has."""
    await run_then(sql, database, OLD, 1)
    endpoint = await publish(sql, chain("input"))
    reader, looker = await asyncpg.connect(database), Store(opened)
    reading = reader.transaction()
    await reading.start()
    assert await reader.fetchval("SELECT count(*) FROM meshhook.runs JOIN meshhook.journal ON id = run_id") > 0
    hasty = Database(database, size=2, name="hasty", statement_timeout_s=1.0)
    await hasty.connect()
    accepted = 0

    async def accept_until(done: asyncio.Task[Any]) -> None:
        nonlocal accepted
        while not done.done():
            async with asyncio.timeout(5.0):
                assert await looker.accept(0, [delivery(endpoint, accepted)], DAY) == [None]
            accepted += 1

    try:
        dropping = asyncio.create_task(retention.drop_old(hasty, 30))
        await accept_until(dropping)
        assert OLD.date() not in dropping.result()
        assert accepted > 10
        oldest = (await retention.days(opened))[0]
        assert (oldest.runs, oldest.journal) == ("detaching", "attached"), "it was begun, waited, and was broken off"
        # Days ahead are made beside the reader too.
        await sql.execute("SET lock_timeout = '5s'")
        assert await sql.fetchval("SELECT meshhook.make_partitions(12)") == 10
        await reading.rollback()
        assert OLD.date() in await retention.drop_old(opened, 30)
    finally:
        await reader.close()
        await hasty.close()
    assert await sql.fetchval("SELECT count(*) FROM meshhook.runs") == accepted


@pytest.mark.parametrize("detached", [["runs"], ["runs", "journal"]])
async def test_what_was_begun_and_not_ended_is_ended(
    sql: Connection, database: str, opened: Database, detached: list[str]
) -> None:
    await run_then(sql, database, OLD, 1)
    for table in detached:
        await sql.execute(f"ALTER TABLE meshhook.{table} DETACH PARTITION meshhook.{table}_{OLD:%Y%m%d} CONCURRENTLY")
    assert [record async for record in census.records(opened)] == [], "half a day is no damage"
    assert OLD.date() in await retention.drop_old(opened, 30)
    assert OLD.date() not in await days_there(opened)


async def test_a_run_that_came_to_life_meanwhile_brings_its_day_back(
    sql: Connection, database: str, opened: Database
) -> None:
    live = await run_then(sql, database, OLD, 7, ended=False)
    await sql.execute(f"ALTER TABLE meshhook.runs DETACH PARTITION meshhook.runs_{OLD:%Y%m%d} CONCURRENTLY")
    assert OLD.date() not in await retention.drop_old(opened, 30)
    await until_idle(worker(Store(opened)))
    assert (await events_of(sql, live))[-1] == {"type": "run.completed", "output": 7}
    with pytest.raises(asyncpg.IntegrityConstraintViolationError):
        await sql.execute("UPDATE meshhook.runs SET finished_at = now()")  # its triggers are back as well


async def test_one_worker_does_it_once_in_a_while(sql: Connection, database: str, opened: Database) -> None:
    await run_then(sql, database, OLD, 1)
    await asyncio.gather(*(do_chores(opened, 0) for _ in range(2)))
    assert OLD.date() in await days_there(opened), "0 is for ever"
    await asyncio.gather(*(do_chores(opened, 30) for _ in range(4)))
    assert OLD.date() not in await days_there(opened)
    await run_then(sql, database, OLD, 1)
    await do_chores(opened, 30)
    assert OLD.date() in await days_there(opened), "looked at a moment ago"


async def test_a_clock_that_is_far_off_is_told(sql: Connection, opened: Database) -> None:
    endpoint = await publish(sql, chain("input"))
    far = delivery(endpoint, 1, ms=int((NOW + 400 * DAY).timestamp() * 1000))
    with pytest.raises(NoPartition, match="clock"):
        await Store(opened).accept(0, [far], DAY)


async def test_keys_that_expired_in_a_busy_hour_go_in_one_chore(sql: Connection, opened: Database) -> None:
    await sql.execute(
        "INSERT INTO meshhook.dedupe SELECT 0, 1, n::text, gen_random_uuid(), '', now() - interval '1 h' "
        "FROM generate_series(1, 25000) n"
    )
    await do_chores(opened, 0)
    assert await sql.fetchval("SELECT count(*) FROM meshhook.dedupe") == 0


async def test_the_audit_log_is_forgotten_from_its_old_end_in_batches(sql: Connection, opened: Database) -> None:
    await sql.execute(
        "INSERT INTO meshhook.audit_log (actor, action, subject, at) "
        "SELECT 'x', 'secret.used', n::text, now() - interval '401 days' FROM generate_series(1, 12000) n"
    )
    await sql.execute(
        "INSERT INTO meshhook.audit_log (actor, action, subject, at) "
        "SELECT 'x', 'secret.used', 'young', now() - n * interval '1 day' FROM unnest(ARRAY[399, 0]) n"
    )
    await do_chores(opened, 0)
    assert await sql.fetchval("SELECT count(*) FROM meshhook.audit_log") == 12_002, "0 days: kept for ever"
    assert await Store(opened).forget_audit(400 * DAY) == 5_000, "a batch is bounded"
    await do_chores(opened, 0, audit_days=400)
    assert await sql.fetchval("SELECT array_agg(subject) FROM meshhook.audit_log") == ["young", "young"]
    assert await Store(opened).forget_audit(400 * DAY) == 0
    with pytest.raises(
        asyncpg.IntegrityConstraintViolationError
    ):  # nothing of the last day goes, whatever is asked for
        await opened.call("SELECT meshhook.forget_audit('0 s', 10)")


async def do_chores(opened: Database, retention_days: int, audit_days: int = 0) -> None:
    await chores.do(Store(opened), opened, 1, feed_keep=DAY, retention_days=retention_days, audit_days=audit_days)


# Trimming ------------------------------------------------------------------------------------------------------------


async def test_payloads_of_old_finished_runs_become_hash_and_size(
    sql: Connection, database: str, opened: Database
) -> None:
    body = {"secret": "\0 é", "digits": 12345678901234567890}
    old = await run_then(sql, database, NOW - 3 * DAY, body)
    new = await run_then(sql, database, NOW, body)
    before = await events_of(sql, old)
    kept = await events_of(sql, new)
    assert await retention.trim(opened, 0, 2.0) > 0
    after = await events_of(sql, old)
    assert [event["type"] for event in after] == [event["type"] for event in before]
    output = json.dumps(before[-1]["output"], ensure_ascii=False, separators=(",", ":")).encode()
    mark = {"trimmed": {"sha256": hashlib.sha256(output).hexdigest(), "bytes": len(output)}}
    assert after[-1] == {"type": "run.completed", "output": mark, "trimmed": ["output"]}
    assert (after[0]["workflow"], after[0]["trimmed"]) == ("work", ["trigger"])
    assert "secret" not in await sql.fetchval(
        "SELECT events::text FROM meshhook.journal WHERE run_id = $1 AND seq = 1", old
    )
    assert await events_of(sql, new) == kept
    assert await retention.trim(opened, 0, 2.0) == 0
    records = [record async for record in census.records(opened)]
    assert [list(differences(record)) for record in records] == [[], []]
    assert [is_repeatable(record) for record in records] == [False, True]


async def test_a_live_run_is_trimmed_after_it_has_ended(sql: Connection, database: str, opened: Database) -> None:
    live = await run_then(sql, database, NOW - 3 * DAY, "private", ended=False)
    await run_then(sql, database, NOW - 2 * DAY, "private", ended=False)
    while await retention.trim(opened, 0, 1.0):
        pass
    assert (await events_of(sql, live))[0]["trigger"] == {"body": "private"}
    await until_idle(worker(Store(opened)))
    while await retention.trim(opened, 0, 1.0):
        pass
    assert await sql.fetchval("SELECT count(*) FROM meshhook.journal WHERE events::text LIKE '%private%'") == 0
    assert await sql.fetchval("SELECT count(*) FROM meshhook.trim_later") == 0


async def test_many_runs_are_trimmed_in_bounded_batches(
    sql: Connection, database: str, opened: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "TRIM_RUNS_MAX", 7)
    endpoint, moment = await publish(sql, chain("input")), NOW - 3 * DAY
    async with pool(database, size=1) as then:
        await Clock(then).put(moment)
        made: list[Delivery] = [delivery(endpoint, "private", ms=int(moment.timestamp() * 1000)) for _ in range(20)]
        await Store(then).accept(0, made, DAY)
        await until_idle(worker(Store(then)))
    looked_at = []
    while rows := await retention.trim(opened, 0, 1.0):
        looked_at.append(rows)
    assert looked_at == [14, 14, 12]
    assert await sql.fetchval("SELECT count(*) FROM meshhook.journal WHERE events::text LIKE '%private%'") == 0


async def test_two_who_trim_at_once_do_not_meet(sql: Connection, database: str, opened: Database) -> None:
    await run_then(sql, database, NOW - 3 * DAY, "private")
    async with opened.transaction() as connection:
        claimed = await connection.fetch(
            "SELECT * FROM meshhook.trim_claim(0::smallint, meshhook.uuid_floor(now()), 9, 9999)"
        )
        assert len(claimed) == 2
        assert await retention.trim(opened, 0, 1.0) == 0
    assert await retention.trim(opened, 0, 1.0) == 0, "who has claimed has moved on"


@pytest.mark.parametrize(
    "change",
    [
        'events = \'[{"type":"run.accepted"}]\'',
        'events = \'[{"type":"run.failed"},{"type":"run.completed"}]\'',
        "seq = 9",
        "epoch = 9",
        "at = now()",
    ],
)
async def test_trimming_is_all_a_journal_lets_pass(sql: Connection, database: str, change: str) -> None:
    """Even under the flag of the trimming function, what happened and when can't be changed."""
    run_id = await run_then(sql, database, NOW, 1)
    await sql.execute("SET meshhook.trimming = 'on'")
    with pytest.raises(asyncpg.IntegrityConstraintViolationError):
        await sql.execute(f"UPDATE meshhook.journal SET {change} WHERE run_id = $1 AND seq = 2", run_id)
    await sql.execute("UPDATE meshhook.journal SET events = events WHERE run_id = $1", run_id)
    await sql.execute("SET meshhook.trimming = 'off'")
    with pytest.raises(asyncpg.IntegrityConstraintViolationError):
        await sql.execute("UPDATE meshhook.journal SET events = events WHERE run_id = $1", run_id)


async def test_the_journal_of_a_live_run_is_not_trimmed(sql: Connection, database: str) -> None:
    live = await run_then(sql, database, NOW, 1, ended=False)
    await sql.execute("SET meshhook.trimming = 'on'")
    with pytest.raises(asyncpg.IntegrityConstraintViolationError):
        await sql.execute("UPDATE meshhook.journal SET events = events WHERE run_id = $1", live)
