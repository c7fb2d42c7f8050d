"""The steps of real runs: every type of node, read back from the database; pages of items, and bounds."""

from __future__ import annotations

import uuid
from typing import Any

import msgspec
import pytest
from tests.engine.conftest import DAY, Connection, delivery, publish, run_of
from tests.engine.test_calls import World, accept, rounds
from tests.engine.test_signals import event, send
from tests.engine.test_worker import worker

from meshhook import replaying
from meshhook.errors import Refusal
from meshhook.model import CallError, Response
from meshhook.nodes import TYPES
from meshhook.side_process import SideProcess
from meshhook.steps import StepPage, Storyteller
from meshhook.store import Store
from meshhook.story import Step

OK, BROKEN = Response(200, {}, {"paid": 5}), CallError("broken", "the connection broke", "unknown")

EVERY: dict[str, Any] = {
    "nodes": [
        {"id": "parse", "type": "xml_json", "config": {"to": "json", "value": "{{ input.xml }}"}},
        {"id": "pick", "type": "transform", "config": {"expression": "input"}},
        {
            "id": "size",
            "type": "branch",
            "config": {"conditions": [{"port": "big", "when": "trigger.body.n > `10`"}], "default": "small"},
        },
        {"id": "stop", "type": "terminate", "config": {"status": "failed", "reason": "too big"}},
        {"id": "say", "type": "respond", "config": {"status": 201, "body": {"ok": True}}},
        {"id": "nap", "type": "delay", "config": {"seconds": 0.01}},
        {
            "id": "charge",
            "type": "http_call",
            "config": {"url": "http://x.example/", "retry": {"backoff_s": 0.001, "on_unknown": "retry"}},
        },
        {"id": "paid", "type": "wait_event", "config": {"event": "paid", "key": "0", "timeout_s": 3600}},
        {"id": "sub", "type": "sub_workflow", "config": {"workflow": "leaf", "input": "{{ `7` }}"}},
        {
            "id": "each",
            "type": "loop",
            "config": {
                "items": "`[10, 20, 30]`",
                "body": {
                    "nodes": [{"id": "twice", "type": "transform", "config": {"expression": "sum([input, input])"}}],
                    "edges": [{"from": "trigger", "to": "twice"}],
                },
            },
        },
        {"id": "all", "type": "join", "config": {"mode": "all"}},
    ],
    "edges": [
        {"from": "trigger", "to": "parse"},
        {"from": "parse", "to": "pick"},
        {"from": "pick", "to": "size"},
        {"from": "size", "port": "big", "to": "stop"},
        {"from": "size", "port": "small", "to": "say"},
        {"from": "say", "to": "nap"},
        *({"from": "nap", "to": one} for one in ("charge", "paid", "sub", "each")),
        *({"from": one, "to": "all"} for one in ("charge", "paid", "sub", "each")),
    ],
}
LEAF = {
    "nodes": [{"id": "x", "type": "transform", "config": {"expression": "input"}}],
    "edges": [{"from": "trigger", "to": "x"}],
}


SIDE = SideProcess()


def teller(store: Store, side: SideProcess = SIDE, **options: Any) -> Storyteller:
    """One that has nothing to evaluate, unless it is given who does."""
    return Storyteller(store._database, side, **options)


def by_node(page: StepPage) -> dict[str, Step]:
    return {step.node: step for step in page.items}


def plain(data: Any) -> Any:
    return msgspec.json.decode(msgspec.json.encode(data))


