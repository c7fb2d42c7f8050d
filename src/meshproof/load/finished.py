"""Which of the runs in flight are finished: asked of the database, read-only, in batches.

An engine that told us itself would be believed by its own word, and a request a run would cost it more than the run. So
the oldest runs in flight are looked up by their primary key, up to 1,000 in one statement, and the pause between two
statements is a multiple of what the last one took: the asking never takes more than a fifth of a core, and is counted
among the suite's own transactions.
"""

from __future__ import annotations

import asyncio
from itertools import islice
from time import perf_counter
from typing import Any

import asyncpg

BATCH = 1_000
PAUSE_FACTOR = 4.0
PAUSE_S_MAX = 0.1
QUERY = """
SELECT w.ordinal::int FROM unnest($1::smallint[], $2::uuid[]) WITH ORDINALITY AS w (shard, id, ordinal)
JOIN meshhook.runs r ON r.shard = w.shard AND r.id = w.id
WHERE r.id BETWEEN $3 AND $4 AND r.finished_at IS NOT NULL
"""


class Finished:
    """Watches runs until they are finished."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._connection: asyncpg.Connection[Any] | None = None
        self._watched: dict[str, None] = {}
        self._next_at = 0.0
        self.transactions = 0
        """How many transactions this has cost the database."""

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
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError):
            await self.close()
            self._next_at = perf_counter() + PAUSE_S_MAX
            return []
        for run_id in found:
            del self._watched[run_id]
        took = perf_counter() - began
        self._next_at = perf_counter() + min(PAUSE_FACTOR * took, PAUSE_S_MAX)
        return found

    async def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None
        await asyncio.sleep(0)

    async def _ask(self, run_ids: list[str]) -> list[str]:
        if self._connection is None:
            self._connection = await asyncpg.connect(
                self._dsn, timeout=2.0, server_settings={"application_name": "meshproof"}
            )
        # The 12 bits behind the version of a run id are its shard: the primary key is known without asking.
        shards = [int(run_id[15:18], 16) for run_id in run_ids]
        rows = await self._connection.fetch(QUERY, shards, run_ids, min(run_ids), max(run_ids), timeout=2.0)
        self.transactions += 1
        return [run_ids[row[0] - 1] for row in rows]
