"""Calls and delays through the worker, on a real database: what is journaled before and after, and who holds the run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from tests.engine.conftest import DAY, Connection, FakeClock, delivery, events_of, pool, publish, run_of
from tests.engine.test_worker import worker

from meshhook.db.connect import Database
from meshhook.hosts import Hosts
from meshhook.model import CallError, Request, Response
from meshhook.store import Store
from meshhook.worker import Worker

OK = Response(200, {}, {"ok": True})
BROKEN = CallError("broken", "the connection broke", "unknown")


def calling(**config: Any) -> dict[str, Any]:
    return {
        "nodes": [
            {"id": "call", "type": "http_call", "config": {"url": "http://x.example/{{ input }}"} | config},
            {"id": "end", "type": "transform", "config": {"expression": "input.body"}},
        ],
        "edges": [{"from": "trigger", "to": "call"}, {"from": "call", "to": "end"}],
    }


DELAY = {
    "nodes": [{"id": "wait", "type": "delay", "config": {"seconds": 3600}}],
    "edges": [{"from": "trigger", "to": "wait"}],
}


class World:
    """The outside world as a worker's ``send``: answers in order, the last one for ever, and remembers what came."""

    def __init__(self, *answers: Response | CallError) -> None:
        self.answers = list(answers)
        self.requests: list[tuple[Request, dict[str, str]]] = []
        self.open = asyncio.Event()
        self.open.set()

    async def send(self, request: Request, headers: dict[str, str]) -> Response | CallError:
        self.requests.append((request, headers))
        await self.open.wait()
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


async def accept(sql: Connection, store: Store, definition: dict[str, Any], count: int = 1) -> list[str]:
    endpoint = await publish(sql, definition)
    deliveries = [delivery(endpoint, n) for n in range(count)]
    await store.accept(0, deliveries, DAY)
    return [made.run_id for made in deliveries]


async def rounds(working: Worker, sql: Connection, run_id: str, status: str) -> None:
    async with asyncio.timeout(20):
        while (await run_of(sql, run_id))["status"] != status:
            await working._round()


async def types_of(sql: Connection, run_id: str) -> list[str]:
    return [event["type"] for event in await events_of(sql, run_id)]


async def test_a_call_is_journaled_before_it_is_made_and_after(sql: Connection, store: Store) -> None:
    (run_id,) = await accept(sql, store, calling())
    world = World(OK)
    world.open.clear()
    one = worker(store, send=world.send)
    await one._round()
    assert await types_of(sql, run_id) == ["run.accepted", "call.started", "lease.taken"]
    assert (await run_of(sql, run_id))["status"] == "running"
    world.open.set()
    await rounds(one, sql, run_id, "completed")
    assert (await types_of(sql, run_id))[3:] == ["step.completed", "step.completed", "run.completed"]
    ((request, headers),) = world.requests
    assert request.url == "http://x.example/0"
    assert headers["idempotency-key"] == f'"{run_id}/call"'
    assert headers["traceparent"].startswith("00-")
    assert not one._held
    assert await sql.fetchval("SELECT count(*) FROM meshhook.tasks") == 0


async def test_what_a_workflow_makes_of_a_response_is_journaled_in_its_stead(sql: Connection, store: Store) -> None:
    (run_id,) = await accept(sql, store, calling(output={"ok": "{{ body.ok }}", "twice": "{{ sum([input, input]) }}"}))
    await rounds(worker(store, send=World(OK).send), sql, run_id, "completed")
    done = next(event for event in await events_of(sql, run_id) if event["type"] == "step.completed")
    assert done["output"] == {"ok": True, "twice": 0}


async def test_an_output_that_cannot_be_made_fails_the_step(sql: Connection, store: Store) -> None:
    (run_id,) = await accept(sql, store, calling(output="{{ abs(body) }}"))
    await rounds(worker(store, send=World(OK).send), sql, run_id, "failed")
    assert (await events_of(sql, run_id))[-1]["error"]["type"] == "expression"


