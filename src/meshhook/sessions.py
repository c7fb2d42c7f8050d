"""Sessions: what a browser has instead of an API key, and the password that opens one.

A session token has 256 random bits and only its SHA-256 is stored, as with keys. A session ends when nobody used it for
``IDLE``, at the latest after ``AGE_MAX``, with the key that opened it, and with every change of the password.
"""

from __future__ import annotations

import secrets
from datetime import timedelta
from typing import Any, Final, NamedTuple

from meshhook import audit
from meshhook.db.connect import Connection, Database, Row
from meshhook.errors import Refusal
from meshhook.keys import Holder, hash_of

PREFIX: Final = "mhs_"
SETUP_PREFIX: Final = "mhi_"

IDLE: Final = timedelta(hours=12)
"""Over night, not over a weekend: who works here every day signs in once a month."""

AGE_MAX: Final = timedelta(days=30)
SETUP_KEEP: Final = timedelta(days=1)
_SEEN_EVERY: Final = timedelta(minutes=1)
_OF_ONE_OPENER_MAX: Final = 100
_SETUP_TOKENS_MAX: Final = 20


class Opened(NamedTuple):
    """A session that was opened: what to put into the cookie, and for whom."""

    token: str
    holder: Holder


class Standing(NamedTuple):
    """How one may get in. ``project``: the name of the project that was asked for."""

    project: str | None
    has_password: bool
    has_keys: bool


async def standing(database: Database, project_id: int, password_of: int) -> Standing:
    """The name of a project, whether ``password_of`` has a password, and whether there is any key."""
    rows = await database.read(
        """
        SELECT (SELECT name FROM meshhook.projects WHERE id = $1),
               EXISTS (SELECT FROM meshhook.passwords WHERE project_id = $2),
               EXISTS (SELECT FROM meshhook.api_keys WHERE revoked_at IS NULL)
        """,
        project_id,
        password_of,
    )
    return Standing(*rows[0])


async def holder_of(database: Database, hash: bytes) -> Holder | None:
    """Whose session this is, by the hash of its token; ``None`` when it is none, or has ended. Being asked is being used."""
    rows = await database.read(
        """
        SELECT s.project_id, k.name, s.seen_at < clock_timestamp() - $3::interval AS is_to_be_noted
        FROM meshhook.sessions s LEFT JOIN meshhook.api_keys k ON k.id = s.key_id
        WHERE s.hash = $1 AND s.expires_at > clock_timestamp() AND s.seen_at > clock_timestamp() - $2::interval
          AND k.revoked_at IS NULL
        """,
        hash,
        IDLE,
        _SEEN_EVERY,
    )
    if not rows:
        return None
    if rows[0]["is_to_be_noted"]:
        await database.call("UPDATE meshhook.sessions SET seen_at = clock_timestamp() WHERE hash = $1", hash)
    return Holder(rows[0]["project_id"], rows[0]["name"])


async def open_by_key(database: Database, key: str) -> Opened | None:
    """A session for whoever has this key; ``None`` when it opens nothing."""
    async with database.transaction() as connection:
        found = await connection.fetchrow(
            "SELECT id, project_id, name FROM meshhook.api_keys WHERE hash = $1 AND revoked_at IS NULL FOR SHARE",
            hash_of(key),
        )
        if found is None:
            return None
        return await _open(connection, Holder(found["project_id"], found["name"]), found["id"])


async def password_of(database: Database, project_id: int) -> str | None:
    """What is stored of the password of a project; ``None`` when none was set."""
    rows = await database.read("SELECT hash FROM meshhook.passwords WHERE project_id = $1", project_id)
    return str(rows[0]["hash"]) if rows else None


async def open_by_password(database: Database, project_id: int, stored: str) -> Opened | None:
    """A session for whoever knew the password; ``None`` when it is no longer ``stored``, the one that was compared."""
    async with database.transaction() as connection:
        still = await connection.fetchval(
            "SELECT hash = $2 FROM meshhook.passwords WHERE project_id = $1 FOR SHARE", project_id, stored
        )
        return await _open(connection, Holder(project_id, None), None) if still else None


async def make_setup_token(database: Database, project_id: int) -> str:
    """A token with which the first password of a project may be set, once, within ``SETUP_KEEP``."""
    token = SETUP_PREFIX + secrets.token_urlsafe(32)
    async with database.transaction() as connection:
        await connection.execute(
            """
            DELETE FROM meshhook.setup_tokens WHERE expires_at < clock_timestamp() OR hash IN (
                SELECT hash FROM meshhook.setup_tokens ORDER BY expires_at DESC OFFSET $1
            )
            """,
            _SETUP_TOKENS_MAX - 1,
        )
        await connection.execute(
            """
            INSERT INTO meshhook.setup_tokens (hash, project_id, expires_at)
            VALUES ($1, $2, clock_timestamp() + $3::interval)
            """,
            hash_of(token),
            project_id,
            SETUP_KEEP,
        )
        await audit.record(connection, project_id, "password.offered", "password")
    return token


