"""Operations: one thing done to many runs. Failed ones are replayed or discarded, live ones cancelled.

An operation is a row, and any worker works it off in batches:

    take_batch:  lock the operation ──► what it goes over next ──► do it to each run ──► move its cursor   (one transaction)

So it is done once to each run, whoever is killed when: a batch is there with its cursor, or neither is. Batches keep their
distance, and replays wait while runs of the project wait for a worker: new work has the first claim.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, Literal
from uuid import UUID

import msgspec
import structlog

from meshhook import audit
from meshhook.db.connect import Connection, Database, Row
from meshhook.dead_letters import LetterFilter, parts_of
from meshhook.errors import DatabaseError, Refusal
from meshhook.ids import make_run_id
from meshhook.outbox import Signal
from meshhook.replaying import VersionWanted, replay_in
from meshhook.store import Store, rooms_in, signal_in

Kind = Literal["replay", "cancel", "discard"]
OperationState = Literal["working", "done", "stopped"]

BATCH: Final = 100
PER_S: Final = 200
"""Runs an operation deals with in a second, at most."""

LOOKED: Final = 5_000
"""Rows that one batch looks at for what matches."""

LAG_S_MAX: Final = 1.0
HELD_BACK: Final = timedelta(seconds=1)
PAGE_MAX: Final = 200
COUNT_MAX: Final = 100_000
WORKING_MAX: Final = 10
_EXAMPLES: Final = 5
_REASON_LENGTH_MAX: Final = 1_000
_LOOK_S: Final = 1.0
_BREATH_S: Final = 0.05
_SOON: Final = timedelta(seconds=1)
_ALIVE: Final = timedelta(seconds=5)
_FIRST: Final = UUID(int=0)
_LAST: Final = UUID(int=(1 << 128) - 1)

_log = structlog.get_logger("meshhook.operations")
_encode = msgspec.json.Encoder().encode

_LETTERS: Final = "SELECT * FROM meshhook.operation_letters($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)"
_LAG: Final = """
SELECT coalesce(max(lag.s), 0) FROM meshhook.pressure($1) p, unnest(p.projects, p.lags_s) AS lag (project_id, s)
WHERE lag.project_id = $2
"""
_RUNS: Final = "SELECT * FROM meshhook.operation_runs($1, $2, $3, $4, $5, $6, $7, $8)"
_COLUMNS: Final = (
    "id, project_id, kind, filter, version, reason, actor, state, expected, matched, done, refused, refusals, "
    "shard, after, next_at, began_at, finished_at"
)
_BEGIN: Final = f"""
INSERT INTO meshhook.operations (id, project_id, kind, filter, version, reason, actor, expected, next_at, began_at)
VALUES ($1, $2, $3, $4::json, $5, $6, $7, $8, $9, $9)
RETURNING {_COLUMNS}
"""  # noqa: S608 - no value in it
_TAKE: Final = f"""
SELECT {_COLUMNS} FROM meshhook.operations WHERE state = 'working' AND next_at <= meshhook.now()
ORDER BY next_at LIMIT 1 FOR UPDATE SKIP LOCKED
"""  # noqa: S608
_MOVE: Final = """
UPDATE meshhook.operations
SET shard = $2, after = $3, matched = matched + $4 + $5, done = done + $4, refused = refused + $5, refusals = $6::json,
    next_at = meshhook.now() + $7, state = $8, finished_at = CASE WHEN $8 = 'done' THEN meshhook.now() END
