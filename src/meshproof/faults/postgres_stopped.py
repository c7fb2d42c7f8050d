"""Postgres is stopped at once (as by a power cut of its machine, but for the disk), and recovers from its log."""

from __future__ import annotations

import os
import signal

from meshproof.faults.fault import Evidence, Fault
from meshproof.faults.scene import Scene, until
from meshproof.supervise import ProcessError


class StopPostgres(Fault):
    """Immediate shutdown and restart: every session ends in its middle, nothing is flushed but the log."""

    heals_s = 4.0
    leaves_s = 2.0
    alone = True

    async def aim(self, scene: Scene) -> str:
        self.pid = 0
        pids = scene.target.pids().get("postgres", [])
        if not pids:
            raise ProcessError("There is no Postgres to stop at the moment.")
        self.before = await scene.eye.aim(lambda seen: bool(seen.sessions()))
        self.postmaster = pids[0]
        return f"postgres (process {self.postmaster})"

    async def begin(self, scene: Scene) -> None:
        # The postmaster is a process of the suite's own: it was told its id by the one who has started it.
        os.kill(self.postmaster, signal.SIGQUIT)
        self.pid = self.postmaster

    async def end(self, scene: Scene) -> None:
        async def back() -> bool:
            running = scene.target.pids().get("postgres", [])
            return running != [self.pid] and await scene.eye.answers() and await scene.api_is_back()

        if self.pid:
            await until(back)

    async def evidence(self, scene: Scene) -> Evidence:
        open_ = len(self.before.sessions())
        return Evidence(
            bool(self.pid) and open_ > 0,
            f"{open_} transactions of the engine were open, {self.before.live} runs were live",
            {"transactions": open_, "live": self.before.live},
        )
