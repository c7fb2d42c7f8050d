"""What a database says of itself to those who measure: the queue, the server, the tables. Small, bounded, and read as data."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from typing import Any, Final

from meshhook.db.connect import Connection, Database, Row
from meshhook.db.queries import query

QUEUE_BLOCKS: Final = 4_000
"""So many blocks of the queue are counted at most: some 250,000 runs."""

_DAYS: Final = resources.files("meshhook.db").joinpath("sql", "health", "days.sql")
_FOR_EVER: Final = 10**6  # days
_HURRY: Final = "SET LOCAL statement_timeout = '3s'; SET LOCAL lock_timeout = '1s'"


@dataclass(frozen=True, slots=True)
class Queued:
    """Runs of a project in one state. ``oldest_s`` is since when the oldest has been due, ``lanes`` those in which some wait."""

    project: str
    state: str
    runs: float
    lanes: int
    oldest_s: float


@dataclass(frozen=True, slots=True)
class Figures:
    """What was read at one time. ``share`` is the part of the queue that was looked at; counts are for all of it already.

    ``server`` is the row of ``figures_server.sql``, ``sessions`` the rows of ``figures_sessions.sql``: state, type, event, count.
    """

    queue: list[Queued]
    share: float
    server: dict[str, Any]
    sessions: list[tuple[str, str | None, str | None, int]]


@dataclass(frozen=True, slots=True)
class Storage:
    """What changes slowly. ``tables`` has bytes, live and dead rows of each; ``days_ahead`` and ``days_kept`` as for ``doctor``."""

    tables: dict[str, tuple[float, float, float]]
    days_ahead: int
    days_kept: int


async def figures(database: Database) -> Figures:
    """Read what changes all the time.

    Raises:
        Unavailable: there is no answer in time.
    """
    async with database.transaction() as connection:
        await connection.execute(_HURRY)
        counted = await connection.fetch(query("figures_queue"), QUEUE_BLOCKS)
        server = await connection.fetchrow(query("figures_server"))
        sessions = await connection.fetch(query("figures_sessions"))
    share = counted[0]["share"]
    return Figures(
        [_queued(row, share) for row in counted if row["state"] is not None],
        share,
        dict(server or {}),
        [(row["state"], row["type"], row["event"], row["sessions"]) for row in sessions],
    )


async def storage(database: Database, retention_days: int) -> Storage:
    """Read what changes slowly; a day is older than it should be after ``retention_days``.

    Raises:
        Unavailable: there is no answer in time.
    """
    async with database.transaction() as connection:
        await connection.execute(_HURRY)
        tables = await _tables(connection)
        days = await connection.fetchrow(_DAYS.read_text("utf-8"), retention_days or _FOR_EVER)
    return Storage(tables, days["days_ahead"] if days else 0, len(days["kept"]) if days else 0)


async def _tables(connection: Connection[Row]) -> dict[str, tuple[float, float, float]]:
    rows = await connection.fetch(query("figures_tables"))
    return {row["name"]: (row["bytes"], row["live"], row["dead"]) for row in rows}


def _queued(row: Row, share: float) -> Queued:
    return Queued(row["project"] or "", row["state"], round(row["runs"] / share), row["lanes"], row["oldest_s"])
