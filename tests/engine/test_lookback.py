"""Looking for work behind rows that lie dead: where a look begins, what that saves, and that nothing is overlooked for long."""

from __future__ import annotations

import json
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg
import pytest
from tests.engine.conftest import DAY, Connection, FakeClock, chain, delivery, pool, publish, run_of
from tests.engine.test_signals import WAITING, event, send
from tests.engine.test_worker import worker

from meshhook.lookback import BEGINNING, SLACK, SLOW_RUN_S, SLOW_S, WHOLE_PAUSE_S_MAX, Lookback
from meshhook.outbox import Signal
from meshhook.store import Store
from meshhook.worker import Worker

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
ALIVE = timedelta(seconds=5)


def look(
    lookback: Lookback, clock: FakeClock, *, took_s: float, front: datetime | None = NOON, found: int = 0
) -> datetime | None:
    """One look; returns from where on."""
    since = lookback.since()
    clock.now += took_s
    lookback.saw(None if since is None else front, found)
    return since


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def slow_one(clock: FakeClock) -> Lookback:
    """One that found looks at everything to take 0.2 s, and knows the front: noon."""
    lookback = Lookback(clock)
    assert look(lookback, clock, took_s=0.2) is None
    assert look(lookback, clock, took_s=0.2) == BEGINNING
    return lookback


def test_as_long_as_it_is_quick_everything_is_looked_at(clock: FakeClock) -> None:
    lookback = Lookback(clock)
    for found in (0, 1, 500):
        assert look(lookback, clock, took_s=0.9 * (SLOW_S + found * SLOW_RUN_S), found=found) is None


def test_when_it_is_slow_looks_begin_at_the_front(clock: FakeClock) -> None:
    lookback = slow_one(clock)
    assert look(lookback, clock, took_s=0.001, front=NOON + DAY) == NOON - SLACK
    assert look(lookback, clock, took_s=0.5, front=NOON + DAY) == NOON + DAY - SLACK, (
        "that one was slow says nothing of all"
    )


def test_everything_is_looked_at_for_a_fiftieth_of_the_time_and_once_a_minute(clock: FakeClock) -> None:
    lookback = slow_one(clock)
    clock.now += 9.9
    assert look(lookback, clock, took_s=0.0) == NOON - SLACK
    clock.now += 0.2
    assert look(lookback, clock, took_s=30.0) == BEGINNING
    clock.now += WHOLE_PAUSE_S_MAX - 0.1
    assert look(lookback, clock, took_s=0.0) == NOON - SLACK
    clock.now += 0.2
    assert look(lookback, clock, took_s=0.0) == BEGINNING
    assert look(lookback, clock, took_s=0.0) is None, "it is quick again"


def test_what_is_in_the_queue_again_moves_the_front_back(clock: FakeClock) -> None:
    lookback = slow_one(clock)
    lookback.again(NOON - DAY)
    lookback.again(NOON)
    assert look(lookback, clock, took_s=0.0) == NOON - DAY - SLACK
    lookback.look_at_all()
    assert look(lookback, clock, took_s=0.2) == BEGINNING


def test_a_look_that_failed_teaches_nothing(clock: FakeClock) -> None:
    lookback = slow_one(clock)
    lookback.since()
    assert lookback.since() == NOON - SLACK


def test_where_no_front_can_be_told_everything_is_looked_at(clock: FakeClock) -> None:
    lookback = Lookback(clock)
    look(lookback, clock, took_s=0.2, front=None)
    assert look(lookback, clock, took_s=0.2, front=None) == BEGINNING
    assert look(lookback, clock, took_s=0.2, front=None) is None


@asynccontextmanager
async def held_open(database: str) -> AsyncIterator[None]:
    """A transaction of somebody else, which keeps every row that is deleted from now on from being removed."""
    other = await asyncpg.connect(database)
    try:
        async with other.transaction(isolation="repeatable_read"):
            await other.fetchval("SELECT count(*) FROM meshhook.tasks")
            yield
    finally:
        await other.close()


async def leave_dead(sql: Connection, count: int) -> None:
    """So many rows, ready and timed and in four projects, were worked off in the last minute."""
    await sql.execute("INSERT INTO meshhook.projects (id, name) SELECT n, 'p' || n FROM generate_series(1, 3) n")
    await sql.execute(
        "INSERT INTO meshhook.tasks (shard, run_id, due_at, project_id, priority, queue) "
        "SELECT 0, gen_random_uuid(), clock_timestamp() - interval '1 min', n % 4, n % 3, CASE WHEN n % 10 = 0 THEN 2 ELSE 0 END "
        "FROM generate_series(1, $1::int) n",
        count,
    )
    await sql.execute("DELETE FROM meshhook.tasks")
    await sql.execute("ANALYZE meshhook.tasks")


async def pages(sql: Connection, call: str) -> int:
    """The pages that a call touched."""
    plan = await sql.fetchval(f"EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON) SELECT * FROM {call}")
    return int(json.loads(plan)[0]["Plan"]["Shared Hit Blocks"])


