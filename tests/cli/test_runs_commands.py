"""meshhook runs: looking at runs, and finding every kind of difference between a run and its journal."""

from __future__ import annotations

import asyncio
import json
import random
from typing import Any

import pytest
from tests.cli.conftest import Engine, Meshhook

from meshhook.model import CallError, Response

BIG, SMALL, BROKEN = {"prices": [4, 8.5]}, {"prices": [1]}, {"prices": "x"}


def test_runs_are_listed_and_shown(meshhook: Meshhook, engine: Engine) -> None:
    big, small, broken = engine.deliver(BIG, SMALL, BROKEN)
    engine.work()
    [live] = engine.deliver({"name": "\x1b[31m red"})
    listed = meshhook("runs", "list", "--json").json
    assert [(it["id"], it["status"]) for it in listed["items"]] == [
        (live, "queued"),
        (broken, "failed"),
        (small, "failed"),
        (big, "completed"),
    ]
    assert meshhook("runs", "list", "--status", "completed", "--json").json["items"][0]["id"] == big
    ended = meshhook(
        "runs", "list", "--status", "completed", "--status", "failed", "--endpoint", "orders", "--json"
    ).json
    assert [it["id"] for it in ended["items"]] == [broken, small, big]
    assert [it["id"] for it in meshhook("runs", "list", "--search", "31m RED", "--json").json["items"]] == [live]
    assert meshhook("runs", "list", "--since", "2100-01-01").out.strip() == "No runs."
    assert meshhook("runs", "list", "--status", "done").code == 2
    first = meshhook("runs", "list", "--limit", "2", "--json").json
    rest = meshhook("runs", "list", "--limit", "3", "--cursor", first["next"], "--json").json
    assert [it["id"] for it in first["items"] + rest["items"]] == [live, broken, small, big]
    table = meshhook("runs", "list").out
    assert all(id in table for id in (big, small, broken, live))
    assert "terminated: only 1" in table
    assert meshhook("runs", "show", big, "--json").json["output"] == {"big": 12.5}
    assert "only 1" in meshhook("runs", "show", small).out
    assert "\x1b" not in meshhook("runs", "show", live).out
    events = meshhook("runs", "events", big, "--json").json["items"]
    assert [event["type"] for event in events] == ["run.accepted", *["step.completed"] * 3, "run.completed"]
    assert "run.completed" in meshhook("runs", "events", big).out


def test_a_healthy_system_has_no_differences(meshhook: Meshhook, engine: Engine) -> None:
    engine.deliver(BIG, SMALL, BROKEN)
    engine.work()
    engine.deliver(*[BIG] * 3)
    engine.work(hold_s=0.0)  # each ends its turn in the middle, held under a lease
    engine.deliver(BIG)
    assert meshhook("runs", "verify", "--json").json == {"runs": 7, "differences": 0, "skipped": 0, "items": []}
    assert meshhook("runs", "replay-check", "--json").json == {"runs": 7, "differences": 0, "skipped": 0, "items": []}
    said = meshhook("runs", "verify")
    assert (said.code, "7 runs" in said.out) == (0, True)


def test_more_runs_than_a_batch_are_all_seen(meshhook: Meshhook, engine: Engine) -> None:
    engine.deliver(*[BIG] * 2_345)
    engine.work()
    assert meshhook("runs", "verify", "--json").json["runs"] == 2_345
    assert meshhook("runs", "replay-check", "--json").json["runs"] == 2_345


