"""meshhook runs watch: as a process of its own, over the loss of every connection it has."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import asyncpg
import pytest
from tests.cli.conftest import Engine, Meshhook
from tests.engine.conftest import DAY, chain, delivery, pool, publish

from meshhook.store import Store

BOUND_S = 120.0
READY = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'meshhook-cli'"


class Watch:
    """A running ``meshhook runs watch --json``."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.events: list[dict[str, Any]] = []
        self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        assert self.process.stdout is not None
        while line := await self.process.stdout.readline():
            self.events.append(json.loads(line))

    async def ended(self) -> int:
        async with asyncio.timeout(BOUND_S):
            await asyncio.shield(self._reading)
            return await self.process.wait()


@pytest.fixture
async def sql(database: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(database)
    yield connection
    await connection.close()


@pytest.fixture
async def watch(database: str) -> AsyncIterator[Callable[..., Awaitable[Watch]]]:
    started: list[Watch] = []

    async def start(*arguments: str) -> Watch:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "meshhook", "runs", "watch", "--json", "--database-url", database, *arguments),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env=os.environ,
        )
        started.append(Watch(process))
        return started[-1]

    yield start
    for each in started:
        if each.process.returncode is None:
            each.process.kill()
        await each.ended()


async def until(condition: Callable[[], Awaitable[Any]]) -> None:
    async with asyncio.timeout(BOUND_S):
        while not await condition():
            await asyncio.sleep(0.02)


async def test_a_project_is_watched_over_lost_connections(
    watch: Callable[..., Awaitable[Watch]], database: str, sql: asyncpg.Connection
) -> None:
    endpoint = await publish(sql, chain("input"))
    watching = await watch()
    reading = (
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'meshhook-cli' AND query LIKE '%feed_page%'"
    )
    await until(lambda: sql.fetchval(reading))
    async with pool(database) as opened:
        store = Store(opened)
        await store.accept(0, [delivery(endpoint, n) for n in range(3)], DAY)
        await until(lambda: _is(len(watching.events) == 3))
        await sql.fetch(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name IN ('meshhook-cli', 'meshhook-listen')"
        )
        await store.accept(0, [delivery(endpoint, n) for n in range(3)], DAY)
        await until(lambda: _is(len(watching.events) >= 6))
    watching.process.terminate()
    await watching.ended()

    assert len({event["run_id"] for event in watching.events}) == len(watching.events) == 6
    assert {event["type"] for event in watching.events} == {"run.accepted"}


async def _is(value: bool) -> bool:
    return value


def test_a_run_is_shown_to_its_end(meshhook: Meshhook, engine: Engine) -> None:
    good, bad = engine.deliver({"prices": [4, 8.5]}, {"prices": "x"})
    engine.work()

    said = meshhook("runs", "watch", good)
    assert said.code == 0
    lines = said.out.splitlines()
    assert "run.accepted" in lines[0]
    assert "run.completed" in lines[-1]
    failed = meshhook("runs", "watch", bad, "--json")
    assert failed.code == 1
    assert json.loads(failed.out.splitlines()[-1])["type"] == "run.failed"


def test_what_is_not_there_is_said(meshhook: Meshhook, engine: Engine) -> None:
    said = meshhook("runs", "watch", "0192f0c1-0000-7000-8000-000000000000")
    assert said.code == 1
    assert "no run" in said.err


def test_an_event_with_a_status_of_its_own_does_not_hide_that_of_the_run(meshhook: Meshhook, engine: Engine) -> None:
    answering = {
        "nodes": [{"id": "say", "type": "respond", "config": {"status": 201}}],
        "edges": [{"from": "trigger", "to": "say"}],
    }
    engine.publish(answering)
    [run] = engine.deliver(1)
    engine.work()
    assert "run.responded" in meshhook("runs", "watch", run).out
    told = [json.loads(line) for line in meshhook("runs", "watch", run, "--json").out.splitlines()]
    assert [(event["type"], event["run_status"]) for event in told] == [
        ("run.accepted", "queued"),
        ("run.responded", "completed"),
        ("step.completed", "completed"),
        ("run.completed", "completed"),
    ]
    assert told[1]["status"] == 201
