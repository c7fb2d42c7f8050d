"""Limits of a workflow: slots of lanes, order of starts, tokens, priority, time to live. Real workers on a real database."""

from __future__ import annotations

import asyncio
import itertools
import random
from contextlib import AsyncExitStack
from datetime import datetime
from typing import Any
from uuid import UUID

import pytest
from tests.engine.conftest import DAY, Connection, FakeClock, chain, delivery, events_of, pool, publish, run_of
from tests.engine.test_worker import until_idle, worker

from meshhook.model import Request, Response
from meshhook.outbox import Signal
from meshhook.store import Store
from meshhook.waiting import lanes
from meshhook.waiting import standing as waiting_of
from meshhook.worker import Worker


def limited(settings: dict[str, Any], *expressions: str) -> dict[str, Any]:
    return chain(*(expressions or ("input",))) | {"settings": settings}


def calling(settings: dict[str, Any]) -> dict[str, Any]:
    """One call: a run of it is under a lease until the call is answered."""
    call = {"id": "call", "type": "http_call", "config": {"url": "http://x/{{ input.n }}"}}
    return {"nodes": [call], "edges": [{"from": "trigger", "to": "call"}], "settings": settings}


def waiting(settings: dict[str, Any], seconds: float) -> dict[str, Any]:
    delay = {"id": "nap", "type": "delay", "config": {"seconds": seconds}}
    return {"nodes": [delay], "edges": [{"from": "trigger", "to": "nap"}], "settings": settings}


async def accept(store: Store, endpoint: int, *bodies: Any) -> list[str]:
    """One after another, so that the order of acceptance is theirs."""
    made = [delivery(endpoint, body) for body in bodies]
    for one in made:
        await store.accept(0, [one], DAY)
    return [one.run_id for one in made]


class Sink:
    """Answers calls when it is told to, and knows which are under way."""

    def __init__(self) -> None:
        self.under_way: dict[int, asyncio.Future[Response]] = {}
        self.seen: list[int] = []

    async def __call__(self, request: Request, headers: dict[str, str]) -> Response:
        number = int(request.url.rsplit("/", 1)[1])
        self.seen.append(number)
        self.under_way[number] = asyncio.get_running_loop().create_future()
        return await self.under_way[number]

    async def answer(self, number: int) -> None:
        self.under_way.pop(number).set_result(Response(200, {}, "done"))
        await asyncio.sleep(0)
        await asyncio.sleep(0)


async def spans(sql: Connection) -> dict[str, list[tuple[datetime, datetime, str]]]:
    """When the runs of each lane were worked on: from each claim to its last write, by the clock of the database."""
    rows = await sql.fetch(
        "SELECT l.key, j.run_id::text, min(j.claimed_at) AS began, max(j.at) AS ended "
        "FROM meshhook.journal j JOIN meshhook.runs r ON r.id = j.run_id JOIN meshhook.lanes l ON l.id = r.lane "
        "WHERE j.claimed_at IS NOT NULL GROUP BY 1, 2, j.epoch ORDER BY 3"
    )
    found: dict[str, list[tuple[datetime, datetime, str]]] = {}
    for key, run_id, began, ended in rows:
        found.setdefault(key, []).append((began, ended, run_id))
    return found


def most_at_once(lane: list[tuple[datetime, datetime, str]]) -> int:
    marks = sorted([(began, 1) for began, _, _ in lane] + [(ended, -1) for _, ended, _ in lane])
    at_once, most = 0, 0
    for _, step in marks:
        at_once += step
        most = max(most, at_once)
    return most


async def test_a_limited_run_ends_like_any_other(sql: Connection, store: Store) -> None:
    endpoint = await publish(sql, limited({"concurrency": {"limit": 1, "key": "input.user"}}, "input.n"))
    ids = await accept(store, endpoint, *({"user": n % 2, "n": n} for n in range(10)))
    await until_idle(worker(store))
    for n, run_id in enumerate(ids):
        assert [event["type"] for event in await events_of(sql, run_id)] == [
            "run.accepted", "step.completed", "run.completed",
        ]  # fmt: skip
        assert (await events_of(sql, run_id))[-1]["output"] == n
    assert await sql.fetchval("SELECT count(*) FROM meshhook.tasks") == 0
    assert await sql.fetchval("SELECT count(*) FROM meshhook.openings") == 0


