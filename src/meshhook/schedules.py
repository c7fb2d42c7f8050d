"""Schedules: made, changed and read; and fired by any worker, each tick once.

Firing is one transaction: schedules that are due are locked, ``timetable`` decides, runs are started and the schedules moved on. So
a tick has its run exactly when it is over, whoever crashes when; any number of workers may do it.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Final
from uuid import UUID

import msgspec
import structlog

from meshhook import audit
from meshhook.catalog import unknown_workflow
from meshhook.db.connect import Connection, Database, Row
from meshhook.errors import CronError, DatabaseError, ExpressionError, Refusal, ScheduleError
from meshhook.ids import make_run_id, shard_for_key, shard_of
from meshhook.naming import check_name, is_name
from meshhook.store import RunStart, rooms_in, start_runs
from meshhook.timetable import Plan, Tick, Timetable, due_at, faults_of, first_tick, plan, trigger_of

NEXT_MAX: Final = 1_000
_BATCH: Final = 100
_LOOK_S: Final = 1.0
_LOOK_S_MIN: Final = 0.02  # what is overdue may be in the hands of another worker
_REPAIR: Final = timedelta(minutes=1)
"""A schedule that this version can't read is looked at again after so long."""

_FULL_LOOK: Final = timedelta(seconds=1)
"""How often it is looked whether a project that is full has room again."""

_KEEP: Final = timedelta(days=1)
_encode = msgspec.json.Encoder().encode
_log = structlog.get_logger("meshhook.schedules")


class Schedule(Timetable, frozen=True, kw_only=True, omit_defaults=False):
    """A schedule and where it stands.

    ``next_at`` is its next tick, ``held_at`` one that waits for the run before it. Of the ticks so far, some have started a run,
    some met a live run and were skipped, some came too late and were not made up for. ``last_error`` says why the last tick
    started none.
    """

    name: str
    workflow: str
    next_at: datetime | None
    held_at: datetime | None
    paused_at: datetime | None
    last_tick_at: datetime | None
    last_run_id: UUID | None
    last_error: str | None
    ticks_fired: int
    ticks_skipped: int
    ticks_missed: int
    created_at: datetime
    updated_at: datetime


# Made, changed and read ----------------------------------------------------------------------------------------------


async def save(
    database: Database, project_id: int, name: str, workflow: str, timetable: Timetable, *, must_be_new: bool = False
) -> Schedule:
    """Make a schedule, or change it. Its next tick stays what it was unless its times are changed.

    Raises:
        Refusal: the name is not allowed or (``must_be_new``) taken, or there is no such workflow.
        ScheduleError: the timetable has faults.
    """
    check_name("a schedule", name)
    if faults := faults_of(timetable):
        raise ScheduleError(faults)
    async with database.transaction() as connection:
        workflow_id = await _workflow_id(connection, project_id, workflow)
        now = await _now(connection)
        row = await connection.fetchrow(_MAKE, project_id, name, workflow_id, _stored(timetable), now)
        assert row is not None
        if must_be_new and not row["is_new"]:
            raise Refusal(
                409, "name-taken", "This name is taken", f"There is a schedule {name!r} already. Change that one."
            )
        if row["is_new"] or _times(_timetable(row["config"])) != _times(timetable):
            await _set_next(connection, row["id"], timetable, now)
        await connection.execute(_CHANGE, row["id"], workflow_id, _stored(timetable), now)
        action = "schedule.made" if row["is_new"] else "schedule.saved"
        detail = {
            "workflow": workflow,
            "cron": timetable.cron,
            "every_s": timetable.every_s,
            "timezone": timetable.timezone,
        }
        await audit.record(connection, project_id, action, name, detail)
    return await schedule(database, project_id, name)


async def schedules(database: Database, project_id: int) -> list[Schedule]:
    """Every schedule of a project, by name."""
    return [_schedule(row) for row in await database.read(f"{_READ} ORDER BY s.name", project_id)]


