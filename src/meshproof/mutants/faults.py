"""Faults of a trial: each waits until the database shows work under way that it will hit, strikes once, and puts that on record."""

from __future__ import annotations

import asyncio
import re
import signal
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, TypeVar

from meshproof.database import ERRORS, Reader
from meshproof.supervise import Incidents, Supervised
from meshproof.target import Embedded

LOOK_S: Final = 0.02
WAIT_S_MAX: Final = 30.0
# The name of a worker, which its leases carry, has its process id in it.
_OWNER: Final = re.compile(r"-(\d+)-[0-9a-f]+$")

HOLDERS: Final = "SELECT owner, count(*) AS leases FROM meshhook.tasks WHERE owner IS NOT NULL GROUP BY owner"
ACCEPTED: Final = "SELECT count(*) AS accepted FROM meshhook.runs"


T = TypeVar("T")


class FaultError(RuntimeError):
    """The fault found nothing to hit, so the run proves nothing of it."""


@dataclass(frozen=True)
class Scene:
    """Where a fault strikes."""

    target: Embedded
    reader: Reader
    incidents: Incidents

    def hit(self, process: Supervised, number: signal.Signals, what: str) -> None:
        """Send a signal, and put it on record."""
        self.incidents.add(process.role, process.strike(number), f"{what} ({number.name})")


@dataclass(frozen=True)
class Fault:
    """One thing that happens to one process."""

    what: str
    strike: Callable[[Scene], Awaitable[None]]
    """Wait for something to hit, and hit it. Raises FaultError."""


def kill_api(*, accepted: int) -> Fault:
    """Kill the API once so many deliveries are stored and more are coming."""

    async def strike(scene: Scene) -> None:
        async def busy() -> bool:
            ((stored,),) = await scene.reader.fetch(ACCEPTED)
            return bool(stored >= accepted)

        await _eventually("enough deliveries", busy)
        (api,) = scene.target.processes("api")
        scene.hit(api, signal.SIGKILL, "is killed")

    return Fault(f"kill -9 of the API after {accepted} deliveries", strike)


def kill_worker(*, leases: int) -> Fault:
    """Kill a worker once it holds so many leases."""

    async def strike(scene: Scene) -> None:
        worker, _ = await _holder(scene, leases)
        scene.hit(worker, signal.SIGKILL, "is killed")

    return Fault(f"kill -9 of a worker that holds {leases} leases", strike)


def stop_worker(*, leases: int) -> Fault:
    """Ask a worker to end once it holds so many leases."""

    async def strike(scene: Scene) -> None:
        worker, _ = await _holder(scene, leases)
        scene.hit(worker, signal.SIGTERM, "is asked to end")

    return Fault(f"SIGTERM to a worker that holds {leases} leases", strike)


def freeze_worker(*, leases: int) -> Fault:
    """Stop a worker that holds so many leases until all of them are somebody else's, then let it go on."""

    async def strike(scene: Scene) -> None:
        worker, owner = await _holder(scene, leases)
        scene.hit(worker, signal.SIGSTOP, "is stopped")

        async def lost() -> bool:
            return all(row["owner"] != owner for row in await scene.reader.fetch(HOLDERS))

        try:
            await _eventually("the end of its leases", lost)
        finally:
            scene.hit(worker, signal.SIGCONT, "goes on")

    return Fault(f"SIGSTOP of a worker that holds {leases} leases, until others have them; then SIGCONT", strike)


async def _holder(scene: Scene, leases: int) -> tuple[Supervised, str]:
    """A worker that holds so many leases, and the name it has on them."""

    async def found() -> tuple[Supervised, str] | None:
        workers = {str(worker.pid): worker for worker in scene.target.processes("worker")}
        for row in await scene.reader.fetch(HOLDERS):
            name = _OWNER.search(row["owner"])
            if row["leases"] >= leases and name is not None and name[1] in workers:
                return workers[name[1]], row["owner"]
        return None

    return await _eventually(f"a worker with {leases} leases", found)


async def _eventually(what: str, look: Callable[[], Awaitable[T | None]]) -> T:
    deadline = time.monotonic() + WAIT_S_MAX
    while time.monotonic() < deadline:
        with suppress(*ERRORS):
            if found := await look():
                return found
        await asyncio.sleep(LOOK_S)
    raise FaultError(f"The fault waited in vain for {what}.")
