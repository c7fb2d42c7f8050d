"""Connections to Postgres, and what their failures mean for what was under way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from time import perf_counter
from typing import Any, Final

import asyncpg

from meshhook.buckets import Buckets
from meshhook.errors import DatabaseError, NoPartition, OutcomeUnknown, Unavailable

Connection = asyncpg.Connection
Row = asyncpg.Record

_LOST: Final = (
    OSError,
    EOFError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # the driver says so when a connection was ended between two of its messages
    asyncpg.ProtocolViolationError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.DatabaseDroppedError,
    asyncpg.TooManyConnectionsError,
    asyncpg.IdleSessionTimeoutError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.ReadOnlySQLTransactionError,  # a fail-over left us on a standby
)


_ROLLED_BACK: Final = (
    asyncpg.TransactionRollbackError,  # a deadlock, a conflict
    asyncpg.InsufficientResourcesError,  # disk full, out of memory
    asyncpg.QueryCanceledError,  # statement_timeout, or somebody's hand
    asyncpg.LockNotAvailableError,
    asyncpg.ObjectNotInPrerequisiteStateError,  # another process changes the shape of the table just now
)
"""The server says that it did not do it, and that it might another time."""

_STATEMENTS_MAX: Final = 100


def is_lost(error: BaseException) -> bool:
    """Whether ``error`` says that the connection or the server is gone, rather than that a statement was wrong."""
    return isinstance(error, _LOST)


class Database:
    """A pool of connections. Every failure of the connection itself becomes ``Unavailable`` or ``OutcomeUnknown``.

    Behind a pooler in transaction mode a session is nobody's for longer than a transaction, so nothing is kept in it: no
    prepared statements, no settings, and every statement is in a transaction. That is found out when the pool is opened.

    Args:
        dsn: ``postgresql://…``.
        size: connections at most.
        name: shown as ``application_name`` in ``pg_stat_activity``.
        statement_timeout_s: no statement may take longer.
    """

    def __init__(self, dsn: str, *, size: int, name: str, statement_timeout_s: float = 30.0) -> None:
        self.dsn = dsn
        self._size = size
        self._settings = {
            "application_name": name,
            "jit": "off",
            "statement_timeout": str(int(statement_timeout_s * 1000)),
            "idle_in_transaction_session_timeout": "60000",  # a stopped process must not hold rows and the xmin horizon
        }
        self._timeout_s = statement_timeout_s
        self._pool: asyncpg.Pool[Row] | None = None
        self._local = ""
        self.pooled = False
        self.waited = Buckets()
        """How long work waited for a connection."""
        self.lost = 0
        """Connections that broke while they were used."""

    @property
    def connections(self) -> tuple[int, int, int]:
        """How many connections are used, how many are idle, and how many there may be."""
        if self._pool is None:
            return 0, 0, self._size
        idle = self._pool.get_idle_size()
        return self._pool.get_size() - idle, idle, self._size

    async def connect(self) -> None:
        """Open the pool.

        Raises:
            Unavailable: the server can't be reached.
        """
        self.pooled = await is_pooled(self.dsn)
        settings = self._settings
        if self.pooled:
            # A pooler refuses most of them in the startup packet, so they come with each transaction.
            local = [f"SET LOCAL {name} = {value}" for name, value in settings.items() if name != "application_name"]
            self._local = "; ".join(local)
            settings = {"application_name": settings["application_name"]}
        try:
            self._pool = await asyncpg.create_pool(
                self.dsn,
                min_size=0,
                max_size=self._size,
                timeout=5,
                command_timeout=self._timeout_s + 5,
                max_inactive_connection_lifetime=0,
                server_settings=settings,
                reset=_keep_session,
                statement_cache_size=0 if self.pooled else _STATEMENTS_MAX,
            )
        except Exception as error:
            raise _as_unavailable(error) from error

    async def close(self) -> None:
        """Close every connection, waiting a moment for those in use."""
        if self._pool is not None:
            pool, self._pool = self._pool, None
            try:
                async with asyncio.timeout(2.0):
                    await pool.close()
            except (TimeoutError, *_LOST):
                pool.terminate()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection[Row]]:
        """A connection for a few statements that are each on their own.

        Raises:
            Unavailable: there is none to be had, or it broke.
        """
        if self.pooled:
            async with self.transaction() as connection:
                yield connection
            return
        async with self._borrow() as connection:
            try:
                yield connection
            except Exception as error:
                raise _as_unavailable(error) from error

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection[Row]]:
        """A connection with an open transaction; committed at the end of the block, rolled back when it raises.

        Raises:
            Unavailable: there is none to be had, or it broke before the commit was sent: nothing was written.
            OutcomeUnknown: it broke while the commit was under way.
        """
        async with self._borrow() as connection:
            try:
                transaction = connection.transaction()
                await transaction.start()
                if self._local:
                    await connection.execute(self._local)
            except Exception as error:
                raise _as_unavailable(error) from error
            try:
                yield connection
            except BaseException as error:
                await _roll_back(transaction)
                raise _as_unavailable(error) from error
            try:
                await transaction.commit()
            except Exception as error:
                if is_lost(error):
                    raise OutcomeUnknown(f"the connection broke during COMMIT: {error}") from error
                raise _as_unavailable(error) from error

    async def call(self, query: str, *arguments: Any) -> list[Row]:
        """One statement that commits by itself.

        Raises:
            Unavailable: it was never sent.
            OutcomeUnknown: the connection broke after it was sent.
        """
        if self.pooled:
            async with self.transaction() as connection:
                return await connection.fetch(query, *arguments)
        async with self._borrow() as connection:
            try:
                return await connection.fetch(query, *arguments)
            except Exception as error:
                if is_lost(error):
                    raise OutcomeUnknown(f"the connection broke during a statement: {error}") from error
                raise _as_unavailable(error) from error

    async def read(self, query: str, *arguments: Any) -> list[Row]:
        """One statement that writes nothing, so that a connection that breaks leaves nothing unknown.

        Raises:
            Unavailable: there is no answer.
        """
        try:
            return await self.call(query, *arguments)
        except OutcomeUnknown as error:
            raise Unavailable(str(error)) from error

    @asynccontextmanager
    async def _borrow(self) -> AsyncIterator[Connection[Row]]:
        if self._pool is None:
            raise Unavailable("the database pool is not open")
        began = perf_counter()
        try:
            connection = await self._pool.acquire(timeout=5)
        except Exception as error:
            raise _as_unavailable(error) from error
        finally:
            self.waited.observe(perf_counter() - began)
        try:
            yield connection  # type: ignore[misc]
        except BaseException as error:
            if is_lost(error) or isinstance(error, (DatabaseError, asyncio.CancelledError)):
                self.lost += is_lost(error) or isinstance(error, DatabaseError)
                with suppress(*_LOST):  # it may have gone back to the pool by itself
                    connection.terminate()  # in what state it is nobody knows, so nobody may get it
            raise
        finally:
            try:
                await self._pool.release(connection)
            except _LOST:
                connection.terminate()


async def listen(dsn: str, channels: Mapping[str, Callable[[str], None]]) -> Connection[Row]:
    """A connection of its own that calls, for each notification, what stands for its channel, with what it says.

    It is the caller's to watch and to close.

    Raises:
        Unavailable: the server can't be reached.
    """
    try:
        connection = await asyncpg.connect(dsn, timeout=5, server_settings={"application_name": "meshhook-listen"})
        for channel, on_notify in channels.items():
            await connection.add_listener(channel, _payload_only(on_notify))
    except Exception as error:
        raise _as_unavailable(error) from error
    return connection


def _payload_only(on_notify: Callable[[str], None]) -> Callable[[Any, int, str, object], None]:
    return lambda _, __, ___, payload: on_notify(str(payload))


async def is_pooled(dsn: str) -> bool:
    """Whether a pooler such as PgBouncer stands before the server: who answers is not the process that was promised.

    Raises:
        Unavailable: the server can't be reached.
    """
    connection = await connect_once(dsn)
    try:
        async with connection.transaction():
            return bool(connection.get_server_pid() != await connection.fetchval("SELECT pg_backend_pid()"))
    except Exception as error:
        raise _as_unavailable(error) from error
    finally:
        connection.terminate()


async def connect_once(dsn: str) -> Connection[Row]:
    """One plain connection, for tools and migrations. It prepares nothing by name, so that it works through a pooler when its
    statements are in transactions.

    Raises:
        Unavailable: the server can't be reached.
    """
    try:
        return await asyncpg.connect(dsn, timeout=10, statement_cache_size=0)
    except Exception as error:
        raise _as_unavailable(error) from error


async def _keep_session(_: Connection[Row]) -> None:
    """No DISCARD ALL between uses: our statements leave no session state, and it would cost a round trip each time."""


async def _roll_back(transaction: Any) -> None:
    try:
        await transaction.rollback()
    except Exception as error:  # the server rolls back what it lost; anything else must be seen
        if not is_lost(error):
            raise


def _as_unavailable(error: BaseException) -> BaseException:
    if isinstance(error, asyncpg.CheckViolationError) and "no partition of relation" in str(error):
        return NoPartition(f"{error}: is a clock days off, or does no worker run that makes partitions?")
    if isinstance(error, _ROLLED_BACK):
        return Unavailable(f"the database could not do it: {error}")
    if is_lost(error) or isinstance(
        error, (asyncpg.InvalidCatalogNameError, asyncpg.InvalidAuthorizationSpecificationError)
    ):
        return Unavailable(f"the database can't be reached: {str(error) or type(error).__name__}")
    return error