async def is_setup_token(database: Database, project_id: int, token: str) -> bool:
    """Whether the first password may be set with it now."""
    query = "SELECT FROM meshhook.setup_tokens WHERE hash = $1 AND project_id = $2 AND expires_at > clock_timestamp()"
    return bool(await database.read(query, hash_of(token), project_id))


async def set_first_password(database: Database, project_id: int, token: str, hash: str) -> Opened | None:
    """Set the first password, and open a session; ``None`` when the token may not (any more).

    Raises:
        Refusal: 409, there is a password.
    """
    async with database.transaction() as connection:
        taken = await connection.fetchval(
            """
            DELETE FROM meshhook.setup_tokens WHERE hash = $1 AND project_id = $2 AND expires_at > clock_timestamp()
            RETURNING true
            """,
            hash_of(token),
            project_id,
        )
        if not taken:
            return None
        made = await connection.fetchval(
            """
            INSERT INTO meshhook.passwords (project_id, hash) VALUES ($1, $2) ON CONFLICT DO NOTHING RETURNING true
            """,
            project_id,
            hash,
        )
        if not made:
            raise Refusal(
                409,
                "password-set",
                "There is a password already",
                "Sign in with it; who has forgotten it sets a new one with `meshhook password set`.",
            )
        await _after_change(connection, project_id, "password.set")
        return await _open(connection, Holder(project_id, None), None)


async def change_password(database: Database, project_id: int, stored: str, hash: str) -> Opened | None:
    """Put ``hash`` in the place of ``stored`` and end all sessions but the one opened here; ``None`` when another is stored now."""
    async with database.transaction() as connection:
        changed = await connection.fetchval(
            """
            UPDATE meshhook.passwords SET hash = $3, changed_at = clock_timestamp()
            WHERE project_id = $1 AND hash = $2 RETURNING true
            """,
            project_id,
            stored,
            hash,
        )
        if not changed:
            return None
        await _after_change(connection, project_id, "password.changed")
        return await _open(connection, Holder(project_id, None), None)


async def set_password(database: Database, project_id: int, hash: str) -> None:
    """Set the password, whether or not there was one, and end all sessions: for whoever sits at the database."""
    async with database.transaction() as connection:
        await connection.execute(
            """
            INSERT INTO meshhook.passwords (project_id, hash) VALUES ($1, $2)
            ON CONFLICT (project_id) DO UPDATE SET hash = excluded.hash, changed_at = clock_timestamp()
            """,
            project_id,
            hash,
        )
        await _after_change(connection, project_id, "password.set")


async def remove_password(database: Database, project_id: int) -> bool:
    """From now on no password opens the project; says whether there was one. Ends all sessions."""
    async with database.transaction() as connection:
        removed = await connection.fetchval(
            "DELETE FROM meshhook.passwords WHERE project_id = $1 RETURNING true", project_id
        )
        if removed:
            await _after_change(connection, project_id, "password.removed")
    return bool(removed)


async def end(database: Database, token: str) -> None:
    """End a session; one that has ended stays so."""
    async with database.transaction() as connection:
        ended = await connection.fetchrow(
            """
            WITH ended AS (DELETE FROM meshhook.sessions WHERE hash = $1 RETURNING project_id, key_id)
            SELECT e.project_id, k.name FROM ended e LEFT JOIN meshhook.api_keys k ON k.id = e.key_id
            """,
            hash_of(token),
        )
        if ended is not None:
            await _record(connection, Holder(*ended), "session.ended")


async def _open(connection: Connection[Row], holder: Holder, key_id: int | None) -> Opened:
    """Signing in is rare, so this is also when sessions that have ended are forgotten."""
    token = PREFIX + secrets.token_urlsafe(32)
    await connection.execute(
        """
        DELETE FROM meshhook.sessions
        WHERE expires_at < clock_timestamp() OR seen_at < clock_timestamp() - $4::interval OR hash IN (
            SELECT hash FROM meshhook.sessions WHERE project_id = $1 AND key_id IS NOT DISTINCT FROM $2
            ORDER BY created_at DESC OFFSET $3
        )
        """,
        holder.project_id,
        key_id,
        _OF_ONE_OPENER_MAX - 1,
        IDLE,
    )
    await connection.execute(
        """
        INSERT INTO meshhook.sessions (hash, project_id, key_id, expires_at)
        VALUES ($1, $2, $3, clock_timestamp() + $4::interval)
        """,
        hash_of(token),
        holder.project_id,
        key_id,
        AGE_MAX,
    )
    await _record(connection, holder, "session.opened")
    return Opened(token, holder)


async def _after_change(connection: Connection[Row], project_id: int, action: str) -> None:
    await connection.execute("DELETE FROM meshhook.sessions WHERE project_id = $1", project_id)
    await connection.execute("DELETE FROM meshhook.setup_tokens WHERE project_id = $1", project_id)
    await audit.record(connection, project_id, action, "password")


async def _record(connection: Connection[Row], holder: Holder, action: str) -> None:
    subject: Any = holder.key or "password"
    with audit.acting_as(holder.actor):
        await audit.record(connection, holder.project_id, action, subject)
