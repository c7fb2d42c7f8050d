"""What became of the runs: listing them, reading one, reading its events. Nothing here changes anything.

A run id carries its shard and its time, so one run is read by primary key from one partition.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from meshhook import machine
from meshhook.catalog import read
from meshhook.db.connect import Connection, Database, Row
from meshhook.errors import Refusal
from meshhook.ids import shard_of
from meshhook.model import RunStatus

PAGE_MAX: Final = 500
SCAN_MAX: Final = 10_000
"""Rows one page may look at in one shard: a rare filter makes short pages, never a slow one."""


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """Where one run stands."""

    id: UUID
    workflow: str
    version: int
    status: RunStatus
    endpoint: str | None
    delivery_key: str | None
    epoch: int
    accepted_at: datetime
    finished_at: datetime | None


class RunDetail(Run, frozen=True, kw_only=True):
    """A run with its data. ``output`` and ``error`` are ``null`` while it is live."""

    trigger: Any
    output: Any
    error: dict[str, Any] | None


class RunPage(msgspec.Struct, frozen=True, kw_only=True):
    """Some runs, newest first. ``next`` is the cursor of the page after this one, ``null`` at the end.

    A page may hold fewer runs than asked for, even none, and still have a ``next``: go on with it.
    """

    items: list[Run]
    next: str | None


class Events(msgspec.Struct, frozen=True, kw_only=True):
    """The journal of one run: events with ``seq``, ``type``, ``at``, ``epoch`` and the members of their type."""

    items: list[dict[str, Any]]


async def runs(
    database: Database,
    project_id: int,
    shards: int,
    *,
    status: RunStatus | None = None,
    workflow: str | None = None,
    cursor: str | None = None,
    limit: int = 50,
) -> RunPage:
    """One page of a project's runs, newest first.

    Raises:
        Refusal: the cursor is none of ours.
    """
    before = UUID(int=(1 << 128) - 1) if cursor is None else _read_cursor(cursor)
    found: list[Row] = []
    floor: UUID | None = None  # where the shortest of the scans ended: below it, runs may be missing
    async with database.connection() as connection:
        for shard in range(shards):
            rows, ended = await _scan(connection, shard, project_id, status, workflow, before, limit)
            found += rows
            floor = ended if floor is None or (ended is not None and ended > floor) else floor
    found = sorted(
        (row for row in found if floor is None or row["id"] >= floor), key=lambda row: row["id"], reverse=True
    )
    page = found[:limit]
    last = page[-1]["id"] if len(page) == limit else floor
    return RunPage(items=[_run(row) for row in page], next=None if last is None else _make_cursor(last))


async def run(database: Database, project_id: int, id: str) -> RunDetail:
    """One run with its data.

    Raises:
        Refusal: there is no such run.
    """
    run_id, shard = _place_of(id)
    rows = await read(
        database,
        """
        SELECT r.id, w.name, v.number, r.status, e.path, r.delivery_key, r.epoch, r.finished_at,
               (SELECT j.at FROM meshhook.journal j WHERE j.shard = r.shard AND j.run_id = $2 AND j.seq = 1) AS accepted_at,
               ARRAY(SELECT j.events::text FROM meshhook.journal j
                     WHERE j.shard = r.shard AND j.run_id = $2 ORDER BY j.seq) AS journal
        FROM meshhook.runs r
        JOIN meshhook.workflows w ON w.id = r.workflow_id
        JOIN meshhook.versions v ON v.id = r.version_id
        LEFT JOIN meshhook.endpoints e ON e.id = r.endpoint_id
        WHERE r.shard = $1 AND r.id = $2 AND r.project_id = $3
        """,
        shard,
        run_id,
        project_id,
    )
    if not rows:
        raise unknown_run(id)
    row = rows[0]
    state = machine.fold(event for events in row["journal"] for event in msgspec.json.decode(events))
    return RunDetail(**_members(row), trigger=state.trigger, output=state.output, error=state.error)


async def events(database: Database, project_id: int, id: str) -> Events:
    """The journal of one run.

    Raises:
        Refusal: there is no such run.
    """
    run_id, shard = _place_of(id)
    rows = await read(
        database,
        """
        SELECT j.seq, j.at, j.epoch, j.events
        FROM meshhook.runs r JOIN meshhook.journal j ON j.shard = r.shard AND j.run_id = r.id
        WHERE r.shard = $1 AND r.id = $2 AND r.project_id = $3 AND j.run_id = $2
        ORDER BY j.seq
        """,
        shard,
        run_id,
        project_id,
    )
    if not rows:
        raise unknown_run(id)
    return Events(
        items=[
            {"seq": row["seq"] + offset, "type": event["type"], "at": row["at"], "epoch": row["epoch"], **event}
            for row in rows
            for offset, event in enumerate(msgspec.json.decode(row["events"]))
        ]
    )


def unknown_run(id: str) -> Refusal:
    """The project has no such run."""
    return Refusal(404, "unknown-run", "There is no such run", f"There is no run {id[:64]!r}. Check the id.")


async def _scan(
    connection: Connection[Row],
    shard: int,
    project_id: int,
    status: str | None,
    workflow: str | None,
    before: UUID,
    limit: int,
) -> tuple[list[Row], UUID | None]:
    """The newest matching runs of one shard below ``before``, and where the scan had to end (``None``: at the last row)."""
    rows = await connection.fetch(
        """
        SELECT r.id, w.name, v.number, r.status, e.path, r.delivery_key, r.epoch, r.finished_at,
               (SELECT j.at FROM meshhook.journal j WHERE j.shard = $1 AND j.run_id = r.id AND j.seq = 1) AS accepted_at
        FROM (SELECT * FROM meshhook.runs r
              WHERE r.shard = $1 AND r.id < $2 ORDER BY r.id DESC LIMIT $3) r
        JOIN meshhook.workflows w ON w.id = r.workflow_id
        JOIN meshhook.versions v ON v.id = r.version_id
        LEFT JOIN meshhook.endpoints e ON e.id = r.endpoint_id
        WHERE r.project_id = $4 AND ($5::meshhook.run_status IS NULL OR r.status = $5) AND ($6::text IS NULL OR w.name = $6)
        ORDER BY r.id DESC
        LIMIT $7
        """,
        shard,
        before,
        SCAN_MAX,
        project_id,
        status,
        workflow,
        limit,
    )
    if len(rows) == limit:
        return rows, rows[-1]["id"]
    ended = await connection.fetchval(
        "SELECT r.id FROM meshhook.runs r WHERE r.shard = $1 AND r.id < $2 ORDER BY r.id DESC OFFSET $3 LIMIT 1",
        shard,
        before,
        SCAN_MAX - 1,
    )
    return rows, ended


def _place_of(id: str) -> tuple[UUID, int]:
    try:
        run_id = UUID(id)
        return run_id, shard_of(run_id)
    except ValueError:
        raise unknown_run(id) from None


def _members(row: Row) -> Mapping[str, Any]:
    return {
        "id": row["id"],
        "workflow": row["name"],
        "version": row["number"],
        "status": row["status"],
        "endpoint": row["path"],
        "delivery_key": row["delivery_key"],
        "epoch": row["epoch"],
        "accepted_at": row["accepted_at"],
        "finished_at": row["finished_at"],
    }


def _run(row: Row) -> Run:
    return Run(**_members(row))


def _make_cursor(id: UUID) -> str:
    return base64.urlsafe_b64encode(id.bytes + _check(id.bytes)).decode()


def _read_cursor(text: str) -> UUID:
    try:
        raw = base64.b64decode(text.encode("ascii"), altchars=b"-_", validate=True)
    except ValueError:
        raise _bad_cursor() from None
    if len(raw) != 21 or _check(raw[:16]) != raw[16:]:
        raise _bad_cursor()
    return UUID(bytes=raw[:16])


def _check(id: bytes) -> bytes:
    """Tells a cursor that was cut or typed wrong; it guards nothing, for every page asks for the project again."""
    return hashlib.sha256(b"runs cursor" + id).digest()[:5]


def _bad_cursor() -> Refusal:
    return Refusal(
        400,
        "bad-cursor",
        "This cursor is none of ours",
        "Use the `next` of the page before as it is, or begin without a cursor.",
    )
