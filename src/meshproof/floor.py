"""The floor: how fast this server takes the very rows of a run, when nothing is asked but to write them.

Batches of 500 on two connections, straight through the driver: the rows that accepting a `pipeline` run writes in one
commit, those that finishing it writes in another; the same tables, indexes and durability; no HTTP and no JSON work.
No engine on this server can be faster, so the ratio to it says on any machine how much of the possible an engine
reaches.

It writes, so it is measured on a server of our own only, in a schema that is dropped afterwards.
"""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from dataclasses import dataclass
from typing import Any

import asyncpg

from meshproof import scenarios
from meshproof.sql import statement

BATCH = 500
CONNECTIONS = 2
SECONDS = 2.0
WARM_BATCHES = 4
# One plan for all batches, by the primary keys: without statistics the planner would now and then read a whole table.
PLANS = {"plan_cache_mode": "force_generic_plan", "enable_seqscan": "off", "jit": "off"}


@dataclass(frozen=True)
class Floor:
    """One measurement."""

    runs_per_s: float
    runs: int
    seconds: float
    keyed: bool


async def measure(dsn: str, *, keyed: bool, seconds: float = SECONDS) -> Floor:
    """Write runs for so many seconds; `keyed` with the row that remembers a delivery's key."""
    connections = [await _connect(dsn) for _ in range(CONNECTIONS)]
    try:
        await connections[0].execute(statement("floor_schema"))
        accepted, finished = _events()
        writers = [_Writer(number, c, accepted, finished, keyed=keyed) for number, c in enumerate(connections)]
        for writer in writers:
            await writer.write(WARM_BATCHES)
        began = time.perf_counter()
        runs = sum(await asyncio.gather(*(writer.write_until(began + seconds) for writer in writers)))
        took = time.perf_counter() - began
        await connections[0].execute("DROP SCHEMA meshproof_floor CASCADE")
        return Floor(runs / took, runs, took, keyed)
    finally:
        for connection in connections:
            await connection.close()


class _Writer:
    """Writes batches on one connection."""

    def __init__(
        self, number: int, connection: asyncpg.Connection[Any], accepted: list[str], finished: list[str], *, keyed: bool
    ) -> None:
        self._number = number
        self._connection = connection
        self._accepted = accepted
        self._finished = finished
        self._keyed = keyed
        self._batches = 0

    async def write(self, batches: int) -> int:
        """Accept and finish so many batches; returns the number of runs."""
        for _ in range(batches):
            run_ids = self._run_ids()
            keys = [run_id.hex for run_id in run_ids] if self._keyed else None
            await self._connection.execute(statement("floor_accept"), run_ids, self._accepted, keys)
            await self._connection.execute(statement("floor_finish"), run_ids, self._finished)
        return batches * BATCH

    async def write_until(self, deadline: float) -> int:
        """Write until `time.perf_counter()` is past the deadline."""
        runs = 0
        while time.perf_counter() < deadline:
            runs += await self.write(1)
        return runs

    def _run_ids(self) -> list[uuid.UUID]:
        # Rising like UUIDv7, so that the index grows at its right end as it does for the engine.
        self._batches += 1
        first = (((time.time_ns() // 1_000_000) << 80) | (7 << 76) | (2 << 62)) + (self._number << 56)
        first += self._batches << 24
        return [uuid.UUID(int=first + number) for number in range(BATCH)]


async def _connect(dsn: str) -> asyncpg.Connection[Any]:
    return await asyncpg.connect(dsn, server_settings={"application_name": "meshproof-floor", **PLANS})


def _events() -> tuple[list[str], list[str]]:
    """The events of one batch of `pipeline` runs, as the engine's journal has them."""
    pipeline = scenarios.load("pipeline")
    accepted, finished = [], []
    for index in range(BATCH):
        body = json.loads(pipeline.payload(0, index))
        result = pipeline.expected(0, index).output
        trigger = {
            "method": "POST",
            "path": "/hooks/pipeline",
            "query": {},
            "headers": {"host": "127.0.0.1:8080", "user-agent": "meshproof", "content-type": "application/json"},
            "content_type": "application/json",
            "body": body,
        }
        start = {"type": "run.accepted", "workflow": "pipeline", "version": 1, "version_id": 1, "trigger": trigger}
        steps = [{"type": "step.completed", "node": node, "output": result} for node in ("totals", "flag", "result")]
        accepted.append(_text([start]))
        finished.append(_text([*steps, {"type": "run.completed", "output": result}]))
    return accepted, finished


def _text(events: list[dict[str, Any]]) -> str:
    return json.dumps(events, ensure_ascii=False, separators=(",", ":"))
