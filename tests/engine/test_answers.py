"""Waiting for what a run answers: heard of at once, found without being told, bounded, and never for ever."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any

import pytest
from tests.engine.conftest import Connection, chain, publish

from meshhook.accept import Acceptor
from meshhook.answers import Answered, Answers
from meshhook.errors import Unavailable
from meshhook.store import Store

LONG_S = 20.0
Waiting = Callable[..., Answers]


@pytest.fixture
async def waiting(store: Store) -> AsyncIterator[Waiting]:
    """Makes what waits, and runs it."""
    tasks = []

    def make(poll_s: float = LONG_S, waiting_max: int = 100, read: Any = store.answers) -> Answers:
        made = Answers(read, waiting_max=waiting_max, poll_s=poll_s)
        tasks.append(asyncio.create_task(made.run()))
        return made

    yield make
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@pytest.fixture
async def run_id(sql: Connection, store: Store) -> str:
    """A run that was accepted for a caller who waits."""
    endpoint = await publish(sql, chain("input"))
    acceptor = Acceptor(store, shards=1, batch_max=1, buffer_max=1, linger_s=0.0, keep=timedelta(days=1))
    run_id = (await acceptor.accept(endpoint, None, b"", '{"body":null}', sync=True)).run_id
    await acceptor.close()
    return run_id


async def write(sql: Connection, run_id: str, seq: int, *events: dict[str, Any]) -> None:
    await sql.execute(
        "INSERT INTO meshhook.journal (shard, run_id, seq, epoch, at, events) VALUES (0, $1, $2, 1, now(), $3)",
        run_id, seq, json.dumps(events, separators=(",", ":")),
    )  # fmt: skip


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(LONG_S):
        while not condition():
            await asyncio.sleep(0)


def responded(body: Any) -> dict[str, Any]:
    return {"type": "run.responded", "node": "r", "status": 201, "headers": {"x-a": "b"}, "body": body}


async def test_the_run_says_that_somebody_waits(sql: Connection, run_id: str) -> None:
    (first,) = json.loads(await sql.fetchval("SELECT events FROM meshhook.journal WHERE run_id = $1", run_id))
    assert first["sync"] is True
    assert first["trigger"] == {"body": None}


async def test_what_is_heard_of_is_read_at_once(sql: Connection, run_id: str, waiting: Waiting) -> None:
    subject = waiting()
    asked = [asyncio.create_task(subject.wait(run_id, LONG_S)) for _ in range(3)]
    await until(lambda: subject.waiting == 3)
    fake = {"type": "run.responded", "status": 200}
    await write(sql, run_id, 2, {"type": "step.completed", "node": "a", "output": fake}, responded({"a": [1]}))
    await write(sql, run_id, 4, {"type": "run.completed", "output": "later"})
    subject.hear(run_id)
    for outcome in await asyncio.gather(*asked):
        assert outcome is not None
        assert (outcome.type, outcome.status, outcome.headers, outcome.body) == (
            "run.responded",
            201,
            {"x-a": "b"},
            {"a": [1]},
        )
    assert subject.waiting == 0


async def test_who_was_slower_than_his_run_need_not_wait(sql: Connection, run_id: str, waiting: Waiting) -> None:
    subject = waiting()
    other = asyncio.create_task(subject.wait("01a20849-0000-7000-8000-000000000000", LONG_S))
    await until(lambda: subject.waiting == 1)
    await write(sql, run_id, 2, {"type": "run.completed", "output": {"n": 12345678901234567890}})
    subject.hear(run_id)
    outcome = await subject.wait(run_id, LONG_S)
    assert outcome is not None
    assert bytes(outcome.output) == b'{"n":12345678901234567890}'
    again = await subject.wait(run_id, LONG_S, is_old=True)  # a redelivery: nobody will tell of the run any more
    assert again == outcome
    other.cancel()


async def test_without_being_told_it_is_found(sql: Connection, run_id: str, waiting: Waiting) -> None:
    subject = waiting(poll_s=0.01)
    asked = asyncio.create_task(subject.wait(run_id, LONG_S))
    await until(lambda: subject.waiting == 1)
    await write(sql, run_id, 2, {"type": "run.failed", "error": {"type": "x"}})
    outcome = await asked
    assert outcome is not None
    assert outcome.type == "run.failed"


async def test_nobody_waits_longer_than_said_nor_more_than_may(run_id: str, waiting: Waiting) -> None:
    subject = waiting(waiting_max=1)
    assert await subject.wait(run_id, 0.01) is None
    asked = asyncio.create_task(subject.wait(run_id, LONG_S))
    await until(lambda: subject.waiting == 1)
    assert await subject.wait(run_id, LONG_S) is None  # one too many
    subject.close()
    assert await asked is None
    assert await subject.wait(run_id, LONG_S) is None


async def test_who_goes_away_is_forgotten(run_id: str, waiting: Waiting) -> None:
    subject = waiting()
    asked = asyncio.create_task(subject.wait(run_id, LONG_S))
    await until(lambda: subject.waiting == 1)
    asked.cancel()
    await asyncio.wait([asked])
    assert subject.waiting == 0
    assert subject._waiters == {}


async def test_however_many_wait_it_is_one_question(run_id: str, waiting: Waiting) -> None:
    questions: list[int] = []

    async def read(shard: int, ids: Any, after: Any) -> list[Answered]:
        questions.append(len(ids))
        if len(questions) == 2:
            raise Unavailable("gone for a moment")
        event = '{"type":"run.completed","output":1}' if len(questions) == 4 else None
        return [Answered(id, 5, event) for id in ids]

    subject = waiting(poll_s=0.01, read=read)
    ids = [f"01a20849-0000-7000-8000-{number:012x}" for number in range(50)]
    outcomes = await asyncio.gather(*(subject.wait(id, LONG_S) for id in ids))
    assert all(outcome is not None for outcome in outcomes)
    assert questions == [50] * 4


async def test_a_run_is_read_once_from_end_to_end(sql: Connection, run_id: str, store: Store) -> None:
    await write(sql, run_id, 2, {"type": "lease.taken"}, {"type": "lease.released"})
    assert await store.answers(0, [run_id], [1]) == [(run_id, 2, None)]
    assert await store.answers(0, [run_id], [2]) == []
    await write(sql, run_id, 4, responded("\0"))
    ((_, last_seq, event),) = await store.answers(0, [run_id], [2])
    assert last_seq == 4
    assert json.loads(event or "")["body"] == "\0"
