"""Test runs of drafts: real runs under a version of their own, told apart, and gone with it. On a real database."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from tests.engine.conftest import Connection, events_of, pool, publish, run_of
from tests.engine.test_calls import World, accept, rounds
from tests.engine.test_worker import worker

from meshhook import catalog, census, drafts, history, listing, replaying, testruns
from meshhook.db.connect import Database
from meshhook.definition import parse_text
from meshhook.errors import DefinitionError, Refusal
from meshhook.ids import make_run_id
from meshhook.listing import RunFilter
from meshhook.model import CallError, Response
from meshhook.pinning import Pin
from meshhook.replay import divergence
from meshhook.store import Store
from meshhook.testruns import TestRunWanted
from meshhook.verify import differences

DRAFT = {
    "nodes": [
        {"id": "charge", "type": "http_call", "config": {"url": "http://x.example/", "retry": {"attempts": 1}}},
        {
            "id": "tell",
            "type": "transform",
            "config": {"template": "paid {{ input.body.paid }} by {{ trigger.body.who }}"},
        },
        {"id": "about", "type": "transform", "config": {"expression": "[input, run.version]"}},
    ],
    "edges": [{"from": "trigger", "to": "charge"}, {"from": "charge", "to": "tell"}, {"from": "tell", "to": "about"}],
    "settings": {"concurrency": {"limit": 1, "strategy": "cancel-oldest"}},
}
ADA = msgspec.Raw(b'{"who": "Ada"}')


decode = msgspec.json.decode


@pytest.fixture
async def opened(database: str) -> Any:
    async with pool(database) as it:
        yield it


async def draft(opened: Database) -> None:
    await drafts.save(opened, 0, "work", json.dumps(DRAFT))


async def all_is_well(opened: Database) -> None:
    """Every run is what its journal says, and can be repeated with the definition it ran."""
    async for record in census.records(opened):
        assert list(differences(record)) == []
        text = await census.definition(opened, record.version_id)
        assert text is not None
        assert divergence(record, parse_text(text)) is None


async def test_a_draft_is_tried_and_nothing_is_published(sql: Connection, store: Store, opened: Database) -> None:
    await draft(opened)
    run_id = await testruns.start(opened, 0, "work", TestRunWanted(input=ADA))
    world = World(Response(200, {}, {"paid": 5}))
    await rounds(worker(store, send=world.send), sql, run_id, "completed")
    run = await history.run(opened, 0, run_id)
    assert (run.test, run.version, run.pinned, decode(run.output)) == (True, None, [], ["paid 5 by Ada", None])
    assert run.origin is not None
    assert run.origin.kind == "test"
    assert (await run_of(sql, run_id))["lane"] is None, "it takes no slot of the workflow"
    assert (await catalog.workflow(opened, 0, "work")).published is None
    assert await catalog.versions(opened, 0, "work") == []
    assert (await catalog.publish(opened, 0, "work"))[0].version == 1
    await all_is_well(opened)


async def test_a_pinned_node_is_not_done_and_what_ran_can_be_read(
    sql: Connection, store: Store, opened: Database
) -> None:
    await draft(opened)
    pins = {"charge": Pin(output={"body": {"paid": "{{ 7 }}"}})}
    run_id = await testruns.start(opened, 0, "work", TestRunWanted(input=ADA, pins=pins))
    world = World()
    await rounds(worker(store, send=world.send), sql, run_id, "completed")
    assert world.requests == []
    run = await history.run(opened, 0, run_id)
    assert (run.pinned, decode(run.output)) == (["charge"], ["paid {{ 7 }} by Ada", None])
    ran = await history.definition(opened, 0, run_id)
    assert (ran.version, ran.definition["nodes"][0]["type"]) == (None, "transform")
    await all_is_well(opened)


async def test_another_definition_and_the_trigger_of_another_run(
    sql: Connection, store: Store, opened: Database
) -> None:
    (before,) = await accept(sql, store, {**DRAFT, "settings": {}})
    other = {
        "nodes": [{"id": "a", "type": "transform", "config": {"expression": "trigger"}}],
        "edges": [{"from": "trigger", "to": "a"}],
    }
    wanted = TestRunWanted(run_id=before, definition=msgspec.Raw(json.dumps(other).encode()))
    run_id = await testruns.start(opened, 0, "work", wanted)
    await rounds(worker(store, send=World(Response(200, {}, {})).send), sql, run_id, "completed")
    assert decode((await history.run(opened, 0, run_id)).output) == decode(
        (await history.run(opened, 0, before)).trigger
    )
    by_hand = TestRunWanted(trigger=msgspec.Raw(b'{"headers": {"x": "1"}, "body": 3}'), definition=wanted.definition)
    run_id = await testruns.start(opened, 0, "work", by_hand)
    await rounds(worker(store), sql, run_id, "completed")
    assert decode((await history.run(opened, 0, run_id)).output) == {"headers": {"x": "1"}, "body": 3}


async def test_a_failed_test_run_is_nobodys_dead_letter_and_is_resumed_as_one(
    sql: Connection, store: Store, opened: Database
) -> None:
    await draft(opened)
    run_id = await testruns.start(opened, 0, "work", TestRunWanted(input=ADA))
    await rounds(worker(store, send=World(CallError("refused", "no", "no")).send), sql, run_id, "failed")
    assert await sql.fetchval("SELECT count(*) FROM meshhook.dead_letters") == 0
    (listed,) = (await listing.runs(opened, 0)).items
    assert listed.failure is not None
    assert listed.failure.node == "charge"
    again = [
        (await replaying.resume_from(opened, 0, run_id, "charge")).run_id,
        (await replaying.replay(opened, 0, run_id)).run_id,
    ]
    for id in again:
        await rounds(worker(store, send=World(Response(200, {}, {"paid": 1})).send), sql, id, "completed")
        run = await history.run(opened, 0, id)
        assert (run.test, decode(run.output)) == (True, ["paid 1 by Ada", None])
    assert await sql.fetchval("SELECT count(DISTINCT version_id) FROM meshhook.runs") == 3
    keyed = [await replaying.replay(opened, 0, run_id, key="k", keep=timedelta(hours=1)) for _ in range(2)]
    assert keyed[0] == keyed[1]
    assert await sql.fetchval("SELECT count(*) FROM meshhook.versions WHERE test_run IS NOT NULL") == 4
    await all_is_well(opened)


async def test_lists_tell_test_runs_apart(sql: Connection, store: Store, opened: Database) -> None:
    (real,) = await accept(sql, store, {**DRAFT, "settings": {}})
    tried = await testruns.start(opened, 0, "work", TestRunWanted(input=ADA))

    async def listed(test: bool | None, q: str | None = None) -> list[tuple[str, bool]]:
        page = await listing.runs(opened, 0, RunFilter(test=test, q=q))
        return sorted((str(it.id), it.test) for it in page.items)

    assert await listed(None) == sorted([(real, False), (tried, True)])
    assert (await listed(True), await listed(False)) == ([(tried, True)], [(real, False)])
    assert (await listed(True, "Ada"), await listed(False, "Ada")) == ([(tried, True)], [])


async def test_what_can_not_be_tried_is_refused_and_leaves_nothing(sql: Connection, opened: Database) -> None:
    with pytest.raises(Refusal) as refused:
        await testruns.start(opened, 0, "work", TestRunWanted())
    assert refused.value.problem == "unknown-workflow"
    await drafts.save(opened, 0, "work", '{"nodes": []}', faulty=True)
    with pytest.raises(DefinitionError):
        await testruns.start(opened, 0, "work", TestRunWanted())
    await draft(opened)
    unknown = make_run_id(0, int(datetime.now(UTC).timestamp() * 1000))
    for wanted, problem in (
        (TestRunWanted(run_id=unknown), "unknown-run"),
        (TestRunWanted(run_id=unknown, input=ADA), "invalid-body"),
        (TestRunWanted(trigger=msgspec.Raw(b"[1]")), "invalid-body"),
        (TestRunWanted(input=msgspec.Raw(b"[" * 150 + b"]" * 150)), "invalid-body"),
    ):
        with pytest.raises(Refusal) as refused:
            await testruns.start(opened, 0, "work", wanted)
        assert refused.value.problem == problem
    with pytest.raises(DefinitionError, match="no such node"):
        await testruns.start(opened, 0, "work", TestRunWanted(pins={"nobody": Pin(output=1)}))
    assert await sql.fetchval("SELECT count(*) FROM meshhook.versions") == 0


async def test_the_version_of_a_test_run_goes_with_its_day(sql: Connection, store: Store, opened: Database) -> None:
    await draft(opened)
    await publish(sql, DRAFT)
    kept = await testruns.start(opened, 0, "work", TestRunWanted())
    old = make_run_id(0, int((datetime.now(UTC) - timedelta(days=400)).timestamp() * 1000))
    await sql.execute(
        "INSERT INTO meshhook.versions (workflow_id, definition, test_run) "
        "SELECT workflow_id, definition, $1 FROM meshhook.versions LIMIT 1",
        old,
    )
    await store.forget()
    left = await sql.fetch("SELECT test_run, number FROM meshhook.versions ORDER BY number")
    assert [(str(row["test_run"] or ""), row["number"]) for row in left] == [("", 1), (kept, None)]
    assert (await events_of(sql, kept))[0]["test"] is True
