"""Finished runs begun again, from the start and from a step; and the dead letters they leave. On a real database."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from tests.engine.conftest import Connection, events_of, pool, publish, run_of
from tests.engine.test_calls import World, accept, rounds
from tests.engine.test_signals import tell
from tests.engine.test_worker import worker

from meshhook import census, replaying
from meshhook.db.connect import Database
from meshhook.definition import parse
from meshhook.errors import Refusal
from meshhook.model import CallError, Response
from meshhook.replay import divergence
from meshhook.store import Store
from meshhook.verify import differences

OK, BROKEN = Response(200, {}, {"paid": 5}), CallError("refused", "may not be reached", "no")


def shop(check: str = "input") -> dict[str, Any]:
    """A call, then in parallel a step that may fail and a loop, joined."""
    item = {"nodes": [{"id": "x", "type": "transform", "config": {"expression": "input"}}],
            "edges": [{"from": "trigger", "to": "x"}]}  # fmt: skip
    return {
        "nodes": [
            {"id": "charge", "type": "http_call", "config": {"url": "http://x.example/{{ input }}"}},
            {"id": "each", "type": "loop", "config": {"items": "`[1, 2]`", "body": item}},
            {"id": "check", "type": "transform", "config": {"expression": check}},
            {"id": "ship", "type": "http_call", "config": {"url": "http://x.example/ship"}},
            {"id": "both", "type": "join"},
        ],
        "edges": [
            {"from": "trigger", "to": "charge"},
            {"from": "charge", "to": "each"},
            {"from": "charge", "to": "check"},
            {"from": "check", "to": "ship"},
            {"from": "each", "to": "both"},
            {"from": "ship", "to": "both"},
        ],
    }


@pytest.fixture
async def opened(database: str) -> Any:
    async with pool(database) as it:
        yield it


async def finished(sql: Connection, store: Store, world: World, definition: dict[str, Any], status: str) -> str:
    (run_id,) = await accept(sql, store, definition)
    await rounds(worker(store, send=world.send), sql, run_id, status)
    return run_id


async def all_is_well(database: Database, definition: dict[str, Any]) -> None:
    """Every run is what its journal says, and can be repeated."""
    async for record in census.records(database):
        assert list(differences(record)) == []
        if record.finished_at is not None:
            assert divergence(record, parse(definition)) is None


async def test_a_replay_is_a_new_run_with_the_same_trigger(sql: Connection, store: Store, opened: Database) -> None:
    run_id = await finished(sql, store, World(BROKEN), shop(), "failed")
    begun = await replaying.replay(opened, 0, run_id)
    await rounds(worker(store, send=World(OK).send), sql, begun.run_id, "completed")
    first, again = (await events_of(sql, run_id))[0], (await events_of(sql, begun.run_id))[0]
    assert (again["source"], again["replay_of"], again["trigger"]) == ("replay", run_id, first["trigger"])
    assert (await run_of(sql, run_id))["status"] == "failed"
    await all_is_well(opened, shop())


async def test_a_replay_takes_the_published_version_or_the_same(
    sql: Connection, store: Store, opened: Database
) -> None:
    run_id = await finished(sql, store, World(BROKEN), shop(), "failed")
    await publish(sql, shop("'new'"))
    versions = [
        (await events_of(sql, (await replaying.replay(opened, 0, run_id, version=version)).run_id))[0]["version"]
        for version in ("published", "same")
    ]
    assert versions == [2, 1]


async def test_a_key_begins_one_replay_alone(sql: Connection, store: Store, opened: Database) -> None:
    run_id = await finished(sql, store, World(BROKEN), shop(), "failed")
    keyed = {"key": "k", "keep": timedelta(hours=1)}
    begun = await asyncio.gather(*(replaying.replay(opened, 0, run_id, **keyed) for _ in range(5)))
    assert len({it.run_id for it in begun}) == 1
    with pytest.raises(Refusal, match="another version"):
        await replaying.replay(opened, 0, run_id, version="same", **keyed)


async def test_a_run_is_resumed_from_a_step_with_what_was_done_before_it(
    sql: Connection, store: Store, opened: Database
) -> None:
    world = World(OK, BROKEN)
    run_id = await finished(sql, store, world, shop(), "failed")
    assert [request.url for request, _ in world.requests] == ["http://x.example/0", "http://x.example/ship"]
    begun = await replaying.resume_from(opened, 0, run_id, "ship")
    again = World(Response(200, {}, "sent"))
    await rounds(worker(store, send=again.send), sql, begun.run_id, "completed")
    assert [request.url for request, _ in again.requests] == ["http://x.example/ship"]  # nobody is charged twice
    events = await events_of(sql, begun.run_id)
    assert events[0]["resumes"]["run_id"] == run_id
    assert sorted(event["node"] for event in events[1:4]) == ["charge", "check", "each"]
    assert (events[-1]["output"]["each"], events[-1]["output"]["ship"]["body"]) == ([1, 2], "sent")
    await all_is_well(opened, shop())


async def test_a_loop_behind_the_step_is_done_again_as_a_whole(sql: Connection, store: Store, opened: Database) -> None:
    run_id = await finished(sql, store, World(OK), shop(), "completed")
    begun = await replaying.resume_from(opened, 0, run_id, "each")
    await rounds(worker(store, send=World(OK).send), sql, begun.run_id, "completed")
    done = [event["node"] for event in await events_of(sql, begun.run_id) if event["type"] == "step.completed"]
    assert sorted(done) == sorted(["charge", "check", "ship", "each[0].x", "each[1].x", "each", "both"])
    assert (await events_of(sql, begun.run_id))[-1]["output"] == (await events_of(sql, run_id))[-1]["output"]
    await all_is_well(opened, shop())


async def test_what_can_not_be_resumed_is_refused(sql: Connection, store: Store, opened: Database) -> None:
    run_id = await finished(sql, store, World(BROKEN), shop(), "failed")
    for step, problem in (("ship", "step-not-reached"), ("nowhere", "unknown-step"), ("each[0].x", "unknown-step")):
        with pytest.raises(Refusal) as refused:
            await replaying.resume_from(opened, 0, run_id, step)
        assert refused.value.problem == problem
    (live,) = await accept(sql, store, shop())
    with pytest.raises(Refusal, match=r"is queued"):
        await replaying.replay(opened, 0, live)
    with pytest.raises(Refusal, match="There is no run"):
        await replaying.replay(opened, 1, run_id)


async def letters(sql: Connection) -> list[dict[str, Any]]:
    return [dict(row) for row in await sql.fetch("SELECT * FROM meshhook.dead_letters")]


async def test_a_failed_run_is_a_dead_letter_until_somebody_deals_with_it(
    sql: Connection, store: Store, opened: Database
) -> None:
    run_id = await finished(sql, store, World(BROKEN), shop(), "failed")
    (letter,) = await letters(sql)
    assert (str(letter["run_id"]), letter["node"], letter["error_type"]) == (run_id, "charge", "call")
    assert "may not be reached" in letter["reason"]
    await replaying.replay(opened, 0, run_id)
    assert await letters(sql) == []


async def test_what_did_not_fail_is_none(sql: Connection, store: Store) -> None:
    await finished(sql, store, World(OK), shop(), "completed")
    (run_id,) = await accept(sql, store, shop())
    await tell(store, run_id, "cancel")
    await rounds(worker(store), sql, run_id, "cancelled")
    assert await letters(sql) == []
