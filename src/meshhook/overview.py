"""How an installation is doing, for a page that people look at: figures read now and then, put into words with a type.

What a project waits for is for everybody who may see the project. Workers, database and other projects are of the whole
installation (see ``keys.is_operator``).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from meshhook.briefly import Briefly
from meshhook.checkup import Check, judge
from meshhook.config import Settings
from meshhook.db.connect import Database
from meshhook.db.figures import QUEUE_BLOCKS, Figures, Queued, Storage
from meshhook.db.health import WORKER_ALIVE, look_by
from meshhook.db.queries import query
from meshhook.ids import unix_ms_of
from meshhook.store import Pressure

PROJECTS_MAX: Final = 50
_KEEP_S: Final = 2.0
_CHECKS_KEEP_S: Final = 15.0
_PROJECT: Final = query("backlog_of_project")
_WORKERS: Final = query("figures_workers")


class Backlog(msgspec.Struct, frozen=True, kw_only=True):
    """The live runs of a project, by what they wait for. Each is in one of these.

    ``ready``: a worker; ``in_lane``: a slot of their lane, in ``lanes_waiting`` lanes; ``leased``: nothing, a worker has them;
    ``expired``: somebody to take them over, for the lease of their worker has ended; ``sleeping``: a time; ``waiting``: an event or
    another run; ``paused``: to be resumed.

    ``ready_oldest_s``, ``in_lane_oldest_s`` and ``expired_oldest_s`` are how long the oldest of these has been due.
    """

    ready: int
    in_lane: int
    leased: int
    expired: int
    sleeping: int
    waiting: int
    paused: int
    live: int
    ready_oldest_s: float
    in_lane_oldest_s: float
    expired_oldest_s: float
    lanes_waiting: int


class ProjectState(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be done in one project. ``backlog_max`` live runs it may have, ``null``: no limit of its own.

    ``dead_letters`` are counted up to 10,000. ``share`` is the part of the queue that was looked at; below 1, counts are estimated.
    """

    name: str
    backlog: Backlog
    backlog_max: int | None
    dead_letters: int
    share: float


class DoorState(msgspec.Struct, frozen=True, kw_only=True):
    """How far behind the workers are, and what the door of the process that answered makes of it.

    ``live_runs`` of at most ``live_runs_max`` (by Postgres' statistics); ``lag_s`` is how long the run that waits longest for a
    worker has waited. ``slowed``: it lets in only a little less than workers complete; ``full``: it lets in nothing.
    """

    live_runs: int
    live_runs_max: int
    lag_s: float
    slowed: bool
    full: bool


class WorkerState(msgspec.Struct, frozen=True, kw_only=True):
    """One worker. ``committed`` and ``refused`` count writes to runs since it started: make rates of two looks.

    ``leases`` runs are held by it, the first of which ends at ``lease_until`` if it is not renewed; of them ``oldest_run_id`` was
    accepted first, at ``oldest_run_at``.
    """

    id: str
    alive: bool
    started_at: datetime
    seen_at: datetime
    committed: int
    refused: int
    leases: int
    lease_until: datetime | None
    oldest_run_id: UUID | None
    oldest_run_at: datetime | None


class TableState(msgspec.Struct, frozen=True, kw_only=True):
    """One table, all its days together. Rows are by Postgres' statistics."""

    name: str
    bytes: int
    rows: int
    dead_rows: int


class Sessions(msgspec.Struct, frozen=True, kw_only=True):
    """Sessions of this database in one state, and what those wait for that are at work."""

    state: str
    wait_type: str | None
    wait_event: str | None
    sessions: int


class DatabaseState(msgspec.Struct, frozen=True, kw_only=True):
    """The database at the moment ``at``. What ends in ``_total`` counts since the server started: make rates of two looks.

    ``tables`` are read once a minute; those that hold most come first.
    """

    at: datetime
    version: str
    connections: int
    connections_max: int
    sessions: list[Sessions]
    bytes: int
    committed_total: int
    rolled_back_total: int
    blocks_hit_total: int
    blocks_read_total: int
    wal_bytes_total: int
    temporary_bytes_total: int
    deadlocks_total: int
    oldest_transaction_s: float
    tables: list[TableState]
    days_ahead: int
    days_kept: int


class ProjectLoad(msgspec.Struct, frozen=True, kw_only=True):
    """How many live runs a project has, and since when the oldest that is ready has been due."""

    name: str
    live: int
    ready: int
    ready_oldest_s: float


class Installation(msgspec.Struct, frozen=True, kw_only=True):
    """What is of all projects together. ``projects``: those with the most live runs."""

    door: DoorState
    workers: list[WorkerState]
    database: DatabaseState
    projects: list[ProjectLoad]
    schedule_lag_s: float
    operations_working: int


class Overview(msgspec.Struct, frozen=True, kw_only=True):
    """How things are. ``installation`` is ``null`` for who may not see it: who has a key of another project than ``default``."""

    at: datetime
    project: ProjectState
    installation: Installation | None


class Checkup(msgspec.Struct, frozen=True, kw_only=True):
    """What ``meshhook doctor`` finds in the database. Checks that are not ``ok`` say what to do."""

    at: datetime
    checks: list[Check]


