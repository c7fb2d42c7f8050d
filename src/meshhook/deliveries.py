"""Reading the delivery log of an endpoint: what the door refused, and the runs of what it accepted, newest first."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final, Literal
from uuid import UUID

import msgspec

from meshhook.catalog import endpoint_id
from meshhook.db.connect import Connection, Database, Row
from meshhook.errors import Refusal
from meshhook.ids import unix_ms_of

PAGE_MAX: Final = 500
Outcome = Literal["accepted", "refused"]
_NEWEST: Final = (2**63 - 1, UUID(int=(1 << 128) - 1))
_CURSOR: Final = re.compile(r"(\d{1,18})\.([0-9a-f-]{36})")
_COUNTED: Final = timedelta(hours=24)


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """One delivery. Refused: ``problem`` and ``detail`` say why; ``unwritten`` alike came before it and have no line."""

    at: datetime
    outcome: Outcome
    status: int
    run_id: UUID | None = None
    run_status: str | None = None
    delivery_key: str | None = None
    problem: str | None = None
    detail: str | None = None
    remote: str | None = None
    unwritten: int = 0


class DeliveryPage(msgspec.Struct, frozen=True, kw_only=True):
    """Some deliveries, newest first. ``refused``: how many of each problem in the last day, also those without a line.

    A page may hold fewer than asked for, even none, and still have a ``next``: go on with it until it is ``null``.
    """

    items: list[Delivery]
    next: str | None
    refused: dict[str, int]


_Placed = tuple[int | UUID, Delivery]
"""A delivery with its place among those of its kind: the number of the refusal, or the id of the run."""


async def deliveries(
    database: Database,
    project_id: int,
    path: str,
    *,
    outcome: Outcome | None = None,
    cursor: str | None = None,
    limit: int = 50,
) -> DeliveryPage:
    """One page of the delivery log; looks at a bounded number of rows, whatever is asked for.

    Raises:
        Refusal: there is no such endpoint, or the cursor is none of ours.
    """
    refusal_before, run_before = _NEWEST if cursor is None else _read_cursor(cursor)
    id = await endpoint_id(database, project_id, path)
    refused: list[_Placed] = []
    accepted: list[_Placed] = []
    seen_from: UUID | None = None
    async with database.connection() as connection:
        if outcome != "accepted":
            refused = await _refused(connection, id, refusal_before, limit + 1)
        if outcome != "refused":
            accepted, seen_from = await _accepted(connection, id, run_before, limit + 1)
        counts = await _counts(connection, id)
    if seen_from is not None:  # what lies below was not looked at yet, so nothing older may be shown before it
        horizon = _time_of(seen_from)
        refused = [(number, item) for number, item in refused if item.at >= horizon]
    found = sorted([*refused, *accepted], key=lambda pair: pair[1].at, reverse=True)
    shown, rest = found[:limit], found[limit:]
    refusal_before = min([refusal_before, *(place for place, _ in shown if isinstance(place, int))])
    run_before = min([run_before, *(place for place, _ in shown if isinstance(place, UUID))])
    if seen_from is not None and not any(isinstance(place, UUID) for place, _ in rest):
        run_before = min(run_before, seen_from)
    more = bool(rest) or seen_from is not None
    return DeliveryPage(
        items=[item for _, item in shown], next=f"{refusal_before}.{run_before}" if more else None, refused=counts
    )


async def _refused(connection: Connection[Row], id: int, before: int, limit: int) -> list[_Placed]:
    rows = await connection.fetch(
        "SELECT id, at, status, delivery_key, problem, detail, remote, unwritten FROM meshhook.refusals "
        "WHERE endpoint_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3",
        id,
        before,
        limit,
    )
    return [(row["id"], Delivery(outcome="refused", **{k: v for k, v in row.items() if k != "id"})) for row in rows]


async def _accepted(
    connection: Connection[Row], id: int, before: UUID, limit: int
) -> tuple[list[_Placed], UUID | None]:
    """Runs of every shard, and from where on upwards all of them were seen; ``None`` when that is everything."""
    rows: list[Row] = []
    seen_from: UUID | None = None
    shards = await connection.fetchval("SELECT value::int FROM meshhook.settings WHERE name = 'shards'")
    for shard in range(shards):
        found = await connection.fetch(
            "SELECT * FROM meshhook.deliveries_accepted($1, $2, $3, $4)", shard, before, id, limit
        )
        end = (
            found[-1]["id"]
            if len(found) == limit
            else await connection.fetchval("SELECT meshhook.runs_scanned($1, $2)", shard, before)
        )
        rows += found
        seen_from = max(filter(None, (seen_from, end)), default=None)
    kept = [row for row in rows if seen_from is None or row["id"] >= seen_from]
    return [
        (
            row["id"],
            Delivery(
                at=_time_of(row["id"]),
                outcome="accepted",
                status=202,
                run_id=row["id"],
                run_status=row["status"],
                delivery_key=row["delivery_key"],
            ),
        )
        for row in kept
    ], seen_from


async def _counts(connection: Connection[Row], id: int) -> dict[str, int]:
    rows = await connection.fetch(
        "SELECT problem, sum(refused)::bigint AS refused FROM meshhook.refusal_counts "
        "WHERE endpoint_id = $1 AND hour > meshhook.now() - $2::interval GROUP BY problem ORDER BY problem",
        id,
        _COUNTED,
    )
    return {row["problem"]: row["refused"] for row in rows}


def _time_of(run_id: UUID) -> datetime:
    return datetime.fromtimestamp(unix_ms_of(run_id) / 1000, UTC)


def _read_cursor(text: str) -> tuple[int, UUID]:
    found = _CURSOR.fullmatch(text)
    try:
        if found is not None:
            return int(found[1]), UUID(found[2])
    except ValueError:
        pass
    raise Refusal(400, "bad-cursor", "The cursor is none of ours", "Use `next` of the page before as it is.")
