"""One schedule: who moves next is drawn from a seed, or read from a list. Then everybody dies, and one worker is left."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import asyncpg

from meshproof.explore.actor import Actor
from meshproof.explore.caller import Caller
from meshproof.explore.invariants import check, check_end
from meshproof.explore.keepers import Clock, Finder, Renewer
from meshproof.explore.machine import fold
from meshproof.explore.moves import Move, Violation
from meshproof.explore.plan import draw
from meshproof.explore.sender import Sender
from meshproof.explore.stage import POLL_S_MAX, POLL_S_MIN, Stage
from meshproof.explore.times import LEASE_S
from meshproof.explore.worker import Worker
from meshproof.explore.world import World

ARG_MAX: Final = 7**5
PACES: Final = (0, 0, 1, 6)
PACE_CHANGES: Final = 0.3
ROUNDS_MAX: Final = 12
"""Turns of the last worker: more than the longest run takes."""
ALL: Final = 100


class Line(NamedTuple):
    """One line of the story; ``number`` is that of the move among those chosen, None for what always follows."""

    number: int | None
    now_s: int
    actor: str
    text: str


@dataclass
class Outcome:
    """What came of a schedule."""

    seed: int
    moves: list[Move] = field(default_factory=list)
    story: list[Line] = field(default_factory=list)
    violation: Violation | None = None
    journals: list[str] = field(default_factory=list)


async def play(stage: Stage, seed: int, moves: Sequence[Move] | None = None) -> Outcome:
    """Play the schedule of a seed; with ``moves`` those of them that are possible, instead of what the seed would choose."""
    schedule = Schedule(stage, seed, await stage.new_shard())
    try:
        if moves is None:
            await schedule.play_by_chance()
        else:
            await schedule.play_moves(moves)
        await schedule.end()
    except Violation as violation:
        schedule.outcome.violation = violation
        schedule.tell_journals()
    finally:
        await schedule.clear()
    return schedule.outcome


class Schedule:
    """One schedule that is being played. ``waiting`` is the one actor that may wait for another's locks, and what it does."""

    def __init__(self, stage: Stage, seed: int, shard: int) -> None:
        self._rng = random.Random(seed)
        plan = draw(self._rng)
        self._stage = stage
        self.world = World(shard, plan, stage.endpoint, stage.project)
        self.outcome = Outcome(seed)
        self._waiting: tuple[Actor, asyncio.Task[str], Line] | None = None
        self._commits = 0
        deliveries, events, cancels = list(plan.deliveries), list(plan.events), [0] * plan.cancels
        of, world = stage.sessions, self.world
        self._workers = [Worker(name, of[name], world) for name in ("w1", "w2")]
        self._caller = Caller("caller-1", of["caller-1"], world, events, cancels)
        self._finder = Finder("finder", of["finder"], world)
        self._clock = Clock("clock", of["finder"], world)
        self._actors: dict[str, Actor] = {
            actor.name: actor
            for actor in (
                Sender("door-1", of["door-1"], world, deliveries),
                Sender("door-2", of["door-2"], world, deliveries),
                *self._workers,
                self._caller,
                Caller("caller-2", of["caller-2"], world, events, cancels),
                Renewer("renewer", of["renewer"], world, self._workers),
                self._finder,
                self._clock,
            )
        }

    async def play_by_chance(self) -> None:
        """Let the seed choose. Now and then one is slowed down, stopped or hurried: most that goes wrong takes somebody late."""
        rng, pace = self._rng, dict.fromkeys(self._actors, 1)
        for _ in range(self.world.plan.moves):
            if rng.random() < PACE_CHANGES:
                pace[rng.choice(list(pace))] = rng.choice(PACES)
            found = [(actor.name, option) for actor in self._free() for option in actor.options()]
            if not found:
                return
            weights = [option.weight * pace[name] for name, option in found]
            if not any(weights):
                pace = dict.fromkeys(pace, 1)
                weights = [option.weight for _, option in found]
            [(name, option)] = rng.choices(found, weights)
            await self._make(Move(name, option.kind, self._rng.randrange(ARG_MAX)))

    async def play_moves(self, moves: Sequence[Move]) -> None:
        """Make these moves, and leave out what can't be done."""
        for move in moves:
            actor = self._actors[move.actor]
            if actor in self._free() and move.kind in [option.kind for option in actor.options()]:
                await self._make(move)

    async def end(self) -> None:
        """All die, the leases run out, and one worker brings every run to its end."""
        await self._kill_all()
        self.world.now_s += 2 * LEASE_S
        self._tell("all", "everybody has died, and the leases have run out")
        await self._look()
        if self.world.seen.signals:
            await self._follow(self._finder, "find")
        worker = self._workers[0]
        worker.is_by_chance = False
        for number in range(ROUNDS_MAX):
            if not self.world.live:
                break
            if any(fold(self.world.runs[run].journal).waiting for run in self.world.live):
                self._tell("caller-1", await self._caller.send(f"last-{number}"))
                await self._follow(self._caller, "commit")
                await self._follow_through(self._caller)
            self._tell("w1", await worker.claim(ALL))
            await self._follow_through(worker)
            self.world.now_s += LEASE_S
        check_end(self.world)

    async def clear(self) -> None:
        """Leave no transaction open."""
        await self._kill_all()

    def tell_journals(self) -> None:
        """Put down what is stored of every run, for the reader."""
        for run, rows in self.world.seen.journal.items():
            for row in rows:
                types = ", ".join(event["type"] for event in row.events)
                self.outcome.journals.append(f"{self.world.name(run)}  seq {row.seq}  epoch {row.epoch}  {types}")

    def _free(self) -> list[Actor]:
        waiting = self._waiting[0] if self._waiting is not None else None
        return [actor for actor in self._actors.values() if actor is not waiting]

    async def _make(self, move: Move) -> None:
        number = len(self.outcome.moves) + 1
        self.outcome.moves.append(move)
        actor = self._actors[move.actor]
        line = Line(number, self.world.now_s, actor.name, move.kind)
        self.outcome.story.append(line)
        task = asyncio.create_task(actor.do(move.kind, move.arg))
        if await self._waits(actor, task):
            await self._wait_or_give_up(actor, task, line)
        else:
            self._result(line, task)
        if actor.gone is not None:
            await self._stage.until_gone(actor.gone)
            actor.gone = None
        await self._settle()

    async def _waits(self, actor: Actor, task: asyncio.Task[str]) -> bool:
        """Whether it is not done because it waits for somebody's lock. No time passes for anybody meanwhile."""
        if not any(other.session.is_open for other in self._actors.values() if other is not actor):
            await asyncio.wait({task})
            return False
        pause_s = POLL_S_MIN
        while not (await asyncio.wait({task}, timeout=pause_s))[0]:
            if await self._stage.blockers(actor.session):
                return True
            pause_s = min(POLL_S_MAX, pause_s * 2)
        return False

    async def _wait_or_give_up(self, actor: Actor, task: asyncio.Task[str], line: Line) -> None:
        """One may wait. Whoever waits beside it gives up, so that the order in which they go on is never left to chance."""
        if self._waiting is None:
            actor.session.hold_back()
            self._waiting = actor, task, line
            self._replace(line, f"{line.text}: waits for a lock")
            return
        first = self._waiting[0]
        mine, others = await self._stage.blockers(actor.session), await self._stage.blockers(first.session)
        if first.session.pid in mine and actor.session.pid in others:
            await self._give_up(actor, task)
            raise Violation("no-deadlock", f"{actor.name} and {first.name} wait for each other")
        await self._give_up(actor, task)
        self._replace(line, f"{line.text}: would wait for a lock, as {first.name} does; gives up and dies")

    async def _give_up(self, actor: Actor, task: asyncio.Task[str]) -> None:
        await self._stage.cancel(actor.session)
        await asyncio.wait({task})
        if not isinstance(task.exception(), asyncpg.QueryCanceledError):
            task.result()
        await actor.crash()

    async def _settle(self) -> None:
        """Let whoever waited go on if he can, then look at what is committed."""
        if self._waiting is not None and not await self._stage.blockers(self._waiting[0].session):
            actor, task, line = self._waiting
            actor.session.let_go()
            if await self._waits(actor, task):
                actor.session.hold_back()
            else:
                self._waiting = None
                again = Line(line.number, self.world.now_s, actor.name, "goes on")
                self.outcome.story.append(again)
                self._result(again, task)
        await self._look()

    async def _look(self) -> None:
        commits = sum(session.commits for session in self._stage.sessions.values())
        if commits != self._commits:
            self._commits = commits
            before, self.world.seen = self.world.seen, await self._stage.look(self.world.shard)
            check(self.world, before, self.world.seen)

    async def _kill_all(self) -> None:
        for actor in self._free():
            await actor.crash()
        if self._waiting is not None:
            actor, task, _ = self._waiting
            actor.session.let_go()
            await asyncio.wait({task})
            self._waiting = None
            await actor.crash()

    async def _follow_through(self, actor: Actor) -> None:
        """Let an actor do what it must do next, until it has nothing under way."""
        while (options := actor.options()) and options[0].kind in ("read", "write", "tell", "take", "commit", "poke"):
            await self._follow(actor, options[0].kind)

    async def _follow(self, actor: Actor, kind: str) -> None:
        self._tell(actor.name, await self._bare(actor, kind))
        await self._look()

    async def _bare(self, actor: Actor, kind: str) -> str:
        try:
            return await actor.do(kind, 0)
        except asyncpg.PostgresError as error:
            raise Violation("error", f"{actor.name}: {kind}: {error.args[0]}") from error

    def _tell(self, actor: str, text: str) -> None:
        self.outcome.story.append(Line(None, self.world.now_s, actor, text))

    def _result(self, line: Line, task: asyncio.Task[str]) -> None:
        error = task.exception()
        if error is None:
            self._replace(line, task.result())
        elif isinstance(error, asyncpg.PostgresError):
            raise Violation("error", f"{line.actor}: {line.text}: {error.args[0]}") from error
        else:
            raise error

    def _replace(self, line: Line, text: str) -> None:
        position = max(number for number, known in enumerate(self.outcome.story) if known is line)
        self.outcome.story[position] = line._replace(text=text)
