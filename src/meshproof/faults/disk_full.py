"""The disk of the database is full. It takes a small file system of its own, which the suite does not make."""

from __future__ import annotations

from meshproof.faults.fault import Evidence, Fault
from meshproof.faults.scene import Scene


class DiskFull(Fault):
    """Skipped, with the reason on record."""

    impossible = (
        "to fill a disk, the data folder must be on a small file system of its own, and mounting one is nothing the suite does on"
        " somebody's machine"
    )

    async def aim(self, scene: Scene) -> str:
        raise NotImplementedError(self.impossible)

    async def begin(self, scene: Scene) -> None:
        raise NotImplementedError(self.impossible)

    async def end(self, scene: Scene) -> None:
        raise NotImplementedError(self.impossible)

    async def evidence(self, scene: Scene) -> Evidence:
        raise NotImplementedError(self.impossible)
