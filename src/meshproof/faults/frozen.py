"""Processes that are stopped in their tracks (SIGSTOP) and go on later, as if nothing had been (SIGCONT).

A worker that is frozen for longer than its leases last is a zombie: others have taken its runs over, and what it writes when it
goes on must be refused.
"""

from __future__ import annotations

import signal
from typing import ClassVar

from meshproof.faults.fault import Evidence, Fault
from meshproof.faults.scene import Scene
from meshproof.supervise import ProcessError, Supervised

TRIES_MAX = 20


class FreezeWorker(Fault):
    """A worker is frozen until its leases have run out, then goes on."""

    lasts_s = (1.0, 2.0)
    outlasts_lease = True
    leaves_s = 2.0

    async def aim(self, scene: Scene) -> str:
        self.frozen = False
        self.process = scene.worker(self.draw.below(64))
        await self._until_it_holds(scene)
        return f"worker (process {self.process.pid})"

    async def begin(self, scene: Scene) -> None:
        # Between the look and the signal it went on, and may hold nothing any more: then it is let go, and tried again.
        for _ in range(TRIES_MAX):
            self.pid = self.process.strike(signal.SIGSTOP)
            self.frozen = True
            self.before = await scene.eye.look()
            if self.before.held_by(self.pid) > 0:
                return
            thaw(self.process, self.pid)
            await self._until_it_holds(scene)
        self.pid = self.process.strike(signal.SIGSTOP)

    async def _until_it_holds(self, scene: Scene) -> None:
        pid = self.process.pid
        await scene.eye.aim(lambda seen: seen.held_by(pid) > 0 or (not seen.held and bool(seen.live)))

    async def end(self, scene: Scene) -> None:
        if self.frozen:
            thaw(self.process, self.pid)

    async def evidence(self, scene: Scene) -> Evidence:
        held = self.before.held_by(self.pid)
        refused = sum(worker.refused for worker in await scene.eye.workers() if worker.pid == self.pid)
        open_ = len(self.before.sessions("meshhook-worker"))
        return Evidence(
            held > 0,
            f"held {held} runs when it was frozen; {refused} stale writes were refused after it went on",
            {"held": held, "refused": refused, "transactions": open_},
        )


class FreezeApi(Fault):
    """The API is frozen for a moment, with requests on their way."""

    lasts_s = (1.0, 2.5)
    role: ClassVar[str] = "api"

    async def aim(self, scene: Scene) -> str:
        self.frozen = False
        (self.process,) = scene.target.processes("api")
        self.before = await scene.eye.aim(lambda seen: bool(seen.sessions("meshhook-api")))
        return f"api (process {self.process.pid})"

    async def begin(self, scene: Scene) -> None:
        self.pid = self.process.strike(signal.SIGSTOP)
        self.frozen = True

    async def end(self, scene: Scene) -> None:
        if self.frozen:
            thaw(self.process, self.pid)

    async def evidence(self, scene: Scene) -> Evidence:
        open_ = len(self.before.sessions("meshhook-api"))
        return Evidence(open_ > 0, f"{open_} transactions of it were open", {"transactions": open_})


class FreezeSink(Fault):
    """The sink says nothing for a while: calls hang, and some run into their time-out."""

    lasts_s = (4.5, 5.5)
    leaves_s = 2.0

    async def aim(self, scene: Scene) -> str:
        self.frozen = False
        if scene.sink is None:
            raise ProcessError("This scenario makes no calls, so there is no sink to freeze.")
        self.process = scene.sink.process
        self.before = await scene.eye.aim(lambda seen: bool(seen.held))
        return f"sink (process {self.process.pid})"

    async def begin(self, scene: Scene) -> None:
        self.pid = self.process.strike(signal.SIGSTOP)
        self.frozen = True
        self.before = await scene.eye.look()

    async def end(self, scene: Scene) -> None:
        self.during = await scene.eye.look()
        if self.frozen:
            thaw(self.process, self.pid)

    async def evidence(self, scene: Scene) -> Evidence:
        before, during = sum(self.before.held.values()), sum(self.during.held.values())
        return Evidence(
            before > 0 and during > 0,
            f"{before} runs had calls under way when it fell silent, {during} when it spoke again",
            {"held": before, "held_at_end": during},
        )


def thaw(process: Supervised, pid: int) -> None:
    """Let a process go on; nothing happens when it has ended meanwhile."""
    if process.pid == pid:
        process.strike(signal.SIGCONT)
