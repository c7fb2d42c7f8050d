"""What every worker says of itself, written down again and again: after the faults each must complete new work."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from meshproof.faults.scene import Scene
from meshproof.ledger import LineWriter

EVERY_S = 0.5


class RollCall:
    """Asks until it is stopped, and once more then."""

    def __init__(self, path: Path, scene: Scene) -> None:
        self._lines = LineWriter(path)
        self._scene = scene
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to ask."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Ask a last time, and end."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._ask()
        self._lines.close()

    async def _run(self) -> None:
        while True:
            await self._ask()
            await asyncio.sleep(EVERY_S)

    async def _ask(self) -> None:
        alive = set(self._scene.target.pids().get("worker", []))
        seen = await self._scene.eye.workers()
        at_us = time.time_ns() // 1_000
        for worker in seen:
            self._lines.add_json(
                {
                    "at_us": at_us,
                    "worker": worker.name,
                    "alive": worker.pid in alive,
                    "committed": worker.committed,
                    "refused": worker.refused,
                }
            )
        self._lines.flush()
