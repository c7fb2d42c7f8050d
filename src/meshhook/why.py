"""Why a run is not running: everything that is known about it is gathered here, and weighed in ``reasons``."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import msgspec

from meshhook import history, waiting
from meshhook.db.connect import Database
from meshhook.db.queries import query
from meshhook.machine import fold
from meshhook.reasons import Cause, Facts, reasons, told

JOURNAL_MAX_BYTES: Final = 8 * 1024 * 1024
"""A journal that is larger is not read for this; what its steps wait for is not told then."""

_ALIVE: Final = timedelta(seconds=5)
_FACTS: Final = query("why")
_EVENTS: Final = "SELECT events FROM meshhook.journal WHERE shard = $1 AND run_id = $2 ORDER BY seq"


class Why(msgspec.Struct, frozen=True, kw_only=True):
    """Why a run is not running, as of ``at``. ``reasons`` is never empty; what is to be dealt with first comes first."""

    run_id: UUID
    status: str
    at: datetime
    reasons: list[Cause]


async def why(database: Database, project_id: int, id: str) -> Why:
    """Everything that holds a run up.

    Raises:
        Refusal: there is no such run.
    """
    run_id, shard = history.place_of(id)
    standing = await waiting.standing(database, project_id, run_id)
    rows = await database.read(_FACTS, shard, run_id, project_id, _ALIVE)
    if not rows:
        raise history.unknown_run(id)
    row = rows[0]
    events: list[dict[str, Any]] = []
    if row["journal_bytes"] <= JOURNAL_MAX_BYTES and row["finished_at"] is None:
        for written in await database.read(_EVENTS, shard, run_id):
            events += msgspec.json.decode(written["events"])
    state = fold(events) if events else None
    paused_by, failures = told(events)
    facts = Facts(
        now=row["now"],
        run_id=str(run_id),
        # It may have ended between two looks; the journal was looked at last.
        status=row["status"] if state is None or state.ended is None else state.ended,
        state=state,
        standing=standing,
        workers=row["workers"],
        holder_lives=row["holder_lives"],
        ahead=row["ahead"],
        pace_per_s=row["pace_per_s"],
        signals=row["signals"] or [],
        paused_by=paused_by,
        failures=failures,
    )
    return Why(run_id=run_id, status=facts.status, at=facts.now, reasons=reasons(facts))