async def test_a_failed_attempt_waits_without_a_lease_and_is_made_again_with_the_same_key(
    sql: Connection, store: Store, database: str
) -> None:
    (run_id,) = await accept(sql, store, calling(retry={"backoff_s": 3600, "backoff_max_s": 3600}))
    world = World(BROKEN, OK)
    one = worker(store, send=world.send)
    await rounds(one, sql, run_id, "waiting")
    assert await types_of(sql, run_id) == [
        "run.accepted", "call.started", "lease.taken", "call.failed", "lease.released",
    ]  # fmt: skip
    task = await sql.fetchrow("SELECT owner, due_at > clock_timestamp() AS later FROM meshhook.tasks")
    assert tuple(task) == (None, True)
    assert not one._held
    # Looked at too early, it is put back as it was.
    await sql.execute("UPDATE meshhook.tasks SET due_at = clock_timestamp()")
    assert await one.turn(0) == 1
    assert tuple(await sql.fetchrow("SELECT owner, due_at > clock_timestamp() FROM meshhook.tasks")) == (None, True)
    assert len(world.requests) == 1
    async with two_hours_later(sql, database) as later:
        await rounds(worker(Store(later), send=world.send), sql, run_id, "completed")
    assert [headers["idempotency-key"] for _, headers in world.requests] == [f'"{run_id}/call"'] * 2
    first, second = (headers["traceparent"].split("-") for _, headers in world.requests)
    assert first[1] == second[1]
    assert first[2] != second[2]


@asynccontextmanager
async def two_hours_later(sql: Connection, dsn: str) -> AsyncIterator[Database]:
    """A pool whose sessions live two hours from now, by the clock of the database."""
    name = await sql.fetchval("SELECT current_database()")
    then = await sql.fetchval("SELECT clock_timestamp() + interval '2 hours'")
    await sql.execute(f"ALTER DATABASE {name} SET meshhook.fake_now = '{then.isoformat()}'")
    async with pool(dsn) as opened:
        yield opened


async def test_retries_go_on_until_one_succeeds(sql: Connection, store: Store) -> None:
    (run_id,) = await accept(sql, store, calling(retry={"backoff_s": 0, "attempts": 5}))
    world = World(BROKEN, Response(503, {}, None), BROKEN, OK)
    await rounds(worker(store, send=world.send), sql, run_id, "completed")
    assert len(world.requests) == 4
    assert len({headers["idempotency-key"] for _, headers in world.requests}) == 1
    attempts = [event["attempt"] for event in await events_of(sql, run_id) if event["type"] == "call.started"]
    assert attempts == [1, 2, 3, 4]


async def test_a_call_of_a_dead_worker_is_called_unknown_and_made_again(sql: Connection, store: Store) -> None:
    (run_id,) = await accept(sql, store, calling(retry={"backoff_s": 0}))
    silent = World(OK)
    silent.open.clear()
    dead = worker(store, name="dead", send=silent.send, lease_s=0.0)
    await dead._round()
    world = World(OK)
    await rounds(worker(store, name="heir", send=world.send), sql, run_id, "completed")
    types = await types_of(sql, run_id)
    assert types[:5] == ["run.accepted", "call.started", "lease.taken", "lease.expired", "call.failed"]
    assert types[-3:] == ["step.completed", "step.completed", "run.completed"]
    failed = next(event for event in await events_of(sql, run_id) if event["type"] == "call.failed")
    assert (failed["error"]["type"], failed["sent"]) == ("unknown", "unknown")
    before = await events_of(sql, run_id)
    silent.open.set()
    while dead._calling or dead._ended:  # the dead one hears its answer after all
        await asyncio.sleep(0)
        await dead.settle()
    assert await events_of(sql, run_id) == before
    assert dead.counts.refused == 1


async def test_a_run_costs_no_lease_while_it_sleeps_and_wakes_when_its_time_has_come(
    sql: Connection, store: Store, database: str
) -> None:
    (run_id,) = await accept(sql, store, DELAY)
    one = worker(store)
    await one.turn(0)
    assert await types_of(sql, run_id) == ["run.accepted", "timer.set"]
    assert (await run_of(sql, run_id))["status"] == "waiting"
    assert tuple(
        await sql.fetchrow("SELECT owner, due_at - clock_timestamp() > interval '59 min' FROM meshhook.tasks")
    ) == (None, True)
    assert await one.turn(0) == 0
    assert not one._held
    async with two_hours_later(sql, database) as later:
        assert await worker(Store(later)).turn(0) == 1
    assert (await types_of(sql, run_id))[2:] == ["step.completed", "run.completed"]


