"""Workers are added while the load goes on, and taken away again."""

from __future__ import annotations

from meshproof.faults.fault import Evidence, Fault
from meshproof.faults.scene import Scene, until


class ScaleWorkers(Fault):
    """One to three workers more for a while; then they are asked to stop in the middle of their work."""

    lasts_s = (3.0, 4.0)
    heals_s = 2.5

    async def aim(self, scene: Scene) -> str:
        self.count, self.added, self.held, self.committed = self.draw.between(1, 3), 0, 0, 0
        return f"{self.count} workers more"

    async def begin(self, scene: Scene) -> None:
        await scene.target.add_workers(self.count)
        self.added = self.count

    async def end(self, scene: Scene) -> None:
        if not self.added:
            return
        added = {worker.pid for worker in scene.target.processes("worker")[-self.added :]}

        async def all_worked() -> bool:
            self.committed = sum(seen.committed > 0 for seen in await scene.eye.workers() if seen.pid in added)
            return self.committed >= self.added

        await until(all_worked, 20.0)
        seen = await scene.eye.aim(lambda seen: all(map(seen.held_by, added)) if seen.held else bool(seen.sessions()))
        self.held = sum(map(seen.held_by, added))
        await scene.target.remove_workers(self.added)

    async def evidence(self, scene: Scene) -> Evidence:
        return Evidence(
            self.added > 0 and self.committed == self.added,
            f"{self.committed} of {self.added} did work; they held {self.held} runs when they were told to stop",
            {"added": self.added, "worked": self.committed, "held": self.held},
        )
