"""What became of one run: reading it, and reading its events. Nothing here changes anything. Lists are in ``listing``.

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
from meshhook.origin import Origin, origin_of

EVENTS_MAX: Final = 1_000

_RUN: Final = query("run")
_EVENTS: Final = query("run_events")
_DEFINITION: Final = """
SELECT w.name, v.number, v.definition
FROM meshhook.runs r JOIN meshhook.workflows w ON w.id = r.workflow_id JOIN meshhook.versions v ON v.id = r.version_id
WHERE r.shard = $1 AND r.id = $2 AND r.project_id = $3
"""


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """Where one run stands. ``duration_s`` is from its acceptance to its end, ``null`` while it is live.

    ``test``: it is a test run of a draft, and its ``version`` has no number. ``origin`` is what began it, ``null`` where a list
    does not know it because it was begun with something large.
    """

    id: UUID
    workflow: str
    version: int | None
    test: bool
    status: RunStatus
    endpoint: str | None
    delivery_key: str | None
    epoch: int
    accepted_at: datetime
    finished_at: datetime | None
    duration_s: float | None
    origin: Origin | None


class RunDetail(Run, frozen=True, kw_only=True):
    """A run with its data. ``output`` and ``error`` are ``null`` while it is live. ``pinned``: nodes that did not do their work."""

    pinned: list[str]
    trigger: Any
    output: Any
    error: Any


class RunDefinition(msgspec.Struct, frozen=True, kw_only=True):
    """What a run runs. ``version`` is ``null`` for a test run, whose definition nothing else has; pins are written into it."""

    workflow: str
    version: int | None
    definition: dict[str, Any]


class EventPage(msgspec.Struct, frozen=True, kw_only=True):
    """Events of one run in order: ``seq``, ``type``, ``at``, ``epoch``, and the members of their type.

    ``next`` is what to ask for as ``after`` to go on, ``null`` at the end.
    """

    items: list[dict[str, Any]]
    next: int | None


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
    return RunDetail(
        **row,
        test=row["version"] is None,
        pinned=msgspec.json.decode(first["pinned"]) if "pinned" in first else [],
        duration_s=duration_s(row["accepted_at"], row["finished_at"]),
        origin=origin_of({name: msgspec.json.decode(raw) for name, raw in first.items() if name != "trigger"}),
        trigger=first["trigger"],
        output=last.get("output"),
        error=last.get("error"),
    )


async def definition(database: Database, project_id: int, id: str) -> RunDefinition:
    """The definition that a run is pinned to.

    Raises:
        Refusal: there is no such run.
    """
    run_id, shard = place_of(id)
    rows = await database.read(_DEFINITION, shard, run_id, project_id)
    if not rows:
        raise unknown_run(id)
    row = rows[0]
    return RunDefinition(workflow=row["name"], version=row["number"], definition=msgspec.json.decode(row["definition"]))


def duration_s(accepted_at: datetime, finished_at: datetime | None) -> float | None:
    """How long a run took; ``None`` while it is live."""
    return None if finished_at is None else (finished_at - accepted_at).total_seconds()


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
