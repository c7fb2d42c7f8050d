"""Schedules in a real database: fired on its clock, once a tick, whoever crashes and however many look."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.engine.conftest import Connection, chain, pool, publish
from tests.engine.processes import Running
from tests.engine.test_worker import until_idle, worker

from meshhook import schedules
from meshhook.db.connect import Database
from meshhook.errors import DatabaseError, Refusal, ScheduleError
from meshhook.store import Store
from meshhook.timetable import Timetable

HOUR = timedelta(hours=1)
NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)


class Clock:
    """A database whose clock stands where it is put."""

    def __init__(self, database: Database) -> None:
        self.database = database

    async def put(self, moment: datetime) -> None:
        async with self.database.connection() as connection:
            await connection.execute("SELECT set_config('meshhook.fake_now', $1, false)", moment.isoformat())
            await connection.execute("SELECT meshhook.make_partitions(1)")

    async def fire(self, moment: datetime) -> float:
        await self.put(moment)
        return await schedules.fire(self.database, 1)


@pytest.fixture
async def clock(database: str) -> AsyncIterator[Clock]:
    async with pool(database, size=1) as opened:  # one session, so that what it is told stays told
        yield Clock(opened)


async def make(clock: Clock, sql: Connection, moment: datetime, name: str = "often", **changes: Any) -> None:
    """A schedule of the workflow ``work``, made at a moment."""
    if not await sql.fetchval("SELECT count(*) FROM meshhook.workflows"):
        await publish(sql, chain("input"))
    await clock.put(moment)
    await schedules.save(clock.database, 0, name, "work", Timetable(**({"cron": "0 * * * *"} | changes)))


async def triggers(sql: Connection, schedule: str = "often") -> list[dict[str, Any]]:
    """What the runs of a schedule were started with, in order of their ticks."""
    rows = await sql.fetch("SELECT event FROM meshhook.run_events WHERE type = 'run.accepted'")
    found = [json.loads(row["event"])["trigger"] for row in rows]
    return sorted((it for it in found if it["schedule"] == schedule), key=lambda it: it["tick"])


async def ticks(sql: Connection, schedule: str = "often") -> list[str]:
    return [trigger["tick"][5:16] for trigger in await triggers(sql, schedule)]


async def test_a_tick_starts_one_run_of_the_version_published_then(sql: Connection, clock: Clock) -> None:
    await make(clock, sql, NOON, input={"at": "{{ trigger.tick }}"})
    assert await clock.fire(NOON + HOUR - timedelta(milliseconds=300)) == pytest.approx(0.3)
    assert await triggers(sql) == []
    assert await clock.fire(NOON + HOUR) == 1.0
    await clock.fire(NOON + HOUR)
    await publish(sql, chain("'two'"))
    await clock.fire(NOON + 2 * HOUR)
    first, second = await triggers(sql)
    assert first == {
        "schedule": "often", "tick": "2026-06-01T13:00:00Z", "scheduled_at": "2026-06-01T13:00:00+00:00",
        "fired_at": "2026-06-01T13:00:00Z", "missed": False, "body": {"at": "2026-06-01T13:00:00Z"},
    }  # fmt: skip
    assert second["tick"] == "2026-06-01T14:00:00Z"
    rows = await sql.fetch("SELECT event FROM meshhook.run_events ORDER BY run_id")
    accepted = [json.loads(row["event"]) for row in rows]
    assert [(event["source"], event["version"]) for event in accepted] == [("schedule", 1), ("schedule", 2)]
    state = await schedules.schedule(clock.database, 0, "often")
    assert (state.ticks_fired, state.next_at, state.last_tick_at) == (2, NOON + 3 * HOUR, NOON + 2 * HOUR)
    assert state.last_run_id is not None


@pytest.mark.parametrize(
    ("zone", "cron", "begin", "expected"),
    [
        ("Europe/Zurich", "30 2 * * *", "2026-03-28", ["03-28 01:30", "03-29 01:00", "03-30 00:30"]),
        ("Europe/Zurich", "30 2 * * *", "2026-10-24", ["10-24 00:30", "10-25 00:30", "10-26 01:30"]),
        ("America/New_York", "30 1 * * *", "2026-10-31", ["10-31 05:30", "11-01 05:30", "11-02 06:30"]),
        ("America/Santiago", "0 0 * * *", "2026-09-05", ["09-05 04:00", "09-06 04:00", "09-07 03:00"]),
        ("Australia/Lord_Howe", "15 2 * * *", "2026-10-03", ["10-03 15:30", "10-04 15:15", "10-05 15:15"]),
        ("UTC", "0 0 29 2 *", "2028-02-28", ["02-29 00:00"]),
    ],
)
async def test_in_the_nights_that_change_clocks_each_day_has_its_run(
    sql: Connection, clock: Clock, zone: str, cron: str, begin: str, expected: list[str]
) -> None:
    """Looked at every half hour of three days, each day fires once."""
    start = datetime.fromisoformat(begin).replace(tzinfo=UTC)
    await make(clock, sql, start, cron=cron, timezone=zone)
    for number in range(1, 2 * 24 * 3 + 1):
        await clock.fire(start + number * HOUR / 2)
    assert [tick.replace("T", " ") for tick in await ticks(sql)] == expected


@pytest.mark.parametrize(
    ("missed", "expected"),
    [("skip", []), ("once", ["06-02T00:00"]), ("all", ["06-01T22:00", "06-01T23:00", "06-02T00:00"])],
)
async def test_after_hours_without_a_worker(sql: Connection, clock: Clock, missed: str, expected: list[str]) -> None:
    await make(clock, sql, NOON, missed=missed, missed_max=3)
    await clock.fire(NOON + 12 * HOUR + timedelta(minutes=10))
    assert await ticks(sql) == expected
    assert all(trigger["missed"] for trigger in await triggers(sql))
    state = await schedules.schedule(clock.database, 0, "often")
    assert (state.ticks_fired, state.ticks_missed, state.next_at) == (
        len(expected),
        12 - len(expected),
        NOON + 13 * HOUR,
    )


async def test_skip_leaves_out_ticks_while_the_run_before_is_live(sql: Connection, clock: Clock) -> None:
    await make(clock, sql, NOON, overlap="skip")
    for number in range(1, 4):
        await clock.fire(NOON + number * HOUR)
    assert await ticks(sql) == ["06-01T13:00"]
    await until_idle(worker(Store(clock.database)))
    await clock.fire(NOON + 4 * HOUR)
    assert await ticks(sql) == ["06-01T13:00", "06-01T16:00"]
    assert (await schedules.schedule(clock.database, 0, "often")).ticks_skipped == 2


async def test_queue_holds_one_tick_until_the_run_before_has_ended(sql: Connection, clock: Clock) -> None:
    await make(clock, sql, NOON, overlap="queue")
    for number in range(1, 4):
        await clock.fire(NOON + number * HOUR)
    assert await ticks(sql) == ["06-01T13:00"]
    state = await schedules.schedule(clock.database, 0, "often")
    assert (state.held_at, state.ticks_skipped) == (NOON + 2 * HOUR, 1)
    await until_idle(worker(Store(clock.database)))
    assert await clock.fire(NOON + 3 * HOUR + timedelta(seconds=1)) == 1.0
    assert await ticks(sql) == ["06-01T13:00", "06-01T14:00"]
    assert (await schedules.schedule(clock.database, 0, "often")).held_at is None


async def test_a_crash_between_loses_nothing_and_doubles_nothing(sql: Connection, clock: Clock) -> None:
    """The runs are started, and moving the schedule on fails: all of it is undone, and done once later."""
    await make(clock, sql, NOON)
    await sql.execute("""
        CREATE FUNCTION crash() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE query_canceled; END $$;
        CREATE TRIGGER crash BEFORE UPDATE ON meshhook.schedules FOR EACH ROW EXECUTE FUNCTION crash()
    """)
    with pytest.raises(DatabaseError):
        await clock.fire(NOON + HOUR)
    assert await ticks(sql) == []
    await sql.execute("DROP TRIGGER crash ON meshhook.schedules")
    for _ in range(2):
        await clock.fire(NOON + HOUR)
    assert await ticks(sql) == ["06-01T13:00"]


async def test_a_schedule_set_back_by_hand_does_not_fire_a_tick_again(sql: Connection, clock: Clock) -> None:
    await make(clock, sql, NOON)
    await clock.fire(NOON + HOUR)
    await sql.execute(
        "UPDATE meshhook.schedules SET tick_at = tick_at - interval '1 hour', due_at = due_at - interval '1 hour'"
    )
    await clock.fire(NOON + HOUR)
    assert await ticks(sql) == ["06-01T13:00"]
    state = await schedules.schedule(clock.database, 0, "often")
    assert (state.ticks_fired, state.last_error) == (1, None)


async def test_many_who_look_at_once_fire_each_tick_once(sql: Connection, clock: Clock, database: str) -> None:
    names = [f"s{number}" for number in range(150)]  # more than one look takes
    for name in names:
        await make(clock, sql, NOON, name)
    async with AsyncExitStack() as stack:
        clocks = [Clock(await stack.enter_async_context(pool(database, size=1))) for _ in range(6)]
        for number in (1, 2):
            while await sql.fetchval(
                "SELECT count(*) FROM meshhook.schedules WHERE due_at <= $1", NOON + number * HOUR
            ):
                await asyncio.gather(*(one.fire(NOON + number * HOUR) for one in clocks))
    rows = await sql.fetch("SELECT event FROM meshhook.run_events")
    found = [json.loads(row["event"])["trigger"] for row in rows]
    expected = itertools.product(names, ["2026-06-01T13:00:00Z", "2026-06-01T14:00:00Z"])
    assert sorted((it["schedule"], it["tick"]) for it in found) == sorted(expected)


async def test_paused_it_starts_nothing_and_resumed_it_goes_on_from_now(sql: Connection, clock: Clock) -> None:
    await make(clock, sql, NOON, missed="all")
    assert (await schedules.pause(clock.database, 0, "often")).next_at is None
    await clock.fire(NOON + 3 * HOUR)
    assert await ticks(sql) == []
    assert (await schedules.resume(clock.database, 0, "often")).next_at == NOON + 4 * HOUR
    await clock.fire(NOON + 4 * HOUR)
    assert await ticks(sql) == ["06-01T16:00"]


async def test_a_change_keeps_the_next_tick_unless_times_change(sql: Connection, clock: Clock) -> None:
    await make(clock, sql, NOON, missed="all")
    await make(clock, sql, NOON + 2 * HOUR, missed="all", input=7)
    await clock.fire(NOON + 2 * HOUR)
    assert await ticks(sql) == ["06-01T13:00", "06-01T14:00"], "what was due before the change is not lost by it"
    await make(clock, sql, NOON + 2 * HOUR, missed="all", cron="30 * * * *")
    assert (await schedules.schedule(clock.database, 0, "often")).next_at == NOON + 2.5 * HOUR


async def test_a_fault_of_one_schedule_stays_its_own(sql: Connection, clock: Clock) -> None:
    await make(clock, sql, NOON, "unpublished")
    await make(clock, sql, NOON, "unreadable")
    await make(clock, sql, NOON, "fails", input="{{ trigger.missed && sum(trigger.tick) || 'fine' }}")
    await make(clock, sql, NOON, "often")
    await sql.execute("""UPDATE meshhook.schedules SET config = '{"from": "the future"}' WHERE name = 'unreadable'""")
    other = await publish(sql, chain("input"), "other")
    await sql.execute("UPDATE meshhook.workflows SET published_version_id = NULL WHERE name = 'other'")
    await sql.execute("UPDATE meshhook.schedules SET workflow_id = (SELECT id FROM meshhook.workflows WHERE name = 'other') "
                      "WHERE name = 'unpublished'")  # fmt: skip
    assert other
    await clock.fire(NOON + HOUR + timedelta(minutes=5))
    errors = dict(await sql.fetch("SELECT name, last_error FROM meshhook.schedules"))
    assert errors["often"] is None
    assert "not published" in errors["unpublished"]
    assert "unknown field" in errors["unreadable"]
    assert "sum" in errors["fails"]
    assert await ticks(sql) == ["06-01T13:00"]
    assert [await ticks(sql, name) for name in ("unpublished", "unreadable", "fails")] == [[], [], []]


@pytest.mark.parametrize(
    ("missed", "expected", "left_out"), [("skip", ["06-01T15:00"], 2), ("once", ["06-01T14:00", "06-01T15:00"], 1)]
)
async def test_a_project_that_is_full_is_waited_for_as_if_no_worker_was_there(
    sql: Connection, clock: Clock, missed: str, expected: list[str], left_out: int
) -> None:
    """The run of another schedule is the one that the project may have; the ticks of 13:00 and 14:00 come meanwhile."""
    await make(clock, sql, NOON, missed=missed)
    await make(clock, sql, NOON, name="first", cron="1 12 * * *")
    await sql.execute("UPDATE meshhook.projects SET backlog_max = 1")
    await clock.fire(NOON + timedelta(minutes=1))
    for minutes in (60, 61, 120, 122):
        assert await clock.fire(NOON + timedelta(minutes=minutes)) == 1.0
    assert (await ticks(sql, "first"), await ticks(sql)) == (["06-01T12:01"], [])
    state = await schedules.schedule(clock.database, 0, "often")
    assert "as many live runs as it may have" in str(state.last_error)
    await until_idle(worker(Store(clock.database)))
    await clock.fire(NOON + timedelta(minutes=123))
    await until_idle(worker(Store(clock.database)))
    await clock.fire(NOON + 3 * HOUR)
    assert await ticks(sql) == expected
    state = await schedules.schedule(clock.database, 0, "often")
    assert (state.last_error, state.ticks_missed) == (None, left_out)


async def test_what_can_not_be_a_schedule_is_refused(sql: Connection, clock: Clock) -> None:
    await publish(sql, chain("input"))
    with pytest.raises(ScheduleError, match=r"\$\.cron"):
        await schedules.save(clock.database, 0, "x", "work", Timetable(cron="x"))
    for name, workflow in (("a b", "work"), ("x", "none"), ("x", "\0")):
        with pytest.raises(Refusal):
            await schedules.save(clock.database, 0, name, workflow, Timetable(every_s=1))
    assert await schedules.schedules(clock.database, 0) == []
    await schedules.save(clock.database, 0, "x", "work", Timetable(every_s=1))
    with pytest.raises(Refusal, match="already"):
        await schedules.save(clock.database, 0, "x", "work", Timetable(every_s=2), must_be_new=True)
    assert (await schedules.schedule(clock.database, 0, "x")).every_s == 1
    await schedules.delete(clock.database, 0, "x")
    with pytest.raises(Refusal):
        await schedules.schedule(clock.database, 0, "x")


async def test_the_due_ones_are_found_by_index(sql: Connection) -> None:
    await sql.execute("SET enable_seqscan = off")
    plan = await sql.fetch(
        "EXPLAIN SELECT * FROM meshhook.schedules s WHERE s.due_at <= now() AND s.paused_at IS NULL "
        "ORDER BY s.due_at LIMIT 100 FOR UPDATE SKIP LOCKED"
    )
    text = "\n".join(row[0] for row in plan)
    assert "Index Scan using schedules_due" in text
    assert "Sort" not in text


@asynccontextmanager
async def workers(dsn: str, count: int) -> AsyncIterator[list[Running]]:
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(Running("work", dsn)) for _ in range(count)]


@pytest.mark.slow
async def test_workers_that_come_and_are_killed_fire_every_second_once(sql: Connection, database: str) -> None:
    """Three real workers on the real clock; one is killed in between, and one has to do what it left."""
    await publish(sql, chain("input"))
    async with pool(database) as opened:
        for name in ("a", "b", "c"):
            await schedules.save(opened, 0, name, "work", Timetable(every_s=1))

    async def have(count: int) -> bool:
        return await sql.fetchval("SELECT min(fired) FROM meshhook.schedules") >= count

    async with workers(database, 3) as (first, second, third):
        await second.until(lambda: have(2))
        first.kill()
        await first.ended()
        await second.until(lambda: have(4))
        third.terminate()
        assert await third.ended() == 0
        await second.until(lambda: have(6))
    for name in ("a", "b", "c"):
        moments = [datetime.fromisoformat(trigger["tick"]) for trigger in await triggers(sql, name)]
        assert moments == [moments[0] + timedelta(seconds=n) for n in range(len(moments))]
        assert len(moments) == await sql.fetchval("SELECT fired FROM meshhook.schedules WHERE name = $1", name)
