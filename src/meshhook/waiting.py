"""Why a run is not running: where it stands in the queue, how many are ahead of it, and who has the slots it waits for."""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from uuid import UUID

import msgspec

from meshhook.db.connect import Database
from meshhook.db.queries import query
from meshhook.ids import shard_of
from meshhook.model import PRIORITIES

_RUN = query("run_waiting")
_LANES = query("lanes")


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """Where one live run stands in the queue.

    ``state``: ``ready`` (waits for a worker), ``entering`` (its key is about to be computed), ``in line`` (waits for a slot of its
    lane, or a token), ``asleep`` (until ``due_at``), ``leased`` (``owner`` works on it until ``due_at``).

    ``ahead`` is how many stand before it in its lane, 10,000 at most; ``holders`` the runs that have its slots, 100 at most;
    ``token_at`` when the head of its lane may start, where a rate limit holds it up.
    """

    state: Literal["ready", "entering", "in line", "asleep", "leased"]
    due_at: datetime
    owner: str | None
    priority: str
    workflow: str
    key: str | None
    limit: int | None
    strategy: str | None
    ahead: int
    holders: list[UUID]
    starts: int | None
    per_s: float | None
    token_at: datetime | None
    expires_at: datetime | None


class Lane(msgspec.Struct, frozen=True, kw_only=True):
    """One lane in which somebody stands. ``key`` is JSON text, ``null`` for the entry of a workflow; ``limit`` ``null``: none.

    ``live`` runs have a slot, ``waiting`` ones wait for it. ``token_at``: when the next may start, where a rate limit says so.
    """

    workflow: str
    key: str | None
    limit: int | None
    strategy: str
    live: int
    waiting: int
    token_at: datetime | None


async def standing(database: Database, project_id: int, run_id: UUID) -> Standing | None:
    """Where a run stands; ``None`` when the project has no such run, or it has ended."""
    rows = await database.read(_RUN, shard_of(run_id), run_id, project_id)
    if not rows:
        return None
    row = rows[0]
    return Standing(
        state=row["state"],
        due_at=row["due_at"],
        owner=row["owner"],
        priority=PRIORITIES[row["priority"]],
        workflow=row["workflow"],
        key=row["key"],
        limit=row["slots"],
        strategy=row["strategy"],
        ahead=row["ahead"],
        holders=list(row["holders"]),
        starts=row["starts"],
        per_s=row["per_s"],
        token_at=row["reserved_at"],
        expires_at=row["expires_at"],
    )


async def lanes(database: Database, project_id: int, shards: int) -> list[Lane]:
    """The lanes of a project in which somebody stands, the longest lines of each shard first."""
    rows = [row for shard in range(shards) for row in await database.read(_LANES, shard, project_id)]
    return [
        Lane(token_at=row["reserved_at"], **{name: value for name, value in row.items() if name != "reserved_at"})
        for row in rows
    ]
