"""Sessions of the engine are ended by the database (`pg_terminate_backend`), in the middle of their transactions."""

from __future__ import annotations

import asyncio

from meshproof.faults.fault import Evidence, Fault
from meshproof.faults.scene import Scene

EVERY_S = 0.005


class CutSessions(Fault):
    """Random sessions with an open transaction are ended, again and again."""

    lasts_s = (1.5, 3.0)

    async def aim(self, scene: Scene) -> str:
        self.wanted = self.draw.between(3, 8)
        self.cut = 0
        self.cutting: asyncio.Task[None] | None = None
        return f"{self.wanted} sessions of the engine"

    async def begin(self, scene: Scene) -> None:
        self.cutting = asyncio.create_task(self._cut(scene))

    async def end(self, scene: Scene) -> None:
        if self.cutting is not None:
            self.cutting.cancel()
            await asyncio.gather(self.cutting, return_exceptions=True)

    async def evidence(self, scene: Scene) -> Evidence:
        return Evidence(self.cut > 0, f"{self.cut} sessions were ended with a transaction open", {"cut": self.cut})

    async def _cut(self, scene: Scene) -> None:
        while self.cut < self.wanted:
            self.cut += await scene.eye.cut(1, str(self.cut))
            await asyncio.sleep(EVERY_S)
