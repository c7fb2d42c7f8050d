"""What goes on beside the workers: leases are renewed, forgotten signals found, and time passes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from meshproof.explore.actor import Actor
from meshproof.explore.moves import Option, require
from meshproof.explore.session import Session
from meshproof.explore.times import FORGOTTEN_S, LEASE_S, seconds_at
from meshproof.explore.worker import Worker
from meshproof.explore.world import World

RENEW = "SELECT * FROM meshhook.renew($1, $2, $3, $4, $5)"
POKE_FORGOTTEN = "SELECT meshhook.poke_forgotten($1, $2)"


class Renewer(Actor):
    """Renews the leases of workers, on a connection of its own: while they are in the middle of something, too."""

    def __init__(self, name: str, session: Session, world: World, workers: Sequence[Worker]) -> None:
        super().__init__(name, session, world)
        self._workers = workers

    def options(self) -> list[Option]:
        return [Option("renew", 1)] if self._holders() else []

    async def do(self, kind: str, arg: int) -> str:
        holders, world = self._holders(), self.world
        worker = holders[arg % len(holders)]
        mine = sorted(worker.holds.values(), key=lambda taken: taken.run)
        rows = await self.session.fetch(
            world.now,
            RENEW,
            world.shard,
            worker.owner,
            [taken.run for taken in mine],
            [taken.epoch for taken in mine],
            timedelta(seconds=LEASE_S),
        )
        await self.session.commit()
        renewed = {run: (until, signaled) for run, until, signaled in rows}
        for taken in mine:
            if taken.run not in renewed:
                worker.holds.pop(taken.run, None)
                continue
            until, signaled = renewed[taken.run]
            lease, name = world.leases.get(taken.run), world.name(taken.run)
            require(
                lease is not None and lease.worker == worker.owner and lease.until > world.now_s,
                "one-holder",
                f"{worker.owner} renewed its lease of {name} at {world.now_s} s; what there is, is {lease}",
            )
            assert lease is not None
            taken.until = seconds_at(until)
            world.leases[taken.run] = lease._replace(until=taken.until)
            if signaled:
                worker.told.add(taken.run)
        names = ", ".join(world.name(run) for run in sorted(renewed))
        return f"renews the leases of {worker.owner}: {names or 'none is left'}"

    def forget(self) -> None:
        """It knows nothing."""

    def _holders(self) -> list[Worker]:
        return [worker for worker in self._workers if worker.holds]


class Finder(Actor):
    """Pokes runs whose signals somebody has put down and died."""

    def options(self) -> list[Option]:
        late = [told for told in self.world.seen.signals if told.number not in self.world.poked]
        return [Option("find", 1)] if late else []

    async def do(self, kind: str, arg: int) -> str:
        return await self.find()

    async def find(self) -> str:
        """Poke what was forgotten."""
        rows = await self.session.fetch(
            self.world.now, POKE_FORGOTTEN, self.world.shard, timedelta(seconds=FORGOTTEN_S)
        )
        await self.session.commit()
        for told in self.world.seen.signals:
            if told.run in self.world.runs:  # whoever was poked may be due at once
                known = self.world.runs[told.run]
                known.due = min(known.due, self.world.now_s)
        return f"looks for forgotten signals: {rows[0][0]} found"

    def forget(self) -> None:
        """It knows nothing."""


class Clock(Actor):
    """Time, which passes for everybody at once. It asks the database nothing."""

    def options(self) -> list[Option]:
        return [Option("tick", 3)] if self.world.runs else []

    async def do(self, kind: str, arg: int) -> str:
        ticks = self.world.plan.ticks
        self.world.now_s += ticks[arg % len(ticks)]
        return f"it is {self.world.now_s} s"

    def forget(self) -> None:
        """It forgets nothing."""

    async def crash(self, arg: int = 1) -> str:
        return "goes on"
