"""Projects, and the API keys that open them.

A key is ``mh_`` and 256 random bits. Only its SHA-256 is stored: what can't be guessed needs neither salt nor a slow hash, and
a look-up by hash takes no longer for a key that is nearly right.
"""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime
from typing import Final, NamedTuple

import msgspec

from meshhook import audit
from meshhook.db.connect import Database
from meshhook.errors import Refusal
from meshhook.naming import check_name, is_name

DEFAULT_PROJECT: Final = 0
"""The project of whoever needs no key."""

NOBODY: Final = -1
"""No project: who may only ask what everybody may."""

PREFIX: Final = "mh_"
LENGTH: Final = len(PREFIX) + 43


class ApiKey(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of an API key; the key itself is not."""

    name: str
    project: str
    created_at: datetime
    revoked_at: datetime | None


class Holder(NamedTuple):
    """The project a key or a session opens, and the name of the key; ``None`` where a password opened the session."""

    project_id: int
    key: str | None

    @property
    def actor(self) -> str:
        """What the audit log calls whoever holds it."""
        return "password" if self.key is None else f"key:{self.key}"


class Project(msgspec.Struct, frozen=True, kw_only=True):
    """One project. ``backlog_max``: live runs it may have before its deliveries are refused; ``null`` is no limit."""

    name: str
    backlog_max: int | None
    created_at: datetime


def is_operator(project_id: int) -> bool:
    """Whether who calls for this project may see what is of the whole installation: workers, database, names of other projects.

    That is whoever has a key of the project ``default``, or needs none.
    """
    return project_id == DEFAULT_PROJECT


async def projects(database: Database) -> list[Project]:
    """Every project, by name."""
    rows = await database.read("SELECT name, backlog_max, created_at FROM meshhook.projects ORDER BY name")
    return [Project(**row) for row in rows]


async def limit_project(database: Database, name: str, backlog_max: int | None) -> Project:
    """Limit how many live runs a project may have; ``None`` takes the limit away.

    Raises:
        Refusal: there is no such project.
    """
    id = await project(database, name)
    most = None if backlog_max is None else min(backlog_max, 2**31 - 1)
    async with database.transaction() as connection:
        row = await connection.fetchrow(
            "UPDATE meshhook.projects SET backlog_max = $2 WHERE id = $1 RETURNING name, backlog_max, created_at",
            id,
            most,
        )
        assert row is not None
        await audit.record(connection, id, "project.limited", name, {"backlog_max": most})
    return Project(**row)


async def project(database: Database, name: str) -> int:
    """The id of a project.

    Raises:
        Refusal: there is no such project.
    """
    query = "SELECT id FROM meshhook.projects WHERE name = $1"
    rows = await database.read(query, name) if is_name(name) else []
    if not rows:
        raise Refusal(404, "unknown-project", "There is no such project", f"There is no project {name[:120]!r}.")
    return int(rows[0]["id"])


async def save_project(database: Database, name: str) -> int:
    """The id of a project, which is made when there is none.

    Raises:
        Refusal: the name is not allowed.
    """
    check_name("a project", name)
    async with database.transaction() as connection:
        row = await connection.fetchrow(
            """
            INSERT INTO meshhook.projects AS p (name) VALUES ($1)
            ON CONFLICT (name) DO UPDATE SET name = p.name
            RETURNING p.id, p.xmax = 0 AS is_new
            """,
            name,
        )
        assert row is not None
        if row["is_new"]:
            await audit.record(connection, row["id"], "project.made", name)
    return int(row["id"])


async def create_key(database: Database, project_id: int, name: str) -> str:
    """Make an API key. It is returned here and never again: only its SHA-256 is stored.

    Raises:
        Refusal: the name is not allowed, or a key of the project has it already.
    """
    check_name("a key", name)
    key = PREFIX + secrets.token_urlsafe(32)
    async with database.transaction() as connection:
        id = await connection.fetchval(
            """
            INSERT INTO meshhook.api_keys (project_id, name, hash) VALUES ($1, $2, $3)
            ON CONFLICT (project_id, name) DO NOTHING
            RETURNING id
            """,
            project_id,
            name,
            hash_of(key),
        )
        if id is not None:
            await audit.record(connection, project_id, "key.made", name)
    if id is None:
        raise Refusal(
            409, "name-taken", "This name is taken", f"The project has or had a key {name!r}. Choose another name."
        )
    return key


async def keys(database: Database, project_id: int) -> list[ApiKey]:
    """Every key of a project, in the order they were made, revoked ones too."""
    rows = await database.read(
        """
        SELECT k.name, p.name AS project, k.created_at, k.revoked_at
        FROM meshhook.api_keys k JOIN meshhook.projects p ON p.id = k.project_id
        WHERE k.project_id = $1
        ORDER BY k.id
        """,
        project_id,
    )
    return [ApiKey(**row) for row in rows]


async def revoke_key(database: Database, project_id: int, name: str) -> None:
    """Let a key open nothing any more; revoking it again changes nothing.

    Raises:
        Refusal: the project has no such key.
    """
    if not is_name(name):
        raise _unknown_key(name)
    async with database.transaction() as connection:
        revoked = await connection.fetchrow(
            "SELECT revoked_at FROM meshhook.api_keys WHERE project_id = $1 AND name = $2 FOR UPDATE", project_id, name
        )
        if revoked is None:
            raise _unknown_key(name)
        if revoked["revoked_at"] is None:
            await connection.execute(
                "UPDATE meshhook.api_keys SET revoked_at = clock_timestamp() WHERE project_id = $1 AND name = $2",
                project_id,
                name,
            )
            await audit.record(connection, project_id, "key.revoked", name)


async def holder_of_key(database: Database, hash: bytes) -> Holder | None:
    """Whose key this is, by its hash; ``None`` when it is nobody's or was revoked."""
    query = "SELECT project_id, name FROM meshhook.api_keys WHERE hash = $1 AND revoked_at IS NULL"
    rows = await database.read(query, hash)
    return Holder(*rows[0]) if rows else None


def hash_of(key: str) -> bytes:
    """What of a key is stored."""
    return hashlib.sha256(key.encode()).digest()


def _unknown_key(name: str) -> Refusal:
    return Refusal(404, "unknown-key", "There is no such key", f"The project has no key {name[:120]!r}.")
