"""One schedule: who moves next is drawn from a seed, or read from a list. Then everybody dies, and one worker is left."""

from __future__ import annotations

import random
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from meshproof.explore.actor import Actor
from meshproof.explore.caller import Caller
from meshproof.explore.gatherer import Gatherer
from meshproof.explore.invariants import check_end
from meshproof.explore.keepers import Clock, Finder, Renewer
from meshproof.explore.machine import fold
from meshproof.explore.making import Making, Outcome
from meshproof.explore.moves import Move, Violation
from meshproof.explore.plan import Theme, draw, theme_of
from meshproof.explore.sender import Sender
from meshproof.explore.stage import Stage
from meshproof.explore.times import LEASE_S
from meshproof.explore.worker import Worker
from meshproof.explore.world import World

ARG_MAX: Final = 7**5
PACES: Final = (0, 0, 1, 6)
PACE_CHANGES: Final = 0.3
ROUNDS_MAX: Final = 12
"""Turns of the last worker: more than the longest run takes."""
ALL: Final = 100
MUSTS: Final = ("place", "read", "write", "start", "tell", "announce", "take", "commit", "poke")
"""What an actor that has begun something does next."""


def play(stage: Stage, seed: int, moves: Sequence[Move] | None = None) -> Outcome:
    """Play the schedule of a seed; with ``moves`` those of them that are possible, instead of what the seed would choose."""
    schedule = Schedule(stage, seed)
    try:
        if moves is None:
            schedule.play_by_chance()
        else:
            schedule.play_moves(moves)
        schedule.end()
    except Violation as violation:
        schedule.outcome.violation = violation
        schedule.tell_journals()
    finally:
        schedule.clear()
    return schedule.outcome


class Schedule:
    """One schedule that is being played."""

    def __init__(self, stage: Stage, seed: int) -> None:
        self._rng = random.Random(seed)
        plan = draw(self._rng, theme_of(seed))
        endpoint = stage.endpoints[plan.theme is Theme.LANES]
        self.world = World(stage.enter(random.Random(-1 - seed).random()), plan, endpoint, stage.project)
        self.outcome = Outcome(seed)
        deliveries, events = list(plan.deliveries), list(plan.events)
        wishes = ["cancel"] * plan.cancels + ["pause", "resume"] * plan.pauses
        of, world = stage.sessions, self.world
        self._workers = [Worker(name, of[name], world) for name in ("w1", "w2")]
        self._caller = Caller("caller-1", of["caller-1"], world, events, wishes)
        self._finder = Finder("finder", of["finder"], world)
        door = Gatherer if plan.theme is Theme.GATHERED else Sender
        self._actors: dict[str, Actor] = {
            actor.name: actor
            for actor in (
                door("door-1", of["door-1"], world, deliveries),
                door("door-2", of["door-2"], world, deliveries),
                *self._workers,
                self._caller,
                Caller("caller-2", of["caller-2"], world, events, wishes),
                Renewer("renewer", of["renewer"], world, self._workers),
                self._finder,
                Clock("clock", of["finder"], world),
            )
        }
        self._making = Making(stage, world, self._actors, self.outcome)

    def play_by_chance(self) -> None:
        """Let the seed choose. Now and then one is slowed down, stopped or hurried: most that goes wrong takes somebody late."""
        rng, pace = self._rng, dict.fromkeys(self._actors, 1)
        for _ in range(self.world.plan.moves):
            if rng.random() < PACE_CHANGES:
                pace[rng.choice(list(pace))] = rng.choice(PACES)
            found = [(actor.name, option) for actor in self._making.free() for option in actor.options()]
            if not found:
                return
            weights = [option.weight * pace[name] for name, option in found]
            if not any(weights):
                pace = dict.fromkeys(pace, 1)
                weights = [option.weight for _, option in found]
            [(name, option)] = rng.choices(found, weights)
            self._making.make(Move(name, option.kind, self._rng.randrange(ARG_MAX)))

    def play_moves(self, moves: Sequence[Move]) -> None:
        """Make these moves, and leave out what can't be done."""
        for move in moves:
            actor = self._actors[move.actor]
            if actor in self._making.free() and move.kind in [option.kind for option in actor.options()]:
                self._making.make(move)

    def end(self) -> None:
        """All die, the leases run out, and one worker brings every run to its end."""
        self._making.kill_all()
        self.world.now_s += 2 * LEASE_S
        self._making.tell("all", "everybody has died, and the leases have run out")
        if self.world.seen.signals:
            self._making.follow(self._finder, self._finder.find())
        worker = self._workers[0]
        worker.is_by_chance = False
        for number in range(ROUNDS_MAX):
            if not self.world.live:
                break
            if any(fold(self.world.runs[run].journal).waiting for run in self.world.live):
                self._making.follow(self._caller, self._caller.send(f"last-{number}"))
                self._follow_through(self._caller)
            for run in [run for run in self.world.live if fold(self.world.runs[run].journal).paused]:
                self._making.follow(self._caller, self._caller.wish("resume", run))
                self._follow_through(self._caller)
            self._making.follow(worker, worker.claim(ALL))
            self._follow_through(worker)
            self.world.now_s += LEASE_S
        check_end(self.world)

    def clear(self) -> None:
        """Leave no transaction open."""
        with suppress(Violation):
            self._making.kill_all()

    def tell_journals(self) -> None:
        """Put down what is stored of every run, for the reader."""
        for run, rows in self.world.seen.journal.items():
            for row in rows:
                types = ", ".join(event["type"] for event in row.events)
                self.outcome.journals.append(f"{self.world.name(run)}  seq {row.seq}  epoch {row.epoch}  {types}")

    def _follow_through(self, actor: Actor) -> None:
        """Let an actor do what it must do next, until it has nothing under way."""
        while (options := actor.options()) and options[0].kind in MUSTS:
            self._making.follow(actor, actor.do(options[0].kind, 0))
