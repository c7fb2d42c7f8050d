"""Where schedules are played: a database with the engine's functions, the connections of the actors, and somebody who looks on."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Any, Final, Self
from uuid import UUID

import asyncpg

from meshproof.explore.seen import STATEMENT, Seen
from meshproof.explore.session import SETTINGS, Session
from meshproof.explore.times import START
from meshproof.explore.world import FIRST_ID

ACTORS: Final = ("door-1", "door-2", "w1", "w2", "caller-1", "caller-2", "renewer", "finder")
SHARDS: Final = 30_000
"""Each schedule has a shard to itself, so nothing has to be cleared away; after so many, everything is."""
POLL_S_MIN, POLL_S_MAX = 0.001, 0.02
_LAST = UUID(int=FIRST_ID + (1 << 32))
_FIRST = UUID(int=FIRST_ID)
_PLACE = """
WITH project AS (INSERT INTO meshhook.projects (name) VALUES ('explore') RETURNING id),
     workflow AS (INSERT INTO meshhook.workflows (project_id, name, draft) SELECT id, 'explore', '{}' FROM project RETURNING *),
     version AS (INSERT INTO meshhook.versions (workflow_id, number, definition) SELECT id, 1, '{}' FROM workflow RETURNING id),
     endpoint AS (INSERT INTO meshhook.endpoints (project_id, path, workflow_id)
                  SELECT project_id, 'explore', id FROM workflow RETURNING *)
SELECT endpoint.id, endpoint.project_id, endpoint.workflow_id, version.id AS version_id FROM endpoint, version
"""
_CLEAR = """
TRUNCATE meshhook.runs, meshhook.journal, meshhook.tasks, meshhook.signals, meshhook.waits, meshhook.events, meshhook.dedupe,
         meshhook.feed, meshhook.openings, meshhook.lanes, meshhook.buckets
"""


class Stage:
    """A migrated database that belongs to nobody else; ``patch`` is SQL that is run in it first, to plant a bug."""

    def __init__(self, dsn: str, patch: str | None = None) -> None:
        self._dsn = dsn
        self._patch = patch
        self.sessions = {name: Session(dsn) for name in ACTORS}
        self.project = self.endpoint = 0
        self._shard = 0

    async def __aenter__(self) -> Self:
        self._observer: asyncpg.Connection[Any] = await asyncpg.connect(
            self._dsn, server_settings={**SETTINGS, "plan_cache_mode": "force_generic_plan", "enable_seqscan": "off"}
        )
        await self._observer.execute(
            f"SET meshhook.fake_now = '{START.isoformat()}'; SELECT meshhook.make_partitions(0)"
        )
        if self._patch is not None:
            await self._observer.execute(self._patch)
        row = await self._observer.fetchrow(_PLACE)
        assert row is not None
        self.endpoint, self.project = row["id"], row["project_id"]
        await self._observer.execute(
            "UPDATE meshhook.workflows SET published_version_id = $1 WHERE id = $2",
            row["version_id"],
            row["workflow_id"],
        )
        for session in self.sessions.values():
            await session.connect()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        for session in self.sessions.values():
            await session.close()
        await self._observer.close()

    async def new_shard(self) -> int:
        """A shard nobody has played in."""
        self._shard += 1
        if self._shard > SHARDS:
            await self._observer.execute(_CLEAR)
            self._shard = 1
        return self._shard

    async def look(self, shard: int) -> Seen:
        """What is committed now."""
        row = await self._observer.fetchrow(STATEMENT, shard, START, _FIRST, _LAST)
        assert row is not None
        return Seen.of(*row)

    async def blockers(self, session: Session) -> list[int]:
        """The server processes that one waits for; none when it does not wait."""
        return list(await self._observer.fetchval("SELECT pg_blocking_pids($1)", session.pid))

    async def cancel(self, session: Session) -> None:
        """Have the statement under way refused, as a statement timeout would."""
        await self._observer.execute("SELECT pg_cancel_backend($1)", session.pid)

    async def until_gone(self, pid: int) -> None:
        """Wait until a server process has noticed that its client is gone, and all that it held is free."""
        pause_s = POLL_S_MIN
        while await self._observer.fetchval("SELECT count(*) FROM pg_stat_activity WHERE pid = $1", pid):
            await asyncio.sleep(pause_s)
            pause_s = min(POLL_S_MAX, pause_s * 2)
