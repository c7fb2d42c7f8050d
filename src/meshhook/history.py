"""What became of the runs: listing them, reading one, reading its events. Nothing here changes anything.

A run id carries its shard and its time, so one run is read by primary key, from one partition.
"""

from __future__ import annotations

import base64
import hashlib
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from meshhook.catalog import unknown_workflow
from meshhook.db.connect import Connection, Database, Row
from meshhook.db.queries import query
from meshhook.errors import Refusal
from meshhook.ids import shard_of
from meshhook.model import RunStatus
from meshhook.naming import is_name

PAGE_MAX: Final = 500
EVENTS_MAX: Final = 1_000
_AFTER_ALL: Final = UUID(int=(1 << 128) - 1)

_PAGE: Final = "SELECT * FROM meshhook.runs_page($1, $2, $3, $4, $5, $6)"
_SCANNED: Final = "SELECT meshhook.runs_scanned($1, $2)"
_RUN: Final = query("run")
_EVENTS: Final = query("run_events")


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
    error: Any


class RunPage(msgspec.Struct, frozen=True, kw_only=True):
    """Some runs, newest first. ``next`` is the cursor of the page after this one, ``null`` at the end.

    A page may hold fewer runs than asked for, even none, and still have a ``next``: go on with it.
    """

    items: list[Run]
    next: str | None


class EventPage(msgspec.Struct, frozen=True, kw_only=True):
    """Events of one run in order: ``seq``, ``type``, ``at``, ``epoch``, and the members of their type.

    ``next`` is what to ask for as ``after`` to go on, ``null`` at the end.
    """

    items: list[dict[str, Any]]
    next: int | None


async def runs(
    database: Database,
    project_id: int,
    *,
    status: RunStatus | None = None,
    workflow: str | None = None,
    cursor: str | None = None,
    limit: int = 50,
) -> RunPage:
    """One page of a project's runs, newest first; looks at a bounded number of rows, whatever is asked for.

    Raises:
        Refusal: the cursor is none of ours, or there is no such workflow.
    """
    before = _AFTER_ALL if cursor is None else read_cursor(cursor)
    found: list[Row] = []
    seen_from: UUID | None = None  # from here on upwards every shard was looked through; None: to its end
    async with database.connection() as connection:
        workflow_id = None if workflow is None else await workflow_id_of(connection, project_id, workflow)
        for shard in range(await _shards(connection)):
            rows = await connection.fetch(_PAGE, shard, before, project_id, status, workflow_id, limit + 1)
            end = rows[-1]["id"] if len(rows) > limit else await connection.fetchval(_SCANNED, shard, before)
            found += rows
            seen_from = max(filter(None, (seen_from, end)), default=None)
    found = [row for row in found if seen_from is None or row["id"] >= seen_from]
    found.sort(key=lambda row: row["id"], reverse=True)
    last = found[limit - 1]["id"] if len(found) > limit else seen_from
    return RunPage(items=[Run(**row) for row in found[:limit]], next=None if last is None else make_cursor(last))


async def run(database: Database, project_id: int, id: str) -> RunDetail:
    """One run with its data. Its trigger is in the first event of its journal, its output and error in the last.

    Raises:
        Refusal: there is no such run.
    """
    run_id, shard = place_of(id)
    rows = await database.read(_RUN, shard, run_id, project_id)
    if not rows:
        raise unknown_run(id)
    row = dict(rows[0])
    first, last = _events_in(row.pop("first_events"))[0], (_events_in(row.pop("last_events") or "[]") or [{}])[-1]
    return RunDetail(**row, trigger=first["trigger"], output=last.get("output"), error=last.get("error"))


async def events(database: Database, project_id: int, id: str, *, after: int = 0, limit: int = EVENTS_MAX) -> EventPage:
    """Events of one run, from the one behind ``after`` on; at most ``limit``, and some MiB (always at least one).

    Raises:
        Refusal: there is no such run.
    """
    run_id, shard = place_of(id)
    rows = await database.read(_EVENTS, shard, run_id, project_id, after, limit)
    if not rows:
        raise unknown_run(id)
    items = [_event(row) for row in rows if row["event"] is not None]
    return EventPage(items=items, next=items[-1]["seq"] if items and rows[-1]["more"] else None)


async def _shards(connection: Connection[Row]) -> int:
    return int(await connection.fetchval("SELECT value::int FROM meshhook.settings WHERE name = 'shards'"))


async def workflow_id_of(connection: Connection[Row], project_id: int, workflow: str) -> int:
    """The id of a workflow.

    Raises:
        Refusal: the project has no workflow of this name.
    """
    query = "SELECT id FROM meshhook.workflows WHERE project_id = $1 AND name = $2"
    id = await connection.fetchval(query, project_id, workflow) if is_name(workflow) else None
    if id is None:
        raise unknown_workflow(workflow)
    return int(id)


async def check_known(connection: Connection[Row], project_id: int, run_id: UUID) -> None:
    """Refuse what is asked about a run of another project, or of none.

    Raises:
        Refusal: the project has no such run.
    """
    query = "SELECT FROM meshhook.runs WHERE shard = $1 AND id = $2 AND project_id = $3"
    if await connection.fetchrow(query, shard_of(run_id), run_id, project_id) is None:
        raise unknown_run(str(run_id))


def place_of(id: str) -> tuple[UUID, int]:
    """A run id as a value, and the shard where the run lives.

    Raises:
        Refusal: it is no run id, so there is no such run.
    """
    try:
        run_id = UUID(id)
        if str(run_id) != id.lower():
            raise ValueError
        return run_id, shard_of(run_id)
    except ValueError:
        raise unknown_run(id) from None


def _events_in(text: str) -> list[dict[str, msgspec.Raw]]:
    """The events of one journal row; their members go out as they are."""
    return msgspec.json.decode(text, type=list[dict[str, msgspec.Raw]])


def _event(row: Row) -> dict[str, Any]:
    members = msgspec.json.decode(row["event"], type=dict[str, msgspec.Raw])
    return {"seq": row["seq"], "type": members.pop("type"), "at": row["at"], "epoch": row["epoch"], **members}


def make_cursor(id: UUID) -> str:
    """The cursor of a page that begins below a run id."""
    return base64.urlsafe_b64encode(id.bytes + _check(id.bytes)).decode()


def read_cursor(text: str) -> UUID:
    """The run id in a cursor.

    Raises:
        Refusal: it is none of ours.
    """
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


def unknown_run(id: str) -> Refusal:
    return Refusal(404, "unknown-run", "There is no such run", f"There is no run {id[:64]!r}. Check the id.")
