"""Dead letters: failed runs that nobody has dealt with yet, that is: neither replayed, nor resumed from a step, nor discarded.

They are written with the failure itself (see ``outbox``), and forgotten when retention drops the day of their run.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from meshhook import audit, history
from meshhook.db.connect import Connection, Database, Row
from meshhook.errors import Refusal
from meshhook.model import split_path
from meshhook.store import Store

PAGE_MAX: Final = 500
_AFTER_ALL: Final = UUID(int=(1 << 128) - 1)
_TEXT_MAX: Final = 200
_JOURNAL_ROWS: Final = 200

_PAGE: Final = "SELECT * FROM meshhook.dead_letters_page($1, $2, $3, $4, $5, $6, $7, $8, $9)"
_SCANNED: Final = "SELECT meshhook.letters_scanned($1, $2, $3)"
_ONE: Final = """
SELECT d.run_id, w.name AS workflow, d.failed_at, d.node, d.error_type, d.reason
FROM meshhook.dead_letters d JOIN meshhook.workflows w ON w.id = d.workflow_id
WHERE d.shard = $1 AND d.run_id = $2 AND d.project_id = $3
"""
_DISCARD: Final = """
DELETE FROM meshhook.dead_letters WHERE shard = $1 AND run_id = $2 AND project_id = $3 RETURNING node, error_type
"""
_LATEST: Final = """
SELECT events FROM meshhook.journal WHERE shard = $1 AND run_id = $2 ORDER BY seq DESC LIMIT $3
"""


class LetterFilter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Which dead letters are meant: those that pass every part that is given.

    ``since`` and ``until`` (exclusive) are about when the run failed; without an offset they are UTC. ``node`` is the path of a
    step, such as ``charge`` or ``each[3].charge``.
    """

    workflow: str | None = None
    error_type: str | None = None
    node: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    def checked(self) -> LetterFilter:
        """The same with moments that have an offset.

        Raises:
            Refusal: a part can match nothing there is.
        """
        for name in ("error_type", "node"):
            text = getattr(self, name)
            if text is not None and (len(text) > _TEXT_MAX or "\0" in text):
                raise _bad_filter(f"{name} is a text of at most {_TEXT_MAX} characters, without NUL")
        return msgspec.structs.replace(self, since=_moment("since", self.since), until=_moment("until", self.until))


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """A failed run. ``node`` is the step that failed, ``null`` when the run failed as a whole; ``reason`` is its beginning."""

    run_id: UUID
    workflow: str
    failed_at: datetime
    node: str | None
    error_type: str
    reason: str


class DeadLetterDetail(DeadLetter, frozen=True, kw_only=True):
    """A dead letter with all of its error.

    ``last_step`` is the last step that was completed, ``null`` when there is none or it lies far back in the journal.
    ``resume_from`` is the node to resume it from: the one that failed.
    """

    error: Any
    last_step: str | None
    resume_from: str | None


class DeadLetterPage(msgspec.Struct, frozen=True, kw_only=True):
    """Some dead letters, newest run first. ``next`` is the cursor of the page after this one, ``null`` at the end.

    A page may hold fewer than asked for, even none, and still have a ``next``: go on with it.
    """

    items: list[DeadLetter]
    next: str | None


async def letters(
    database: Database, project_id: int, filter: LetterFilter, *, cursor: str | None = None, limit: int = 50
) -> DeadLetterPage:
    """One page of a project's dead letters; looks at a bounded number of rows, whatever is asked for.

    Raises:
        Refusal: the cursor is none of ours, a part of the filter makes no sense, or there is no such workflow.
    """
    wanted = filter.checked()
    before = _AFTER_ALL if cursor is None else history.read_cursor(cursor)
    shards = await Store(database).shards()
    found: list[Row] = []
    seen_from: UUID | None = None  # from here on upwards every shard was looked through; None: to its end
    async with database.connection() as connection:
        parts = await parts_of(connection, project_id, wanted)
        for shard in range(shards):
            rows = await connection.fetch(_PAGE, shard, before, project_id, *parts, limit + 1)
            full = len(rows) > limit
            end = rows[-1]["run_id"] if full else await connection.fetchval(_SCANNED, shard, before, project_id)
            found += rows
            seen_from = max((id for id in (seen_from, end) if id is not None), default=None)
    kept = sorted((row for row in found if seen_from is None or row["run_id"] >= seen_from), key=_id, reverse=True)
    last = kept[limit - 1]["run_id"] if len(kept) > limit else seen_from
    return DeadLetterPage(
        items=[DeadLetter(**row) for row in kept[:limit]], next=None if last is None else history.make_cursor(last)
    )


async def letter(database: Database, project_id: int, id: str) -> DeadLetterDetail:
    """One dead letter, with all of its error and the last step before it.

    Raises:
        Refusal: the run is no dead letter of the project.
    """
    run_id, shard = history.place_of(id)
    rows = await database.read(_ONE, shard, run_id, project_id)
    if not rows:
        raise unknown_letter(id)
    latest = [
        event
        for row in await database.read(_LATEST, shard, run_id, _JOURNAL_ROWS)
        for event in reversed(msgspec.json.decode(row["events"]))
    ]
    done = next((event["node"] for event in latest if event["type"] == "step.completed"), None)
    error = next((event["error"] for event in latest if event["type"] == "run.failed"), None)
    return DeadLetterDetail(**rows[0], error=error, last_step=done, resume_from=_resume_from(rows[0]["node"]))


async def discard(database: Database, project_id: int, id: str) -> None:
    """Take a run off the list. The run itself stays as it is, and can still be replayed.

    Raises:
        Refusal: the run is no dead letter of the project.
    """
    run_id, shard = history.place_of(id)
    async with database.transaction() as connection:
        gone = await connection.fetchrow(_DISCARD, shard, run_id, project_id)
        if gone is None:
            raise unknown_letter(id)
        await audit.record(connection, project_id, "dead-letter.discard", id, dict(gone))


async def parts_of(connection: Connection[Row], project_id: int, filter: LetterFilter) -> tuple[Any, ...]:
    """A filter as the database wants it: workflow id, error type, node, since, until.

    Raises:
        Refusal: there is no such workflow.
    """
    workflow = filter.workflow
    workflow_id = None if workflow is None else await history.workflow_id_of(connection, project_id, workflow)
    return workflow_id, filter.error_type, filter.node, filter.since, filter.until


def _id(row: Row) -> UUID:
    return row["run_id"]  # type: ignore[no-any-return]


def _resume_from(node: str | None) -> str | None:
    """A run is resumed from a node of its own, so of a path in a loop it is the outermost one."""
    if node is None:
        return None
    scope, id = split_path(node)
    return id if not scope else scope.split("[", 1)[0]


def _moment(name: str, moment: datetime | None) -> datetime | None:
    if moment is None:
        return None
    if not 1971 <= moment.year <= 9000:
        raise _bad_filter(f"{name} is a moment between the years 1971 and 9000")
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _bad_filter(reason: str) -> Refusal:
    return Refusal(400, "bad-request", "The request has faults", f"{reason}.")


def unknown_letter(id: str) -> Refusal:
    """The run is not on the list of dead letters."""
    return Refusal(
        404,
        "unknown-dead-letter",
        "There is no such dead letter",
        f"The run {id[:64]} is no dead letter: it did not fail, or was replayed, resumed or discarded already.",
    )
