"""What the faults see of the work in flight: a connection of their own to the database, past every proxy."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from meshproof.database import ERRORS, Reader
from meshproof.sql import statement

AIM_S: Final = 4.0
AIM_EVERY_S: Final = 0.002
GONE_S: Final = 3.0


@dataclass(frozen=True)
class AtWork:
    """What is in flight at one moment."""

    held: dict[str, int] = field(default_factory=dict)
    """Runs under a lease, by who holds them."""
    live: int = 0
    """Runs that are not finished."""
    busy: dict[str, list[int]] = field(default_factory=dict)
    """Sessions in the middle of a transaction, by the part of the engine they are of."""

    def held_by(self, pid: int | None) -> int:
        """How many runs the worker of this process id holds."""
        return sum(runs for owner, runs in self.held.items() if pid_of(owner) == pid)

    def sessions(self, *parts: str) -> list[int]:
        """The busy sessions of these parts; of all when none is named."""
        return [pid for part, pids in self.busy.items() if not parts or part in parts for pid in pids]


@dataclass(frozen=True)
class WorkerSeen:
    """What a worker says of itself."""

    name: str
    pid: int | None
    committed: int
    refused: int
    seen_us: int


class Eye:
    """Looks at the database of the engine. A database that is gone is seen as empty."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn
        self._reader = Reader(dsn)

    async def look(self) -> AtWork:
        """What is in flight now."""
        try:
            (row,) = await self._reader.fetch(statement("at_work"))
        except ERRORS:
            return AtWork()
        return AtWork(json.loads(row["held"]), row["live"], json.loads(row["busy"]))

    async def aim(self, wanted: Callable[[AtWork], bool], seconds: float = AIM_S) -> AtWork:
        """Look until there is such work, for so long at most; returns the last look."""
        deadline = time.monotonic() + seconds
        while not wanted(seen := await self.look()) and time.monotonic() < deadline:
            await asyncio.sleep(AIM_EVERY_S)
        return seen

    async def gone(self, sessions: list[int], seconds: float = GONE_S) -> int:
        """How many of these sessions come to their end, within so long."""
        deadline = time.monotonic() + seconds
        left = set(sessions)
        while left and time.monotonic() < deadline:
            try:
                left &= {row["pid"] for row in await self._reader.fetch(statement("sessions"), sessions)}
            except ERRORS:
                break
            await asyncio.sleep(AIM_EVERY_S * 10)
        return len(sessions) - len(left)

    async def workers(self) -> list[WorkerSeen]:
        """Every worker there ever was."""
        try:
            rows = await self._reader.fetch(statement("workers"))
        except ERRORS:
            return []
        return [
            WorkerSeen(row["id"], pid_of(row["id"]), row["committed"], row["refused"], row["seen_us"]) for row in rows
        ]

    async def answers(self) -> bool:
        """Whether the database answers."""
        try:
            await self._reader.fetch("SELECT")
        except ERRORS:
            return False
        return True

    async def cut(self, sessions_max: int, salt: str) -> int:
        """End so many sessions of the engine that are in the middle of a transaction, at most; returns how many."""
        try:
            return len(await self._reader.fetch(statement("cut_sessions"), sessions_max, salt))
        except ERRORS:
            return 0

    async def passed(self, session: int) -> tuple[int, int]:
        """Transactions that began since a session took its snapshot, and dead rows; none when the session is gone."""
        rows = await self._reader.fetch(statement("horizon"), session)
        return (rows[0]["transactions"] or 0, rows[0]["dead_rows"] or 0) if rows else (0, 0)

    async def close(self) -> None:
        """Close the connection."""
        await self._reader.close()


def pid_of(owner: str) -> int | None:
    """The process id in the name of a worker: host, process id and a few random digits, with hyphens between."""
    parts = owner.rsplit("-", 2)
    return int(parts[1]) if len(parts) == 3 and parts[1].isdigit() else None
