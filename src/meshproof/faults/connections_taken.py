"""Somebody takes every connection that Postgres has to give: the engine gets none in the place of those it loses."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import asyncpg

from meshproof.database import CONNECT_S_MAX, ERRORS
from meshproof.faults.fault import Evidence, Fault
from meshproof.faults.scene import Scene, until

EVERY_S: Final = 0.02
TAKEN_MAX: Final = 500
REFUSAL: Final = b"too many clients already"


class TakeConnections(Fault):
    """Every connection is taken, sessions of the engine are ended, and what that frees is taken too."""

    lasts_s = (2.0, 3.0)
    heals_s = 1.5

    async def aim(self, scene: Scene) -> str:
        self.taken: list[asyncpg.Connection[Any]] = []
        self.own_refusals = self.cut = self.refusals = 0
        self.taking: asyncio.Task[None] | None = None
        self.log = scene.target.folder / "data" / "postgres.log"
        self.before = refusals_in(self.log)
        return "every connection of Postgres"

    async def begin(self, scene: Scene) -> None:
        self.taking = asyncio.create_task(self._take(scene))

        async def all_taken() -> bool:
            return self.own_refusals > 0

        await until(all_taken, CONNECT_S_MAX)

    async def end(self, scene: Scene) -> None:
        if self.taking is not None:
            self.taking.cancel()
            await asyncio.gather(self.taking, return_exceptions=True)
        for connection in self.taken:
            connection.terminate()
        self.refusals = refusals_in(self.log) - self.before - self.own_refusals

    async def evidence(self, scene: Scene) -> Evidence:
        return Evidence(
            self.cut > 0 and self.refusals > 0,
            f"{len(self.taken)} connections were taken, {self.cut} busy sessions ended, {self.refusals} others refused",
            {"taken": len(self.taken), "cut": self.cut, "refused": max(0, self.refusals)},
        )

    async def _take(self, scene: Scene) -> None:
        while len(self.taken) < TAKEN_MAX:
            try:
                self.taken.append(await asyncpg.connect(scene.target.dsn, timeout=CONNECT_S_MAX))
            except asyncpg.TooManyConnectionsError:
                self.own_refusals += 1
                with suppress(*ERRORS):
                    self.cut += await scene.eye.cut(2, str(self.cut))
                await asyncio.sleep(EVERY_S)
            except ERRORS:
                await asyncio.sleep(EVERY_S)


def refusals_in(log: Path) -> int:
    """How many connections the server says it has refused."""
    return log.read_bytes().count(REFUSAL) if log.exists() else 0
