"""Faults that cannot be made here. They are named all the same: the reason is on record in every run that asks for them."""

from __future__ import annotations

from meshproof.faults.fault import Evidence, Fault
from meshproof.faults.scene import Scene


class Skipped(Fault):
    """A fault with a reason in its place."""

    async def aim(self, scene: Scene) -> str:
        raise NotImplementedError(self.impossible)

    async def begin(self, scene: Scene) -> None:
        raise NotImplementedError(self.impossible)

    async def end(self, scene: Scene) -> None:
        raise NotImplementedError(self.impossible)

    async def evidence(self, scene: Scene) -> Evidence:
        raise NotImplementedError(self.impossible)


class DiskFull(Skipped):
    """The disk of the database is full."""

    impossible = (
        "to fill a disk, the data folder must be on a small file system of its own, and mounting one is nothing the suite does on"
        " somebody's machine"
    )