async def test_dead_rows_before_the_front_cost_nothing(sql: Connection, store: Store, database: str) -> None:
    """200,000 of them. Counted in pages: 100 at most, for claim() and for pressure(), where there are thousands without a front."""
    endpoint = await publish(sql, chain("input"))
    async with held_open(database):
        await leave_dead(sql, 200_000)
        for calls in ("meshhook.claim(0::smallint, 10, $)", "meshhook.pressure(interval '5 s', $)"):
            for bound in ("NULL", f"'{BEGINNING.isoformat()}'"):
                assert await pages(sql, calls.replace("$", bound)) > 1_000
            near = calls.replace("$", "meshhook.now() - interval '2 s'")
            await pages(sql, near)  # the first of a connection reads the catalogues as well
            assert await pages(sql, near) <= 100
        await store.accept(0, [delivery(endpoint, n) for n in range(10)], DAY)
        async with pool(database) as other, Store(other).turn(0) as turn:
            now = await sql.fetchval("SELECT meshhook.now()")
            assert len(await turn.claim(100, now - SLACK)) == 10
            assert turn.front is not None
            assert turn.front <= now


async def test_a_bounded_look_takes_what_an_unbounded_one_takes(sql: Connection, store: Store) -> None:
    """What is timed, and of the rest the highest priorities and the oldest, with an even share for each of four projects."""
    await sql.execute("INSERT INTO meshhook.projects (id, name) SELECT n, 'p' || n FROM generate_series(1, 3) n")
    for project in range(4):
        endpoint = await publish(sql, chain("input"), f"w{project}", project=project)
        await store.accept(0, [delivery(endpoint, n) for n in range(40)], DAY)
    await sql.execute(
        "WITH shuffled AS (SELECT run_id, row_number() OVER (PARTITION BY project_id ORDER BY random()) AS n FROM meshhook.tasks) "
        "UPDATE meshhook.tasks t SET priority = n % 3, queue = CASE WHEN n <= 4 THEN 2 ELSE 0 END, "
        "due_at = due_at - n * interval '10 ms' FROM shuffled s WHERE s.run_id = t.run_id"
    )
    left = []
    for since in (None, BEGINNING, datetime.now(UTC) - 60 * SECOND):
        transaction = sql.transaction()
        await transaction.start()
        await sql.fetch("SELECT * FROM meshhook.claim(0::smallint, 16 + 4 * 30, $1)", since)
        left.append({row["run_id"] for row in await sql.fetch("SELECT run_id FROM meshhook.tasks")})
        await transaction.rollback()
    assert len(left[0]) == 4 * 6
    assert left[0] == left[1] == left[2]


class World:
    """Two workers that always look from the front on, and what happens around them, in an order that a seed gives."""

    def __init__(self, sql: Connection, store: Store, seed: int) -> None:
        self.sql, self.store = sql, store
        self.chance = random.Random(seed)
        self.clock = FakeClock(step=1.0)  # by it each look takes a second, so one in fifty is at everything
        self.workers = [self.worker(f"w{n}") for n in range(2)]
        self.late: set[UUID] = set()
        self.sent = self.waits = 0

    def worker(self, name: str) -> Worker:
        made = worker(self.store, name, hold_s=0.0)  # nearly all of a batch is given back, and runs go on under leases
        made._lookbacks = [Lookback(self.clock)]
        return made

    async def prepare(self) -> None:
        self.plain = await publish(self.sql, chain("input", "[@, @]", "input"), "plain")
        self.placed = await publish(self.sql, chain("input") | {"settings": {"priority": "{{ input }}"}}, "placed")
        self.lined = await publish(self.sql, chain("input") | {"settings": {"concurrency": {"limit": 1}}}, "lined")
        self.waiting = await publish(self.sql, WAITING, "waiting")

    async def happen(self) -> None:
        """One thing that may happen."""
        what = self.chance.choice(
            [
                self.accept,
                self.accept,
                self.cancel,
                self.work,
                self.work,
                self.work,
                self.commit_late,
                self.send_event,
                self.take_over,
            ]
        )
        await what()

    async def accept(self) -> None:
        priorities = self.chance.choices(["low", "normal", "high"], k=2)
        deliveries = [delivery(self.plain, n) for n in range(3)] + [delivery(self.placed, one) for one in priorities]
        deliveries += [delivery(self.lined, n) for n in range(2)] + [delivery(self.waiting, str(self.waits))]
        self.waits += 1
        await self.store.accept(0, deliveries, DAY)

    async def work(self) -> None:
        await self.chance.choice(self.workers)._round()

    async def commit_late(self) -> None:
        """What began up to ten seconds ago, and so was due from then on, is committed now."""
        late = delivery(self.plain, "late")
        async with self.sql.transaction():
            began = datetime.now(UTC) - SECOND * self.chance.uniform(0, 10)
            await self.sql.execute("SELECT set_config('meshhook.fake_now', $1, true)", began.isoformat())
            await self.sql.execute(
                "SELECT meshhook.accept(0::smallint, ARRAY[$1::uuid], ARRAY[$2::int], ARRAY[NULL], ARRAY[NULL::bytea], "
                "ARRAY['{\"body\":1}'], interval '1 day')",
                late.run_id,
                self.plain,
            )
        self.late.add(UUID(str(late.run_id)))

    async def send_event(self) -> None:
        if self.sent < self.waits:
            await send(self.store, event(f"e{self.sent}", str(self.sent)))
            self.sent += 1

    async def cancel(self) -> None:
        """One that stands in line, and is taken out of it to be told."""
        for row in await self.sql.fetch(
            "SELECT run_id FROM meshhook.tasks WHERE queue = 1 ORDER BY place DESC LIMIT 1"
        ):
            await self.store.signal(0, [Signal(row["run_id"], "cancel", '{"by":"test","reason":"why not"}')])

    async def take_over(self) -> None:
        """A worker dies, and its leases run out."""
        place = self.chance.randrange(2)
        dead, self.workers[place] = self.workers[place], self.worker(f"heir {self.chance.random()}")
        await self.sql.execute("UPDATE meshhook.tasks SET due_at = meshhook.now() WHERE owner = $1", dead.name)

    async def settle(self) -> None:
        """Work until both find nothing at once."""
        while any([await one._round() for one in self.workers]):
            pass

    async def overlooked(self) -> set[UUID]:
        """What is due for anybody to take."""
        rows = await self.sql.fetch("SELECT run_id FROM meshhook.tasks WHERE due_at <= meshhook.now() AND queue <> 1")
        return {row["run_id"] for row in rows}