async def test_a_run_without_limits_never_sees_a_lane(sql: Connection, store: Store) -> None:
    await accept(store, await publish(sql, chain("input")), 1, 2)
    assert [tuple(row) for row in await sql.fetch("SELECT queue, lane, place FROM meshhook.tasks")] == [
        (0, None, None)
    ] * 2
    await until_idle(worker(store))
    for table in ("lanes", "buckets", "openings"):
        assert await sql.fetchval(f"SELECT count(*) FROM meshhook.{table}") == 0


async def test_only_so_many_runs_of_a_key_are_under_way(sql: Connection, store: Store) -> None:
    sink = Sink()
    endpoint = await publish(sql, calling({"concurrency": {"limit": 2, "key": "input.user"}}))
    await accept(store, endpoint, *({"user": "a", "n": n} for n in range(5)), {"user": "b", "n": 9})
    one = worker(store, send=sink)
    await until_idle(one)
    await asyncio.sleep(0)
    assert sorted(sink.under_way) == [0, 1, 9]
    await sink.answer(1)
    await until_idle(one)
    await asyncio.sleep(0)
    assert sorted(sink.under_way) == [0, 2, 9]
    for n in (0, 2, 9):
        await sink.answer(n)
    await until_idle(one)
    await asyncio.sleep(0)
    assert sorted(sink.under_way) == [3, 4]


async def test_at_limit_one_runs_start_in_the_order_of_their_acceptance(
    sql: Connection, database: str, store: Store
) -> None:
    """Four workers, keys at random, batches of odd sizes: no two runs of a key at once, and each key in order."""
    draw = random.Random(7)
    endpoint = await publish(sql, limited({"concurrency": {"limit": 1, "key": "input.k"}}, "input", "input.k"))
    keys: dict[str, list[str]] = {}
    async with AsyncExitStack() as stack:
        stores = [Store(await stack.enter_async_context(pool(database))) for _ in range(4)]
        working = [worker(other, f"w{n}", batch_max=draw.randint(3, 20)) for n, other in enumerate(stores)]
        running = [asyncio.create_task(one.run()) for one in working]
        for n in range(150):
            key = draw.choice("abcdef")
            (run_id,) = await accept(store, endpoint, {"k": key, "n": n})
            keys.setdefault(f'"{key}"', []).append(run_id)
        while await sql.fetchval("SELECT count(*) FROM meshhook.tasks"):
            await asyncio.sleep(0.01)
        for one in working:
            one.stop()
        await asyncio.gather(*running)
    found = await spans(sql)
    assert {key: [run_id for _, _, run_id in lane] for key, lane in found.items()} == keys
    assert all(most_at_once(lane) == 1 for lane in found.values())


async def test_a_killed_worker_does_not_block_its_lane(sql: Connection, store: Store) -> None:
    endpoint = await publish(sql, limited({"concurrency": {"limit": 1}}, "'a'", "'b'"))
    first, second = await accept(store, endpoint, 1, 2)
    dead = worker(store, "dead", hold_s=0.5, clock=FakeClock(step=1.0), lease_s=0.0)
    await dead.turn(0)  # places both
    await dead.turn(0)  # begins the first, and dies with its lease
    assert await sql.fetchval("SELECT owner FROM meshhook.tasks WHERE run_id = $1", first) == "dead"
    await until_idle(worker(store, "heir"))
    assert "lease.expired" in [event["type"] for event in await events_of(sql, first)]
    for run_id in (first, second):
        assert (await run_of(sql, run_id))["status"] == "completed"
    (lane,) = (await spans(sql)).values()
    assert [run_id for _, _, run_id in lane] == [first, first, second]


