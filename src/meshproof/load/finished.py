"""Which of the runs in flight are finished: asked of the database, read-only, in batches.

An engine that told us itself would be believed by its own word, and a request a run would cost it more than the run. So
the oldest runs in flight are looked up by their primary key, up to 1,000 in one statement, and the pause between two
statements is a multiple of what the last one took: the asking never takes more than a fifth of a core, and is counted
among the suite's own transactions.
"""

from __future__ import annotations

from itertools import islice
from time import perf_counter

from meshproof.database import ERRORS, Reader, shard_of
from meshproof.sql import statement

BATCH = 1_000
PAUSE_FACTOR = 4.0
PAUSE_S_MAX = 0.1
ASK_S_MAX = 2.0


class Finished:
    """Watches runs until they are finished."""

    def __init__(self, dsn: str) -> None:
        self._reader = Reader(dsn)
        self._watched: dict[str, None] = {}
        self._next_at = 0.0

    @property
    def transactions(self) -> int:
        """How many transactions this has cost the database."""
        return self._reader.transactions

    def watch(self, run_id: str) -> None:
        """Look out for the end of this run."""
        self._watched[run_id] = None

    async def poll(self) -> list[str]:
        """The runs found finished since the last call; none while the database cannot be asked."""
        if not self._watched or perf_counter() < self._next_at:
            return []
        began = perf_counter()
        try:
            found = await self._ask(list(islice(self._watched, BATCH)))
        except ERRORS:
            self._next_at = perf_counter() + PAUSE_S_MAX
            return []
        for run_id in found:
            del self._watched[run_id]
        took = perf_counter() - began
        self._next_at = perf_counter() + min(PAUSE_FACTOR * took, PAUSE_S_MAX)
        return found

    async def close(self) -> None:
        """Close the connection."""
        await self._reader.close()

    async def _ask(self, run_ids: list[str]) -> list[str]:
        shards = [shard_of(run_id) for run_id in run_ids]
        rows = await self._reader.fetch(
            statement("finished"), shards, run_ids, min(run_ids), max(run_ids), timeout=ASK_S_MAX
        )
        return [run_ids[row[0] - 1] for row in rows]
