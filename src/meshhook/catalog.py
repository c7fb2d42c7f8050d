"""Reference data: workflows with their drafts and versions, and the endpoints that lead to them.

One function for each question or change. Everything belongs to a project, and every statement says which.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import msgspec

from meshhook import audit, endpoint_config
from meshhook.checking import Check, check_here
from meshhook.db.connect import Database, Row
from meshhook.errors import Refusal
from meshhook.naming import is_name

NOTE_LENGTH_MAX: Final = 1_000
METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE")

_SEGMENT: Final = r"[A-Za-z0-9_~-][A-Za-z0-9._~-]*"
_PATH: Final = re.compile(rf"{_SEGMENT}(?:/{_SEGMENT})*")
_PATH_LENGTH_MAX: Final = 200
_INT_MAX: Final = 2**31 - 1


_TO_PUBLISH: Final = """
SELECT id, draft, published_version_id, deleted_at FROM meshhook.workflows WHERE project_id = $1 AND name = $2"""


class Workflow(msgspec.Struct, frozen=True, kw_only=True):
    """One workflow. ``published`` is the number of the version that new runs get, ``null`` before the first.

    ``updated_at`` is when the draft was saved. With ``deleted_at`` nothing starts it any more: ``published`` is what it will be
    when it is restored.
    """

    name: str
    published: int | None
    created_at: datetime
    updated_at: datetime
    tags: list[str]
    deleted_at: datetime | None


class WorkflowDetail(Workflow, frozen=True, kw_only=True):
    """A workflow with its draft. ``changed``: the draft differs from the published version, or nothing is published yet.

    ``etag`` tells this text of the draft from any other; ``saved_by`` is who saved it, ``null`` where that was not written down.
    """

    draft: dict[str, Any]
    changed: bool
    etag: str
    saved_by: str | None


class Version(msgspec.Struct, frozen=True, kw_only=True):
    """One published, immutable version of a workflow. ``note`` is what was said of it, ``published_by`` who published it."""

    name: str
    version: int
    version_id: int
    created_at: datetime
    note: str | None
    published_by: str | None


class VersionDetail(Version, frozen=True, kw_only=True):
    """A version with its definition."""

    definition: dict[str, Any]


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """Where webhooks come in: ``POST /hooks/{path}`` starts a run of ``workflow``. ``config``: what is asked of them."""

    path: str
    workflow: str
    methods: list[str]
    config: dict[str, Any]
    created_at: datetime


async def publish(
    database: Database, project_id: int, name: str, note: str | None = None, check: Check = check_here
) -> tuple[Version, bool]:
    """Make the draft of a workflow its next version, and the one that new runs get; says whether it is a new one.

    Publishing a draft that is what is published already changes nothing and returns that version, so whoever is not sure
    whether his call arrived may simply repeat it. The row of the workflow is locked: publishes at one moment come one
    after the other, and numbers have no gap.

    Args:
        note: a word about the new version, kept with it. A version that is there already keeps what was said of it.

    Raises:
        Refusal: there is no such workflow, it is deleted, or the note is too long.
        DefinitionError: the draft has faults; nothing is published.
    """
    check_known(name)
    note = _checked_note(note)
    rows = await database.read(_TO_PUBLISH, project_id, name)
    text = rows[0]["draft"] if rows else None
    found = await check(text) if text is not None else None  # before the row is locked: it may take a while
    async with database.transaction() as connection:
        workflow = await connection.fetchrow(f"{_TO_PUBLISH} FOR UPDATE", project_id, name)
        if workflow is None:
            raise unknown_workflow(name)
        if workflow["deleted_at"] is not None:
            raise workflow_deleted(name, workflow["deleted_at"], status=409)
        latest = await connection.fetchrow(
            "SELECT number, id, created_at, definition, note, published_by FROM meshhook.versions WHERE id = $1",
            workflow["published_version_id"],
        )
        if latest is not None and latest["definition"] == workflow["draft"]:
            return _version(name, latest), False
        if found is None or workflow["draft"] != text:
            found = await check(workflow["draft"])
        found.or_refused()
        made = await connection.fetchrow(
            """
            INSERT INTO meshhook.versions (workflow_id, number, definition, limited, priority, note, published_by)
            SELECT $1, coalesce(max(v.number), 0) + 1, $2::json, $3, $4, $5, $6 FROM meshhook.versions v WHERE v.workflow_id = $1
            RETURNING number, id, created_at, note, published_by
            """,
            workflow["id"],
            workflow["draft"],
            found.limited,
            found.priority,
            note,
            audit.actor(),
        )
        assert made is not None
        await connection.execute(
            "UPDATE meshhook.workflows SET published_version_id = $2 WHERE id = $1", workflow["id"], made["id"]
        )
        await audit.record(connection, project_id, "workflow.published", name, {"version": made["number"]})
    return _version(name, made), True


async def workflows(
    database: Database, project_id: int, *, tag: str | None = None, deleted: bool = False
) -> list[Workflow]:
    """Every workflow of a project, by name: those with a ``tag`` alone, or those that are deleted."""
    if "\0" in (tag or ""):
        return []  # no text in Postgres holds it
    rows = await database.read(
        """
        SELECT w.name, v.number, w.created_at, w.updated_at, w.tags, w.deleted_at
        FROM meshhook.workflows w
        LEFT JOIN meshhook.versions v ON v.id = coalesce(w.published_version_id, w.parked_version_id)
        WHERE w.project_id = $1 AND (w.deleted_at IS NOT NULL) = $2 AND ($3::text IS NULL OR $3 = ANY (w.tags))
        ORDER BY w.name
        """,
        project_id,
        deleted,
        tag,
    )
    return [workflow_of(row) for row in rows]


async def workflow(database: Database, project_id: int, name: str) -> WorkflowDetail:
    """One workflow with its draft.

    Raises:
        Refusal: there is no such workflow.
    """
    check_known(name)
    rows = await database.read(
        """
        SELECT w.name, v.number, w.created_at, w.updated_at, w.tags, w.deleted_at, w.draft, w.draft_by,
               v.id IS NULL OR v.definition::text <> w.draft::text AS changed
        FROM meshhook.workflows w LEFT JOIN meshhook.versions v ON v.id = w.published_version_id
        WHERE w.project_id = $1 AND w.name = $2
        """,
        project_id,
        name,
    )
    if not rows:
        raise unknown_workflow(name)
    row = rows[0]
    if row["deleted_at"] is not None:
        raise workflow_deleted(name, row["deleted_at"], status=404)
    return WorkflowDetail(
        **msgspec.structs.asdict(workflow_of(row)),
        draft=msgspec.json.decode(row["draft"]),
        changed=row["changed"],
        etag=etag_of(row["draft"]),
        saved_by=row["draft_by"],
    )


async def versions(database: Database, project_id: int, name: str) -> list[Version]:
    """Every version of a workflow, newest first.

    Raises:
        Refusal: there is no such workflow.
    """
    check_known(name)
    rows = await database.read(
        """
        SELECT v.number, v.id, v.created_at, v.note, v.published_by
        FROM meshhook.workflows w LEFT JOIN meshhook.versions v ON v.workflow_id = w.id AND v.number IS NOT NULL
        WHERE w.project_id = $1 AND w.name = $2
        ORDER BY v.number DESC
        """,
        project_id,
        name,
    )
    if not rows:
        raise unknown_workflow(name)
    return [_version(name, row) for row in rows if row["id"] is not None]


async def version(database: Database, project_id: int, name: str, number: int) -> VersionDetail:
    """One version with its definition.

    Raises:
        Refusal: there is no such version.
    """
    check_known(name)
    if not 1 <= number <= _INT_MAX:
        raise _unknown_version(name, number)
    rows = await database.read(
        """
        SELECT v.number, v.id, v.created_at, v.note, v.published_by, v.definition
        FROM meshhook.workflows w JOIN meshhook.versions v ON v.workflow_id = w.id
        WHERE w.project_id = $1 AND w.name = $2 AND v.number = $3
        """,
        project_id,
        name,
        number,
    )
    if not rows:
        raise _unknown_version(name, number)
    row = rows[0]
    return VersionDetail(
        **msgspec.structs.asdict(_version(name, row)),
        definition=msgspec.json.decode(row["definition"]),
    )


async def save_endpoint(
    database: Database, project_id: int, path: str, workflow: str, methods: Sequence[str], config: str | None = None
) -> Endpoint:
    """Make an endpoint, or lead it to another workflow. Without ``config`` (JSON text) what it asks for stays as it is.

    Raises:
        Refusal: the path or a method is not allowed, there is no such workflow, or another project has the path.
        EndpointConfigError: the settings have faults.
    """
    _check_path(path)
    check_known(workflow)
    rows = await _change_endpoint(
        database,
        """
        INSERT INTO meshhook.endpoints AS e (project_id, path, workflow_id, methods, config)
        SELECT w.project_id, $2, w.id, $4, coalesce($5, '{}')::json
        FROM meshhook.workflows w WHERE w.project_id = $1 AND w.name = $3 AND w.deleted_at IS NULL
        ON CONFLICT (path) DO UPDATE
            SET workflow_id = excluded.workflow_id, methods = excluded.methods,
                config = CASE WHEN $5::text IS NULL THEN e.config ELSE excluded.config END
            WHERE e.project_id = excluded.project_id
        RETURNING e.path, $3 AS name, e.methods, e.config, e.created_at
        """,
        "endpoint.saved",
        project_id,
        path,
        workflow,
        _checked_methods(methods),
        _checked_config(config),
    )
    if not rows:
        raise await _why_not_saved(database, project_id, path, workflow)
    return _endpoint(rows[0])


async def create_endpoint(
    database: Database, project_id: int, path: str, workflow: str, methods: Sequence[str], config: str | None = None
) -> Endpoint:
    """Make an endpoint that is not there yet.

    Raises:
        Refusal: as ``save_endpoint``, or there is an endpoint with this path already.
        EndpointConfigError: the settings have faults.
    """
    _check_path(path)
    check_known(workflow)
    rows = await _change_endpoint(
        database,
        """
        INSERT INTO meshhook.endpoints AS e (project_id, path, workflow_id, methods, config)
        SELECT w.project_id, $2, w.id, $4, coalesce($5, '{}')::json
        FROM meshhook.workflows w WHERE w.project_id = $1 AND w.name = $3 AND w.deleted_at IS NULL
        ON CONFLICT (path) DO NOTHING
        RETURNING e.path, $3 AS name, e.methods, e.config, e.created_at
        """,
        "endpoint.made",
        project_id,
        path,
        workflow,
        _checked_methods(methods),
        _checked_config(config),
    )
    if not rows:
        raise await _why_not_saved(database, project_id, path, workflow)
    return _endpoint(rows[0])


async def endpoints(database: Database, project_id: int) -> list[Endpoint]:
    """Every endpoint of a project, by path."""
    rows = await database.read(
        """
        SELECT e.path, w.name, e.methods, e.config, e.created_at
        FROM meshhook.endpoints e JOIN meshhook.workflows w ON w.id = e.workflow_id
        WHERE e.project_id = $1
        ORDER BY e.path
        """,
        project_id,
    )
    return [_endpoint(row) for row in rows]


async def endpoint(database: Database, project_id: int, path: str) -> Endpoint:
    """One endpoint.

    Raises:
        Refusal: there is no such endpoint in the project.
    """
    rows = []
    if _is_path(path):
        rows = await database.read(
            """
            SELECT e.path, w.name, e.methods, e.config, e.created_at
            FROM meshhook.endpoints e JOIN meshhook.workflows w ON w.id = e.workflow_id
            WHERE e.project_id = $1 AND e.path = $2
            """,
            project_id,
            path,
        )
    if not rows:
        raise unknown_endpoint(path)
    return _endpoint(rows[0])


async def endpoint_id(database: Database, project_id: int, path: str) -> int:
    """The id of an endpoint.

    Raises:
        Refusal: there is no such endpoint in the project.
    """
    rows = []
    if _is_path(path):
        rows = await database.read(
            "SELECT id FROM meshhook.endpoints WHERE project_id = $1 AND path = $2", project_id, path
        )
    if not rows:
        raise unknown_endpoint(path)
    return int(rows[0]["id"])


async def delete_endpoint(database: Database, project_id: int, path: str) -> None:
    """Take an endpoint away: nothing comes in there any more. Its runs stay, and those that live go on.

    Raises:
        Refusal: there is no such endpoint in the project.
    """
    rows = []
    if _is_path(path):
        rows = await _change_endpoint(
            database,
            "DELETE FROM meshhook.endpoints WHERE project_id = $1 AND path = $2 RETURNING id",
            "endpoint.deleted",
            project_id,
            path,
        )
    if not rows:
        raise unknown_endpoint(path)


async def _change_endpoint(
    database: Database, statement: str, action: str, project_id: int, path: str, *arguments: Any
) -> list[Row]:
    """Run a statement that changes an endpoint and returns it, and record that, both or neither."""
    async with database.transaction() as connection:
        rows: list[Row] = await connection.fetch(statement, project_id, path, *arguments)
        if rows:
            detail = {"workflow": arguments[0], "methods": arguments[1]} if arguments else {}
            await audit.record(connection, project_id, action, path, detail)
    return rows


def compact(text: str) -> str:
    """JSON text without the white space between its tokens: two drafts are the same when this is the same."""
    return msgspec.json.format(text, indent=-1)


def etag_of(draft: str) -> str:
    """The strong entity tag of a draft (RFC 9110, section 8.8.3), from its text as it is stored."""
    return f'"{hashlib.sha256(draft.encode()).hexdigest()[:32]}"'


def unknown_workflow(name: str) -> Refusal:
    """There is no workflow of this name in the project."""
    return Refusal(
        404,
        "unknown-workflow",
        "There is no such workflow",
        f"There is no workflow {name[:120]!r}. Save a draft under this name first.",
    )


def workflow_deleted(name: str, at: datetime, *, status: int) -> Refusal:
    """The workflow was deleted, and may come back."""
    return Refusal(
        status,
        "workflow-deleted",
        "The workflow is deleted",
        f"{name!r} was deleted at {at:%Y-%m-%d %H:%M:%S} UTC. Bring it back with `POST /api/v1/workflows/{name}/restore`, or use "
        "another name.",
    )


def workflow_of(row: Row) -> Workflow:
    """A workflow from a row with ``name``, ``number``, ``created_at``, ``updated_at``, ``tags`` and ``deleted_at``."""
    return Workflow(
        name=row["name"],
        published=row["number"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        tags=row["tags"],
        deleted_at=row["deleted_at"],
    )


def unknown_endpoint(path: str) -> Refusal:
    """There is no endpoint of this path in the project."""
    return Refusal(
        404,
        "unknown-endpoint",
        "There is no such endpoint",
        f"The project has no endpoint {path[:120]!r}. `GET /api/v1/endpoints` lists all.",
    )


def _unknown_version(name: str, number: int) -> Refusal:
    return Refusal(404, "unknown-version", "There is no such version", f"{name!r} has no version {number}.")


def check_known(name: str) -> None:
    """What may not be a name is not known; nor could every text be sent to the database (NUL)."""
    if not is_name(name):
        raise unknown_workflow(name)


def _is_path(path: str) -> bool:
    return len(path) <= _PATH_LENGTH_MAX and _PATH.fullmatch(path) is not None


def _check_path(path: str) -> None:
    if not _is_path(path):
        raise Refusal(
            400,
            "bad-path",
            "This path is not allowed",
            f"{path[:120]!r} is no path for an endpoint: parts of letters, digits, '.', '_', '~' and '-' with '/' between "
            f"them, none beginning with '.', {_PATH_LENGTH_MAX} characters at most.",
        )


def _checked_methods(methods: Sequence[str]) -> list[str]:
    wanted = list(dict.fromkeys(method.upper() for method in methods))
    if not wanted or not set(wanted) <= set(METHODS):
        allowed = ", ".join(METHODS)
        raise Refusal(
            400,
            "bad-method",
            "These methods are not allowed",
            f"An endpoint takes one or more of {allowed}; not {str(wanted)[:120]}.",
        )
    return wanted


def _checked_config(text: str | None) -> str | None:
    if text is None:
        return None
    endpoint_config.parse(text)
    return compact(text)


async def _why_not_saved(database: Database, project_id: int, path: str, workflow: str) -> Refusal:
    known = await database.read(
        "SELECT deleted_at FROM meshhook.workflows WHERE project_id = $1 AND name = $2", project_id, workflow
    )
    if not known:
        return unknown_workflow(workflow)
    if known[0]["deleted_at"] is not None:
        return workflow_deleted(workflow, known[0]["deleted_at"], status=409)
    return Refusal(
        409, "path-taken", "This path is taken", f"There is an endpoint {path!r} already. Choose another path."
    )


def _endpoint(row: Row) -> Endpoint:
    return Endpoint(
        path=row["path"],
        workflow=row["name"],
        methods=row["methods"],
        config=msgspec.json.decode(row["config"]),
        created_at=row["created_at"],
    )


def _version(name: str, row: Row) -> Version:
    return Version(
        name=name,
        version=row["number"],
        version_id=row["id"],
        created_at=row["created_at"],
        note=row["note"],
        published_by=row["published_by"],
    )


def _checked_note(note: str | None) -> str | None:
    """A note without the blanks around it; nothing when there is nothing in it."""
    text = (note or "").strip()
    if len(text) > NOTE_LENGTH_MAX or "\0" in text:
        raise Refusal(
            400,
            "bad-note",
            "This note is not allowed",
            f"A note has {NOTE_LENGTH_MAX:,} characters at most, and no NUL. Nothing was published.",
        )
    return text or None