async def test_a_lease_that_lives_keeps_the_others_waiting(sql: Connection, store: Store) -> None:
    endpoint = await publish(sql, limited({"concurrency": {"limit": 1}}, "'a'", "'b'"))
    first, second = await accept(store, endpoint, 1, 2)
    frozen = worker(store, "frozen", hold_s=0.5, clock=FakeClock(step=1.0))
    await frozen.turn(0)
    await frozen.turn(0)
    other = worker(store, "other")
    await until_idle(other)
    assert (await run_of(sql, second))["status"] == "queued"
    await until_idle(frozen)
    assert (await run_of(sql, first))["status"] == "completed"
    await until_idle(other)
    assert (await run_of(sql, second))["status"] == "completed"


async def test_a_crash_in_a_turn_gives_the_slot_back_at_once(sql: Connection, store: Store) -> None:
    endpoint = await publish(sql, limited({"concurrency": {"limit": 1}}))
    ids = await accept(store, endpoint, 1, 2)
    await worker(store).turn(0)
    for _ in range(3):
        with pytest.raises(RuntimeError, match="crash"):  # noqa: PT012
            async with store.turn(0) as turn:
                assert [str(run.run_id) for run in await turn.claim(10)] == ids[:1]
                raise RuntimeError("crash")


async def test_what_a_turn_has_taken_and_not_committed_counts(sql: Connection, database: str, store: Store) -> None:
    endpoint = await publish(sql, limited({"concurrency": {"limit": 2}}))
    await accept(store, endpoint, *range(5))
    await worker(store).turn(0)
    async with pool(database) as other, store.turn(0) as turn, Store(other).turn(0) as second:
        assert len(await turn.claim(10)) == 2
        assert await second.claim(10) == []


async def test_what_is_put_back_keeps_its_place(sql: Connection, store: Store) -> None:
    endpoint = await publish(sql, limited({"concurrency": {"limit": 3}, "rate": {"limit": 3, "per_s": 1000}}))
    await accept(store, endpoint, *range(5))
    await worker(store).turn(0)
    before = await sql.fetch("SELECT * FROM meshhook.tasks ORDER BY place")
    async with store.turn(0) as turn:
        claimed = await turn.claim(10)
        assert len(claimed) == 3
        await turn.put_back(claimed)
    assert await sql.fetch("SELECT * FROM meshhook.tasks ORDER BY place") == before
    async with store.turn(0) as turn:  # the tokens are back as well
        assert len(await turn.claim(10)) == 3


async def test_who_sleeps_has_no_slot(sql: Connection, store: Store) -> None:
    endpoint = await publish(sql, waiting({"concurrency": {"limit": 1}}, 3600))
    ids = await accept(store, endpoint, *range(4))
    await until_idle(worker(store))
    assert [(await run_of(sql, run_id))["status"] for run_id in ids] == ["waiting"] * 4
    await sql.execute("UPDATE meshhook.tasks SET due_at = clock_timestamp()")  # as if the hour were over
    one = worker(store)
    assert await one.turn(0) == 1  # awake, they wait for the slot, the oldest first
    assert await sql.fetchval("SELECT count(*) FROM meshhook.tasks WHERE queue = 1") == 3


async def test_starts_are_paced_by_a_token_bucket(sql: Connection, store: Store) -> None:
    endpoint = await publish(sql, limited({"rate": {"limit": 3, "per_s": 60}}))
    ids = await accept(store, endpoint, *range(6))
    await until_idle(worker(store))
    done = [run_id for run_id in ids if (await run_of(sql, run_id))["status"] == "completed"]
    assert done == ids[:3]
    (opening,) = await sql.fetch("SELECT * FROM meshhook.openings")
    lane = await sql.fetchrow("SELECT * FROM meshhook.lanes WHERE id > 0")
    full_at = await sql.fetchval("SELECT full_at FROM meshhook.buckets")
    assert opening["at"] == lane["reserved_at"]
    wait_s = (opening["at"] - await sql.fetchval("SELECT max(at) FROM meshhook.journal")).total_seconds()
    assert 18 <= wait_s <= 20
    assert (full_at - opening["at"]).total_seconds() == 60
    await sql.execute("UPDATE meshhook.openings SET at = clock_timestamp()")
    await sql.execute("UPDATE meshhook.lanes SET reserved_at = clock_timestamp() WHERE id > 0")
    await until_idle(worker(store))  # the reserved token is used, and the next reserved
    assert [(await run_of(sql, run_id))["status"] for run_id in ids] == ["completed"] * 4 + ["queued"] * 2


