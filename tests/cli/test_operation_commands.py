"""meshhook dead-letters, runs bulk and operation: failed runs looked after from the command line."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest
from tests.cli.conftest import Engine, Meshhook

from meshhook import operations
from meshhook.db.connect import Database

BIG, SMALL, BROKEN = {"prices": [4, 8.5]}, {"prices": [1]}, {"prices": "x"}


@pytest.fixture
def operating(engine: Engine) -> Iterator[None]:
    """Operations are worked off beside the test."""
    ending = threading.Event()

    async def work(database: Database) -> None:
        while not ending.is_set():
            await operations.take_batch(database, 1)
            await asyncio.sleep(0.01)

    thread = threading.Thread(target=lambda: engine.act(work))
    thread.start()
    yield
    ending.set()
    thread.join()


def test_failed_runs_are_listed_shown_replayed_and_discarded(meshhook: Meshhook, engine: Engine) -> None:
    _, small, broken = engine.deliver(BIG, SMALL, BROKEN)
    engine.work()
    listed = meshhook("dead-letters", "list", "--json").json["items"]
    assert [(it["run_id"], it["node"], it["error_type"]) for it in listed] == [
        (broken, "total", "expression"),
        (small, "small", "terminated"),
    ]
    assert [it["run_id"] for it in meshhook("dead-letters", "list", "--node", "small", "--json").json["items"]] == [
        small
    ]
    assert "No dead letters." in meshhook("dead-letters", "list", "--since", "2199-01-01").out
    shown = meshhook("dead-letters", "show", small).out
    for word in ("only 1", "last step done", f"resume-from {small} small"):
        assert word in shown
    again = meshhook("dead-letters", "replay", broken, "--json").json
    assert again["replay_of"] == broken
    assert meshhook("dead-letters", "discard", small).code == 0
    assert meshhook("dead-letters", "list", "--json").json["items"] == []
    said = meshhook("dead-letters", "replay", small)
    assert (said.code, "no dead letter" in said.err) == (1, True)


def test_many_runs_are_dealt_with_at_once(meshhook: Meshhook, engine: Engine, operating: None) -> None:
    failed = engine.deliver(*[SMALL] * 3, *[BROKEN] * 2)
    engine.work()
    dry = meshhook("runs", "bulk", "replay", "--error-type", "expression", "--dry-run", "--json").json
    assert (dry["matched"], dry["runs"]) == (2, failed[3:])
    assert "This would discard 5 runs" in meshhook("runs", "bulk", "discard", "--dry-run").out
    done = meshhook("runs", "bulk", "replay", "--error-type", "expression", "--yes", "--json").json
    assert (done["state"], done["done"], done["refused"]) == ("done", 2, 0)
    said = meshhook("runs", "bulk", "discard", "--workflow", "orders", "--yes")
    assert (said.code, "discard of 3 runs, 0 refused" in said.out) == (0, True)
    said = meshhook("runs", "bulk", "cancel", "--yes", "--detach")
    assert (said.code, "has begun" in said.out) == (0, True)
    listed = meshhook("operation", "list", "--json").json["items"]
    assert [it["kind"] for it in listed] == ["cancel", "discard", "replay"]
    assert "discard" in meshhook("operation", "show", listed[1]["id"]).out
    assert meshhook("operation", "stop", listed[1]["id"], "--json").json["state"] == "done"  # it was over already
    assert "replay" in meshhook("operation", "list").out
    assert meshhook("operation", "show", "x").code == 1


def test_without_a_yes_nothing_is_done(meshhook: Meshhook, engine: Engine) -> None:
    engine.deliver(BROKEN)
    engine.work()
    said = meshhook("runs", "bulk", "discard")
    assert (said.code, "discard 1 run," in said.err, "--yes" in said.err) == (2, True, True)
    assert len(meshhook("dead-letters", "list", "--json").json["items"]) == 1


def test_why_says_what_to_do(meshhook: Meshhook, engine: Engine) -> None:
    [waiting] = engine.deliver(BIG)
    assert [it["kind"] for it in meshhook("runs", "why", waiting, "--json").json["reasons"]] == ["no-worker", "queued"]
    said = meshhook("runs", "why", waiting).out
    assert all(words in said for words in ("is queued", "No worker is alive", "Start one: meshhook work"))