SPOILED: dict[str, tuple[str, str]] = {
    "status": ("UPDATE meshhook.runs SET status = 'failed' WHERE id = $1", "a run stands where its journal ends"),
    "never finished": (
        "UPDATE meshhook.runs SET status = 'running', finished_at = NULL WHERE id = $1",
        "a run stands where its journal ends",
    ),
    "finished_at": (
        "UPDATE meshhook.runs SET finished_at = finished_at + interval '1 us' WHERE id = $1",
        "a run finished when its last event was written",
    ),
    "epoch": ("UPDATE meshhook.runs SET epoch = 7 WHERE id = $1", "a run has the epoch of its last writer"),
    "version": (
        "UPDATE meshhook.runs SET version_id = 99 WHERE id = $1",
        "a run is pinned to the version it was accepted with",
    ),
    "no journal": ("DELETE FROM meshhook.journal WHERE run_id = $1", "the journal folds"),
    "a gap": ("UPDATE meshhook.journal SET seq = 5 WHERE run_id = $1 AND seq = 2", "events are numbered without a gap"),
    "lost end": ("DELETE FROM meshhook.journal WHERE run_id = $1 AND seq = 2", "a run stands where its journal ends"),
    "written twice": (
        "INSERT INTO meshhook.journal SELECT shard, run_id, 6, epoch, claimed_at, at, events FROM meshhook.journal "
        "WHERE run_id = $1 AND seq = 2",
        "the journal folds",
    ),
    "an empty row": (
        "INSERT INTO meshhook.journal SELECT shard, run_id, 6, epoch, claimed_at, at, '[]' FROM meshhook.journal "
        "WHERE run_id = $1 AND seq = 2",
        "a journal row holds events",
    ),
    "epoch falls": (
        "UPDATE meshhook.journal SET epoch = 3, claimed_at = at WHERE run_id = $1 AND seq = 1",
        "epochs only rise",
    ),
    "time falls": (
        "UPDATE meshhook.journal SET at = at + interval '1 h' WHERE run_id = $1 AND seq = 1",
        "the journal goes forward in time",
    ),
    "unclaimed": (
        "UPDATE meshhook.journal SET claimed_at = NULL WHERE run_id = $1 AND seq = 2",
        "who writes has claimed",
    ),
    "claimed late": (
        "UPDATE meshhook.journal SET claimed_at = at + interval '1 s' WHERE run_id = $1 AND seq = 2",
        "claiming comes before writing",
    ),
    "still queued": (
        "INSERT INTO meshhook.tasks (shard, run_id, due_at, epoch) VALUES (0, $1, now(), 1)",
        "a finished run is not in the queue",
    ),
    "no run": ("DELETE FROM meshhook.runs WHERE id = $1", "a journal belongs to a run"),
}


@pytest.mark.parametrize(("statement", "rule"), SPOILED.values(), ids=SPOILED)
def test_a_spoiled_run_is_found(meshhook: Meshhook, engine: Engine, statement: str, rule: str) -> None:
    _, run_id, _ = engine.deliver(BIG, BIG, BIG)
    engine.work()
    engine.sql(statement, run_id)
    said = meshhook("runs", "verify", "--json")
    assert said.code == 1
    assert {it["run"] for it in said.json["items"]} == {run_id}
    assert rule in [it["rule"] for it in said.json["items"]]
    told = meshhook("runs", "verify")
    assert (told.code, rule in told.out, run_id in told.out) == (1, True, True)


@pytest.mark.parametrize(
    ("statement", "rule"),
    [
        ("DELETE FROM meshhook.tasks WHERE run_id = $1", "a live run is in the queue"),
        ("UPDATE meshhook.tasks SET epoch = 5 WHERE run_id = $1", "the queue knows who holds a run"),
        ("UPDATE meshhook.tasks SET owner = 'thief' WHERE run_id = $1", "the queue knows who holds a run"),
        ("DELETE FROM meshhook.runs WHERE id = $1", "a place in the queue belongs to a run"),
    ],
)
def test_a_live_run_that_lost_its_place_is_found(meshhook: Meshhook, engine: Engine, statement: str, rule: str) -> None:
    _, run_id = engine.deliver(BIG, BIG)
    engine.sql(statement, run_id)
    items = meshhook("runs", "verify", "--json").json["items"]
    assert {it["run"] for it in items} == {run_id}
    assert rule in [it["rule"] for it in items]


