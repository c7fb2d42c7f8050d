"""The suite's own connection to the database of the target: read-only, counted, and opened again when it breaks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

ERRORS = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError)
"""What asking a database that may be gone can end in."""

CONNECT_S_MAX = 5.0
# Opening a connection, and asyncpg's own questions on it, are transactions too.
TRANSACTIONS_TO_CONNECT = 2


def shard_of(run_id: str) -> int:
    """The shard of a run: the 12 bits behind the version of its id."""
    return int(run_id[15:18], 16)


class Reader:
    """A read-only connection. Several may ask at once: each has his turn, for a connection does one thing at a time."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._turn = asyncio.Lock()
        self._connection: asyncpg.Connection[Any] | None = None
        self.transactions = 0
        """How many transactions this has cost the database: they are not the engine's."""

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[asyncpg.Connection[Any]]:
        """One transaction in which every statement sees the same rows; nobody else has a turn in it. Raises one of ERRORS."""
        async with self._turn:
            connection = await self._connected()
            self.transactions += 1
            try:
                async with connection.transaction(isolation="repeatable_read", readonly=True):
                    yield connection
            except ERRORS:
                self.drop()
                raise

    async def fetch(self, query: str, *values: object, timeout: float | None = None) -> list[asyncpg.Record]:
        """The rows of one statement, which is one snapshot. Raises one of ERRORS."""
        async with self._turn:
            connection = await self._connected()
            self.transactions += 1
            try:
                return await connection.fetch(query, *values, timeout=timeout)
            except ERRORS:
                self.drop()
                raise

    def drop(self) -> None:
        """Give the connection up; the next use opens another."""
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None

    async def close(self) -> None:
        """Close the connection."""
        if self._connection is not None and not self._connection.is_closed():
            await self._connection.close(timeout=2.0)
        self._connection = None

    async def _connected(self) -> asyncpg.Connection[Any]:
        if self._connection is None or self._connection.is_closed():
            self._connection = await asyncpg.connect(
                self._dsn,
                timeout=CONNECT_S_MAX,
                server_settings={
                    "application_name": "meshproof",
                    "jit": "off",
                    "default_transaction_read_only": "on",
                },
            )
            self.transactions += TRANSACTIONS_TO_CONNECT
        return self._connection


async def endpoint_ids(reader: Reader, paths: list[str]) -> list[int]:
    """The ids of the endpoints of a run."""
    rows = await reader.fetch("SELECT id FROM meshhook.endpoints WHERE path = ANY ($1)", paths)
    return sorted(row["id"] for row in rows)
