"""Every run with its whole journal, one after another, in bounded memory, however many there are.

Read in batches, each of one short statement with its own snapshot: a long one would keep dead rows from being removed, and the
queue of a busy system would grow.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from typing import Final
from uuid import UUID

from meshhook.db.connect import Connection, Database, Row
from meshhook.verify import Place, Record, Written

_BATCH: Final = 1_000
_PREFETCH: Final = 50
_FIRST: Final = UUID(int=0)
_LAST: Final = UUID(int=(1 << 128) - 1)


async def records(database: Database) -> AsyncGenerator[Record]:
    """Every run that is there when its turn comes, and journals and places in the queue that have no run.

    Raises:
        Unavailable: the database can't be reached.
    """
    for shard in range(await _shards(database)):
        async for record in _records_of(database, shard):
            if not await _is_being_dropped(database, record):
                yield record


async def count(database: Database) -> int:
    """About how many runs there are, as Postgres' statistics know it."""
    rows = await database.read(
        "SELECT coalesce(sum(pg_stat_get_live_tuples(i.inhrelid)), 0)::bigint FROM pg_inherits i "
        "WHERE i.inhparent = 'meshhook.runs'::regclass"
    )
    return int(rows[0][0])


async def definition(database: Database, version_id: int) -> str | None:
    """The definition of one version, as JSON text."""
    rows = await database.read("SELECT definition FROM meshhook.versions WHERE id = $1", version_id)
    return rows[0]["definition"] if rows else None


async def _records_of(database: Database, shard: int) -> AsyncIterator[Record]:
    after = _FIRST
    while after != _LAST:
        async with database.transaction() as connection:
            end = await connection.fetchval("SELECT meshhook.runs_batch_end($1, $2, $3)", shard, after, _BATCH)
            last = end or _LAST
            async for record in _batch(connection, shard, after, last):
                yield record
        after = last
    for row in await database.read("SELECT * FROM meshhook.tasks_without_run($1)", shard):
        yield Record(shard, row["id"], None, None, 0, 0, Place(0, None))


async def _batch(connection: Connection[Row], shard: int, after: UUID, last: UUID) -> AsyncIterator[Record]:
    record: Record | None = None
    query = "SELECT * FROM meshhook.runs_with_journals($1, $2, $3)"
    async for row in connection.cursor(query, shard, after, last, prefetch=_PREFETCH):
        if record is None or record.id != row["id"]:
            if record is not None:
                yield record
            record = _record(shard, row)
        if row["seq"] is not None:
            record.journal.append(
                Written(row["seq"], row["written_epoch"], row["claimed_at"], row["at"], row["events"])
            )
    if record is not None:
        yield record


async def _is_being_dropped(database: Database, record: Record) -> bool:
    """Whether a run is seen without its journal, or the other way round, only because its day goes just now."""
    if record.place is not None or (record.status is not None and record.journal):
        return False
    return not (await database.read("SELECT meshhook.is_kept($1)", record.id))[0][0]


async def _shards(database: Database) -> int:
    return int((await database.read("SELECT value::int FROM meshhook.settings WHERE name = 'shards'"))[0][0])


def _record(shard: int, row: Row) -> Record:
    place = Place(row["queued_epoch"], row["owner"]) if row["is_queued"] else None
    return Record(shard, row["id"], row["status"], row["finished_at"], row["epoch"] or 0, row["version_id"] or 0, place)