WHERE id = $1
"""
_HOLD_BACK: Final = "UPDATE meshhook.operations SET next_at = meshhook.now() + $2 WHERE id = $1"
_STOP: Final = f"""
UPDATE meshhook.operations SET state = 'stopped', finished_at = meshhook.now() WHERE id = $1 AND project_id = $2
AND state = 'working' RETURNING {_COLUMNS}
"""  # noqa: S608
_DISCARD: Final = "DELETE FROM meshhook.dead_letters WHERE shard = $1 AND run_id = ANY ($2::uuid[])"


class Refused(msgspec.Struct, frozen=True, kw_only=True):
    """How many runs were refused for one reason: its problem type, what it said of the last one, and some of the runs."""

    problem: str
    count: int
    detail: str
    runs: list[UUID]


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """One thing done to many runs, and how far it is.

    ``matched`` runs passed the filter so far: with ``done`` of them it was done, ``refused`` of them could not be. ``expected`` is
    how many there seemed to be when it began (counted up to 100,000). What comes after that moment is none of its business.
    """

    id: UUID
    kind: Kind
    filter: LetterFilter
    version: VersionWanted
    reason: str | None
    actor: str
    state: OperationState
    expected: int
    matched: int
    done: int
    refused: int
    refusals: list[Refused]
    began_at: datetime
    finished_at: datetime | None


class Preview(msgspec.Struct, frozen=True, kw_only=True):
    """What an operation would go over now: how many runs (counted up to 100,000), and the first of them."""

    kind: Kind
    matched: int
    more: bool
    runs: list[UUID]


class OperationPage(msgspec.Struct, frozen=True, kw_only=True):
    """Operations, newest first. ``before`` asks for the next page; ``null`` when there is none."""

    items: list[Operation]
    before: UUID | None


class OperationWanted(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to be done, and to which runs.

    ``filter``: of replay and discard, which dead letters; of cancel, which live runs (``workflow``, and ``since`` and ``until`` of
    their acceptance). An empty one means all of the project. ``version`` is for replays, ``reason`` for cancellations.
    """

    kind: Kind
    filter: LetterFilter = LetterFilter()
    version: VersionWanted = "published"
    reason: str | None = None
    dry_run: bool = False


# Asking for one, looking at it, stopping it --------------------------------------------------------------------------