async def test_a_limit_and_a_rate_may_have_keys_of_their_own(sql: Connection, store: Store) -> None:
    settings = {"concurrency": {"limit": 1, "key": "input.user"}, "rate": {"limit": 2, "per_s": 1000}}
    ids = await accept(store, await publish(sql, limited(settings)), *({"user": n} for n in range(4)))
    await until_idle(worker(store))
    assert sorted([(await run_of(sql, run_id))["status"] for run_id in ids]) == ["completed"] * 2 + ["queued"] * 2
    reserved = await sql.fetch("SELECT reserved_at FROM meshhook.lanes WHERE reserved_at IS NOT NULL ORDER BY 1")
    assert [round((b[0] - a[0]).total_seconds()) for a, b in itertools.pairwise(reserved)] == [500]


async def test_priority_goes_first(sql: Connection, store: Store) -> None:
    endpoint = await publish(sql, limited({"priority": "{{ input }}", "concurrency": {"limit": 1}}))
    order = ["low", "normal", "high", "nonsense", "high", "low"]
    ids = await accept(store, endpoint, *order)
    await until_idle(worker(store))
    (lane,) = (await spans(sql)).values()
    assert [ids.index(run_id) for _, _, run_id in lane] == [2, 4, 1, 3, 0, 5]


async def test_a_constant_priority_costs_no_placing(sql: Connection, store: Store) -> None:
    low = await publish(sql, limited({"priority": "low"}), "low")
    high = await publish(sql, limited({"priority": "high"}), "high")
    (later,) = await accept(store, low, 1)
    (sooner,) = await accept(store, high, 1)
    for expected in (sooner, later):
        async with store.turn(0) as turn:
            assert [str(run.run_id) for run in await turn.claim(1)] == [expected]


async def test_what_does_not_start_in_time_is_given_up(sql: Connection, store: Store) -> None:
    sink = Sink()
    settings = {"concurrency": {"limit": 1}, "queue_ttl_s": 60}
    first, second, third = await accept(store, await publish(sql, calling(settings)), {"n": 0}, {"n": 1}, {"n": 2})
    one = worker(store, send=sink)
    await until_idle(one)
    assert await store.expire(0) == 0
    await sql.execute(
        "UPDATE meshhook.tasks SET due_at = due_at - interval '61 s', expires_at = expires_at - interval '61 s' "
        "WHERE run_id = $1",
        second,
    )
    assert await store.expire(0) == 1
    one.look_at_all(0)  # as whoever lets it go says: on a slow machine it looks from the front on only
    await until_idle(one)
    assert (await run_of(sql, first))["status"] == "running"
    assert (await events_of(sql, second))[-1]["error"] == {
        "type": "queue-ttl",
        "reason": "not started within 60 s of its acceptance",
    }
    assert (await run_of(sql, third))["status"] == "queued"
    await asyncio.sleep(0)
    await sink.answer(0)
    await until_idle(one)
    assert (await run_of(sql, third))["status"] == "running"


async def test_reject_ends_what_is_too_much(sql: Connection, store: Store) -> None:
    settings = {"concurrency": {"limit": 2, "strategy": "reject"}}
    ids = await accept(store, await publish(sql, calling(settings)), *({"n": n} for n in range(4)))
    await until_idle(worker(store, send=Sink()))
    runs = [await run_of(sql, run_id) for run_id in ids]
    assert [run["status"] for run in runs] == ["running", "running", "failed", "failed"]
    assert (await events_of(sql, ids[3]))[-1]["error"]["type"] == "rejected"


async def test_a_key_that_fails_fails_its_run_alone(sql: Connection, store: Store) -> None:
    endpoint = await publish(sql, limited({"concurrency": {"limit": 1, "key": "sum(input.list)"}}))
    good, bad = await accept(store, endpoint, {"list": [1]}, {"list": ["x"]})
    await until_idle(worker(store))
    assert (await run_of(sql, good))["status"] == "completed"
    assert (await events_of(sql, bad))[-1]["error"]["expression"] == "sum(input.list)"


