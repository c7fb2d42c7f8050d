"""The command line, called as a user calls it, on a database of its own; and runs that a real worker has finished."""

from __future__ import annotations

import asyncio
import functools
import json
import sys
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, NamedTuple

import asyncpg
import pytest
from tests.engine.conftest import DAY

from meshhook import catalog, cli, drafts
from meshhook.db.connect import Database
from meshhook.ids import make_run_id
from meshhook.store import Delivery, Store
from meshhook.worker import Worker


class Said(NamedTuple):
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Meshhook = Callable[..., Said]
join_once = functools.cache(cli.join_commands)


@pytest.fixture
def meshhook(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], database: str) -> Meshhook:
    """Runs one command in this process."""
    monkeypatch.setenv("MESHHOOK_DATABASE_URL", database)
    monkeypatch.setattr(
        cli, "join_commands", join_once
    )  # a process does it once; every further time would add all again

    def call(*arguments: str) -> Said:
        monkeypatch.setattr(sys, "argv", ["meshhook", *arguments])
        capfd.readouterr()
        code = 0
        try:
            cli.main()
        except SystemExit as ended:
            code = int(ended.code or 0)
        said = capfd.readouterr()
        return Said(code, said.out, said.err)

    return call


DEFINITION: dict[str, Any] = {
    "nodes": [
        {"id": "total", "type": "transform", "config": {"expression": "sum(input.prices)"}},
        {
            "id": "size",
            "type": "branch",
            "config": {"conditions": [{"port": "big", "when": "input > `10`"}], "default": "small"},
        },
        {"id": "big", "type": "transform", "config": {"template": {"big": "{{ input }}"}}},
        {"id": "small", "type": "terminate", "config": {"status": "failed", "reason": "only {{ input }}"}},
    ],
    "edges": [
        {"from": "trigger", "to": "total"},
        {"from": "total", "to": "size"},
        {"from": "size", "port": "big", "to": "big"},
        {"from": "size", "port": "small", "to": "small"},
    ],
}


@pytest.fixture
def definition(tmp_path: Path) -> Path:
    """A file with a valid definition."""
    file = tmp_path / "orders.json"
    file.write_text(json.dumps(DEFINITION, indent=2))
    return file


async def no_call(*_: object) -> Any:
    raise AssertionError("no workflow here makes calls")


class Engine:
    """A database with the workflow ``orders`` at ``/hooks/orders``, deliveries to it, and a worker."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn
        self.publish(DEFINITION)

    def deliver(self, *bodies: Any) -> list[str]:
        """Runs for these bodies, accepted in this order."""

        async def accept(database: Database) -> list[str]:
            store = Store(database)
            endpoint = await store.endpoint("orders")
            assert endpoint is not None
            now = time.time_ns() // 1_000_000
            made = [
                Delivery(make_run_id(0, now + place), endpoint.id, None, None, json.dumps({"body": body}))
                for place, body in enumerate(bodies)
            ]
            await store.accept(0, made, DAY)
            return [delivery.run_id for delivery in made]

        return self.act(accept)

    def work(self, **options: Any) -> None:
        """Let a worker take everything that is due, once."""

        async def turns(database: Database) -> None:
            chosen = {"batch_max": 500, "hold_s": 60.0, "lease_s": 30.0, "poll_s": 1.0, **options}
            worker = Worker(Store(database), no_call, name="w1", shards=1, **chosen)
            while await worker.turn(0):
                pass

        self.act(turns)

    def sql(self, statement: str, *arguments: Any) -> list[Any]:
        """Meddle with the database, past what forbids it."""

        async def execute() -> list[Any]:
            connection = await asyncpg.connect(self.dsn)
            await connection.execute("SET session_replication_role = replica")
            try:
                return await connection.fetch(statement, *arguments)
            finally:
                await connection.close()

        return asyncio.run(execute())

    def act(self, action: Callable[[Database], Coroutine[Any, Any, Any]]) -> Any:
        async def run() -> Any:
            database = Database(self.dsn, size=2, name="test")
            await database.connect()
            try:
                return await action(database)
            finally:
                await database.close()

        return asyncio.run(run())

    def publish(self, definition: dict[str, Any]) -> None:
        """Make this the definition of ``orders``."""

        async def publish(database: Database) -> None:
            await drafts.save(database, 0, "orders", json.dumps(definition))
            await catalog.publish(database, 0, "orders")
            await catalog.save_endpoint(database, 0, "orders", "orders", ["POST"])

        self.act(publish)

    def work_until(self, finished: int, send: Any) -> None:
        """Let a worker work, with this outside world, until so many runs are finished; it hands the others back."""

        async def work(database: Database) -> None:
            chosen = {"batch_max": 500, "hold_s": 1.0, "lease_s": 30.0, "poll_s": 0.01, "shutdown_s": 0.1}
            worker = Worker(Store(database), send, name="w2", shards=1, **chosen)
            running = asyncio.create_task(worker.run())
            query = "SELECT count(*) FROM meshhook.runs WHERE finished_at IS NOT NULL"
            async with asyncio.timeout(30):
                while (await database.read(query))[0][0] < finished:
                    await asyncio.sleep(0.005)
            worker.stop()
            await running

        self.act(work)


@pytest.fixture
def engine(database: str) -> Engine:
    return Engine(database)
