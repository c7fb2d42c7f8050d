"""Drafts saved, also by several people, or in several tabs, at once: each may say which draft his own was made from.

The check and the change are one statement, so of two who began with the same draft one is told, whoever comes first.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import msgspec

from meshhook import audit
from meshhook.catalog import Workflow, compact, etag_of, workflow_deleted, workflow_of
from meshhook.checking import Check, check_here, check_keepable
from meshhook.db.connect import Database
from meshhook.errors import Fault, Refusal
from meshhook.naming import check_name


@dataclass(frozen=True, slots=True)
class Only:
    """When a draft may be saved: always, only under a name that nothing has yet, or only in place of one of these drafts.

    ``instead_of`` holds their entity tags; with ``is_there`` any draft will do, as long as there is one.
    """

    is_new: bool = False
    is_there: bool = False
    instead_of: tuple[str, ...] | None = None


ALWAYS: Final = Only()


class Saved(msgspec.Struct, frozen=True, kw_only=True):
    """A saved draft: its workflow, its entity tag, and the faults it was allowed to have."""

    workflow: Workflow
    etag: str
    faults: list[Fault]


# A draft that is what is to be saved already was most likely saved by a call whose answer was lost (RFC 9110, section 13.1.1).
_SAVE: Final = """
WITH saved AS (
    INSERT INTO meshhook.workflows AS w (project_id, name, draft, draft_by)
    SELECT $1, $2, $3::json, $4
    WHERE NOT $6 OR EXISTS (SELECT FROM meshhook.workflows k WHERE k.project_id = $1 AND k.name = $2)
    ON CONFLICT (project_id, name) DO UPDATE
        SET draft = excluded.draft, draft_by = excluded.draft_by, updated_at = clock_timestamp()
        WHERE w.deleted_at IS NULL AND NOT $5
          AND ($7::text[] IS NULL OR w.draft::text = excluded.draft::text
               OR '"' || left(encode(sha256(convert_to(w.draft::text, 'UTF8')), 'hex'), 32) || '"' = ANY ($7))
    RETURNING w.*, w.xmax = 0 AS is_new
)
SELECT s.name, v.number, s.created_at, s.updated_at, s.tags, s.deleted_at, s.is_new
FROM saved s LEFT JOIN meshhook.versions v ON v.id = s.published_version_id
"""
_SITTING: Final = timedelta(minutes=10)
"""The editor saves by itself, every other moment. Saves of one hand without a longer pause are one entry of the log."""

_BEFORE: Final = """
SELECT draft::text = $3 OR (draft_by = $4 AND updated_at > clock_timestamp() - $5::interval) AS is_told
FROM meshhook.workflows WHERE project_id = $1 AND name = $2 FOR UPDATE
"""
_NOW: Final = """
SELECT draft, updated_at, draft_by, deleted_at FROM meshhook.workflows WHERE project_id = $1 AND name = $2
"""


async def save(
    database: Database,
    project_id: int,
    name: str,
    text: str,
    *,
    only: Only = ALWAYS,
    faulty: bool = False,
    check: Check = check_here,
) -> Saved:
    """Save a definition as the draft of a workflow; makes the workflow when there is none.

    Args:
        faulty: a draft with faults is kept as well, as long as it is a JSON object and neither too large nor too deep.

    Raises:
        Refusal: the name is not allowed, the workflow is deleted, or ``only`` does not hold; nothing is saved.
        DefinitionError: the definition has faults; nothing is saved.
    """
    check_name("a workflow", name)
    if faulty:
        check_keepable(text)
    found = await check(text)
    if not faulty:
        found.or_refused()
    draft = compact(text)
    instead_of = None if only.instead_of is None else list(only.instead_of)
    arguments = (
        project_id,
        name,
        draft,
        audit.actor(),
        only.is_new,
        only.is_there or instead_of is not None,
        instead_of,
    )
    async with database.transaction() as connection:
        is_told = await connection.fetchval(_BEFORE, project_id, name, draft, audit.actor(), _SITTING)
        row = await connection.fetchrow(_SAVE, *arguments)
        if row is not None and not is_told:
            action = "workflow.made" if row["is_new"] else "workflow.saved"
            await audit.record(connection, project_id, action, name)
    if row is None:
        raise await _why_not_saved(database, project_id, name, only)
    return Saved(workflow=workflow_of(row), etag=etag_of(draft), faults=found.faults)


async def _why_not_saved(database: Database, project_id: int, name: str, only: Only) -> Refusal:
    rows = await database.read(_NOW, project_id, name)
    if not rows:
        return Refusal(
            412,
            "draft-changed",
            "There is no draft any more",
            f"There is no workflow {name!r}, so nothing can be saved in place of its draft. Save it without If-Match to make it.",
        )
    row = rows[0]
    if row["deleted_at"] is not None:
        return workflow_deleted(name, row["deleted_at"], status=409)
    if only.is_new:
        return Refusal(
            412,
            "workflow-exists",
            "There is a workflow of this name already",
            f"{name!r} is taken, and nothing was saved. Choose another name, or save without If-None-Match to change its draft.",
        )
    who = row["draft_by"]
    at: datetime = row["updated_at"]
    return Refusal(
        412,
        "draft-changed",
        "The draft was changed meanwhile",
        f"The draft of {name!r} was saved {'' if who is None else f'by {who} '}at {at:%Y-%m-%d %H:%M:%S} UTC, after you read it. "
        "Nothing was saved. Read it again and bring the changes together, or save with the new tag to put yours in its place.",
        extra={"etag": etag_of(row["draft"]), "saved_at": at, "saved_by": who},
    )
