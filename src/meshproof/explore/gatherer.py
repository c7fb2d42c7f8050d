"""The door of a workflow that gathers: several deliveries with one key become one run, which starts some time after the last."""

from __future__ import annotations

import hashlib
import json
from datetime import timedelta
from typing import Final, NamedTuple
from uuid import UUID

from meshproof.explore.actor import Actor
from meshproof.explore.machine import Event
from meshproof.explore.moves import Option, require
from meshproof.explore.plan import Delivery
from meshproof.explore.session import Session
from meshproof.explore.world import World

GATHER: Final = "SELECT * FROM meshhook.gather($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) ORDER BY ordinal"
KEEP: Final = timedelta(days=1)
WAIT_S: Final = 20
LONGEST_S: Final = 10_000
SIZE_MAX: Final = 3
"""Deliveries a run; with the last of them it is due at once."""
BYTES_MAX: Final = 1 << 20


class Put(NamedTuple):
    """A delivery that is in a run, once that is committed."""

    run: UUID
    delivery: Delivery
    is_first: bool


class Gatherer(Actor):
    """One that stores deliveries in the runs that gather them; ``unsent`` is shared by all of them."""

    def __init__(self, name: str, session: Session, world: World, unsent: list[Delivery]) -> None:
        super().__init__(name, session, world)
        self._unsent = unsent
        self._sent: list[Delivery] = []
        self._put: list[Put] = []
        self._at = 0

    def options(self) -> list[Option]:
        if self.session.is_open:
            return [Option("commit", 8), Option("crash", 1)]
        return [Option("gather", 6)] if self._unsent else []

    async def do(self, kind: str, arg: int) -> str:
        match kind:
            case "gather":
                return await self._gather(1 + arg % 2)
            case "commit":
                return await self._commit()
            case _:
                return await self.crash(arg)

    def forget(self) -> None:
        # Their senders were told nothing, so they send again.
        self._unsent += self._sent
        self._sent, self._put = [], []

    async def _gather(self, count: int) -> str:
        world = self.world
        self._sent, self._unsent[:count] = self._unsent[:count], []
        ids, size = [world.new_id() for _ in self._sent], len(self._sent)
        self._at = world.now_s
        rows = await self.session.fetch(
            world.now,
            GATHER,
            world.shard,
            ids,
            [world.endpoint] * size,
            [None] * size,
            [hashlib.sha256(one.body.encode()).digest() for one in self._sent],
            [json.dumps({"kind": one.kind, "size": one.size}) for one in self._sent],
            [one.key for one in self._sent],
            ["batch"] * size,
            [SIZE_MAX] * size,
            [timedelta(seconds=WAIT_S)] * size,
            [timedelta(seconds=LONGEST_S)] * size,
            BYTES_MAX,
            KEEP,
        )
        said = []
        for id, delivery, (_, outcome, run) in zip(ids, self._sent, rows, strict=True):
            require(
                outcome in ("new", "added") and (outcome == "new") == (run == id),
                "gathered-once",
                f"a delivery of {delivery.key} was answered with {outcome} of {world.name(run)}",
            )
            if outcome == "added":
                self._check_open(run, delivery)
            self._put.append(Put(run, delivery, outcome == "new"))
            said.append(f"one of {delivery.key}, {outcome} in {world.name(run)}")
        return "gathers " + "; ".join(said)

    def _check_open(self, run: UUID, delivery: Delivery) -> None:
        """A run that somebody has claimed, or that is due, takes nothing more."""
        world = self.world
        known, mine = world.runs.get(run), [put for put in self._put if put.run == run]
        name = world.name(run)
        require(
            known is not None or bool(mine),
            "gathered-once",
            f"a delivery was added to {name}, which nobody was told of",
        )
        if known is not None:
            is_untouched = known.epoch == 0 and run not in world.taken and known.ended is None
            require(is_untouched, "gathered-once", f"a delivery of {delivery.key} was added to {name}, which has begun")
            require(
                known.due > self._at,
                "gathered-once",
                f"a delivery of {delivery.key} was added to {name}, which is due",
            )
        first = known.delivery.key if known is not None else mine[0].delivery.key
        require(
            first == delivery.key,
            "gathered-once",
            f"a delivery of {delivery.key} was added to {name}, which is of {first}",
        )
        count = (len(known.journal) if known is not None else 0) + len(mine)
        require(count < SIZE_MAX, "gathered-once", f"{name} has {count} deliveries already")

    async def _commit(self) -> str:
        await self.session.commit()
        world = self.world
        for run, delivery, is_first in self._put:
            if is_first:
                accepted: Event = {"type": "run.accepted", "trigger": {"kind": delivery.kind, "size": delivery.size}}
                world.store(run, delivery, self._at, accepted)
            else:
                world.runs[run].journal.append({"type": "delivery.added"})
            known = world.runs[run]
            known.due = self._at if len(known.journal) == SIZE_MAX else self._at + WAIT_S
        names = ", ".join(sorted({world.name(put.run) for put in self._put}))
        self._sent, self._put = [], []
        return f"commits {names or 'nothing'}"