class Overseer:
    """Reads what the overview needs beside the figures of ``/metrics``, every two seconds at most."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._backlog_max = settings.backlog_max
        self._retention_days = settings.retention_days
        self._projects: Briefly[Mapping[str, Any]] = Briefly(_KEEP_S)
        self._workers: Briefly[list[WorkerState]] = Briefly(_KEEP_S)
        self._checkup: Briefly[Checkup] = Briefly(_CHECKS_KEEP_S)

    async def project(self, project_id: int, found: Figures) -> tuple[datetime, ProjectState]:
        """What is to be done in a project, and when that was looked at.

        Raises:
            Unavailable: there is no answer.
        """
        row = await self._projects.get(project_id, lambda: self._read_project(project_id))
        backlog = backlog_of(row["name"], found, row["sampled"], row["paused"])
        return row["at"], ProjectState(
            name=row["name"],
            backlog=backlog,
            backlog_max=row["backlog_max"],
            dead_letters=row["dead_letters"],
            share=found.share,
        )

    async def workers(self) -> list[WorkerState]:
        """The workers that were seen last, 200 at most.

        Raises:
            Unavailable: there is no answer.
        """
        return await self._workers.get("", self._read_workers)

    async def checkup(self) -> Checkup:
        """The checks of ``meshhook doctor`` that are about the database, every 15 seconds at most.

        Raises:
            Unavailable: there is no answer.
        """
        return await self._checkup.get("", self._read_checkup)

    async def _read_project(self, project_id: int) -> Mapping[str, Any]:
        return dict((await self._database.read(_PROJECT, project_id, QUEUE_BLOCKS))[0])

    async def _read_workers(self) -> list[WorkerState]:
        rows = await self._database.read(_WORKERS, WORKER_ALIVE, QUEUE_BLOCKS)
        return [WorkerState(**row, oldest_run_at=_accepted_at(row["oldest_run_id"])) for row in rows]

    async def _read_checkup(self) -> Checkup:
        async with self._database.connection() as connection:
            health = await look_by(connection, self._retention_days)
        checks = list(judge(health, self._backlog_max, self._retention_days))
        return Checkup(at=datetime.now(UTC), checks=checks)


def installation(
    found: Figures,
    storage: Storage,
    pressure: Pressure,
    workers: list[WorkerState],
    *,
    live_runs_max: int,
    slowed: bool,
    full: bool,
) -> Installation:
    """Figures as a page wants them."""
    door = DoorState(
        live_runs=pressure.queued, live_runs_max=live_runs_max, lag_s=pressure.lag_s, slowed=slowed, full=full
    )
    return Installation(
        door=door,
        workers=workers,
        database=_database(found, storage),
        projects=_projects(found.queue),
        schedule_lag_s=found.server["schedule_lag_s"],
        operations_working=found.server["operations_working"],
    )


def backlog_of(project: str, found: Figures, sampled: int, paused: int) -> Backlog:
    """The live runs of a project by state. Of ``sampled`` that wait for somebody ``paused`` are paused, and all are like them."""
    of: dict[str, Queued] = {one.state: one for one in found.queue if one.project == project}

    def runs(state: str) -> int:
        return round(of[state].runs) if state in of else 0

    def oldest_s(state: str) -> float:
        return of[state].oldest_s if state in of else 0.0

    idle = runs("waiting")
    paused_of_all = min(idle, round(idle * paused / sampled)) if sampled else 0
    return Backlog(
        ready=runs("ready"),
        in_lane=runs("in_lane"),
        leased=runs("leased"),
        expired=runs("expired"),
        sleeping=runs("sleeping"),
        waiting=idle - paused_of_all,
        paused=paused_of_all,
        live=sum(runs(state) for state in of),
        ready_oldest_s=oldest_s("ready"),
        in_lane_oldest_s=oldest_s("in_lane"),
        expired_oldest_s=oldest_s("expired"),
        lanes_waiting=of["in_lane"].lanes if "in_lane" in of else 0,
    )


def _projects(queue: list[Queued]) -> list[ProjectLoad]:
    loads = []
    for name in dict.fromkeys(one.project for one in queue):
        of = [one for one in queue if one.project == name]
        ready = next((one for one in of if one.state == "ready"), Queued(name, "ready", 0, 0, 0.0))
        live = round(sum(one.runs for one in of))
        loads.append(ProjectLoad(name=name, live=live, ready=round(ready.runs), ready_oldest_s=ready.oldest_s))
    return sorted(loads, key=lambda load: -load.live)[:PROJECTS_MAX]


def _database(found: Figures, storage: Storage) -> DatabaseState:
    server = found.server
    totals = ("committed", "rolled_back", "wal_bytes", "temporary_bytes", "deadlocks")
    return DatabaseState(
        at=server["at"],
        version=server["version"],
        connections=sum(sessions for *_, sessions in found.sessions),
        connections_max=server["connections_max"],
        sessions=[
            Sessions(state=state, wait_type=type, wait_event=event, sessions=count)
            for state, type, event, count in found.sessions
        ],
        bytes=server["bytes"],
        blocks_hit_total=server["hit"],
        blocks_read_total=server["read"],
        oldest_transaction_s=server["oldest_transaction_s"],
        tables=_tables(storage),
        days_ahead=storage.days_ahead,
        days_kept=storage.days_kept,
        **{f"{name}_total": int(server[name]) for name in totals},
    )


def _tables(storage: Storage) -> list[TableState]:
    made = [
        TableState(name=name, bytes=int(bytes), rows=int(rows), dead_rows=int(dead))
        for name, (bytes, rows, dead) in storage.tables.items()
    ]
    return sorted(made, key=lambda table: (-table.bytes, table.name))


def _accepted_at(run_id: UUID | None) -> datetime | None:
    return None if run_id is None else datetime.fromtimestamp(unix_ms_of(run_id) / 1000, UTC)
