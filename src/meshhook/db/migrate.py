"""Bring the schema of a database to what this version of MeshHook needs.

Numbered migrations are applied once, in order, each in its transaction; then all functions are replaced whole when any of
them changed. Everything happens under one advisory lock, so any number of processes may start at once.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Final

from meshhook.db.connect import Connection, Row, connect_once
from meshhook.errors import SchemaError

POSTGRES_VERSION_MIN: Final = 150_000
PARTITION_DAYS_AHEAD: Final = 7
_LOCK: Final = 0x6D657368  # "mesh"
_SQL: Final = resources.files("meshhook.db").joinpath("sql")


@dataclass(frozen=True, slots=True)
class Migrated:
    """What ``migrate`` did: names of the migrations applied, whether functions were replaced, partitions made."""

    applied: list[str]
    functions_replaced: bool
    partitions_made: int


async def migrate(dsn: str, *, shards: int = 1) -> Migrated:
    """Apply what is missing. Does nothing, quickly, when nothing is.

    ``shards`` counts for a new database; in an old one it may only grow (runs know their shard by their id).

    Raises:
        Unavailable: the server can't be reached.
        SchemaError: Postgres is older than 15, the schema is newer than this version, an applied migration was changed
            since, or ``shards`` is less than before.
    """
    async with _alone(dsn) as connection:
        _check_server(connection)
        await connection.execute(
            "CREATE SCHEMA IF NOT EXISTS meshhook; CREATE TABLE IF NOT EXISTS meshhook.migrations ("
            "name text PRIMARY KEY, checksum text NOT NULL, applied_at timestamptz NOT NULL DEFAULT clock_timestamp())"
        )
        applied = await _apply_migrations(connection)
        replaced = await _replace_functions(connection)
        await _set_shards(connection, shards)
        async with connection.transaction():
            made = await connection.fetchval("SELECT meshhook.make_partitions($1)", PARTITION_DAYS_AHEAD)
    return Migrated(applied, replaced, made)


@asynccontextmanager
async def _alone(dsn: str) -> AsyncIterator[Connection[Row]]:
    """A connection, while no other process migrates this database.

    The lock belongs to a transaction of another connection: one that belonged to a session would stay with a pooler for ever.
    """
    guard = await connect_once(dsn)
    try:
        async with guard.transaction():
            await guard.execute("SET LOCAL idle_in_transaction_session_timeout = 0; SET LOCAL statement_timeout = 0")
            await guard.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
            connection = await connect_once(dsn)
            try:
                yield connection
            finally:
                await connection.close()
    finally:
        await guard.close()


async def pending(connection: Connection[Row]) -> list[str]:
    """Names of what ``migrate`` would apply."""
    async with connection.transaction():
        return await _pending(connection)


async def _pending(connection: Connection[Row]) -> list[str]:
    if await connection.fetchval("SELECT to_regclass('meshhook.migrations')") is None:
        return [name for name, _ in _files("migrations")]
    known = {row["name"] for row in await connection.fetch("SELECT name FROM meshhook.migrations")}
    missing = [name for name, _ in _files("migrations") if name not in known]
    current = await connection.fetchval("SELECT checksum FROM meshhook.migrations WHERE name = 'functions'")
    return missing if current == _functions()[1] else [*missing, "functions"]


def _check_server(connection: Connection[Row]) -> None:
    version = connection.get_server_version()
    if version.major * 10_000 < POSTGRES_VERSION_MIN:
        raise SchemaError(
            f"Postgres {version.major} is too old: MeshHook needs 15 or newer. Point MESHHOOK_DATABASE_URL at a newer "
            "server, or leave it empty to use the embedded one."
        )


async def _apply_migrations(connection: Connection[Row]) -> list[str]:
    async with connection.transaction():
        rows = await connection.fetch("SELECT name, checksum FROM meshhook.migrations")
    known = {row["name"]: row["checksum"] for row in rows}
    files = _files("migrations")
    if newer := sorted(known.keys() - {name for name, _ in files} - {"functions"}):
        raise SchemaError(f"the database has migrations this version does not know ({newer[0]}): use a newer MeshHook")
    applied = []
    for name, text in files:
        checksum = _checksum(text)
        if name not in known:
            await _apply(connection, name, text, checksum)
            applied.append(name)
        elif known[name] != checksum:
            raise SchemaError(f"the migration {name} was changed after it was applied: restore the file as released")
    return applied


async def _replace_functions(connection: Connection[Row]) -> bool:
    text, checksum = _functions()
    async with connection.transaction():
        known = await connection.fetchval("SELECT checksum FROM meshhook.migrations WHERE name = 'functions'")
    if known == checksum:
        return False
    await _apply(connection, "functions", text, checksum)
    return True


async def _apply(connection: Connection[Row], name: str, text: str, checksum: str) -> None:
    async with connection.transaction():
        await connection.execute(text)
        await connection.execute(
            "INSERT INTO meshhook.migrations (name, checksum) VALUES ($1, $2) "
            "ON CONFLICT (name) DO UPDATE SET checksum = excluded.checksum, applied_at = clock_timestamp()",
            name,
            checksum,
        )


async def _set_shards(connection: Connection[Row], shards: int) -> None:
    async with connection.transaction():
        stored = int(
            await connection.fetchval(
                "INSERT INTO meshhook.settings AS s (name, value) VALUES ('shards', $1) "
                "ON CONFLICT (name) DO UPDATE SET value = greatest(s.value::int, excluded.value::int)::text RETURNING value",
                str(shards),
            )
        )
    if stored > shards > 1:
        raise SchemaError(f"the database has {stored} shards: their number can grow but not shrink to {shards}")


def _functions() -> tuple[str, str]:
    text = "\n".join(text for _, text in _files("functions"))
    return text, _checksum(text)


def _files(folder: str) -> list[tuple[str, str]]:
    def is_sql(file: Traversable) -> bool:
        return file.name.endswith(".sql")

    files = sorted(filter(is_sql, _SQL.joinpath(folder).iterdir()), key=lambda file: file.name)
    return [(file.name.removesuffix(".sql"), file.read_text("utf-8")) for file in files]


def _checksum(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