async def schedule(database: Database, project_id: int, name: str) -> Schedule:
    """One schedule.

    Raises:
        Refusal: there is none of this name.
    """
    rows = await database.read(f"{_READ} AND s.name = $2", project_id, name) if is_name(name) else []
    if not rows:
        raise _unknown(name)
    return _schedule(rows[0])


async def pause(database: Database, project_id: int, name: str) -> Schedule:
    """Let it start nothing until it is resumed. What passes meanwhile is not made up for.

    Raises:
        Refusal: there is none of this name.
    """
    async with _locked(database, project_id, name) as (connection, row):
        await connection.execute(
            "UPDATE meshhook.schedules SET paused_at = coalesce(paused_at, meshhook.now()), held_at = NULL WHERE id = $1",
            row["id"],
        )
        if row["paused_at"] is None:
            await audit.record(connection, project_id, "schedule.paused", name)
    return await schedule(database, project_id, name)


async def resume(database: Database, project_id: int, name: str) -> Schedule:
    """Go on from the next tick after now; nothing changes when it is not paused.

    Raises:
        Refusal: there is none of this name.
    """
    async with _locked(database, project_id, name) as (connection, row):
        if row["paused_at"] is not None:
            await connection.execute("UPDATE meshhook.schedules SET paused_at = NULL WHERE id = $1", row["id"])
            await _set_next(connection, row["id"], _timetable(row["config"]), await _now(connection))
            await audit.record(connection, project_id, "schedule.resumed", name)
    return await schedule(database, project_id, name)


async def delete(database: Database, project_id: int, name: str) -> None:
    """Take a schedule away; its runs stay.

    Raises:
        Refusal: there is none of this name.
    """
    async with _locked(database, project_id, name) as (connection, row):
        await connection.execute("DELETE FROM meshhook.schedules WHERE id = $1", row["id"])
        await audit.record(connection, project_id, "schedule.deleted", name)


async def now(database: Database) -> datetime:
    """The clock that schedules go by."""
    async with database.connection() as connection:
        return await _now(connection)


# Fired ---------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Due:
    """A schedule that wants attention, and what is to be done with it."""

    row: Row
    timetable: Timetable
    plan: Plan
    starts: list[tuple[Tick, RunStart]]
    error: str | None


async def keep_firing(database: Database, shards: int) -> None:
    """Fire what is due, for ever; a database that is gone is waited for."""
    while True:
        pause_s = _LOOK_S
        try:
            pause_s = await fire(database, shards)
        except DatabaseError as error:
            _log.warning("schedules put off", error=str(error))
        except Exception as error:  # noqa: BLE001 whatever it is, the next ticks must not be lost by it
            _log.error("schedules could not be fired", exc_info=error)
        await asyncio.sleep(pause_s)


async def fire(database: Database, shards: int) -> float:
    """Start the runs of ticks that are due; returns in how many seconds to look again.

    Raises:
        Unavailable: nothing was started. OutcomeUnknown: the schedules know.
    """
    async with database.transaction() as connection:
        rows = await connection.fetch("SELECT * FROM meshhook.due_schedules($1)", _BATCH)
        if rows:
            live = await _live(connection, [row["last_run_id"] for row in rows if row["last_run_id"] is not None])
            due = _within(
                [_decide(row, row["last_run_id"] in live, shards) for row in rows], await rooms_in(connection)
            )
            new = await _start(connection, due)
            await _move(connection, due, new)
        next_s = await connection.fetchval("SELECT meshhook.next_schedule_s()")
    if rows and (count := sum(len(started) for started in new)):
        _log.info("schedules fired", runs=count)
    return _LOOK_S if next_s is None else min(_LOOK_S, max(_LOOK_S_MIN, next_s))


