"""What is state and not event: the queue, the server, the tables. Read from the database by a scrape, and kept for some seconds.

However often and by however many this is scraped, it is read every five seconds at most, what changes slowly every minute, and
never for more than a twentieth of the time. When the database does not answer, the last figures stand for a minute, and
``meshhook_state_age_seconds`` tells how old they are; then there are none, which is the truth.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Final

import structlog
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from meshhook.counts import OTHER
from meshhook.db.connect import Database
from meshhook.db.figures import Figures, Queued, Storage, figures, storage
from meshhook.errors import DatabaseError
from meshhook.metrics.families import counter, gauge, single

PERIOD_S: Final = 5.0
SLOW_PERIOD_S: Final = 60.0
PROJECTS_MAX: Final = 50
"""So many projects are told by name, those with the most live runs; the others together are ``other``."""

STATES: Final = ("ready", "in_lane", "leased", "expired", "sleeping", "waiting")
_SHARE: Final = 20
_STALE_S: Final = 60.0
_PATIENCE_S: Final = 4.0
_WITH_AGE: Final = frozenset({"ready", "in_lane", "expired"})
_log = structlog.get_logger("meshhook.metrics")


class StateMetrics(Collector):
    """The state of one installation, as one API process read it last. ``clock``: monotonic seconds."""

    def __init__(self, database: Database, retention_days: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._retention_days = retention_days
        self._clock = clock
        self._reading: asyncio.Task[None] | None = None
        self._next_at = self._slow_next_at = float("-inf")
        self._read_at = float("-inf")
        self._took_s = 0.0
        self._figures: Figures | None = None
        self._storage: Storage | None = None

    async def refresh(self) -> None:
        """Read anew if it is time. Several who ask at once wait for the same; nobody waits for long."""
        if self._reading is None and self._clock() >= self._next_at:
            self._reading = asyncio.create_task(self._read())
            self._reading.add_done_callback(self._done)
        if self._reading is not None:
            await asyncio.wait([self._reading], timeout=_PATIENCE_S)

    def latest(self) -> Figures | None:
        """The figures, if they are not too old."""
        return None if self._clock() - self._read_at > _STALE_S else self._figures

    @property
    def storage(self) -> Storage | None:
        """What changes slowly, as it was read last."""
        return self._storage

    def collect(self) -> Iterator[Metric]:
        """Called by a scrape."""
        if self._figures is not None:
            yield single("meshhook_state_age_seconds", self._clock() - self._read_at)
            yield single("meshhook_state_read_seconds", self._took_s)
        if (found := self.latest()) is None:
            return
        yield single("meshhook_queue_looked_at_ratio", found.share)
        yield from _of_server(found)
        yield from _of_sessions(found.sessions)
        if self._storage is not None:
            yield from _of_storage(self._storage)

    async def _read(self) -> None:
        began = self._clock()
        self._next_at = began + PERIOD_S
        try:
            if began >= self._slow_next_at:
                self._storage = await storage(self._database, self._retention_days)
                self._slow_next_at = began + max(SLOW_PERIOD_S, _SHARE * (self._clock() - began))
            self._figures = await figures(self._database)
        except DatabaseError as error:
            _log.warning("figures could not be read", error=str(error))
            return
        self._read_at = self._clock()
        self._took_s = self._read_at - began
        self._next_at = began + max(PERIOD_S, _SHARE * self._took_s)

    def _done(self, reading: asyncio.Task[None]) -> None:
        self._reading = None
        if not reading.cancelled() and (error := reading.exception()) is not None:
            _log.error("figures could not be read", exc_info=error)


class ByProject(Collector):
    """The part of the state that names projects."""

    def __init__(self, state: StateMetrics) -> None:
        self._state = state

    def collect(self) -> Iterator[Metric]:
        """Called by a scrape."""
        runs, oldest = gauge("meshhook_queue_runs"), gauge("meshhook_queue_oldest_seconds")
        lanes = gauge("meshhook_lanes_waiting")
        if (found := self._state.latest()) is not None:
            for queued in whole(bounded(found.queue)):
                runs.add_metric((queued.project, queued.state), queued.runs)
                if queued.state in _WITH_AGE:
                    oldest.add_metric((queued.project, queued.state), queued.oldest_s)
                if queued.state == "in_lane":
                    lanes.add_metric((queued.project,), queued.lanes)
        yield runs
        yield oldest
        yield lanes


def bounded(queue: list[Queued]) -> list[Queued]:
    """The same with ``PROJECTS_MAX`` projects at most; the others together are one more."""
    live: defaultdict[str, float] = defaultdict(float)
    for one in queue:
        live[one.project] += one.runs
    named = set(sorted(live, key=lambda project: -live[project])[:PROJECTS_MAX])
    together: dict[tuple[str, str], Queued] = {}
    for one in queue:
        place = (one.project if one.project in named else OTHER, one.state)
        before = together.get(place, Queued(*place, 0, 0, 0.0))
        together[place] = Queued(
            *place, before.runs + one.runs, before.lanes + one.lanes, max(before.oldest_s, one.oldest_s)
        )
    return list(together.values())


def whole(queue: list[Queued]) -> list[Queued]:
    """The same with every state of every project, and of the project ``default``: nothing is 0, and not nothing."""
    known = {(one.project, one.state): one for one in queue}
    projects = dict.fromkeys(["default", *(one.project for one in queue)])
    return [known.get((project, state), Queued(project, state, 0, 0, 0.0)) for project in projects for state in STATES]


def _of_server(found: Figures) -> Iterator[Metric]:
    server = found.server
    yield single("meshhook_dead_letters", server["dead_letters"])
    yield single("meshhook_schedule_lag_seconds", server["schedule_lag_s"])
    yield single("meshhook_operations_working", server["operations_working"])
    yield single("meshhook_database_connections_max", server["connections_max"])
    yield single("meshhook_database_bytes", server["bytes"])
    yield single("meshhook_database_oldest_transaction_seconds", server["oldest_transaction_s"])
    yield single("meshhook_database_wal_bytes_total", server["wal_bytes"])
    yield single("meshhook_database_temporary_bytes_total", server["temporary_bytes"])
    yield single("meshhook_database_deadlocks_total", server["deadlocks"])
    transactions, blocks = counter("meshhook_database_transactions_total"), counter("meshhook_database_blocks_total")
    transactions.add_metric(("committed",), server["committed"])
    transactions.add_metric(("rolled back",), server["rolled_back"])
    blocks.add_metric(("memory",), server["hit"])
    blocks.add_metric(("disk",), server["read"])
    yield transactions
    yield blocks


def _of_sessions(sessions: list[tuple[str, str | None, str | None, int]]) -> Iterator[Metric]:
    states = defaultdict(int, dict.fromkeys(("active", "idle", "idle in transaction"), 0))
    events = defaultdict(int, {("running", "running"): 0})
    for state, type, event, count in sessions:
        states[state] += count
        if type is not None and event is not None:
            events[type, event] += count
    connections, waits = gauge("meshhook_database_connections"), gauge("meshhook_database_waits")
    for state, count in states.items():
        connections.add_metric((state,), count)
    for labels, count in events.items():
        waits.add_metric(labels, count)
    yield connections
    yield waits


def _of_storage(found: Storage) -> Iterator[Metric]:
    yield single("meshhook_days_ahead", found.days_ahead)
    yield single("meshhook_days_kept", found.days_kept)
    families = [gauge(f"meshhook_table_{name}") for name in ("bytes", "rows", "dead_rows")]
    for table, values in found.tables.items():
        for family, value in zip(families, values, strict=True):
            family.add_metric((table,), value)
    yield from families
