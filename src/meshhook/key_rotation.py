"""Rotation: every data key wrapped by a new key-encryption key, or every secret of a project sealed by a new data key.

Both work in small batches, each committed on its own, while everything else goes on: what was moved is opened by the new key, what
was not by the old one. A rotation that was interrupted goes on where it stopped when it is asked for again.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import msgspec

from meshhook import audit, data_keys
from meshhook.data_keys import Keychain
from meshhook.db.connect import Connection, Database, Row
from meshhook.errors import ConfigError
from meshhook.key_source import Keys, write_keys
from meshhook.sealing import SealingKey, data_key_place, secret_place

BATCH: Final = 100


class Rotated(msgspec.Struct, frozen=True, kw_only=True):
    """What a rotation did: ``key`` is what everything is kept under now, ``moved`` how many data keys or secrets were moved.

    ``new_key``: a new key-encryption key was put into the key file.
    """

    key: str
    moved: int
    new_key: bool = False


async def rotate_kek(database: Database, keychain: Keychain) -> Rotated:
    """Wrap every data key by the first key of the source. A key file gets a new first key, unless a rotation is under way.

    Raises:
        ConfigError: the source can't be read, or its first key wraps everything already and can't be replaced from here.
        VaultError: the source lacks a key that something is still wrapped by.
    """
    keys = await keychain.load()
    in_force = await _in_force(database)
    new_key = False
    if keys and await _is_done(database, next(iter(keys)), in_force):
        _put_new_key_first(keychain, keys)
        keys, new_key = await keychain.load(), True
    first = await keychain.first()
    await _put_in_force(database, first)
    moved = 0
    while batch := await _wrap_batch(database, keychain, first):
        moved += batch
    return Rotated(key=first.id, moved=moved, new_key=new_key)


async def drop_old_keks(database: Database, keychain: Keychain) -> list[str]:
    """Take every key out of the key file but the one in force; returns those taken away. Nothing is wrapped by them.

    Raises:
        ConfigError: something is still wrapped by one of them, or the source is no file.
    """
    keys = await keychain.load()
    if keychain.source.kind != "file":
        raise ConfigError(
            f"Keys can only be dropped from a key file; take the old ones out of {keychain.source.words}."
        )
    async with database.transaction() as connection:
        # Whoever makes a data key holds this row meanwhile, and looks at it before it chooses the key.
        in_force = await connection.fetchval(
            "SELECT value FROM meshhook.settings WHERE name = 'secrets_kek' FOR UPDATE"
        )
        left = await connection.fetchval("SELECT count(*) FROM meshhook.data_keys WHERE kek <> $1", in_force)
        if in_force not in keys or left:
            raise ConfigError(f"{left} data keys are not wrapped by the key in force yet. Rotate first, then drop.")
        old = [id for id in keys if id != in_force]
        if old:
            await audit.record(connection, None, "kek.dropped", in_force, {"dropped": old})
            _write(keychain, [keys[in_force]])
    await keychain.load()
    return old


async def rotate_data_key(database: Database, keychain: Keychain, project_id: int) -> Rotated:
    """Seal every secret of a project by a new data key; then the old ones are deleted. Goes on with a rotation under way.

    Raises:
        VaultError, ConfigError: a key can't be opened.
    """
    await keychain.load()
    version = await _new_data_key(database, keychain, project_id)
    moved = 0
    while batch := await _seal_batch(database, keychain, project_id, version):
        moved += batch
    async with database.transaction() as connection:
        await data_keys.lock_project(connection, project_id)
        await connection.execute(
            "DELETE FROM meshhook.data_keys k WHERE project_id = $1 AND version < $2 AND NOT EXISTS "
            "(SELECT FROM meshhook.secrets s WHERE s.project_id = k.project_id AND s.data_key = k.version)",
            project_id,
            version,
        )
        await audit.record(connection, project_id, "data_key.rotated", str(version), {"secrets": moved})
    return Rotated(key=str(version), moved=moved)


async def _in_force(database: Database) -> str | None:
    rows = await database.read("SELECT value FROM meshhook.settings WHERE name = 'secrets_kek'")
    return rows[0]["value"] if rows else None


async def _is_done(database: Database, first: str, in_force: str | None) -> bool:
    """Whether the first key of the source is the one in force, and nothing is wrapped by another."""
    rows = await database.read("SELECT EXISTS (SELECT FROM meshhook.data_keys WHERE kek <> $1)", first)
    return in_force in (first, None) and not rows[0][0]


def _put_new_key_first(keychain: Keychain, keys: Keys) -> None:
    source = keychain.source
    if source.kind != "file":
        raise ConfigError(
            f"Everything is kept under the first key of {source.words} already. Put a new one before it, let every process "
            "read both, and rotate again."
        )
    _write(keychain, [SealingKey.make(), *keys.values()])


def _write(keychain: Keychain, keys: list[SealingKey]) -> None:
    path = Path(keychain.source.place)
    try:
        write_keys(path, keys)
    except OSError as error:
        raise ConfigError(f"The key file {path} can't be written: {os.strerror(error.errno or 0)}.") from None


async def _put_in_force(database: Database, key: SealingKey) -> None:
    async with database.transaction() as connection:
        before = await connection.fetchval("SELECT value FROM meshhook.settings WHERE name = 'secrets_kek' FOR UPDATE")
        if before == key.id:
            return
        await connection.execute(
            "INSERT INTO meshhook.settings (name, value) VALUES ('secrets_kek', $1) "
            "ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            key.id,
        )
        await audit.record(connection, None, "kek.changed", key.id, {"before": before})


async def _wrap_batch(database: Database, keychain: Keychain, kek: SealingKey) -> int:
    async with database.transaction() as connection:
        rows = await connection.fetch(
            "SELECT project_id, version, kek, wrapped FROM meshhook.data_keys WHERE kek <> $1 "
            "ORDER BY project_id, version LIMIT $2 FOR UPDATE",
            kek.id,
            BATCH,
        )
        for row in rows:
            await _wrap(connection, keychain, kek, row)
        if rows:
            await audit.record(connection, None, "kek.rotated", kek.id, {"data_keys": len(rows)})
    return len(rows)


async def _wrap(connection: Connection[Row], keychain: Keychain, kek: SealingKey, row: Row) -> None:
    place = data_key_place(row["project_id"], row["version"])
    raw = (await keychain.kek(row["kek"])).open(row["wrapped"], place)
    await connection.execute(
        "UPDATE meshhook.data_keys SET kek = $3, wrapped = $4 WHERE project_id = $1 AND version = $2",
        row["project_id"],
        row["version"],
        kek.id,
        kek.seal(raw, place),
    )


async def _new_data_key(database: Database, keychain: Keychain, project_id: int) -> int:
    """A new data key, or the newest one when not every secret is sealed by it yet."""
    async with database.transaction() as connection:
        await data_keys.lock_project(connection, project_id)
        newest, _ = await data_keys.newest(connection, keychain, project_id)
        under_way = await connection.fetchval(
            "SELECT EXISTS (SELECT FROM meshhook.secrets WHERE project_id = $1 AND data_key < $2)", project_id, newest
        )
        if under_way:
            return newest
        version, _ = await data_keys.make(connection, keychain, project_id, newest + 1)
        return version


async def _seal_batch(database: Database, keychain: Keychain, project_id: int, version: int) -> int:
    async with database.transaction() as connection:
        await data_keys.lock_project(connection, project_id)
        newest, to = await data_keys.newest(connection, keychain, project_id)
        rows = await connection.fetch(
            """
            SELECT s.name, s.version, s.sealed, s.data_key, k.kek, k.wrapped
            FROM meshhook.secrets s JOIN meshhook.data_keys k ON k.project_id = s.project_id AND k.version = s.data_key
            WHERE s.project_id = $1 AND s.data_key < $2 ORDER BY s.name, s.version LIMIT $3
            """,
            project_id,
            version,
            BATCH,
        )
        for row in rows:
            place = secret_place(project_id, row["name"], row["version"])
            key = await keychain.open(project_id, row["data_key"], row["kek"], row["wrapped"])
            await connection.execute(
                "UPDATE meshhook.secrets SET data_key = $4, sealed = $5 "
                "WHERE project_id = $1 AND name = $2 AND version = $3",
                project_id,
                row["name"],
                row["version"],
                newest,
                to.seal(key.open(row["sealed"], place), place),
            )
    return len(rows)
