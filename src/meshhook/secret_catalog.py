"""Secrets as those see them who manage them: set, listed, deleted. Values go in here and never come out."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

import msgspec

from meshhook import audit, data_keys
from meshhook.data_keys import Keychain
from meshhook.db.connect import Database
from meshhook.errors import Refusal
from meshhook.masking import VALUE_BYTES_MIN
from meshhook.placeholders import is_secret_name
from meshhook.sealing import secret_place

VALUE_BYTES_MAX: Final = 64 * 1024
OVERLAP_HOURS: Final = 24.0
OVERLAP_HOURS_MAX: Final = 24.0 * 366


class Secret(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a secret; its value is not.

    ``previous_until``: until when the value before also verifies signatures; ``null`` when it does not. ``last_used_at`` is
    exact to the minute.
    """

    name: str
    version: int
    created_at: datetime
    previous_until: datetime | None
    last_used_at: datetime | None


async def secrets(database: Database, project_id: int) -> list[Secret]:
    """Every secret of a project, by name."""
    rows = await database.read(
        """
        SELECT DISTINCT ON (s.name) s.name, s.version, s.created_at, s.last_used_at,
            (SELECT max(before.valid_until) FROM meshhook.secrets before
             WHERE before.project_id = s.project_id AND before.name = s.name AND before.version < s.version
               AND before.valid_until > meshhook.now()) AS previous_until
        FROM meshhook.secrets s WHERE s.project_id = $1
        ORDER BY s.name, s.version DESC
        """,
        project_id,
    )
    return [Secret(**row) for row in rows]


async def set_secret(
    database: Database,
    keychain: Keychain,
    project_id: int,
    name: str,
    value: bytes,
    *,
    overlap: timedelta = timedelta(hours=OVERLAP_HOURS),
) -> Secret:
    """Give a secret a new value, and make it when there is none.

    The value before stays valid for verifying signatures for ``overlap``, or until the next value is set.

    Raises:
        Refusal: the name, the value or the overlap is not allowed. VaultError, ConfigError: there is no key to seal it by.
    """
    _check(name, value, overlap)
    async with database.transaction() as connection:
        await data_keys.lock_project(connection, project_id)
        data_key, key = await data_keys.newest(connection, keychain, project_id)
        # What would be the second value before the current one is forgotten; the current one becomes the one before.
        before = await connection.fetchval(
            "SELECT max(version) FROM meshhook.secrets WHERE project_id = $1 AND name = $2", project_id, name
        )
        await connection.execute(
            "DELETE FROM meshhook.secrets WHERE project_id = $1 AND name = $2 AND (version < $3 OR $4)",
            project_id,
            name,
            before,
            not overlap,
        )
        previous_until = await connection.fetchval(
            "UPDATE meshhook.secrets SET valid_until = meshhook.now() + $3 WHERE project_id = $1 AND name = $2 "
            "RETURNING valid_until",
            project_id,
            name,
            overlap,
        )
        version = (before or 0) + 1
        created_at = await connection.fetchval(
            "INSERT INTO meshhook.secrets (project_id, name, version, data_key, sealed) VALUES ($1, $2, $3, $4, $5) "
            "RETURNING created_at",
            project_id,
            name,
            version,
            data_key,
            key.seal(value, secret_place(project_id, name, version)),
        )
        await audit.record(
            connection, project_id, "secret.set", name, {"version": version, "previous_until": previous_until}
        )
    return Secret(name=name, version=version, created_at=created_at, previous_until=previous_until, last_used_at=None)


async def delete_secret(database: Database, project_id: int, name: str) -> None:
    """Delete a secret with all its values; who uses it is refused within two seconds.

    Raises:
        Refusal: there is no such secret.
    """
    if is_secret_name(name):
        async with database.transaction() as connection:
            await data_keys.lock_project(connection, project_id)
            gone = await connection.fetchval(
                "WITH gone AS (DELETE FROM meshhook.secrets WHERE project_id = $1 AND name = $2 RETURNING 1) "
                "SELECT count(*) FROM gone",
                project_id,
                name,
            )
            if gone:
                await audit.record(connection, project_id, "secret.deleted", name)
                return
    raise Refusal(404, "unknown-secret", "There is no such secret", f"The project has no secret {name[:100]!r}.")


def _check(name: str, value: bytes, overlap: timedelta) -> None:
    if not is_secret_name(name):
        raise Refusal(
            400,
            "bad-name",
            "This name is not allowed",
            f"{name[:120]!r} is no name for a secret: 1 to 100 letters, digits and '_', the first no digit.",
        )
    if not VALUE_BYTES_MIN <= len(value) <= VALUE_BYTES_MAX:
        raise _bad_value(
            f"The value has {len(value)} bytes; it must have {VALUE_BYTES_MIN} to {VALUE_BYTES_MAX}. A shorter one "
            "could not be kept out of logs and journals."
        )
    try:
        value.decode()
    except UnicodeDecodeError:
        raise _bad_value("The value is no UTF-8 text. Give binary data as base64.") from None
    if not timedelta(0) <= overlap <= timedelta(hours=OVERLAP_HOURS_MAX):
        raise Refusal(
            400,
            "bad-request",
            "The request has faults",
            f"The value before can stay valid for 0 to {OVERLAP_HOURS_MAX:g} hours.",
        )


def _bad_value(detail: str) -> Refusal:
    return Refusal(422, "bad-secret", "This value can't be kept as a secret", detail)