async def test_a_worker_makes_only_so_many_calls_at_once(sql: Connection, store: Store) -> None:
    ids = await accept(sql, store, calling(), 10)
    world = World(OK)
    world.open.clear()
    one = worker(store, send=world.send, calls_max=3)
    await one._round()
    await asyncio.sleep(0)
    assert len(world.requests) == 3
    assert await sql.fetchval("SELECT count(*) FROM meshhook.tasks WHERE owner IS NULL") == 7
    world.open.set()
    for run_id in ids:
        await rounds(one, sql, run_id, "completed")
    assert len(world.requests) == 10


async def test_a_call_that_must_wait_for_its_host_costs_neither_attempt_nor_lease(
    sql: Connection, store: Store
) -> None:
    ids = await accept(sql, store, calling(), 5)
    world = World(OK)
    world.open.clear()
    hosts = Hosts(per_host_max=2)
    one = worker(store, send=hosts.around(world.send), hosts=hosts)
    await one._round()
    await asyncio.sleep(0)
    assert len(world.requests) == 2
    late = (
        "SELECT bool_and(t.due_at > j.at + interval '2 s') FROM meshhook.tasks t JOIN meshhook.journal j USING (run_id)"
    )
    assert await sql.fetchval(f"{late} WHERE t.owner IS NULL")  # who waits is not looked at again and again
    waiting = [run_id for run_id in ids if await types_of(sql, run_id) == ["run.accepted"]]
    assert len(waiting) == 3
    assert await sql.fetchval("SELECT count(*) FROM meshhook.tasks WHERE owner IS NULL") == 3
    world.open.set()
    for run_id in ids:
        await rounds(one, sql, run_id, "completed")
    assert len(world.requests) == 5
    assert {event["attempt"] for run_id in ids for event in await events_of(sql, run_id) if "attempt" in event} == {1}


async def test_while_a_circuit_is_open_runs_wait_and_lose_no_attempt(
    sql: Connection, store: Store, fake_clock: Callable[..., FakeClock]
) -> None:
    ids = await accept(sql, store, calling(retry={"attempts": 2, "backoff_s": 0}), 4)
    world = World(BROKEN)
    clock = fake_clock()
    hosts = Hosts(circuit_failures=4, circuit_pause_s=100, clock=clock)
    one = worker(store, send=hosts.around(world.send), hosts=hosts)
    await until(one, lambda: len(world.requests) == 4 and not one._calling and not one._ended)
    await sql.execute("UPDATE meshhook.tasks SET due_at = clock_timestamp()")
    await one._round()
    assert len(world.requests) == 4  # a second attempt would be the last
    assert hosts.counts.held_back["circuit"] >= 4
    assert [(await run_of(sql, run_id))["status"] for run_id in ids] == ["waiting"] * 4
    assert not one._held
    world.answers, clock.now = [OK], clock.now + 100
    for run_id in ids:
        await rounds(one, sql, run_id, "completed")
    assert len(world.requests) == 8  # and nobody had to be waited for: they were called


async def until(working: Worker, reached: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not reached():
            await working._round()
            await asyncio.sleep(0)


async def test_stopping_waits_for_calls_a_while_and_hands_the_rest_back(sql: Connection, store: Store) -> None:
    (run_id,) = await accept(sql, store, calling(retry={"backoff_s": 0}))
    world = World(OK)
    world.open.clear()
    one = worker(store, send=world.send, shutdown_s=0.02)
    await one._round()
    one.stop()
    await one.run()
    assert (await types_of(sql, run_id))[-1] == "lease.released"
    world.open.set()
    await rounds(worker(store, name="other", send=world.send), sql, run_id, "completed")
    assert "call.failed" in await types_of(sql, run_id)
