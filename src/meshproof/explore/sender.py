"""The door: sends deliveries of the plan to accept(), several at once and some again, and is told what became of them."""

from __future__ import annotations

import hashlib
import json
from datetime import timedelta
from uuid import UUID

from meshproof.explore.actor import Actor
from meshproof.explore.moves import Option, require
from meshproof.explore.plan import Delivery
from meshproof.explore.session import Session
from meshproof.explore.world import World

ACCEPT = "SELECT * FROM meshhook.accept($1, $2, $3, $4, $5, $6, $7)"
KEEP = timedelta(days=1)
BATCH_MAX = 2


class Sender(Actor):
    """One that stores deliveries; ``unsent`` is shared by all of them."""

    def __init__(self, name: str, session: Session, world: World, unsent: list[Delivery]) -> None:
        super().__init__(name, session, world)
        self._unsent = unsent
        self._sent: dict[UUID, Delivery] = {}
        self._new: list[UUID] = []
        self._at = 0

    def options(self) -> list[Option]:
        if self.session.is_open:
            return [Option("commit", 8), Option("crash", 1)]
        return [Option("accept", 6)] if self._unsent else []

    async def do(self, kind: str, arg: int) -> str:
        match kind:
            case "accept":
                return await self._accept(1 + arg % BATCH_MAX)
            case "commit":
                return await self._commit()
            case _:
                return await self.crash(arg)

    def forget(self) -> None:
        # Their senders were told nothing, so they send again.
        self._unsent += self._sent.values()
        self._sent, self._new = {}, []

    async def _accept(self, count: int) -> str:
        world, self._at = self.world, self.world.now_s
        while self._unsent and len(self._sent) < count:
            if self._unsent[0].dedupe is not None and self._unsent[0].dedupe in [
                one.dedupe for one in self._sent.values()
            ]:
                break
            self._sent[world.new_id()] = self._unsent.pop(0)
        rows = await self.session.fetch(
            world.now,
            ACCEPT,
            world.shard,
            list(self._sent),
            [world.endpoint] * len(self._sent),
            [delivery.dedupe for delivery in self._sent.values()],
            [_hash(delivery) for delivery in self._sent.values()],
            [_trigger(delivery) for delivery in self._sent.values()],
            KEEP,
        )
        answers = {ordinal: (outcome, run) for ordinal, outcome, run in rows}
        said = []
        for ordinal, (run, delivery) in enumerate(self._sent.items(), start=1):
            answer, expected = answers.get(ordinal, ("new", None)), world.answer(delivery)
            said.append(f"{world.name(run)} ({_told(delivery)}) {answer[0]}")
            require(
                answer == expected,
                "dedupe",
                f"{world.name(run)}, {_told(delivery)}, was answered with {answer[0]} of {answer[1] and world.name(answer[1])}; "
                f"it is {expected[0]} of {expected[1] and world.name(expected[1])}",
            )
            if answer[0] == "new":
                self._new.append(run)
        return "accepts " + ", ".join(said)

    async def _commit(self) -> str:
        await self.session.commit()
        for run in self._new:
            delivery = self._sent[run]
            accepted = {"type": "run.accepted", "trigger": {"kind": delivery.kind, "size": delivery.size}}
            self.world.store(run, delivery, self._at, accepted)
        names = ", ".join(map(self.world.name, self._new))
        self._sent, self._new = {}, []
        return f"commits {names or 'nothing new'}"


def _hash(delivery: Delivery) -> bytes | None:
    return hashlib.sha256(delivery.body.encode()).digest() if delivery.dedupe is not None else None


def _trigger(delivery: Delivery) -> str:
    return json.dumps({"kind": delivery.kind, "size": delivery.size})


def _told(delivery: Delivery) -> str:
    said = f", key {delivery.dedupe} body {delivery.body}" if delivery.dedupe is not None else ""
    of = f" of {delivery.key}" if delivery.key is not None else ""
    return f"{delivery.size} {delivery.kind}{of}{said}"