async def test_a_run_of_every_type_of_node(sql: Connection, store: Store) -> None:
    assert {node["type"] for node in EVERY["nodes"]} == set(TYPES)
    await publish(sql, LEAF, "leaf")
    endpoint = await publish(sql, EVERY)
    made = delivery(endpoint, {"xml": "<a>x</a>", "n": 1})
    await store.accept(0, [made], DAY)
    steps = by_node(await teller(store).steps(0, made.run_id))
    assert {step.status for step in steps.values()} == {"pending"}

    working = worker(store, send=World(BROKEN, OK).send)
    await rounds(working, sql, made.run_id, "waiting")
    await send(store, event("e"))
    await rounds(working, sql, made.run_id, "completed")
    page = await teller(store).steps(0, made.run_id)
    steps = by_node(page)
    assert {step.node: step.type for step in page.items} == {node["id"]: node["type"] for node in EVERY["nodes"]}
    assert {node for node, step in steps.items() if step.status == "completed"} == set(steps) - {"stop"}
    assert steps["stop"].status == "skipped"
    assert (page.status, page.complete, page.next, page.count) == ("completed", True, None, None)

    row = await run_of(sql, made.run_id)
    last = await sql.fetchval("SELECT max(seq) FROM meshhook.run_events WHERE run_id = $1", uuid.UUID(made.run_id))
    assert page.seq == last
    for step in steps.values():
        if step.status == "completed":
            assert step.started_at is not None
            assert step.ended_at is not None
            assert step.started_at <= step.ended_at <= row["finished_at"]
    failed, succeeded = steps["charge"].attempts
    assert (failed.outcome, failed.sent, succeeded.outcome) == ("failed", "unknown", "succeeded")
    assert failed.ended_at is not None
    assert failed.retry_at is not None
    assert failed.started_at < failed.ended_at <= succeeded.started_at
    assert failed.retry_at <= succeeded.started_at
    [nap], [paid], [sub] = (steps[node].waits for node in ("nap", "paid", "sub"))
    assert (nap.kind, paid.kind, paid.event, sub.kind, sub.run_status) == ("timer", "event", "paid", "run", "completed")
    assert nap.until is not None
    assert nap.ended_at is not None
    assert nap.until <= nap.ended_at
    assert (await run_of(sql, str(sub.run_id)))["status"] == "completed"
    assert steps["each"].loop is not None
    assert plain(steps["each"].loop) == {"count": 3, "begun": 3, "done": 3, "failed": 0}
    assert plain(steps["all"].input) == plain(steps["all"].output)
    assert plain(steps["all"].output)["value"]["sub"] == 7
    items = await teller(store).steps(0, made.run_id, within="each", start=1, limit=1)
    assert [(it.path, plain(it.output)["value"]) for it in items.items] == [("each[1].twice", 40)]
    assert (items.count, items.next, items.within) == (3, 2, "each")


async def test_a_step_is_read_whole(sql: Connection, store: Store) -> None:
    definition = {
        "nodes": [{"id": id, "type": "transform", "config": {"expression": "input"}} for id in ("a", "b")],
        "edges": [{"from": "trigger", "to": "a"}, {"from": "a", "to": "b"}],
    }
    large = {"text": "é" * 20_000}
    made = delivery(await publish(sql, definition), large)
    await store.accept(0, [made], DAY)
    await rounds(worker(store), sql, made.run_id, "completed")
    listed = by_node(await teller(store).steps(0, made.run_id))
    for payload in (listed["a"].input, listed["a"].output, listed["b"].input):
        assert payload is not None
        assert (payload.truncated, payload.value) == (True, None)
        assert payload.bytes > 40_000
        assert payload.beginning is not None
    for node in ("a", "b"):
        step = (await teller(store).step(0, made.run_id, node)).step
        assert plain(step.input)["value"] == plain(step.output)["value"] == large
    for wrong in ("c", "a[0].b", "", "each[x].a", "a.b", "é"):
        with pytest.raises(Refusal, match="unknown-step"):
            await teller(store).step(0, made.run_id, wrong)
    for read in (teller(store).step(1, made.run_id, "a"), teller(store).steps(1, made.run_id)):
        with pytest.raises(Refusal, match="unknown-run"):
            await read


async def test_a_loop_of_ten_thousand_items_is_read_by_pages(sql: Connection, store: Store) -> None:
    body = {
        "nodes": [
            {"id": "x", "type": "transform", "config": {"expression": "input"}},
            {"id": "y", "type": "transform", "config": {"expression": "abs(input)"}},
        ],
        "edges": [{"from": "trigger", "to": "x"}, {"from": "x", "to": "y"}],
    }
    definition = {
        "nodes": [{"id": "each", "type": "loop", "config": {"items": "input", "body": body, "on_error": "continue"}}],
        "edges": [{"from": "trigger", "to": "each"}],
    }
    made = delivery(await publish(sql, definition), ["bad" if n % 1_000 == 7 else n for n in range(10_000)])
    await store.accept(0, [made], DAY)
    await rounds(worker(store), sql, made.run_id, "completed")
    [each] = (await teller(store).steps(0, made.run_id)).items
    assert plain(each.loop) == {"count": 10_000, "begun": 10_000, "done": 10_000, "failed": 10}
    page = await teller(store).steps(0, made.run_id, within="each", start=9_990, limit=7)
    assert [it.index for it in page.iterations] == list(range(9_990, 9_997))
    assert (len(page.items), page.next, page.count) == (14, 9_997, 10_000)
    assert (await teller(store).steps(0, made.run_id, within="each", start=9_997)).next is None
    assert (await teller(store).steps(0, made.run_id, within="each", start=10_000)).items == []
    failed = await teller(store).steps(0, made.run_id, within="each", start=8, limit=8, failed=True)
    assert [it.index for it in failed.iterations] == [1_007 + n * 1_000 for n in range(8)]
    assert {it.status for it in failed.iterations} == {"failed"}
    assert failed.next == 9_007
    rest = await teller(store).steps(0, made.run_id, within="each", start=failed.next, limit=8, failed=True)
    assert ([it.index for it in rest.iterations], rest.next) == ([9_007], None)
    step = (await teller(store).step(0, made.run_id, "each[5007].y")).step
    assert (step.status, plain(step.error)["type"], plain(step.input)["value"]) == ("failed", "expression", "bad")