async def test_a_newer_version_changes_the_limit_of_its_lanes(sql: Connection, store: Store) -> None:
    sink = Sink()
    await accept(store, await publish(sql, calling({"concurrency": {"limit": 1}})), {"n": 0}, {"n": 1}, {"n": 2})
    one: Worker = worker(store, send=sink)
    await until_idle(one)
    await asyncio.sleep(0)
    assert sorted(sink.seen) == [0]
    await accept(store, await publish(sql, calling({"concurrency": {"limit": 3}})), {"n": 3})
    await until_idle(one)
    await asyncio.sleep(0)
    assert sorted(sink.seen) == [0, 1, 2]


async def test_the_newest_run_takes_the_place_of_the_oldest(sql: Connection, store: Store) -> None:
    settings = {"concurrency": {"limit": 1, "strategy": "cancel-oldest"}}
    endpoint = await publish(sql, waiting(settings, 3600))
    one = worker(store)
    asleep, *_ = await accept(store, endpoint, 0)
    await until_idle(one)
    assert (await run_of(sql, asleep))["status"] == "waiting"
    overtaken, newest = await accept(store, endpoint, 1, 2)
    await until_idle(one)
    for run_id in (asleep, overtaken):
        assert (await run_of(sql, run_id))["status"] == "cancelled"
        assert (await events_of(sql, run_id))[-1]["by"] == "limit"
    assert (await run_of(sql, newest))["status"] == "waiting"


async def test_a_run_that_waits_for_a_slot_can_be_cancelled(sql: Connection, store: Store) -> None:
    sink = Sink()
    endpoint = await publish(sql, calling({"concurrency": {"limit": 1}}))
    ids = await accept(store, endpoint, *({"n": n} for n in range(3)))
    one = worker(store, send=sink)
    await until_idle(one)
    await asyncio.sleep(0)
    cancel = Signal(UUID(ids[1]), "cancel", '{"by":"me","reason":"no more"}')
    assert await store.signal(0, [cancel]) == {UUID(ids[1])}
    await until_idle(one)
    assert [(await run_of(sql, run_id))["status"] for run_id in ids] == ["running", "cancelled", "queued"]
    await sink.answer(0)
    await until_idle(one)
    assert (await run_of(sql, ids[2]))["status"] == "running"


async def test_what_was_told_something_goes_on_waiting_for_its_slot(sql: Connection, store: Store) -> None:
    sink = Sink()
    endpoint = await publish(sql, calling({"concurrency": {"limit": 1}}))
    ids = await accept(store, endpoint, *({"n": n} for n in range(3)))
    one = worker(store, send=sink)
    await until_idle(one)
    await asyncio.sleep(0)
    for kind in ("pause", "resume"):
        await store.signal(0, [Signal(UUID(ids[1]), kind, '{"by":"me"}')])
        await until_idle(one)
        assert sink.seen == [0]
    await sink.answer(0)
    await until_idle(one)
    await asyncio.sleep(0)
    assert sink.seen == [0, 1]  # it has kept its place


async def test_a_run_can_be_cancelled_before_it_is_placed(sql: Connection, store: Store) -> None:
    ids = await accept(store, await publish(sql, limited({"concurrency": {"limit": 1}})), 0, 1)
    await store.signal(0, [Signal(UUID(ids[0]), "cancel", '{"by":"me","reason":"no more"}')])
    await store.signal(0, [Signal(UUID(ids[1]), "pause", '{"by":"me"}')])
    await until_idle(worker(store))
    assert [(await run_of(sql, run_id))["status"] for run_id in ids] == ["cancelled", "paused"]
    await store.signal(0, [Signal(UUID(ids[1]), "resume", '{"by":"me"}')])
    await until_idle(worker(store))
    assert (await run_of(sql, ids[1]))["status"] == "completed"
    assert (await run_of(sql, ids[1]))["lane"] > 0


