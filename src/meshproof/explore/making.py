"""Moves are made, each as far as it goes; whoever waits for a lock is left waiting, and every commit is looked at."""

from __future__ import annotations

from collections.abc import Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from meshproof.explore.actor import Actor
from meshproof.explore.doing import Doing, done
from meshproof.explore.invariants import check
from meshproof.explore.moves import Move, Violation
from meshproof.explore.stage import POLL_S_MAX, POLL_S_MIN, Stage
from meshproof.explore.wire import ServerError
from meshproof.explore.world import World

CANCELED: Final = "57014"


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


class Making:
    """Makes the moves of one schedule. ``_waiting`` is the one actor that may wait for another's locks, and what it does."""

    def __init__(self, stage: Stage, world: World, actors: Mapping[str, Actor], outcome: Outcome) -> None:
        self._stage = stage
        self._world = world
        self._actors = actors
        self._outcome = outcome
        self._waiting: tuple[Actor, Doing, Line] | None = None

    def free(self) -> list[Actor]:
        """Those who do not wait."""
        waiting = self._waiting[0] if self._waiting is not None else None
        return [actor for actor in self._actors.values() if actor is not waiting]

    def make(self, move: Move) -> None:
        """Make one move. Raises Violation."""
        self._outcome.moves.append(move)
        actor = self._actors[move.actor]
        line = Line(len(self._outcome.moves), self._world.now_s, actor.name, move.kind)
        doing = Doing(actor.do(move.kind, move.arg))
        place = self._tell(line)
        if self._is_done(doing, actor, line):
            self._outcome.story[place] = line._replace(text=doing.said)
        else:
            self._outcome.story[place] = line._replace(text=self._wait_or_give_up(actor, doing, line))
        if actor.gone is not None:
            self._stage.until_gone(actor.gone)
            actor.gone = None
        self._look(actor)
        if not actor.session.is_open:  # the end of a transaction alone lets go of locks
            self._settle()

    def follow(self, actor: Actor, move: Coroutine[None, None, str]) -> None:
        """Have an actor do something that nobody is in the way of. Raises Violation."""
        try:
            said = done(move)
        except ServerError as error:
            raise Violation("error", f"{actor.name}: {error}") from error
        self.tell(actor.name, said)
        self._look(actor)

    def tell(self, actor: str, text: str) -> None:
        """Add a line to the story that is not of a chosen move."""
        self._tell(Line(None, self._world.now_s, actor, text))

    def kill_all(self) -> None:
        """All die, and no transaction is left open; whoever waited gets that done first. Raises Violation."""
        for actor in self.free():
            done(actor.crash())
        if self._waiting is not None:
            actor, doing, _ = self._waiting
            self._waiting = None
            with suppress(ServerError):
                while doing.goes_on():
                    pass
            self._look(actor)
            done(actor.crash())

    def _is_done(self, doing: Doing, actor: Actor, line: Line, *, was_waiting: bool = False) -> bool:
        """Do it as far as it goes; False when it waits for somebody's lock. No time passes for anybody meanwhile."""
        asks = was_waiting
        try:
            while asks or doing.goes_on():
                if not self._is_answered(actor):
                    return False
                asks = False
        except ServerError as error:
            raise Violation("error", f"{line.actor}: {line.text}: {error}") from error
        return True

    def _is_answered(self, actor: Actor) -> bool:
        """Whether the server has answered, or is going to without anybody's doing."""
        if not any(other.session.is_open for other in self._actors.values() if other is not actor):
            return True
        pause_s = POLL_S_MIN
        while not actor.session.has_answer(pause_s):
            if self._stage.blockers(actor.session):
                return False
            pause_s = min(POLL_S_MAX, pause_s * 2)
        return True

    def _wait_or_give_up(self, actor: Actor, doing: Doing, line: Line) -> str:
        """One may wait. Whoever waits beside it gives up, so that the order in which they go on is never left to chance."""
        if self._waiting is None:
            self._waiting = actor, doing, line
            return f"{line.text}: waits for a lock"
        first = self._waiting[0]
        mine, others = self._stage.blockers(actor.session), self._stage.blockers(first.session)
        self._give_up(actor, doing)
        if first.session.pid in mine and actor.session.pid in others:
            raise Violation("no-deadlock", f"{actor.name} and {first.name} wait for each other")
        return f"{line.text}: would wait for a lock, as {first.name} does; gives up and dies"

    def _give_up(self, actor: Actor, doing: Doing) -> None:
        self._stage.cancel(actor.session)
        try:
            doing.goes_on()
        except ServerError as error:
            if error.code != CANCELED:
                raise Violation("error", f"{actor.name}: {error}") from error
        done(actor.crash())

    def _settle(self) -> None:
        """Let whoever waits go on, if he can."""
        if self._waiting is None or self._stage.blockers(self._waiting[0].session):
            return
        (actor, doing, line), self._waiting = self._waiting, None
        if not self._is_done(doing, actor, line, was_waiting=True):
            self._waiting = actor, doing, line
        else:
            self._tell(line._replace(now_s=self._world.now_s, text=doing.said))
            self._look(actor)

    def _look(self, actor: Actor) -> None:
        """Hold what an actor has committed against all that is known. Raises Violation."""
        after, actor.session.seen = actor.session.seen, None
        if after is not None:
            before, self._world.seen = self._world.seen, after
            check(self._world, before, after)

    def _tell(self, line: Line) -> int:
        self._outcome.story.append(line)
        return len(self._outcome.story) - 1