def _decide(row: Row, is_live: bool, shards: int) -> _Due:
    """What to do with one schedule; a fault of it stays its own."""
    try:
        timetable = _timetable(row["config"])
        decided = plan(timetable, str(row["id"]), row["tick_at"], row["held_at"], is_live, row["now"])
    except (msgspec.MsgspecError, CronError) as error:
        later = Plan([], row["held_at"], row["tick_at"], row["now"] + _REPAIR, 0, 0)
        return _Due(row, Timetable(), later, [], f"it can't be read: {error}")
    try:
        starts = [(tick, _run_of(row, timetable, tick, shards)) for tick in decided.start]
    except ExpressionError as error:
        return _Due(row, timetable, decided, [], f"the input can't be made: {error}")
    return _Due(row, timetable, decided, starts, None)


def _within(due: Sequence[_Due], rooms: dict[int, int]) -> list[_Due]:
    """What is due, but what starts runs in a project that is full stays where it is, and is looked at again soon.

    So it goes on as after a time without workers: what is over by more than the grace then is up to the policy for missed ticks.
    """
    kept = []
    for of in due:
        project = of.row["project_id"]
        if of.starts and rooms.get(project, 1) <= 0:
            later = Plan([], of.row["held_at"], of.row["tick_at"], of.row["now"] + _FULL_LOOK, 0, 0)
            kept.append(_Due(of.row, of.timetable, later, [], _FULL))
            continue
        if project in rooms:
            rooms[project] -= len(of.starts)
        kept.append(of)
    return kept


def _run_of(row: Row, timetable: Timetable, tick: Tick, shards: int) -> RunStart:
    """The run of a tick. Its key is the tick, so that even a schedule set back by hand starts it once."""
    key = f"{row['id']}/{tick.at.isoformat()}"
    shard = shard_for_key(0, f"schedule/{key}", shards)
    return RunStart(
        run_id=make_run_id(shard, int(row["now"].timestamp() * 1000)),
        project_id=row["project_id"],
        workflow=row["workflow"],
        version_id=None,
        scope="schedule",
        key=key,
        body_hash=hashlib.sha256(key.encode()).digest(),
        trigger=_encode(trigger_of(timetable, row["name"], tick, row["now"])).decode(),
        members='{"source":"schedule"}',
    )


async def _live(connection: Connection[Row], run_ids: Iterable[UUID]) -> set[UUID]:
    by_shard: dict[int, list[UUID]] = defaultdict(list)
    for run_id in run_ids:
        by_shard[shard_of(run_id)].append(run_id)
    live: set[UUID] = set()
    for shard, ids in sorted(by_shard.items()):
        live |= {
            row["run_id"] for row in await connection.fetch("SELECT * FROM meshhook.still_live($1, $2)", shard, ids)
        }
    return live


async def _start(connection: Connection[Row], due: Sequence[_Due]) -> dict[str, str | None]:
    """Start the runs; why each did not become one, by its id, and ``None`` for those that did."""
    by_shard: dict[int, list[RunStart]] = defaultdict(list)
    for of in due:
        for _, start in of.starts:
            by_shard[shard_of(start.run_id)].append(start)
    outcomes: dict[str, str | None] = {}
    for shard, starts in sorted(by_shard.items()):
        answers = await start_runs(connection, shard, starts, _KEEP)
        outcomes |= {start.run_id: answer and answer.outcome for start, answer in zip(starts, answers, strict=True)}
    return outcomes


async def _move(connection: Connection[Row], due: Sequence[_Due], outcomes: dict[str, str | None]) -> None:
    moved = []
    for of in due:
        started = [(tick, start) for tick, start in of.starts if outcomes[start.run_id] is None]
        refused = next(
            (why for _, start in of.starts if (why := outcomes[start.run_id]) not in (None, "duplicate")), None
        )
        error = of.error or (None if refused is None else _WHY.get(refused, refused))
        last_tick, last_run = (started[-1][0].at, UUID(started[-1][1].run_id)) if started else (None, None)
        decided = of.plan
        moved.append(
            (
                *(of.row["id"], decided.tick_at, decided.due_at, decided.held_at, last_tick, last_run, error),
                *(len(started), decided.skipped, decided.missed),
            )
        )
    columns = [list(column) for column in zip(*moved, strict=True)]
    await connection.execute(
        "SELECT meshhook.move_schedules($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        *columns,
    )