@pytest.mark.parametrize("seed", range(4))
async def test_only_what_comes_late_waits_for_a_look_at_everything(
    sql: Connection, store: Store, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given back, placed, poked, taken over: whenever both workers find nothing, nothing is due but what was committed late."""
    monkeypatch.setattr("meshhook.lookback.SLOW_S", -1.0)
    monkeypatch.setattr(
        "meshhook.lookback.SLACK", timedelta()
    )  # nothing overlaps here, so without it each omission shows
    world = World(sql, store, seed)
    await world.prepare()
    for _ in range(12):
        for _ in range(6):
            await world.happen()
        await world.settle()
        assert await world.overlooked() <= world.late
    while world.sent < world.waits:
        await world.send_event()
    await world.settle()
    world.clock.now += WHOLE_PAUSE_S_MAX  # the time has come to look at everything
    await world.settle()
    assert await sql.fetchval("SELECT count(*) FROM meshhook.tasks") == 0
    assert await sql.fetchval("SELECT count(*) FROM meshhook.runs WHERE status NOT IN ('completed', 'cancelled')") == 0
    assert {one._lookbacks[0].since() for one in world.workers} != {None}, "they looked from the front on"


async def test_what_is_due_from_before_the_front_is_found_by_a_look_at_everything(
    sql: Connection, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("meshhook.lookback.SLOW_S", -1.0)
    endpoint = await publish(sql, chain("input"))
    one, clock = worker(store), FakeClock(step=1.0)
    one._lookbacks = [Lookback(clock)]
    assert [await one.turn(0) for _ in range(2)] == [0, 0]  # the front is now
    late, new = delivery(endpoint, 1), delivery(endpoint, 2)
    await store.accept(0, [late, new], DAY)
    await sql.execute(
        "UPDATE meshhook.tasks SET due_at = due_at - $2::interval WHERE run_id = $1", late.run_id, 60 * SECOND
    )
    assert [await one.turn(0) for _ in range(2)] == [1, 0]
    assert (await run_of(sql, late.run_id))["status"] == "queued"
    assert (await run_of(sql, new.run_id))["status"] == "completed"
    clock.now += WHOLE_PAUSE_S_MAX
    assert await one.turn(0) == 1
    assert (await run_of(sql, late.run_id))["status"] == "completed"


async def test_pressure_tells_the_front_and_what_lies_before_it_is_not_seen(sql: Connection, store: Store) -> None:
    endpoint = await publish(sql, chain("input"))
    await store.accept(0, [delivery(endpoint, 1)], DAY)
    await sql.execute("UPDATE meshhook.tasks SET due_at = due_at - interval '90 s'")
    now = await sql.fetchval("SELECT meshhook.now()")
    plain, whole = await store.pressure(ALIVE), await store.pressure(ALIVE, BEGINNING)
    assert plain.front is None
    assert whole.front is not None
    assert now - 92 * SECOND < whole.front < now - 89 * SECOND
    assert list(whole.lags_s) == list(plain.lags_s) == [0]
    assert (await store.pressure(ALIVE, now - 60 * SECOND)).lag_s == 0


async def test_with_many_projects_there_is_no_front(sql: Connection, store: Store) -> None:
    await sql.execute("INSERT INTO meshhook.projects (id, name) SELECT n, 'p' || n FROM generate_series(1, 1000) n")
    endpoint = await publish(sql, chain("input"))
    await store.accept(0, [delivery(endpoint, 1)], DAY)
    assert (await store.pressure(ALIVE, BEGINNING)).front is None
    async with store.turn(0) as turn:
        assert len(await turn.claim(10, datetime.now(UTC) + DAY)) == 1, "all is looked at"
        assert turn.front is None
