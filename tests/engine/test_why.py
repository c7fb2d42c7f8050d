"""Why a run is not running: each reason by hand, and as it is found in a real database."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, get_args
from uuid import UUID

import pytest
from tests.engine.conftest import Connection, chain, pool
from tests.engine.test_calls import DELAY, World, accept, calling, rounds
from tests.engine.test_signals import WAITING, tell
from tests.engine.test_worker import until_idle, worker

from meshhook.db.connect import Database
from meshhook.errors import Refusal
from meshhook.machine import fold
from meshhook.model import CallError
from meshhook.reasons import Cause, Facts, ReasonKind, reasons, told
from meshhook.store import Store
from meshhook.waiting import Standing
from meshhook.why import why

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
LATER = NOW + timedelta(minutes=5)
OTHER = UUID("01a20849-0000-7000-8000-000000000001")
ACCEPTED = {"type": "run.accepted", "workflow": "w", "version": 1, "version_id": 1, "trigger": {"body": None}}


def standing(state: Any = "ready", **changes: Any) -> Standing:
    told: dict[str, Any] = {
        "state": state, "due_at": NOW, "owner": None, "priority": "normal", "workflow": "orders", "key": None, "limit": None,
        "strategy": None, "ahead": 0, "holders": [], "starts": None, "per_s": None, "token_at": None, "expires_at": None,
    }  # fmt: skip
    return Standing(**told | changes)


def asked(*events: dict[str, Any], **changes: Any) -> list[Cause]:
    journal = [ACCEPTED, *events]
    paused_by, failures = told(journal)
    facts: dict[str, Any] = {
        "now": NOW, "run_id": "r", "status": "waiting", "state": fold(journal), "standing": standing("asleep", due_at=LATER),
        "workers": 1, "paused_by": paused_by, "failures": failures,
    }  # fmt: skip
    return reasons(Facts(**facts | changes))


def one(*events: dict[str, Any], **changes: Any) -> Cause:
    (reason,) = asked(*events, **changes)
    return reason


LATER_TEXT = LATER.isoformat()
FAILED = {
    "type": "call.failed", "node": "pay", "attempt": 1, "sent": "yes", "error": {"type": "status", "reason": "answered 503"},
}  # fmt: skip


@pytest.mark.parametrize("status", ["completed", "failed", "cancelled"])
def test_finished(status: str) -> None:
    reason = one(status=status, standing=None)
    assert (reason.kind, status in reason.text) == ("finished", True)


def test_held_by_a_worker_that_lives_or_not() -> None:
    leased = standing("leased", owner="w1", due_at=LATER)
    assert (one(standing=leased, holder_lives=True).kind, one(standing=leased).kind) == ("held", "holder-gone")
    assert (one(standing=leased).worker, one(standing=leased).until) == ("w1", LATER)
    over = one(standing=standing("leased", owner="w1", due_at=NOW - timedelta(seconds=1)))
    assert "nobody has taken it over" in over.text


def test_in_the_queue_with_an_estimate_from_the_pace() -> None:
    reason = one(standing=standing(), ahead=300, pace_per_s=100.0)
    assert (reason.kind, reason.position, reason.estimate_s) == ("queued", 300, 3.0)
    assert one(standing=standing(), ahead=300).estimate_s is None
    assert "at least 10,000" in one(standing=standing(), ahead=10_000).text


def test_without_a_worker_nothing_is_estimated() -> None:
    found = asked(standing=standing(), ahead=3, pace_per_s=100.0, workers=0)
    assert [it.kind for it in found] == ["no-worker", "queued"]
    assert found[1].estimate_s is None


def test_a_limit_and_who_has_its_slots() -> None:
    reason = one(standing=standing("in line", limit=1, key='"k"', ahead=2, holders=[OTHER]))
    assert (reason.kind, reason.run_ids, reason.position, reason.key) == ("limit", [OTHER], 2, '"k"')
    assert 'key "k"' in reason.text


def test_a_rate() -> None:
    reason = one(standing=standing("in line", starts=10, per_s=60.0, ahead=20))
    assert (reason.kind, reason.estimate_s, reason.until) == ("rate", 120.0, None)
    assert one(standing=standing("in line", starts=10, per_s=60.0, token_at=LATER)).until == LATER
    both = asked(standing=standing("in line", starts=10, per_s=60.0, limit=1, holders=[OTHER]))
    assert [it.kind for it in both] == ["limit", "rate"]


def test_what_steps_wait_for() -> None:
    timer = {"type": "timer.set", "node": "nap", "until": LATER_TEXT}
    wait = {"type": "wait.set", "node": "paid", "name": "order.paid", "key": "4711", "until": LATER_TEXT}
    child = {"type": "child.started", "node": "sub", "run_id": str(OTHER), "workflow": "x", "input": 1, "wait": True}
    found = asked(timer, wait, child)
    assert [(it.kind, it.node) for it in found] == [("timer", "nap"), ("event", "paid"), ("child", "sub")]
    assert (found[0].until, found[1].event, found[1].key, found[2].run_ids) == (LATER, "order.paid", "4711", [OTHER])
    assert "meshhook event send order.paid --key '4711'" in found[1].next


def test_the_next_attempt_and_why_the_last_one_failed() -> None:
    started = {"type": "call.started", "node": "pay", "attempt": 1}
    again = {"type": "call.started", "node": "pay", "attempt": 2}
    retry = one(started, FAILED | {"retry_at": LATER_TEXT})
    assert (retry.kind, retry.until, retry.attempt) == ("retry", LATER, 1)
    assert retry.error == {"type": "status", "reason": "answered 503"}
    assert "answered 503" in retry.text
    found = asked(
        started, FAILED | {"retry_at": LATER_TEXT}, again, standing=standing("leased", owner="w"), holder_lives=True
    )
    assert [(it.kind, it.attempt) for it in found] == [("held", None), ("call", 2)]


def test_paused_by_whom() -> None:
    reason = one({"type": "run.paused", "by": "key:ann"}, status="paused")
    assert (reason.kind, "key:ann" in reason.text, "runs resume r" in reason.next) == ("paused", True, True)


def test_a_sleep_that_is_none_of_its_steps_is_for_a_host() -> None:
    assert one().kind == "host"
    started = {"type": "call.started", "node": "pay", "attempt": 1}
    overdue = FAILED | {"retry_at": (NOW - timedelta(seconds=9)).isoformat()}
    assert [it.kind for it in asked(started, overdue)] == ["host"]


def test_a_signal_on_its_way() -> None:
    reason = asked(signals=["cancel", "event", "event"], standing=standing())[0]
    assert (reason.kind, "cancel, event." in reason.text) == ("signal", True)


def test_there_is_always_a_reason() -> None:
    assert one(standing=None).kind == "moving"
    assert one(standing=standing(), state=None).kind == "queued"


# In a real database ---------------------------------------------------------------------------------------------------


@pytest.fixture
async def opened(database: str) -> Any:
    async with pool(database) as it:
        yield it


@pytest.fixture
async def alive(store: Store) -> None:
    await store.heartbeat("w", 0, 0)


async def kinds(database: Database, run_id: str) -> list[str]:
    return [it.kind for it in (await why(database, 0, run_id)).reasons]


async def test_nobody_works(sql: Connection, store: Store, opened: Database) -> None:
    first, second = await accept(sql, store, chain("input"), 2)
    assert await kinds(opened, first) == ["no-worker", "queued"]
    with pytest.raises(Refusal, match="unknown-run"):
        await why(opened, 1, second)


@pytest.mark.usefixtures("alive")
async def test_ahead_of_it_in_the_queue(sql: Connection, store: Store, opened: Database) -> None:
    run_ids = await accept(sql, store, chain("input"), 5)
    for place, run_id in enumerate(run_ids):
        await sql.execute(
            "UPDATE meshhook.tasks SET due_at = due_at + $2 WHERE run_id = $1", run_id, timedelta(milliseconds=place)
        )
    (reason,) = (await why(opened, 0, run_ids[3])).reasons
    assert (reason.kind, reason.position, reason.estimate_s) == ("queued", 3, None)
    await worker(store, batch_max=2).turn(0)
    (reason,) = (await why(opened, 0, run_ids[3])).reasons
    assert (reason.position, reason.estimate_s) == (1, 0.5)  # two were committed within the last second


@pytest.mark.usefixtures("alive")
async def test_timers_events_and_calls_as_they_are(sql: Connection, store: Store, opened: Database) -> None:
    (delayed,) = await accept(sql, store, DELAY)
    await until_idle(worker(store))
    assert await kinds(opened, delayed) == ["timer"]
    (waits,) = await accept(sql, store, WAITING)
    await until_idle(worker(store))
    assert await kinds(opened, waits) == ["event"]
    (calls,) = await accept(sql, store, calling(retry={"attempts": 2, "backoff_s": 3600}))
    await rounds(worker(store, send=World(CallError("broken", "it broke", "unknown")).send), sql, calls, "waiting")
    found = await why(opened, 0, calls)
    reason: Cause = next(it for it in found.reasons if it.kind == "retry")
    assert (reason.node, reason.attempt, reason.error["reason"]) == ("call", 1, "it broke")
    await tell(store, waits, "pause")
    assert await kinds(opened, waits) == ["signal", "queued", "event"]
    await until_idle(worker(store))
    found = await why(opened, 0, waits)
    assert ([it.kind for it in found.reasons], found.status) == (["paused", "event"], "paused")
    assert "by test" in found.reasons[0].text


@pytest.mark.usefixtures("alive")
async def test_a_limit_as_it_is(sql: Connection, store: Store, opened: Database) -> None:
    limited = calling() | {"settings": {"concurrency": {"limit": 1}}}
    first, second = await accept(sql, store, limited, 2)
    world = World(CallError("broken", "it broke", "no"))
    world.open.clear()
    one = worker(store, send=world.send)
    async with asyncio.timeout(20):
        while not (held := [run_id for run_id in (first, second) if await kinds(opened, run_id) == ["held", "call"]]):
            await one._round()
    (reason,) = (await why(opened, 0, second if held == [first] else first)).reasons
    assert (reason.kind, reason.run_ids, reason.position) == ("limit", [UUID(held[0])], 0)
    world.open.set()
    await rounds(one, sql, held[0], "waiting")


def test_every_kind_is_told_in_the_docs() -> None:
    """So that whoever reads one in a program can look it up."""
    page = (Path(__file__).parents[2] / "docs/reference/runs.md").read_text()
    assert [kind for kind in get_args(ReasonKind) if f"| `{kind}` |" not in page] == []
