"""What a database says about itself: the facts that ``meshhook doctor`` judges."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import timedelta
from importlib import resources
from typing import Final

from meshhook.db.connect import Connection, Row, connect_once
from meshhook.db.migrate import pending

WORKER_ALIVE: Final = timedelta(seconds=5)
"""A worker says ten times in this time that it lives."""

_FOR_EVER: Final = 10**6  # days
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
class Holder:
    """Somebody who keeps dead rows from being removed. ``age_s`` is since when, ``None`` when nobody knows."""

    what: str
    who: str
    age_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Days:
    """The days that runs are stored by: ``kept`` ones are older than they should be and have live runs, ``begun`` ones are half way
    out. ``bytes`` is all of them with their indexes.
    """

    days_ahead: int
    has_today: bool
    oldest_days: int
    bytes: int
    begun: int
    kept: list[str]


@dataclass(frozen=True, slots=True)
class Health:
    """``queue`` and ``days`` are None until the migrations in ``pending`` are applied."""

    server: Server
    pending: list[str]
    queue: Queue | None
    holders: list[Holder] = field(default_factory=list)
    days: Days | None = None


async def look(dsn: str, retention_days: int = 0) -> Health:
    """Ask a database how it is; a day is older than it should be after ``retention_days``.

    Raises Unavailable: it can't be reached.
    """
    connection = await connect_once(dsn)
    try:
        return await look_by(connection, retention_days)
    finally:
        await connection.close()


async def look_by(connection: Connection[Row], retention_days: int = 0) -> Health:
    """The same by a connection that is open."""
    await connection.fetchval("SELECT 1")  # so that the round trip below has nothing to prepare
    before, unix_s = time.monotonic(), time.time()
    clock = await connection.fetchval("SELECT clock_timestamp()")
    round_trip_s = time.monotonic() - before
    row = dict(await connection.fetchrow(_SQL.joinpath("server.sql").read_text()) or {})
    ahead_s = clock.timestamp() - (unix_s + round_trip_s / 2)
    server = Server(**row, clock_ahead_s=ahead_s, round_trip_s=round_trip_s)
    holders = [Holder(**row) for row in await connection.fetch(_SQL.joinpath("holders.sql").read_text())]
    missing = await pending(connection)
    if missing:
        return Health(server, missing, None, holders)
    found = await connection.fetchrow(_SQL.joinpath("queue.sql").read_text(), WORKER_ALIVE)
    days = await connection.fetchrow(_SQL.joinpath("days.sql").read_text(), retention_days or _FOR_EVER)
    return Health(server, [], Queue(**dict(found or {})), holders, Days(**dict(days)) if days else None)
