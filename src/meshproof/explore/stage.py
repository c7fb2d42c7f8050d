"""Where schedules are played: a database with the engine's functions, the connections of the actors, and somebody who looks on."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Final, Self
from uuid import UUID

from meshproof.explore.seen import FUNCTION
from meshproof.explore.session import SETTINGS, Session
from meshproof.explore.times import START
from meshproof.explore.wire import Row, Wire
from meshproof.explore.world import FIRST_ID

ACTORS: Final = ("door-1", "door-2", "w1", "w2", "caller-1", "caller-2", "renewer", "finder")
PLAIN: Final = "plain"
"""The workflow without limits, by its name."""
SHARDS: Final = 30_000
"""Each schedule has a shard to itself, so nothing has to be cleared away; after so many, everything is."""
POLL_S_MIN, POLL_S_MAX = 0.001, 0.02
_FIRST: Final = UUID(int=FIRST_ID)
_LAST: Final = UUID(int=FIRST_ID + (1 << 32))
_PLACE: Final = """
WITH workflow AS (INSERT INTO meshhook.workflows (project_id, name, draft) VALUES ($1, $2, '{}') RETURNING *),
     version AS (INSERT INTO meshhook.versions (workflow_id, number, definition, limited)
                 SELECT id, 1, '{}', $3 FROM workflow RETURNING id),
     endpoint AS (INSERT INTO meshhook.endpoints (project_id, path, workflow_id)
                  SELECT project_id, name, id FROM workflow RETURNING *)
SELECT endpoint.id, endpoint.workflow_id, version.id AS version_id FROM endpoint, version
"""
_CLEAR: Final = """
TRUNCATE meshhook.runs, meshhook.journal, meshhook.tasks, meshhook.signals, meshhook.waits, meshhook.events, meshhook.dedupe,
         meshhook.feed, meshhook.openings, meshhook.lanes, meshhook.buckets, meshhook.gatherings
"""
_TABLES: Final = """
SELECT c.oid::regclass::text FROM pg_class c
WHERE c.relnamespace = 'meshhook'::regnamespace AND c.relkind = 'r'
"""
_TIES: Final = """
DROP INDEX meshhook.tasks_ready, meshhook.tasks_timed, meshhook.openings_due;
CREATE INDEX tasks_ready ON meshhook.tasks (shard, project_id, priority, due_at, run_id) WHERE queue = 0;
CREATE INDEX tasks_timed ON meshhook.tasks (shard, due_at, run_id) WHERE queue >= 2;
CREATE INDEX openings_due ON meshhook.openings (shard, at, lane)
"""
"""Of rows that are due at the same moment the engine takes any first; here it is always the same one."""
_PARTITIONS: Final = """
SELECT i.inhrelid::regclass::text FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
WHERE i.inhparent IN ('meshhook.runs'::regclass, 'meshhook.journal'::regclass)
"""


class Stage:
    """A migrated database that belongs to nobody else; ``patch`` is SQL that is run in it first, to plant a bug."""

    def __init__(self, dsn: str, patch: str | None = None) -> None:
        self._dsn = dsn
        self._patch = patch
        self.sessions = {name: Session(dsn) for name in ACTORS}
        self.project = 0
        self.endpoints = (0, 0)
        """Of a workflow as most are, and of one with limits."""
        self._shard = 0

    def __enter__(self) -> Self:
        self._observer = Wire(self._dsn, SETTINGS)
        self._one_partition()
        self._leave_to_itself()
        self._observer.run(FUNCTION)
        if self._patch is not None:
            self._observer.run(self._patch)
        [[self.project]] = self._ask("INSERT INTO meshhook.projects (name) VALUES ('explore') RETURNING id")
        self.endpoints = self._publish(PLAIN, limited=False), self._publish("limited", limited=True)
        for session in self.sessions.values():
            session.connect()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for session in self.sessions.values():
            session.close()
        self._observer.close()

    def enter(self, chance: float) -> int:
        """A schedule begins; returns a shard nobody has played in."""
        self._shard += 1
        if self._shard > SHARDS:
            self._ask(_CLEAR)
            self._shard = 1
        for session in self.sessions.values():
            session.enter((self._shard, START, _FIRST, _LAST), chance)
        return self._shard

    def blockers(self, session: Session) -> list[int]:
        """The actors' server processes that one waits for. What the server itself holds for a moment is no part of a schedule."""
        rows = self._ask("SELECT unnest(pg_blocking_pids($1))", session.pid)
        pids = {other.pid for other in self.sessions.values()}
        return [pid for (pid,) in rows if pid in pids]

    def cancel(self, session: Session) -> None:
        """Have the statement under way refused, as a statement timeout would."""
        self._ask("SELECT pg_cancel_backend($1)", session.pid)

    def until_gone(self, pid: int) -> None:
        """Wait until a server process has noticed that its client is gone, and all that it held is free."""
        pause_s = POLL_S_MIN
        while self._ask("SELECT FROM pg_stat_activity WHERE pid = $1", pid):
            time.sleep(pause_s)
            pause_s = min(POLL_S_MAX, pause_s * 2)

    def _publish(self, name: str, *, limited: bool) -> int:
        """A workflow; returns its endpoint."""
        [[endpoint, workflow, version]] = self._ask(_PLACE, self.project, name, limited)
        self._ask("UPDATE meshhook.workflows SET published_version_id = $1 WHERE id = $2", version, workflow)
        return int(endpoint)

    def _one_partition(self) -> None:
        """All runs of all schedules are of one day: one partition, which the server has to look at, is enough."""
        for (partition,) in self._ask(_PARTITIONS):
            self._ask(f"DROP TABLE {partition}")
        self._observer.send(
            ("SELECT set_config('meshhook.fake_now', $1, true)", (START,)), ("SELECT meshhook.make_partitions(0)", ())
        )
        self._observer.receive()

    def _leave_to_itself(self) -> None:
        """Nothing of the server's own comes in between: how rows lie on their pages follows from the schedules alone."""
        for (table,) in self._ask(_TABLES):
            self._observer.run(f"ALTER TABLE {table} SET (autovacuum_enabled = off)")
        self._observer.run(_TIES)

    def _ask(self, sql: str, *values: object) -> list[Row]:
        self._observer.send((sql, values))
        return self._observer.receive()[0]