def test_a_run_that_would_go_another_way_is_found(meshhook: Meshhook, engine: Engine) -> None:
    _, run_id = engine.deliver(BIG, BIG)
    engine.work()
    events = json.loads(engine.sql("SELECT events FROM meshhook.journal WHERE run_id = $1 AND seq = 2", run_id)[0][0])
    assert replayed(meshhook, engine, run_id, events) == []
    changed: list[list[dict[str, Any]]] = [
        [{**events[0], "output": 12}, *events[1:]],
        [events[0], {**events[1], "port": "small"}, *events[2:]],
        [*events[:2], events[3]],
        [*events[:3]],
        [*events[:3], {**events[3], "output": True}],
        [*events, events[0]],
    ]
    for spoiled in changed:
        assert replayed(meshhook, engine, run_id, spoiled) == [run_id]


def replayed(meshhook: Meshhook, engine: Engine, run_id: str, events: list[dict[str, Any]]) -> list[str]:
    engine.sql(
        "UPDATE meshhook.journal SET events = $2 WHERE run_id = $1 AND seq = 2",
        run_id,
        json.dumps(events, separators=(",", ":")),
    )
    return [it["run"] for it in meshhook("runs", "replay-check", "--json").json["items"]]


def test_what_the_engine_broke_is_not_replayed(meshhook: Meshhook, engine: Engine) -> None:
    engine.deliver(BIG)
    engine.sql("UPDATE meshhook.versions SET definition = '{}'")
    engine.work()
    assert meshhook("runs", "verify", "--json").json["differences"] == 0
    engine.sql("UPDATE meshhook.versions SET definition = (SELECT draft FROM meshhook.workflows)")
    said = meshhook("runs", "replay-check", "--json")
    assert said.json == {"runs": 1, "differences": 0, "skipped": 1, "items": []}
    assert "1 of them not checked" in meshhook("runs", "replay-check").out


def test_true_and_one_are_different_events(meshhook: Meshhook, engine: Engine) -> None:
    """Python calls them equal."""
    [run_id] = engine.deliver({"prices": [1]})
    engine.work()
    for end in (",", "}"):
        engine.sql(
            "UPDATE meshhook.journal SET events = replace(events::text, $1, $2)::json WHERE seq = 2",
            f'"output":1{end}',
            f'"output":true{end}',
        )
    assert [it["run"] for it in meshhook("runs", "replay-check", "--json").json["items"]] == [run_id]


CALLING: dict[str, Any] = {
    "nodes": [
        {"id": "pause", "type": "delay", "config": {"seconds": 0.01}},
        {"id": "one", "type": "http_call", "config": {"url": "http://one.example/", "retry": {"backoff_s": 0.001}}},
        {
            "id": "two",
            "type": "http_call",
            "config": {"url": "http://two.example/", "retry": {"backoff_s": 0, "attempts": 2}},
        },
        {"id": "after", "type": "transform", "config": {"expression": "input.status"}},
        {"id": "both", "type": "join", "config": {"mode": "all"}},
    ],
    "edges": [
        {"from": "trigger", "to": "pause"},
        {"from": "pause", "to": "one"},
        {"from": "trigger", "to": "two"},
        {"from": "one", "to": "after"},
        {"from": "after", "to": "both"},
        {"from": "two", "to": "both"},
    ],
}


def test_calls_and_delays_are_verified_and_repeated_too(meshhook: Meshhook, engine: Engine) -> None:
    """With answers that differ from run to run, and runs that are in the middle of it."""
    engine.publish(CALLING)
    engine.deliver(*range(40))
    luck = random.Random(7)

    async def send(*_: object) -> Response | CallError:
        await asyncio.sleep(luck.random() / 50)
        broken = CallError("broken", "no luck", "unknown")
        return luck.choice([Response(200, {}, {"n": luck.random()}), Response(503, {}, None), broken])

    for finished in (10, 40):
        engine.work_until(finished, send)
        for check in ("verify", "replay-check"):
            said = meshhook("runs", check, "--json").json
            assert (said["runs"], said["items"]) == (40, []), check
    statuses = [it["status"] for it in meshhook("runs", "list", "--json").json["items"]]
    assert {"completed", "failed"} == set(statuses)
