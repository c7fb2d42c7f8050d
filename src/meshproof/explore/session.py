"""One connection of one actor. Its clock is that of the schedule, and what it waited for is told when the scheduler says so.

There is always a transaction: the end of one is the beginning of the next, which saves a trip for each. Until the first statement
it has no snapshot and no locks, so nobody can tell.
"""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Any

import asyncpg

SETTINGS = {"application_name": "meshproof explore", "jit": "off", "synchronous_commit": "off"}


class Session:
    """A connection. ``is_open``: something was asked in its transaction. ``commits`` counts: between two of them nothing that
    others can see has changed.
    """

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._clock: datetime | None = None
        self._clock_before: datetime | None = None
        self._gate: asyncio.Event | None = None
        self.is_open = False
        self.commits = 0

    async def connect(self) -> None:
        """Open the connection."""
        self._connection: asyncpg.Connection[Any] = await asyncpg.connect(self._dsn, server_settings=SETTINGS)
        self.pid = self._connection.get_server_pid()
        self._clock = self._clock_before = None
        self.is_open = False
        await self._connection.execute("BEGIN")

    async def close(self) -> None:
        """Close the connection."""
        await self._connection.close()

    async def fetch(self, now: datetime, sql: str, *values: object) -> list[asyncpg.Record]:
        """The rows of one statement at this time, in the transaction that is open or is opened by it."""
        if now != self._clock:
            await self._connection.execute(f"SET meshhook.fake_now = '{now.isoformat()}'")
            self._clock = now
        self.is_open = True
        rows = await self._connection.fetch(sql, *values)
        if self._gate is not None:
            await self._gate.wait()
        return rows

    async def commit(self) -> None:
        """Commit."""
        await self._connection.execute("COMMIT AND CHAIN")
        self._clock_before = self._clock
        self.is_open = False
        self.commits += 1

    async def roll_back(self) -> None:
        """What the server does when the connection of an open transaction breaks."""
        if self.is_open:
            await self._connection.execute("ROLLBACK AND CHAIN")
            self._clock = self._clock_before
            self.is_open = False

    async def break_off(self) -> int:
        """Close the connection in the middle of whatever it is in, and open another; returns the process that served it."""
        gone = self.pid
        self._connection.terminate()
        await self.connect()
        return gone

    def hold_back(self) -> None:
        """The statement under way waits for somebody: let its result wait as well, until it is asked for."""
        self._gate = asyncio.Event()

    def let_go(self) -> None:
        """Tell what was held back."""
        if self._gate is not None:
            self._gate.set()
            self._gate = None