_FULL: Final = "the project has as many live runs as it may have; it is tried again until there is room"
_WHY: Final = {"unpublished": "its workflow is not published, or was deleted", "gone": "its workflow is gone"}


# Rows ----------------------------------------------------------------------------------------------------------------

_READ: Final = """
    SELECT s.*, w.name AS workflow
    FROM meshhook.schedules s JOIN meshhook.workflows w ON w.id = s.workflow_id
    WHERE s.project_id = $1"""

_MAKE: Final = """
    INSERT INTO meshhook.schedules AS s (project_id, name, workflow_id, config, created_at, updated_at)
    VALUES ($1, $2, $3, $4, $5, $5)
    ON CONFLICT (project_id, name) DO UPDATE SET name = s.name
    RETURNING s.id, s.config, s.xmax = 0 AS is_new"""

_CHANGE: Final = "UPDATE meshhook.schedules SET workflow_id = $2, config = $3, updated_at = $4 WHERE id = $1"


@lru_cache(maxsize=1_000)
def _timetable(text: str) -> Timetable:
    return msgspec.json.decode(text, type=Timetable)


def _stored(timetable: Timetable) -> str:
    return _encode(timetable).decode()


def _times(timetable: Timetable) -> Any:
    """What its ticks follow from."""
    return (
        timetable.cron,
        timetable.every_s,
        timetable.timezone,
        timetable.starts_at,
        timetable.ends_at,
        timetable.jitter_s,
    )


async def _set_next(connection: Connection[Row], id: int, timetable: Timetable, now: datetime) -> None:
    tick = first_tick(timetable, now)
    due = None if tick is None else due_at(timetable, str(id), tick)
    await connection.execute(
        "UPDATE meshhook.schedules SET tick_at = $2, due_at = $3, held_at = NULL WHERE id = $1", id, tick, due
    )


@asynccontextmanager
async def _locked(database: Database, project_id: int, name: str) -> AsyncIterator[tuple[Connection[Row], Row]]:
    query = "SELECT * FROM meshhook.schedules WHERE project_id = $1 AND name = $2 FOR UPDATE"
    async with database.transaction() as connection:
        row = await connection.fetchrow(query, project_id, name) if is_name(name) else None
        if row is None:
            raise _unknown(name)
        yield connection, row


async def _workflow_id(connection: Connection[Row], project_id: int, workflow: str) -> int:
    query = "SELECT id FROM meshhook.workflows WHERE project_id = $1 AND name = $2"
    id = await connection.fetchval(query, project_id, workflow) if is_name(workflow) else None
    if id is None:
        raise unknown_workflow(workflow)
    return int(id)


async def _now(connection: Connection[Row]) -> datetime:
    moment: datetime = await connection.fetchval("SELECT meshhook.now()")
    return moment.astimezone(UTC)


def _schedule(row: Row) -> Schedule:
    timetable = _timetable(row["config"])
    return Schedule(
        **msgspec.structs.asdict(timetable),
        name=row["name"],
        workflow=row["workflow"],
        next_at=None if row["paused_at"] is not None else row["tick_at"],
        held_at=row["held_at"],
        paused_at=row["paused_at"],
        last_tick_at=row["last_tick_at"],
        last_run_id=row["last_run_id"],
        last_error=row["last_error"],
        ticks_fired=row["fired"],
        ticks_skipped=row["skipped"],
        ticks_missed=row["missed"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )


def _unknown(name: str) -> Refusal:
    return Refusal(
        404, "unknown-schedule", "There is no such schedule", f"There is no schedule {name[:120]!r}. Check the name."
    )
