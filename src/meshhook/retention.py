"""How long runs are kept: days dropped whole when they are old, and the payloads of finished runs trimmed before that.

A day is dropped only when no live run is in it, and never in the way of accepting: its partitions are detached beside everything
else, which waits for readers and can be broken off, and only then dropped. Each step finds out where the one before has stopped.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final, Literal

import structlog

from meshhook.db.connect import Connection, Database, Row
from meshhook.errors import DatabaseError
from meshhook.trimming import trimmed

State = Literal["attached", "detaching", "detached"]

DROP_PAUSE: Final = timedelta(minutes=1)
"""One worker looks for old days, once in so long."""

TRIM_LOOK_S: Final = 30.0
TRIM_RUNS_MAX: Final = 500
TRIM_BYTES_MAX: Final = 4 * 1024 * 1024
_log = structlog.get_logger("meshhook.retention")


@dataclass(frozen=True, slots=True)
class Day:
    """The partitions of one day (UTC). ``live`` counts its live runs, up to a thousand; ``bytes`` are tables and indexes."""

    day: date
    runs: State | None
    journal: State | None
    bytes: int
    live: int


async def days(database: Database) -> list[Day]:
    """Every day that has a partition, in order."""
    return [Day(**row) for row in await database.read("SELECT * FROM meshhook.partition_days()")]


async def drop_old(database: Database, keep_days: int) -> list[date]:
    """Drop the days that are older than ``keep_days`` and have no live run; returns them. What can't be done now is left for the
    next time.

    Raises:
        Unavailable: the database can't be reached.
    """
    dropped: list[date] = []
    today: datetime = (await database.read("SELECT meshhook.now() AT TIME ZONE 'UTC'"))[0][0]
    oldest = today.date() - timedelta(days=keep_days)
    old = [day for day in await days(database) if day.day < oldest]
    for day in sorted(old, key=_is_whole):  # what was begun comes first: Postgres detaches one at a time
        try:
            if await _drop(database, day):
                dropped.append(day.day)
        except DatabaseError as error:
            _log.warning("a day could not be dropped yet", day=day.day.isoformat(), error=str(error))
            break
    if dropped:
        _log.info("days dropped", days=[day.isoformat() for day in dropped])
    return dropped


async def drop_old_now_and_then(database: Database, keep_days: int) -> None:
    """``drop_old``, by one worker and once in ``DROP_PAUSE``, however many and often this is called."""
    if (await database.call("SELECT meshhook.take_chore('retention', $1)", DROP_PAUSE))[0][0]:
        await drop_old(database, keep_days)


async def keep_trimming(database: Database, shards: int, keep_days: float) -> None:
    """Trim what becomes old enough, for ever, and for half of the time at most."""
    while True:
        began, looked_at = time.monotonic(), 0
        try:
            for shard in range(shards):
                looked_at += await trim(database, shard, keep_days)
        except DatabaseError as error:
            _log.warning("trimming put off", error=str(error))
        except Exception as error:  # noqa: BLE001 what can't be trimmed must not end what else is to be
            _log.error("trimming failed", exc_info=error)
        await asyncio.sleep(time.monotonic() - began if looked_at else TRIM_LOOK_S)


async def _drop(database: Database, day: Day) -> bool:
    """Detach what is attached, look once more, and drop."""
    if day.live and _is_whole(day):
        return False
    name = f"{day.day:%Y%m%d}"
    async with database.connection() as connection:
        for table, state in (("runs", day.runs), ("journal", day.journal)):
            if state in ("attached", "detaching"):
                how = "CONCURRENTLY" if state == "attached" else "FINALIZE"
                # Names of ours and digits. Outside a transaction: what it waits for, it must not hold up.
                await connection.execute(f"ALTER TABLE meshhook.{table} DETACH PARTITION meshhook.{table}_{name} {how}")
        if await connection.fetchval("SELECT meshhook.live_runs_of($1)", day.day):
            await _attach_again(connection, day)
            return False
        await connection.execute(f"DROP TABLE IF EXISTS meshhook.runs_{name}, meshhook.journal_{name}")
    return True


def _is_whole(day: Day) -> bool:
    return (day.runs, day.journal) == ("attached", "attached")


async def _attach_again(connection: Connection[Row], day: Day) -> None:
    """A run came to life there meanwhile, under an id of that day: everything is as it was."""
    for table, state in (("runs", day.runs), ("journal", day.journal)):
        if state is not None:
            await connection.execute("SELECT meshhook.attach_partition($1, $2)", table, day.day)


async def trim(database: Database, shard: int, keep_days: float) -> int:
    """Take the payloads out of the next runs of a shard that were accepted more than ``keep_days`` ago and have finished.

    Returns how many journal rows were looked at; 0 when there is nothing to do.

    Raises:
        Unavailable: nothing was changed. OutcomeUnknown: the next call finds out.
    """
    async with database.transaction() as connection:
        rows = await connection.fetch(
            "SELECT * FROM meshhook.trim_claim($1, meshhook.uuid_floor(meshhook.now() - $2::interval), $3, $4)",
            shard,
            timedelta(days=keep_days),
            TRIM_RUNS_MAX,
            TRIM_BYTES_MAX,
        )
        changed = [(run_id, seq, text) for run_id, seq, events in rows if (text := trimmed(events)) is not None]
        if changed:
            columns = [list(column) for column in zip(*changed, strict=True)]
            await connection.execute("SELECT meshhook.trim_write($1, $2, $3, $4)", shard, *columns)
    return len(rows)