async def begin(database: Database, project_id: int, wanted: OperationWanted) -> Operation:
    """Begin an operation; workers take it from there.

    Raises:
        Refusal: it makes no sense, there is no such workflow, or too many are under way.
    """
    filter = _checked(wanted)
    expected = (await preview(database, project_id, wanted)).matched
    async with database.transaction() as connection:
        await connection.execute(
            "SELECT FROM meshhook.projects WHERE id = $1 FOR NO KEY UPDATE", project_id
        )  # one at a time
        await _check_room(connection, project_id)
        now = await connection.fetchval("SELECT meshhook.now()")
        row = await connection.fetchrow(
            _BEGIN,
            UUID(make_run_id(0, time.time_ns() // 1_000_000)),
            project_id,
            wanted.kind,
            _encode(filter).decode(),
            wanted.version,
            wanted.reason,
            audit.actor(),
            expected,
            now,
        )
        assert row is not None
        detail = {"kind": wanted.kind, "filter": filter, "expected": expected}
        await audit.record(connection, project_id, "operation.begin", str(row["id"]), detail)
    return _operation(row)


async def preview(database: Database, project_id: int, wanted: OperationWanted) -> Preview:
    """What an operation would go over if it began now. Nothing is changed.

    Raises:
        Refusal: it makes no sense, or there is no such workflow.
    """
    filter = _checked(wanted)
    count, first, more = 0, list[UUID](), False
    for shard in range(await Store(database).shards()):
        after: UUID | None = _FIRST
        while after is not None and not more:
            async with database.transaction() as connection:
                now = await connection.fetchval("SELECT meshhook.now()")
                found, after = await _next(connection, project_id, wanted.kind, filter, now, shard, after)
            first += found[: _EXAMPLES - len(first)]
            count += len(found)
            more = count >= COUNT_MAX
    return Preview(kind=wanted.kind, matched=min(count, COUNT_MAX), more=more, runs=first)


async def operation(database: Database, project_id: int, id: str) -> Operation:
    """One operation, as far as it is.

    Raises:
        Refusal: the project has no such operation.
    """
    query = f"SELECT {_COLUMNS} FROM meshhook.operations WHERE id = $1 AND project_id = $2"  # noqa: S608
    rows = await database.read(query, _read_id(id), project_id)
    if not rows:
        raise _unknown(id)
    return _operation(rows[0])


async def operations(
    database: Database, project_id: int, *, before: UUID | None = None, limit: int = 50
) -> OperationPage:
    """One page of a project's operations, newest first."""
    query = f"SELECT {_COLUMNS} FROM meshhook.operations WHERE project_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3"  # noqa: S608
    rows = await database.read(query, project_id, before or _LAST, limit + 1)
    items = [_operation(row) for row in rows[:limit]]
    return OperationPage(items=items, before=items[-1].id if len(rows) > limit else None)


async def stop(database: Database, project_id: int, id: str) -> Operation:
    """End an operation after the batch it is at. What was done stays done; one that is over stays as it is.

    Raises:
        Refusal: the project has no such operation.
    """
    async with database.transaction() as connection:
        row = await connection.fetchrow(_STOP, _read_id(id), project_id)
        if row is not None:
            await audit.record(connection, project_id, "operation.stop", id, _counts(row))
    return await operation(database, project_id, id) if row is None else _operation(row)


def _checked(wanted: OperationWanted) -> LetterFilter:
    filter = wanted.filter.checked()
    if wanted.kind == "cancel" and (filter.error_type is not None or filter.node is not None):
        raise _bad_request("error_type and node are of runs that failed; what lives has neither")
    if wanted.kind != "cancel" and wanted.reason is not None:
        raise _bad_request("reason is for cancellations")
    if wanted.kind != "replay" and wanted.version != "published":
        raise _bad_request("version is for replays")
    if wanted.reason is not None and (len(wanted.reason) > _REASON_LENGTH_MAX or "\0" in wanted.reason):
        raise _bad_request(f"reason is a text of at most {_REASON_LENGTH_MAX} characters")
    return filter


async def _check_room(connection: Connection[Row], project_id: int) -> None:
    query = "SELECT count(*) FROM meshhook.operations WHERE state = 'working' AND project_id = $1"
    if await connection.fetchval(query, project_id) >= WORKING_MAX:
        raise Refusal(
            409,
            "too-many-operations",
            "Too many operations are under way",
            f"At most {WORKING_MAX} operations of a project work at once. Wait for one to end, or stop one.",
        )


# Working one off -----------------------------------------------------------------------------------------------------


async def keep_working(database: Database, shards: int) -> None:
    """Work off whatever operations there are, for ever. Half of the time is left to others."""
    while True:
        began = time.monotonic()
        try:
            worked = await take_batch(database, shards)
        except DatabaseError as error:
            _log.warning("an operation was put off", error=str(error))
            worked = False
        except Exception as error:  # noqa: BLE001 what is done beside the work must never end it
            _log.error("an operation failed, and is tried again later", exc_info=error)
            worked = False
        await asyncio.sleep(max(_BREATH_S, time.monotonic() - began) if worked else _LOOK_S)


async def take_batch(database: Database, shards: int) -> bool:
    """Do the next batch of an operation that is due; ``False`` when there is none.

    Raises:
        DatabaseError: nothing was done; or, when the outcome is unknown, the whole batch or nothing.
    """
    async with database.transaction() as connection:
        row = await connection.fetchrow(_TAKE)
        if row is None:
            return False
        most = await _room(connection, row["project_id"]) if row["kind"] == "replay" else BATCH
        if most <= 0:
            await connection.execute(_HOLD_BACK, row["id"], HELD_BACK)
            return True
        with audit.acting_as(row["actor"]):
            reached = await _do_batch(connection, row, shards, min(BATCH, most))
    await Store(database).poke(row["shard"], reached)
    return True


async def _room(connection: Connection[Row], project_id: int) -> int:
    """How many runs may be begun now: none while others wait for a worker, and no more than the project may have."""
    if await connection.fetchval(_LAG, _ALIVE, project_id) > LAG_S_MAX:
        return 0
    return (await rooms_in(connection)).get(project_id, BATCH)


@dataclass(slots=True)
class _Batch:
    """What became of one batch: the runs it was done to, those that were refused, and the live ones that are to be poked."""

    done: list[UUID] = field(default_factory=list)
    refused: list[tuple[UUID, Refusal]] = field(default_factory=list)
    reached: set[UUID] = field(default_factory=set)


async def _do_batch(connection: Connection[Row], row: Row, shards: int, most: int) -> set[UUID]:
    """One batch of at most so many runs, of an operation whose row is locked, and its cursor; returns the runs to poke."""
    filter = msgspec.json.decode(row["filter"], type=LetterFilter)
    shard, project_id = row["shard"], row["project_id"]
    found, last = await _next(
        connection, project_id, row["kind"], filter, row["began_at"], shard, row["after"], take=most
    )
    batch = _Batch()
    match row["kind"]:
        case "replay":
            await _replay(connection, shard, project_id, found, row["version"], batch)
        case "discard":
            await connection.execute(_DISCARD, shard, found)
            batch.done = found
        case _:
            await _cancel(connection, shard, found, row, batch)
    over = last is None and shard + 1 >= shards
    await connection.execute(
        _MOVE,
        row["id"],
        shard if last is not None or over else shard + 1,
        last if last is not None else row["after"] if over else _FIRST,
        len(batch.done),
        len(batch.refused),
        _encode(_added(row["refusals"], batch.refused)).decode(),
        timedelta(seconds=len(found) / PER_S),
        "done" if over else "working",
    )
    if batch.done:
        detail = {"operation": str(row["id"]), "runs": [str(id) for id in batch.done]}
        await audit.record(connection, project_id, f"operation.{row['kind']}", str(row["id"]), detail)
    if over:
        counts = {
            "matched": row["matched"] + len(found),
            "done": row["done"] + len(batch.done),
            "refused": row["refused"] + len(batch.refused),
        }
        await audit.record(connection, project_id, "operation.done", str(row["id"]), counts)
    return batch.reached


async def _next(
    connection: Connection[Row],
    project_id: int,
    kind: str,
    filter: LetterFilter,
    began_at: datetime,
    shard: int,
    after: UUID,
    *,
    take: int = 0,
) -> tuple[list[UUID], UUID | None]:
    """What comes next in a shard, and how far was looked; ``None`` at its end. ``take``: so many, locked; else all to look at."""
    limit = take or LOOKED
    workflow_id, error_type, node, since, until = await parts_of(connection, project_id, filter)
    if kind == "cancel":
        soon = began_at + _SOON  # ids are made by the clocks of others, which may be a little ahead
        end = soon if until is None else min(until, soon)
        row = await connection.fetchrow(_RUNS, shard, after, project_id, workflow_id, since, end, LOOKED, limit)
    else:
        end = began_at if until is None else min(until, began_at)
        row = await connection.fetchrow(
            _LETTERS, shard, after, project_id, workflow_id, error_type, node, since, end, LOOKED, limit, take > 0
        )
    assert row is not None
    return list(row["run_ids"]), row["last"]


async def _replay(
    connection: Connection[Row], shard: int, project_id: int, found: Sequence[UUID], version: Any, batch: _Batch
) -> None:
    for run_id in found:
        try:
            await replay_in(connection, shard, run_id, project_id, version=version)
        except Refusal as refusal:  # raised before anything is written for this run
            batch.refused.append((run_id, refusal))
        else:
            batch.done.append(run_id)


async def _cancel(connection: Connection[Row], shard: int, found: Sequence[UUID], row: Row, batch: _Batch) -> None:
    if not found:
        return
    body = _encode({"by": row["actor"], "reason": row["reason"] or f"operation {row['id']}"}).decode()
    batch.reached = await signal_in(connection, shard, [Signal(run_id, "cancel", body) for run_id in found])
    batch.done = [run_id for run_id in found if run_id in batch.reached]
    batch.refused = [(run_id, _finished(run_id)) for run_id in found if run_id not in batch.reached]


def _finished(run_id: UUID) -> Refusal:
    return Refusal(409, "run-finished", "The run is finished", f"The run {run_id} has ended by itself meanwhile.")


def _added(text: str, refused: Sequence[tuple[UUID, Refusal]]) -> dict[str, Any]:
    """The refusals so far and these: bounded, however many they are, for there are few reasons."""
    refusals: dict[str, Any] = msgspec.json.decode(text)
    for run_id, refusal in refused:
        known = refusals.setdefault(refusal.problem, {"count": 0, "detail": "", "runs": []})
        known["count"] += 1
        known["detail"] = refusal.detail
        known["runs"] = [*known["runs"], str(run_id)][:_EXAMPLES]
    return refusals


def _operation(row: Row) -> Operation:
    members = {name: value for name, value in row.items() if name in Operation.__struct_fields__}
    refusals = [
        Refused(problem=problem, count=it["count"], detail=it["detail"], runs=[UUID(run) for run in it["runs"]])
        for problem, it in msgspec.json.decode(row["refusals"]).items()
    ]
    filter = msgspec.json.decode(row["filter"], type=LetterFilter)
    return Operation(**members | {"filter": filter, "refusals": refusals})


def _counts(row: Row) -> dict[str, int]:
    return {name: row[name] for name in ("matched", "done", "refused")}


def _read_id(id: str) -> UUID:
    try:
        return UUID(id)
    except ValueError:
        raise _unknown(id) from None


def _unknown(id: str) -> Refusal:
    return Refusal(
        404, "unknown-operation", "There is no such operation", f"There is no operation {id[:64]!r}. Check the id."
    )


def _bad_request(reason: str) -> Refusal:
    return Refusal(400, "bad-request", "The request has faults", f"{reason}.")
