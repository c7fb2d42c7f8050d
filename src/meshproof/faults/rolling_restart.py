"""A rolling restart, as at every new release: each process is asked to stop and comes back before it is the turn of the next."""

from __future__ import annotations

import signal
from functools import partial

from meshproof.faults.ended import SESSIONS, is_back
from meshproof.faults.eye import AtWork
from meshproof.faults.fault import Evidence, Fault
from meshproof.faults.scene import Scene
from meshproof.supervise import Supervised


class RollingRestart(Fault):
    """Every worker and then the API are asked to stop, one after the other."""

    heals_s = 7.0

    async def aim(self, scene: Scene) -> str:
        self.hits: list[bool] = []
        self.processes = [*scene.target.processes("worker"), *scene.target.processes("api")]
        return f"{len(self.processes)} processes"

    async def begin(self, scene: Scene) -> None:
        for process in self.processes:
            seen = await scene.eye.aim(partial(is_at_work, process))
            self.hits.append(is_at_work(process, seen))
            await is_back(scene, process, process.strike(signal.SIGTERM))

    async def end(self, scene: Scene) -> None:
        """They came back, each before the next."""

    async def evidence(self, scene: Scene) -> Evidence:
        hits = sum(self.hits)
        return Evidence(
            hits == len(self.processes),
            f"{hits} of {len(self.processes)} were at work when they were told",
            {"hits": hits},
        )


def is_at_work(process: Supervised, seen: AtWork) -> bool:
    """Whether this process has something in hand."""
    return (
        seen.held_by(process.pid) > 0
        if seen.held and process.role == "worker"
        else bool(seen.sessions(SESSIONS[process.role]))
    )
