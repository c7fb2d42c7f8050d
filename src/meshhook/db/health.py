"""What a database says about itself: the facts that ``meshhook doctor`` judges."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import timedelta
from importlib import resources
from typing import Final

from meshhook.db.connect import connect_once
from meshhook.db.migrate import pending

WORKER_ALIVE: Final = timedelta(seconds=5)
"""A worker says ten times in this time that it lives."""

_SQL: Final = resources.files("meshhook.db").joinpath("sql", "health")


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """Any server. ``clock_ahead_s`` is how far its clock is before ours, to within half of ``round_trip_s``."""

    version: int
    version_text: str
    connections: int
    connections_max: int
    database_bytes: int
    oldest_transaction_s: float
    clock_ahead_s: float
    round_trip_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """A migrated database. ``oldest_due_s`` is how long the run that waits longest has been due; negative: none is."""

    workers_alive: int
    workers_known: int
    live_runs: int
    oldest_due_s: float
    tasks_dead: int
    tasks_bytes: int


@dataclass(frozen=True, slots=True)
class Health:
    """``queue`` is None until the migrations in ``pending`` are applied."""

    server: Server
    pending: list[str]
    queue: Queue | None


async def look(dsn: str) -> Health:
    """Ask a database how it is.

    Raises Unavailable: it can't be reached.
    """
    connection = await connect_once(dsn)
    try:
        await connection.fetchval("SELECT 1")  # so that the round trip below has nothing to prepare
        before, unix_s = time.monotonic(), time.time()
        clock = await connection.fetchval("SELECT clock_timestamp()")
        round_trip_s = time.monotonic() - before
        row = dict(await connection.fetchrow(_SQL.joinpath("server.sql").read_text()) or {})
        ahead_s = clock.timestamp() - (unix_s + round_trip_s / 2)
        server = Server(**row, clock_ahead_s=ahead_s, round_trip_s=round_trip_s)
        missing = await pending(connection)
        if missing:
            return Health(server, missing, None)
        found = await connection.fetchrow(_SQL.joinpath("queue.sql").read_text(), WORKER_ALIVE)
        return Health(server, [], Queue(**dict(found or {})))
    finally:
        await connection.close()
