"""Processes that are ended in the middle of their work, and started again: killed, or asked to stop.

What is killed says nothing any more; what is asked to stop hands back what it holds.
"""

from __future__ import annotations

import asyncio
import signal
from typing import ClassVar

from meshproof.faults.eye import AtWork
from meshproof.faults.fault import Evidence, Fault
from meshproof.faults.scene import Scene, until
from meshproof.supervise import Supervised

SESSIONS = {"api": "meshhook-api", "worker": "meshhook-worker"}


class Ended(Fault):
    """Processes of these roles, one of each, are ended by a signal and come back."""

    roles: ClassVar[tuple[str, ...]]
    number: ClassVar[signal.Signals]
    heals_s = 2.5

    async def aim(self, scene: Scene) -> str:
        self.struck: list[tuple[Supervised, int]] = []
        self.chosen = [self._choose(scene, role) for role in self.roles]
        self.before = await scene.eye.aim(self._is_at_work)
        return " and ".join(f"{process.role} (process {process.pid})" for process in self.chosen)

    async def begin(self, scene: Scene) -> None:
        self.struck = [(process, process.strike(self.number)) for process in self.chosen]

    async def end(self, scene: Scene) -> None:
        await asyncio.gather(*(is_back(scene, process, pid) for process, pid in self.struck))
        self.gone = await scene.eye.gone(self.before.sessions(*(SESSIONS[role] for role in self.roles)))

    async def evidence(self, scene: Scene) -> Evidence:
        held = sum(self.before.held_by(pid) for process, pid in self.struck if process.role == "worker")
        hit = len(self.struck) == len(self.roles) and (held > 0 or self.gone > 0)
        return Evidence(
            hit,
            f"held {held} runs under leases, {self.gone} transactions were open and never ended",
            {"held": held, "transactions": self.gone},
        )

    def _choose(self, scene: Scene, role: str) -> Supervised:
        processes = scene.target.processes(role)
        return processes[self.draw.below(len(processes))]

    def _is_at_work(self, seen: AtWork) -> bool:
        """All of them, in one moment: a worker by its leases where there are any, everybody by an open transaction."""
        return all(
            bool(
                seen.held_by(process.pid)
                if seen.held and process.role == "worker"
                else seen.sessions(SESSIONS[process.role])
            )
            for process in self.chosen
        )


async def is_back(scene: Scene, process: Supervised, ended: int) -> bool:
    """Wait until there is another process in the place of the one that ended, and it works."""

    async def back() -> bool:
        if process.pid in (None, ended):
            return False
        return await (scene.api_is_back() if process.role == "api" else scene.worker_is_back(process.pid))

    return await until(back)


class KillWorker(Ended):
    """A worker is killed."""

    roles, number = ("worker",), signal.SIGKILL


class KillApi(Ended):
    """The API is killed."""

    roles, number = ("api",), signal.SIGKILL


class KillBoth(Ended):
    """A worker and the API are killed at once."""

    roles, number = ("worker", "api"), signal.SIGKILL


class StopWorker(Ended):
    """A worker is asked to stop."""

    roles, number = ("worker",), signal.SIGTERM

    async def evidence(self, scene: Scene) -> Evidence:
        return await _stopped(self)


class StopApi(Ended):
    """The API is asked to stop."""

    roles, number = ("api",), signal.SIGTERM

    async def evidence(self, scene: Scene) -> Evidence:
        return await _stopped(self)


class StopBoth(Ended):
    """A worker and the API are asked to stop at once."""

    roles, number = ("worker", "api"), signal.SIGTERM

    async def evidence(self, scene: Scene) -> Evidence:
        return await _stopped(self)


async def _stopped(fault: Ended) -> Evidence:
    """Who stops in good order ends its transactions first, so those that were open count as work."""
    held = sum(fault.before.held_by(pid) for process, pid in fault.struck if process.role == "worker")
    open_ = len(fault.before.sessions(*(SESSIONS[role] for role in fault.roles)))
    return Evidence(
        len(fault.struck) == len(fault.roles) and (held > 0 or open_ > 0),
        f"held {held} runs under leases, had {open_} transactions open",
        {"held": held, "transactions": open_},
    )