async def test_a_run_in_line_says_what_it_waits_for(sql: Connection, database: str, store: Store) -> None:
    sink = Sink()
    endpoint = await publish(sql, calling({"concurrency": {"limit": 1, "key": "input.user"}, "queue_ttl_s": 3600}))
    ids = [UUID(run_id) for run_id in await accept(store, endpoint, *({"user": "a", "n": n} for n in range(3)))]
    async with pool(database) as reading:
        entering = await waiting_of(reading, 0, ids[2])
        assert entering is not None
        assert (entering.state, entering.ahead) == ("entering", 2)
        await until_idle(worker(store, send=sink))
        holder, last = [await waiting_of(reading, 0, run_id) for run_id in (ids[0], ids[2])]
        assert holder is not None
        assert last is not None
        assert (holder.state, holder.owner) == ("leased", "w")
        assert (last.state, last.ahead, last.holders, last.key, last.limit) == ("in line", 1, [ids[0]], '"a"', 1)
        assert last.expires_at is not None
        assert await waiting_of(reading, 7, ids[2]) is None  # of another project
        (lane,) = await lanes(reading, 0, 1)
        assert (lane.workflow, lane.key, lane.limit, lane.live, lane.waiting) == ("work", '"a"', 1, 1, 2)


async def test_lanes_nobody_stands_in_are_forgotten(sql: Connection, store: Store) -> None:
    settings = {"concurrency": {"limit": 1, "key": "input.user"}, "rate": {"limit": 100, "per_s": 0.001}}
    await accept(store, await publish(sql, limited(settings)), *({"user": n} for n in range(10)))
    await until_idle(worker(store))
    asleep = await publish(sql, waiting({"concurrency": {"limit": 1}}, 3600), "asleep")
    await accept(store, asleep, 1)
    await until_idle(worker(store))
    while await sql.fetchval("SELECT count(*) FROM meshhook.lanes WHERE id > 0") > 1:
        await store.forget_lanes(0)  # each time from a random one on
    assert await sql.fetchval("SELECT count(*) FROM meshhook.buckets") == 0
    # Nothing is missed: who comes now gets new ones, and an opening that is left over leads nowhere.
    await sql.execute("INSERT INTO meshhook.openings (shard, at, lane) VALUES (0, clock_timestamp(), 1)")
    (again,) = await accept(store, await publish(sql, limited(settings)), {"user": 3})
    await until_idle(worker(store))
    assert (await run_of(sql, again))["status"] == "completed"
    assert await sql.fetchval("SELECT count(*) FROM meshhook.openings") == 0


async def test_a_lane_is_not_forgotten_while_somebody_is_put_into_lanes(
    sql: Connection, database: str, store: Store
) -> None:
    endpoint = await publish(sql, limited({"concurrency": {"limit": 1}}))
    await accept(store, endpoint, 1)
    await until_idle(worker(store))
    await accept(store, endpoint, 2)
    async with pool(database) as other, store.turn(0) as turn:
        (entering,) = await turn.claim(10)
        assert entering.is_entering
        for _ in range(5):
            assert await Store(other).forget_lanes(0) == 0


async def test_who_gives_a_slot_back_does_not_wait_for_who_gives_them_out(
    sql: Connection, database: str, store: Store
) -> None:
    """A turn holds the lane; meanwhile a holder of another slot ends his run. What he gives back is found afterwards."""
    sink = Sink()
    ids = await accept(store, await publish(sql, calling({"concurrency": {"limit": 2}})), *({"n": n} for n in range(4)))
    one = worker(store, send=sink, batch_max=2)
    await one.turn(0)
    while await sql.fetchval("SELECT count(*) FROM meshhook.tasks WHERE lane < 0"):
        await one.turn(0)
    await until_idle(one)
    await asyncio.sleep(0)
    await sink.answer(0)
    await one.settle()
    async with pool(database) as other, Store(other).turn(0) as turn:
        claimed = await turn.claim(10)
        assert [str(run.run_id) for run in claimed] == [ids[2]]  # from here on the lane is locked
        await sink.answer(1)
        await one.settle()
        assert (await run_of(sql, ids[1]))["status"] == "completed"
        assert await one.turn(0) == 0
        await turn.put_back(claimed)
    await until_idle(one)
    await asyncio.sleep(0)
    assert sorted(sink.under_way) == [2, 3]
