"""Workflows put away and taken back, and the tags that people sort them by.

A deleted workflow keeps everything but its publication: nothing starts it any more, by whatever way, while runs that live go on
with the version they have. Restored, it is what it was. Nothing is ever removed for good, for runs of it may be read for years.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from meshhook import audit
from meshhook.catalog import Workflow, check_known, unknown_workflow, workflow_deleted, workflow_of
from meshhook.db.connect import Connection, Database, Row
from meshhook.errors import Refusal

TAGS_MAX: Final = 20
TAG_LENGTH_MAX: Final = 40

_COLUMNS: Final = """
SELECT c.name, v.number, c.created_at, c.updated_at, c.tags, c.deleted_at
FROM changed c LEFT JOIN meshhook.versions v ON v.id = coalesce(c.published_version_id, c.parked_version_id)
"""
_LOCK: Final = "SELECT deleted_at FROM meshhook.workflows WHERE project_id = $1 AND name = $2 FOR UPDATE"
_TAG: Final = f"""
WITH changed AS (
    UPDATE meshhook.workflows SET tags = $3 WHERE project_id = $1 AND name = $2 RETURNING *
) {_COLUMNS}
"""  # noqa: S608 - no value in it
_DELETE: Final = """
UPDATE meshhook.workflows
SET deleted_at = clock_timestamp(), parked_version_id = published_version_id, published_version_id = NULL
WHERE project_id = $1 AND name = $2
"""
_RESTORE: Final = f"""
WITH changed AS (
    UPDATE meshhook.workflows
    SET deleted_at = NULL, published_version_id = coalesce(published_version_id, parked_version_id), parked_version_id = NULL
    WHERE project_id = $1 AND name = $2 RETURNING *
) {_COLUMNS}
"""  # noqa: S608 - no value in it


async def tag(database: Database, project_id: int, name: str, tags: Sequence[str]) -> Workflow:
    """Give a workflow these tags and no others. Blanks around them are dropped, and so is what stands there twice.

    Raises:
        Refusal: there is no such workflow, or a tag is not allowed.
    """
    check_known(name)
    wanted = list(dict.fromkeys(tag.strip() for tag in tags))
    if len(wanted) > TAGS_MAX or not all(tag.isprintable() and 1 <= len(tag) <= TAG_LENGTH_MAX for tag in wanted):
        raise Refusal(
            400,
            "bad-tag",
            "These tags are not allowed",
            f"A workflow has {TAGS_MAX} tags at most, each of 1 to {TAG_LENGTH_MAX} printable characters. Nothing was changed.",
        )
    async with database.transaction() as connection:
        await _there(connection, project_id, name)
        row = await connection.fetchrow(_TAG, project_id, name, wanted)
        assert row is not None
        await audit.record(connection, project_id, "workflow.tagged", name, {"tags": wanted})
    return workflow_of(row)


async def delete(database: Database, project_id: int, name: str) -> None:
    """Put a workflow away: it is in no list, nothing starts it, and its name stays taken. Runs that live go on.

    Raises:
        Refusal: there is no such workflow, or it is deleted already.
    """
    check_known(name)
    async with database.transaction() as connection:
        await _there(connection, project_id, name)
        await connection.execute(_DELETE, project_id, name)
        await audit.record(connection, project_id, "workflow.deleted", name)


async def restore(database: Database, project_id: int, name: str) -> Workflow:
    """Take a deleted workflow back as it was. One that is not deleted stays as it is.

    Raises:
        Refusal: there is no such workflow.
    """
    check_known(name)
    async with database.transaction() as connection:
        found = await connection.fetchrow(_LOCK, project_id, name)
        if found is None:
            raise unknown_workflow(name)
        row = await connection.fetchrow(_RESTORE, project_id, name)
        assert row is not None
        if found["deleted_at"] is not None:
            await audit.record(connection, project_id, "workflow.restored", name)
    return workflow_of(row)


async def _there(connection: Connection[Row], project_id: int, name: str) -> None:
    """Lock a workflow that is not deleted: who deletes it at the same moment comes after, or was before."""
    row = await connection.fetchrow(_LOCK, project_id, name)
    if row is None:
        raise unknown_workflow(name)
    if row["deleted_at"] is not None:
        raise workflow_deleted(name, row["deleted_at"], status=404)
