"""Signals, events and children through the worker, on a real database: early, late, twice, and while others hold the run."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from tests.engine.conftest import DAY, Connection, delivery, events_of, publish, run_of
from tests.engine.test_calls import OK, World, accept, calling, rounds, types_of
from tests.engine.test_worker import worker

from meshhook.outbox import Signal
from meshhook.store import NewEvent, Store

WAITING = {
    "nodes": [
        {"id": "wait", "type": "wait_event", "config": {"event": "paid", "key": "{{ input }}", "timeout_s": 3600}},
        {"id": "end", "type": "transform", "config": {"expression": "input.amount"}},
        {"id": "late", "type": "transform", "config": {"expression": "'late'"}},
    ],
    "edges": [
        {"from": "trigger", "to": "wait"},
        {"from": "wait", "to": "end"},
        {"from": "wait", "port": "timeout", "to": "late"},
    ],
}


def twice() -> dict[str, Any]:
    wait = {"type": "wait_event", "config": {"event": "paid", "key": "k"}}
    return {
        "nodes": [{"id": "one", **wait}, {"id": "two", **wait}],
        "edges": [{"from": "trigger", "to": "one"}, {"from": "one", "to": "two"}],
    }


def event(id: str, key: str = "0", amount: int = 1, run_id: str | None = None, project: int = 0) -> NewEvent:
    to = None if run_id is None else UUID(run_id)
    return NewEvent(project, id, to, "paid", key, json.dumps({"amount": amount}))


async def send(store: Store, *events: NewEvent) -> list[set[UUID]]:
    return [await store.send_event(0, one, DAY) for one in events]


async def tell(store: Store, run_id: str, kind: str) -> set[UUID]:
    return await store.signal(0, [Signal(UUID(run_id), kind, '{"by":"test","reason":"why not"}')])


async def nothing_lies_about(sql: Connection) -> None:
    for table in ("signals", "waits", "tasks"):
        assert await sql.fetchval(f"SELECT count(*) FROM meshhook.{table}") == 0, table


async def test_an_event_reaches_the_run_that_waits_for_it(sql: Connection, store: Store) -> None:
    one, other = await accept(sql, store, WAITING, 2)
    working = worker(store)
    await rounds(working, sql, one, "waiting")
    await rounds(working, sql, other, "waiting")
    assert await send(store, event("e", "0", 7)) == [{UUID(one)}]
    await rounds(working, sql, one, "completed")
    assert (await events_of(sql, one))[-1]["output"] == 7
    assert (await run_of(sql, other))["status"] == "waiting"
    assert await send(store, event("e", "0", 7)) == [set()]  # the same event again


async def test_an_event_that_comes_first_is_kept(sql: Connection, store: Store) -> None:
    (run_id,) = await accept(sql, store, WAITING)
    assert await send(store, event("e", "0", 7), event("f", "0", 8)) == [set(), set()]
    working = worker(store)
    await rounds(working, sql, run_id, "completed")
    assert (await events_of(sql, run_id))[-1]["output"] == 7
    await nothing_lies_about(sql)


async def test_an_event_from_before_the_run_is_none_of_its_business(sql: Connection, store: Store) -> None:
    await send(store, event("e", "0", 7))
    (run_id,) = await accept(sql, store, WAITING)
    working = worker(store)
    await rounds(working, sql, run_id, "waiting")
    await send(store, event("f", "0", 8))
    await rounds(working, sql, run_id, "completed")
    assert (await events_of(sql, run_id))[-1]["output"] == 8


async def test_each_wait_takes_the_next_event(sql: Connection, store: Store) -> None:
    (run_id,) = await accept(sql, store, twice())
    working = worker(store)
    await rounds(working, sql, run_id, "waiting")
    await send(store, event("e", "k", 1), event("f", "k", 2))
    await rounds(working, sql, run_id, "completed")
    got = [one["payload"]["amount"] for one in await events_of(sql, run_id) if one["type"] == "event.received"]
    assert got == [1, 2]
    await nothing_lies_about(sql)


async def test_an_event_for_one_run_reaches_that_one_alone(sql: Connection, store: Store) -> None:
    one, other = await accept(sql, store, WAITING, 2)
    working = worker(store)
    await rounds(working, sql, one, "waiting")
    await rounds(working, sql, other, "waiting")
    assert await send(store, event("e", "whatever", 7, run_id=other)) == [{UUID(other)}]
    await rounds(working, sql, other, "completed")
    assert (await run_of(sql, one))["status"] == "waiting"


async def test_events_stay_in_their_project(sql: Connection, store: Store) -> None:
    await sql.execute("INSERT INTO meshhook.projects (id, name) VALUES (5, 'other')")
    (run_id,) = await accept(sql, store, WAITING)
    await rounds(worker(store), sql, run_id, "waiting")
    assert await send(store, event("e", "0", project=5), event("f", "0", run_id=run_id, project=5)) == [set(), set()]


async def test_a_wait_that_is_over_leaves_nothing_behind(sql: Connection, store: Store) -> None:
    (run_id,) = await accept(sql, store, WAITING)
    await rounds(worker(store), sql, run_id, "waiting")
    later = (await sql.fetchval("SELECT meshhook.now()")) + timedelta(hours=2)
    database = await sql.fetchval("SELECT current_database()")
    await sql.execute(f"ALTER DATABASE {database} SET meshhook.fake_now = '{later.isoformat()}'")
    await sql.execute(f"SET meshhook.fake_now = '{later.isoformat()}'")
    await store._database.close()
    await store._database.connect()
    await rounds(worker(store), sql, run_id, "completed")
    assert (await events_of(sql, run_id))[-1]["output"] == "late"
    await nothing_lies_about(sql)


async def test_many_events_and_waits_at_once_all_meet(sql: Connection, store: Store) -> None:
    """Whichever is first, every run gets its event, exactly one."""
    ids = await accept(sql, store, WAITING, 100)
    one, two = worker(store, name="one"), worker(store, name="two")
    sends = [asyncio.create_task(store.send_event(0, event(f"e{n}", str(n), n), DAY)) for n in range(100)]
    async with asyncio.timeout(30):
        while await sql.fetchval("SELECT count(*) FROM meshhook.runs WHERE status <> 'completed'"):
            await asyncio.gather(one._round(), two._round())
    await asyncio.gather(*sends)
    for number, run_id in enumerate(ids):
        assert (await events_of(sql, run_id))[-1]["output"] == number
    await nothing_lies_about(sql)


@pytest.mark.parametrize("status", ["queued", "waiting", "running", "paused"])
async def test_a_run_is_cancelled_from_any_live_state(sql: Connection, store: Store, status: str) -> None:
    world = World(OK)
    world.open.clear()
    (run_id,) = await accept(sql, store, calling() if status == "running" else WAITING)
    working = worker(store, send=world.send)
    if status == "paused":
        await tell(store, run_id, "pause")
    if status != "queued":
        await rounds(working, sql, run_id, status)
    assert await tell(store, run_id, "cancel") == {UUID(run_id)}
    if status == "running":
        working.note_signal(run_id)  # as the database notifies the worker that holds it
    await rounds(working, sql, run_id, "cancelled")
    assert await tell(store, run_id, "cancel") == set()
    last = (await events_of(sql, run_id))[-1]
    assert (last["type"], last["by"], last["reason"]) == ("run.cancelled", "test", "why not")
    world.open.set()
    await working.settle()
    await nothing_lies_about(sql)


async def test_a_held_run_hears_by_the_renewal_of_its_lease_as_well(sql: Connection, store: Store) -> None:
    """Behind a transaction pooler nobody is notified."""
    world = World(OK)
    world.open.clear()
    (run_id,) = await accept(sql, store, calling())
    working = worker(store, send=world.send)
    await working._round()
    await tell(store, run_id, "cancel")
    await working.renew()
    await rounds(working, sql, run_id, "cancelled")
    world.open.set()


async def test_a_paused_run_waits_and_goes_on(sql: Connection, store: Store) -> None:
    (run_id,) = await accept(sql, store, WAITING)
    working = worker(store)
    await tell(store, run_id, "pause")
    await rounds(working, sql, run_id, "paused")
    assert await working._round() is False
    await tell(store, run_id, "resume")
    await rounds(working, sql, run_id, "waiting")
    await send(store, event("e", "0", 3))
    await rounds(working, sql, run_id, "completed")


async def test_a_signal_whose_sender_died_before_the_poke_is_found(sql: Connection, store: Store) -> None:
    (run_id,) = await accept(sql, store, WAITING)
    working = worker(store)
    await rounds(working, sql, run_id, "waiting")
    await sql.execute("SELECT * FROM meshhook.signal(0::smallint, $1::uuid[], '{cancel}', '{\"{}\"}')", [run_id])
    assert await working._round() is False
    assert await store.poke_forgotten(0, timedelta(0)) == 1
    await rounds(working, sql, run_id, "cancelled")
    assert await store.poke_forgotten(0, timedelta(0)) == 0


async def test_a_signal_waits_for_who_holds_the_run_and_is_not_lost(sql: Connection, store: Store) -> None:
    (run_id,) = await accept(sql, store, calling())
    async with store.turn(0) as turn:
        (claimed,) = await turn.claim(10)
        telling = asyncio.create_task(tell(store, run_id, "cancel"))
        async with asyncio.timeout(10):
            while not await sql.fetchval("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"):
                await asyncio.sleep(0.01)
        await turn.put_back([claimed])
    await telling
    await rounds(worker(store), sql, run_id, "cancelled")


# -- Children -------------------------------------------------------------------------------------------------------------


def parent(of: str, **config: Any) -> dict[str, Any]:
    return {
        "nodes": [
            {"id": "sub", "type": "sub_workflow", "config": {"workflow": of} | config},
            {"id": "end", "type": "transform", "config": {"expression": "input"}},
        ],
        "edges": [{"from": "trigger", "to": "sub"}, {"from": "sub", "to": "end"}],
    }


async def children_of(sql: Connection, run_id: str) -> list[str]:
    return [one["run_id"] for one in await events_of(sql, run_id) if one["type"] == "child.started"]


async def test_a_parent_gets_the_output_of_its_child(sql: Connection, store: Store) -> None:
    await publish(sql, {"nodes": [{"id": "x", "type": "transform", "config": {"expression": "[input]"}}],
                        "edges": [{"from": "trigger", "to": "x"}]}, name="child")  # fmt: skip
    (run_id,) = await accept(sql, store, parent("child"))
    working = worker(store)
    await rounds(working, sql, run_id, "completed")
    (child,) = await children_of(sql, run_id)
    first = (await events_of(sql, child))[0]
    assert (first["source"], first["parent"]["run_id"]) == ("workflow", run_id)
    assert (await events_of(sql, run_id))[-1]["output"] == [0]
    await nothing_lies_about(sql)


async def test_what_can_not_be_started_fails_the_step(sql: Connection, store: Store) -> None:
    (run_id,) = await accept(sql, store, parent("missing"))
    await rounds(worker(store), sql, run_id, "failed")
    assert "there is no workflow missing" in (await events_of(sql, run_id))[-1]["error"]["reason"]
    await nothing_lies_about(sql)


async def test_children_of_a_cancelled_run_are_cancelled(sql: Connection, store: Store) -> None:
    await publish(sql, WAITING, name="child")
    (run_id,) = await accept(sql, store, parent("child"))
    working = worker(store)
    await rounds(working, sql, run_id, "waiting")
    (child,) = await children_of(sql, run_id)
    await rounds(working, sql, child, "waiting")
    await tell(store, run_id, "cancel")
    await rounds(working, sql, child, "cancelled")
    assert (await run_of(sql, run_id))["status"] == "cancelled"
    await nothing_lies_about(sql)


async def test_a_tree_of_runs_ends(sql: Connection, store: Store) -> None:
    await publish(sql, {"nodes": [{"id": "x", "type": "transform", "config": {"expression": "input"}}],
                        "edges": [{"from": "trigger", "to": "x"}]}, name="leaf")  # fmt: skip
    tree = {
        "nodes": [
            {
                "id": "each",
                "type": "loop",
                "config": {"items": "input", "body": parent("leaf")},
            }
        ],
        "edges": [{"from": "trigger", "to": "each"}],
    }
    endpoint = await publish(sql, tree)
    made = delivery(endpoint, list(range(25)))
    await store.accept(0, [made], DAY)
    one, two = worker(store, name="one"), worker(store, name="two")
    async with asyncio.timeout(30):
        while (await run_of(sql, made.run_id))["status"] not in ("completed", "failed"):
            await asyncio.gather(one._round(), two._round())
    assert (await events_of(sql, made.run_id))[-1]["output"] == list(range(25))
    await nothing_lies_about(sql)


async def test_an_answer_is_told_when_somebody_waits_for_it(sql: Connection, store: Store) -> None:
    endpoint = await publish(
        sql,
        {
            "nodes": [
                {"id": "say", "type": "respond", "config": {"status": 201, "body": {"n": "{{ input }}"}}},
                {"id": "rest", "type": "delay", "config": {"seconds": 3600}},
            ],
            "edges": [{"from": "trigger", "to": "say"}, {"from": "say", "to": "rest"}],
        },
    )
    made = delivery(endpoint, 4)
    await store.accept(0, [made], DAY)
    await sql.execute("ALTER TABLE meshhook.journal DISABLE TRIGGER journal_is_append_only")
    await sql.execute(
        'UPDATE meshhook.journal SET events = (replace(events::text, \'"trigger":\', \'"sync":true,"trigger":\'))::json'
    )
    heard: list[str] = []
    await sql.add_listener("meshhook_answers", lambda *args: heard.append(args[-1]))
    await rounds(worker(store), sql, made.run_id, "waiting")
    await sql.execute("SELECT 1")
    assert heard == [made.run_id]
    assert "run.responded" in await types_of(sql, made.run_id)
