"""Somebody outside: sends the events of the plan, cancels, pauses and resumes runs, and pokes whom that has reached."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from meshproof.explore.actor import Actor
from meshproof.explore.machine import EVENT_KEY, EVENT_NAME
from meshproof.explore.moves import Option
from meshproof.explore.poking import poke
from meshproof.explore.session import Session
from meshproof.explore.world import Sent, World

SEND = "SELECT * FROM meshhook.send_event($1, $2, $3, $4, $5, $6, $7, $8)"
SIGNAL = "SELECT * FROM meshhook.signal($1, $2, $3, $4)"
KEEP = timedelta(days=1)


class Caller(Actor):
    """One that calls from outside; ``unsent`` events are shared by all of them, and so is what may still be wished of runs."""

    def __init__(self, name: str, session: Session, world: World, unsent: list[str], wishes: list[str]) -> None:
        super().__init__(name, session, world)
        self._unsent = unsent
        self._wishes = wishes
        self._reached: set[UUID] = set()
        self._sent: Sent | None = None
        self._to_poke: set[UUID] = set()

    def options(self) -> list[Option]:
        if self.session.is_open:
            return [Option("commit", 8), Option("crash", 1)]
        if self._to_poke:
            return [Option("poke", 8), Option("crash", 1)]
        found = [Option("event", 2)] if self._unsent and self.world.runs else []
        return found + ([Option("wish", 1 + len(self._wishes) // 3)] if self._wishes and self.world.live else [])

    async def do(self, kind: str, arg: int) -> str:
        match kind:
            case "event":
                return await self.send(self._unsent.pop(0))
            case "wish":
                live = self.world.live
                return await self.wish(self._wishes.pop(arg % len(self._wishes)), live[arg % len(live)])
            case "commit":
                return await self.commit()
            case "poke":
                said = await poke(self.session, self.world, self._to_poke)
                self._to_poke = set()
                return said
            case _:
                return await self.crash(arg)

    def forget(self) -> None:
        self._reached, self._sent, self._to_poke = set(), None, set()

    async def send(self, id: str) -> str:
        """Send an event, in a transaction that is left open."""
        world, sent = self.world, Sent(id, self.world.now_s)
        rows = await self.session.fetch(
            world.now, SEND, world.shard, world.project, id, None, EVENT_NAME, EVENT_KEY, "{}", KEEP
        )
        self._reached = {run for (run,) in rows}
        self._sent = None if id in [known.id for known in world.events] else sent
        return f"sends event {id}, which reaches {self._names(self._reached)}"

    async def commit(self) -> str:
        """Commit what was sent, and have those poked that it reached."""
        await self.session.commit()
        if self._sent is not None:
            self.world.events.append(self._sent)
        self._to_poke, self._reached, self._sent = self._reached, set(), None
        return "commits"

    async def wish(self, kind: str, run: UUID) -> str:
        """Wish that a run is cancelled, paused or resumed, in a transaction that is left open."""
        rows = await self.session.fetch(self.world.now, SIGNAL, self.world.shard, [run], [kind], ['{"by":"caller"}'])
        self._reached = {run for (run,) in rows}
        return f"wishes {kind} of {self.world.name(run)}, which reaches {self._names(self._reached)}"

    def _names(self, runs: set[UUID]) -> str:
        return ", ".join(sorted(map(self.world.name, runs))) or "nobody"
