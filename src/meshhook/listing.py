"""Listing runs: by status, workflow, endpoint and time, and by what somebody typed into a search box. In bounded work.

A page walks the primary key backwards and looks at so many rows at most, whatever is asked for (decision 0011). What is typed is
tried as what costs least first: a run id or its beginning is a place in that key, a dedupe key that is still remembered leads to
its runs, and anything else is a text that is looked for in the newest runs, some thousands of them for a page.
"""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime
from typing import Any, Final, Literal, NamedTuple
from uuid import UUID

import msgspec

from meshhook import catalog, history
from meshhook.db.connect import Connection, Database, Row
from meshhook.errors import Refusal
from meshhook.history import Run, duration_s, make_cursor, read_cursor
from meshhook.ids import shard_for_key, shard_of, unix_ms_of
from meshhook.model import RunStatus
from meshhook.origin import Origin, origin_in

PAGE_MAX: Final = 500
TEXT_LENGTH_MAX: Final = 200
WORKFLOWS_MAX: Final = 50
"""So many workflows may be asked for at once."""

SEARCHED_RUNS: Final = 4_000
SEARCHED_BYTES: Final = 16 * 1024 * 1024
"""Into the journals of so many runs, and so much of them, a page looks for a text; all shards together."""

Matched = Literal["id", "key", "text"]

_BEGINNING: Final = UUID(int=0)
_AFTER_ALL: Final = UUID(int=(1 << 128) - 1)
_REASON_LENGTH_MAX: Final = 300
_ENDPOINTS_MAX: Final = 1_000
_HEX: Final = re.compile(r"[0-9a-f]{8,32}")
_ID_LENGTH: Final = 36
_FIRST_MS: Final = 1_577_836_800_000  # 2020, before the first run there was
_DAY_MS: Final = 86_400_000

_SHARDS: Final = "SELECT value::int FROM meshhook.settings WHERE name = 'shards'"
_PAGE: Final = "SELECT id FROM meshhook.runs_page($1, $2, $3, $4, $5, $6, $7, $8, $9)"
_SCANNED: Final = "SELECT meshhook.runs_scanned($1, $2, $3)"
_SEARCH: Final = "SELECT * FROM meshhook.runs_search($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)"
_LISTED: Final = "SELECT * FROM meshhook.runs_listed($1, $2)"
_ENDPOINTS: Final = "SELECT id FROM meshhook.endpoints WHERE project_id = $1 ORDER BY id LIMIT $2"
_BY_KEY: Final = """
SELECT DISTINCT d.run_id FROM unnest($1::smallint[], $2::int[]) AS place (shard, endpoint_id)
JOIN meshhook.dedupe d ON d.shard = place.shard AND d.endpoint_id = place.endpoint_id AND d.key = $3
"""


class RunFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which runs are meant: those that pass every part that is given.

    ``since`` and ``until`` (exclusive) are about when they were accepted; without an offset they are UTC. ``q`` is a run id or its
    beginning (8 digits at least), a dedupe key, or a text in what started a run or came of it. ``test``: test runs
    alone, or the others alone.
    """

    statuses: list[RunStatus] = []
    workflows: list[str] = []
    endpoint: str | None = None
    test: bool | None = None
    since: datetime | None = None
    until: datetime | None = None
    q: str | None = None


_ANY: Final = RunFilter()
_WEBHOOK: Final = Origin(kind="webhook", run_id=None, step=None)


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """Why a run ended badly, in a line. ``node`` is the step that failed, ``null`` when the run did as a whole."""

    type: str
    node: str | None
    reason: str


class ListedRun(Run, frozen=True, kw_only=True):
    """A run in a list. ``failure`` is set for failed and cancelled runs; ``null`` where it would have to be looked for in a long
    journal, then reading the run tells it.
    """

    failure: Failure | None


class RunPage(msgspec.Struct, frozen=True, kw_only=True):
    """Some runs, newest first. ``next`` is the cursor of the page after this one, ``null`` at the end.

    ``cut_short``: the page is not full, because so many runs were looked at that did not pass; go on with ``next``. All that were
    accepted since ``looked_to`` have been looked at, ``null``: all there are. ``matched`` tells what the text was taken for.
    """

    items: list[ListedRun]
    next: str | None
    cut_short: bool
    looked_to: datetime | None
    matched: Matched | None


class _Parts(NamedTuple):
    """A filter as the database wants it."""

    project_id: int
    statuses: list[RunStatus] | None
    workflow_ids: list[int] | None
    endpoint_id: int | None
    test: bool | None


class _Span(NamedTuple):
    """The run ids from ``low`` on and below ``high``, in these shards."""

    low: UUID
    high: UUID
    shards: range


class _Found(NamedTuple):
    """Ids newest first, and the one below which nothing was looked at; ``None``: all there is was looked at."""

    ids: list[UUID]
    seen_from: UUID | None


async def runs(
    database: Database, project_id: int, filter: RunFilter = _ANY, *, cursor: str | None = None, limit: int = 50
) -> RunPage:
    """One page of a project's runs, newest first; looks at a bounded number of rows, whatever is asked for.

    Raises:
        Refusal: the cursor is none of ours, a part of the filter makes no sense, or there is no such workflow or endpoint.
    """
    q = _checked_text(filter.q)
    low, high = _place_of("since", filter.since, _BEGINNING), _place_of("until", filter.until, _AFTER_ALL)
    before = _AFTER_ALL if cursor is None else read_cursor(cursor)
    endpoint = filter.endpoint
    endpoint_id = None if endpoint is None else await catalog.endpoint_id(database, project_id, endpoint)
    matched: Matched | None = None
    async with database.connection() as connection:
        parts = await _parts_of(connection, project_id, filter, endpoint_id)
        everything = _Span(low, min(high, before), range(await connection.fetchval(_SHARDS)))
        if q is None:
            found = await _page(connection, parts, everything, limit)
        else:
            matched, found = await _find(connection, parts, everything, q, limit, is_first=cursor is None)
        kept = found.ids[:limit]
        rows = await connection.fetch(_LISTED, [shard_of(id) for id in kept], kept)
    last = kept[-1] if len(found.ids) > limit else found.seen_from
    return RunPage(
        items=[_listed(row) for row in rows],
        next=None if last is None else make_cursor(last),
        cut_short=last is not None and len(rows) < limit,
        looked_to=None if last is None else datetime.fromtimestamp(unix_ms_of(last) / 1000, UTC),
        matched=matched,
    )


async def _find(
    connection: Connection[Row], parts: _Parts, within: _Span, q: str, limit: int, *, is_first: bool
) -> tuple[Matched, _Found]:
    """What somebody may have meant with a text: an id, else a key, else the text itself."""
    span = id_span(q, time.time_ns() // 1_000_000)
    if span is not None:
        narrow = _Span(max(span[0], within.low), min(span[1], within.high), within.shards)
        if len(q) == _ID_LENGTH or (await _page(connection, parts, narrow, 1)).ids:
            return "id", await _page(connection, parts, narrow, limit)
    if is_first and (ids := await _passing_of_key(connection, parts, within, q)):
        return "key", _Found(ids, None)
    return "text", await _search(connection, parts, within, q, limit)


def id_span(text: str, now_ms: int) -> tuple[UUID, UUID] | None:
    """The run ids that begin with a text: from the first on, below the second. ``None`` when it is no beginning of any.

    Eight digits at least, and of a time between the first run there ever was and tomorrow: other numbers have eight digits too.
    """
    digits = text.lower().replace("-", "")
    parts = (digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:])
    if not _HEX.fullmatch(digits) or "-".join(filter(None, parts)) != text.lower().rstrip("-"):
        return None
    low, high = UUID(digits.ljust(32, "0")), UUID(digits.ljust(32, "f"))
    is_time = unix_ms_of(high) >= _FIRST_MS and unix_ms_of(low) <= now_ms + _DAY_MS
    return (low, UUID(int=high.int + 1)) if is_time and digits[12:13] in ("", "7") else None


async def _page(connection: Connection[Row], parts: _Parts, span: _Span, limit: int) -> _Found:
    """The newest runs of a span that pass, one more than ``limit`` where there are more."""
    found: list[UUID] = []
    ends: list[UUID | None] = []
    for shard in span.shards:
        rows = await connection.fetch(_PAGE, shard, span.high, span.low, *parts, limit + 1)
        found += [row["id"] for row in rows]
        if len(rows) > limit:
            ends.append(found[-1])
        else:
            ends.append(await connection.fetchval(_SCANNED, shard, span.high, span.low))
    return _merged(found, ends)


async def _search(connection: Connection[Row], parts: _Parts, span: _Span, q: str, limit: int) -> _Found:
    """The same with those that hold a text."""
    found: list[UUID] = []
    ends: list[UUID | None] = []
    in_json = msgspec.json.encode(q).decode()[1:-1]
    shares = SEARCHED_RUNS // len(span.shards) + 1, SEARCHED_BYTES // len(span.shards)
    for shard in span.shards:
        rows = await connection.fetch(_SEARCH, shard, span.high, span.low, *parts, q, in_json, limit + 1, *shares)
        found += [row["id"] for row in rows[:-1]]
        ends.append(rows[-1]["id"])
    return _merged(found, ends)


def _merged(found: list[UUID], ends: list[UUID | None]) -> _Found:
    """What was found in all shards, as far as every one of them was looked through; ``ends`` says how far each was."""
    seen_from = max((end for end in ends if end is not None), default=None)
    return _Found(sorted((id for id in found if seen_from is None or id >= seen_from), reverse=True), seen_from)


async def _passing_of_key(connection: Connection[Row], parts: _Parts, within: _Span, key: str) -> list[UUID]:
    """The runs that deliveries with a dedupe key made, as far as it is remembered, newest first."""
    shards = len(within.shards)
    endpoints = [row["id"] for row in await connection.fetch(_ENDPOINTS, parts.project_id, _ENDPOINTS_MAX)]
    places = [(shard_for_key(id, of, shards), id) for id in endpoints for of in (key, "")]  # "": gathered deliveries
    known = await connection.fetch(_BY_KEY, [shard for shard, _ in places], [id for _, id in places], key)
    passing = []
    for id in sorted((row["run_id"] for row in known), reverse=True):
        if within.low <= id < within.high:
            alone = _Span(id, UUID(int=id.int + 1), range(shard_of(id), shard_of(id) + 1))
            passing += (await _page(connection, parts, alone, 1)).ids
    return passing


async def _parts_of(connection: Connection[Row], project_id: int, filter: RunFilter, endpoint_id: int | None) -> _Parts:
    if len(filter.workflows) > WORKFLOWS_MAX:
        raise _bad_filter(f"At most {WORKFLOWS_MAX} workflows can be asked for at once")
    ids = [await history.workflow_id_of(connection, project_id, name) for name in filter.workflows]
    return _Parts(project_id, list(filter.statuses) or None, ids or None, endpoint_id, filter.test)


def _listed(row: Row) -> ListedRun:
    values = dict(row)
    head, ending = values.pop("head"), values.pop("ending")
    error = values.pop("error_type"), values.pop("error_node"), values.pop("error_reason")
    return ListedRun(
        **values,
        test=row["version"] is None,
        duration_s=duration_s(row["accepted_at"], row["finished_at"]),
        origin=origin_in(head) if head is not None else _WEBHOOK if row["endpoint"] is not None else None,
        failure=_failure(*error) if error[0] is not None else _failure_in(ending),
    )


def _failure_in(ending: str | None) -> Failure | None:
    """The failure in the last row of a journal."""
    if ending is None:
        return None
    last = msgspec.json.decode(ending)[-1]
    error: dict[str, Any] = last.get("error") or {}
    if last["type"] == "run.cancelled":
        return _failure("cancelled", None, last.get("reason") or f"cancelled by {last.get('by') or 'somebody'}")
    return _failure(error.get("type", "engine"), error.get("node"), error.get("reason", ""))


def _failure(type: str, node: str | None, reason: str) -> Failure:
    return Failure(type=type, node=node, reason=str(reason).partition("\n")[0][:_REASON_LENGTH_MAX])


def _place_of(name: str, moment: datetime | None, otherwise: UUID) -> UUID:
    """The first run id of a moment."""
    if moment is None:
        return otherwise
    if not 1971 <= moment.year <= 9000:
        raise _bad_filter(f"{name} is a moment between the years 1971 and 9000")
    unix_s = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    return UUID(int=int(unix_s * 1000) << 80)


def _checked_text(q: str | None) -> str | None:
    """What is looked for; nothing when only white space was typed."""
    text = (q or "").strip()
    if len(text) > TEXT_LENGTH_MAX or "\0" in text:
        raise _bad_filter(f"What is looked for is a text of at most {TEXT_LENGTH_MAX} characters, without NUL")
    return text or None


def _bad_filter(reason: str) -> Refusal:
    return Refusal(400, "bad-request", "The request has faults", f"{reason}.")
