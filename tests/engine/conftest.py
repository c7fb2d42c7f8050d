"""What the tests of the engine share: workflows in a real database, a store on it, deliveries to accept."""

from __future__ import annotations

import itertools
import json
from collections.abc import AsyncIterator, Callable
from datetime import datetime, timedelta
from typing import Any

import asyncpg
import pytest

from meshhook.db.connect import Database
from meshhook.definition import parse
from meshhook.ids import make_run_id
from meshhook.store import Delivery, Store

DAY = timedelta(days=1)
Connection = asyncpg.Connection


def chain(*expressions: str) -> dict[str, Any]:
    """A definition of transforms in a row: s1, s2, …"""
    ids = [f"s{number}" for number in range(1, len(expressions) + 1)]
    return {
        "nodes": [
            {"id": id, "type": "transform", "config": {"expression": expression}}
            for id, expression in zip(ids, expressions, strict=True)
        ],
        "edges": [{"from": source, "to": target} for source, target in itertools.pairwise(["trigger", *ids])],
    }


@pytest.fixture
async def sql(database: str) -> AsyncIterator[Connection]:
    """A plain connection to look and to meddle with."""
    connection = await asyncpg.connect(database)
    yield connection
    await connection.close()


@pytest.fixture
async def store(database: str) -> AsyncIterator[Store]:
    async with pool(database) as opened:
        yield Store(opened)


class pool:  # noqa: N801 - reads as the verb it is
    def __init__(self, dsn: str, size: int = 4) -> None:
        self.database = Database(dsn, size=size, name="test")

    async def __aenter__(self) -> Database:
        await self.database.connect()
        return self.database

    async def __aexit__(self, *_: object) -> None:
        await self.database.close()


async def publish(
    sql: Connection, definition: dict[str, Any], name: str = "work", path: str | None = None, project: int = 0
) -> int:
    """Publish a definition under ``name`` with an endpoint; returns the endpoint's id."""
    compiled = parse(definition) if "settings" in definition else None
    workflow = await sql.fetchval(
        "INSERT INTO meshhook.workflows (project_id, name, draft) VALUES ($3, $1, $2) "
        "ON CONFLICT (project_id, name) DO UPDATE SET draft = excluded.draft RETURNING id",
        name,
        json.dumps(definition),
        project,
    )
    version = await sql.fetchval(
        "INSERT INTO meshhook.versions (workflow_id, number, definition, limited, priority) "
        "SELECT $1, 1 + count(*), $2, $3, $4 FROM meshhook.versions WHERE workflow_id = $1 RETURNING id",
        workflow,
        json.dumps(definition),
        compiled is not None and compiled.place is not None,
        1 if compiled is None else compiled.priority,
    )
    await sql.execute("UPDATE meshhook.workflows SET published_version_id = $1 WHERE id = $2", version, workflow)
    return await sql.fetchval(
        "INSERT INTO meshhook.endpoints (project_id, path, workflow_id) VALUES ($3, $1, $2) "
        "ON CONFLICT (path) DO UPDATE SET workflow_id = excluded.workflow_id RETURNING id",
        path or name,
        workflow,
        project,
    )


def delivery(
    endpoint: int, body: Any = None, key: str | None = None, *, ms: int | None = None, shard: int = 0
) -> Delivery:
    """A delivery as the door makes it. The time in its id is today's, where the partitions are."""
    text = json.dumps(body)
    run_id = make_run_id(shard, ms if ms is not None else int(datetime.now().timestamp() * 1000))  # noqa: DTZ005
    return Delivery(run_id, endpoint, key, text.encode() if key else None, f'{{"body":{text}}}')


async def events_of(sql: Connection, run_id: str) -> list[dict[str, Any]]:
    """The events of one run, in order."""
    rows = await sql.fetch("SELECT event FROM meshhook.run_events WHERE run_id = $1 ORDER BY seq", run_id)
    return [json.loads(row["event"]) for row in rows]


async def run_of(sql: Connection, run_id: str) -> dict[str, Any]:
    return dict(await sql.fetchrow("SELECT * FROM meshhook.runs WHERE id = $1", run_id))


class FakeClock:
    """Monotonic seconds that only move when told to, or by ``step`` at every look."""

    def __init__(self, step: float = 0.0) -> None:
        self.now, self.step = 100.0, step

    def __call__(self) -> float:
        self.now += self.step
        return self.now


@pytest.fixture
def fake_clock() -> Callable[..., FakeClock]:
    return FakeClock
