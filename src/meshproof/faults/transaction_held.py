"""Somebody holds a transaction open, and so the horizon: no row that dies from then on can be removed."""

from __future__ import annotations

from typing import Any

import asyncpg

from meshproof.database import CONNECT_S_MAX, ERRORS
from meshproof.faults.fault import Evidence, Fault
from meshproof.faults.scene import Scene


class HoldTransaction(Fault):
    """A snapshot is held open while the work goes on."""

    lasts_s = (6.0, 9.0)
    leaves_room = True

    async def aim(self, scene: Scene) -> str:
        self.connection: asyncpg.Connection[Any] | None = None
        self.passed = self.dead = 0
        return "a transaction beside the engine"

    async def begin(self, scene: Scene) -> None:
        self.connection = await asyncpg.connect(
            scene.target.dsn, timeout=CONNECT_S_MAX, server_settings={"application_name": "meshproof"}
        )
        await self.connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        await self.connection.fetchval("SELECT 1")  # takes the snapshot

    async def end(self, scene: Scene) -> None:
        if self.connection is None:
            return
        try:
            self.passed, self.dead = await scene.eye.passed(self.connection.get_server_pid())
            await self.connection.close(timeout=2.0)
        except ERRORS:
            # Another fault has ended it; what it held is let go.
            self.connection.terminate()

    async def evidence(self, scene: Scene) -> Evidence:
        return Evidence(
            self.passed > 0,
            f"{self.passed} transactions began while it was open, {self.dead} dead rows were left at its end",
            {"transactions": self.passed, "dead_rows": self.dead},
        )
