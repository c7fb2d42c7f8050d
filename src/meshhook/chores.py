"""What must be done now and then, by any worker: partitions ahead of time, old ones dropped, what has expired forgotten.

Each chore is safe to be done by several workers at once, and harmless to be done too often.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Final

import structlog

from meshhook import retention
from meshhook.db.connect import Database
from meshhook.errors import DatabaseError
from meshhook.store import Store

PERIOD_S: Final = 30.0
FORGET_S_MAX: Final = 10.0
EXPIRY_S: Final = 1.0
POKED_S: Final = timedelta(seconds=5)
"""What has lain in an inbox so long was put there by somebody who died before he could say so."""

PARTITION_DAYS_AHEAD: Final = 7
_log = structlog.get_logger("meshhook.chores")


_FEED_BATCHES_MAX: Final = 20


async def do(
    store: Store, database: Database, shards: int, *, feed_keep: timedelta, retention_days: int, audit_days: int
) -> None:
    """Do all chores once; what the database refuses is tried again next time. Of the days, 0 is for ever."""
    try:
        made = await store.make_partitions(PARTITION_DAYS_AHEAD)
        forgotten = await _until_none(store.forget)
        if audit_days:
            forgotten += await _until_none(lambda: store.forget_audit(timedelta(days=audit_days)))
        for shard in range(shards):
            await store.poke_forgotten(shard, POKED_S)
            await store.forget_lanes(shard)
            await _forget_feed(store, shard, feed_keep)
        if retention_days:
            await retention.drop_old_now_and_then(database, retention_days)
    except DatabaseError as error:
        _log.warning("chores put off", error=str(error))
        return
    if made or forgotten:
        _log.info("chores done", partitions_made=made, rows_forgotten=forgotten)


async def expire(store: Store, shards: int, tell: Callable[[int], None]) -> None:
    """Let runs that were not started in time leave their lanes, to be ended; ``tell`` of each shard where there were any."""
    try:
        for shard in range(shards):
            if await store.expire(shard):
                tell(shard)
    except DatabaseError as error:
        _log.warning("expiry put off", error=str(error))


async def _forget_feed(store: Store, shard: int, keep: timedelta) -> None:
    for _ in range(_FEED_BATCHES_MAX):
        if not await store.forget_feed(shard, keep):
            return


async def _until_none(forget: Callable[[], Awaitable[int]]) -> int:
    """As many as have expired, in batches that are short; what a busy hour left behind is not gone in one go."""
    deadline = time.monotonic() + FORGET_S_MAX
    forgotten = 0
    while (batch := await forget()) > 0:
        forgotten += batch
        if time.monotonic() > deadline:
            break
    return forgotten
