"""What must be done now and then, by any worker: partitions ahead of time, expired dedupe keys forgotten.

Each chore is safe to be done by several workers at once, and harmless to be done too often.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

import structlog

from meshhook.errors import DatabaseError
from meshhook.store import Store

PERIOD_S: Final = 30.0
PARTITION_DAYS_AHEAD: Final = 7
_log = structlog.get_logger("meshhook.chores")


_FEED_BATCHES_MAX: Final = 20


async def do(store: Store, shards: int, feed_keep: timedelta) -> None:
    """Do all chores once; what the database refuses is tried again next time."""
    try:
        made = await store.make_partitions(PARTITION_DAYS_AHEAD)
        forgotten = await store.forget()
        for shard in range(shards):
            await _forget_feed(store, shard, feed_keep)
    except DatabaseError as error:
        _log.warning("chores put off", error=str(error))
        return
    if made or forgotten:
        _log.info("chores done", partitions_made=made, keys_forgotten=forgotten)


async def _forget_feed(store: Store, shard: int, keep: timedelta) -> None:
    for _ in range(_FEED_BATCHES_MAX):
        if not await store.forget_feed(shard, keep):
            return