async def test_so_much_of_a_journal_is_read_and_no_more(sql: Connection, store: Store) -> None:
    (run_id,) = await accept(sql, store, EVERY | {"nodes": EVERY["nodes"]})
    await rounds(worker(store), sql, run_id, "failed")  # there is no xml in a number
    page = await teller(store, journal_bytes_max=10).steps(0, run_id)
    assert (page.complete, page.seq, page.status, page.items[0].status) == (False, 1, "failed", "pending")
    page = await teller(store).steps(0, run_id)
    assert (page.complete, page.items[0].status, page.items[1].status) == (True, "failed", "pending")


async def test_what_was_resumed_is_told_as_taken_over(sql: Connection, store: Store) -> None:
    definition = {
        "nodes": [
            {"id": "a", "type": "transform", "config": {"expression": "input"}},
            {"id": "b", "type": "http_call", "config": {"url": "http://x.example/", "retry": {"attempts": 1}}},
        ],
        "edges": [{"from": "trigger", "to": "a"}, {"from": "a", "to": "b"}],
    }
    (run_id,) = await accept(sql, store, definition)
    await rounds(worker(store, send=World(BROKEN).send), sql, run_id, "failed")
    begun = await replaying.resume_from(store._database, 0, run_id, "b")
    await rounds(worker(store, send=World(OK).send), sql, begun.run_id, "completed")
    a, b = (await teller(store).steps(0, begun.run_id)).items
    assert (a.taken_over, a.status, b.taken_over, b.status) == (True, "completed", False, "completed")
    assert plain(b.input)["value"] == 0


async def test_the_item_of_an_iteration_is_asked_for_again(sql: Connection, store: Store) -> None:
    """With all that the expression of the loop saw: input, trigger, steps before it, the run, and the loop around it."""
    inner = {
        "nodes": [
            {"id": "x", "type": "transform", "config": {"expression": "input"}},
            {"id": "y", "type": "transform", "config": {"expression": "input"}},
        ],
        "edges": [{"from": "trigger", "to": "x"}, {"from": "x", "to": "y"}],
    }
    seen = "[input, trigger.body.n, steps.before, steps.first, run.version, loop.item, loop.index, loop.count]"
    outer = {
        "nodes": [
            {"id": "first", "type": "transform", "config": {"expression": "input.a"}},
            {"id": "deep", "type": "loop", "config": {"items": seen, "body": inner}},
        ],
        "edges": [{"from": "trigger", "to": "first"}, {"from": "first", "to": "deep"}],
    }
    definition = {
        "nodes": [
            {"id": "before", "type": "transform", "config": {"expression": "input"}},
            {"id": "each", "type": "loop", "config": {"items": "input.items[?a > `0`]", "body": outer}},
        ],
        "edges": [{"from": "trigger", "to": "before"}, {"from": "before", "to": "each"}],
    }
    body = {"n": 1, "items": [{"a": 0}, {"a": 5}, {"a": 7}]}
    made = delivery(await publish(sql, definition), body)
    await store.accept(0, [made], DAY)
    await rounds(worker(store), sql, made.run_id, "completed")
    side = SideProcess()
    try:
        asking = teller(store, side)
        item = (await asking.step(0, made.run_id, "each[1].first")).step.input
        assert plain(item)["value"] == {"a": 7}
        assert item is not None
        assert (item.bytes, item.truncated) == (7, False)
        expected = [7, 1, body, 7, 1, {"a": 7}, 1, 2]
        for index, value in enumerate(expected):
            step = (await asking.step(0, made.run_id, f"each[1].deep[{index}].x")).step
            assert plain(step.input)["value"] == plain(step.output)["value"] == value
        after = (await asking.step(0, made.run_id, "each[1].deep[0].y")).step
        assert (after.input_from, plain(after.input)["value"]) == (["x"], 7)
        assert (await asking.step(0, made.run_id, "each[9].first")).step.input is None
    finally:
        await side.close()
