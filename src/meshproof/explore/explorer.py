"""Many schedules, one after another on one stage; those that fail are shrunk."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec

from meshproof.explore.making import Outcome
from meshproof.explore.moves import Move
from meshproof.explore.schedule import play
from meshproof.explore.shrink import shrink
from meshproof.explore.stage import Stage

SHRUNK_MAX: Final = 2
"""Counterexamples a process shrinks: of a broken engine nearly every schedule fails."""


class Counterexample(msgspec.Struct):
    """A schedule that fails: its seed, what it violates, and the fewest moves found that do."""

    seed: int
    invariant: str
    what: str
    moves: int
    shrunk_to: int
    story: list[str]
    journals: list[str]

    @property
    def text(self) -> str:
        """For a reader."""
        lines = [
            f"seed {self.seed}: {self.invariant}",
            f"  {self.what}",
            f"  {self.moves} moves, shrunk to {self.shrunk_to}:",
            *(f"    {line}" for line in self.story),
            "  the journals then:",
            *(f"    {line}" for line in self.journals or ["nothing is stored"]),
            f"  again: meshproof explore --schedules 1 --seed {self.seed}",
        ]
        return "\n".join(lines)


@dataclass
class Found:
    """What came of schedules: how many, how many of them failed, and some of those shrunk."""

    schedules: int = 0
    violations: int = 0
    counterexamples: list[Counterexample] = field(default_factory=list)


def explore(stage: Stage, seeds: Iterable[int], *, shrunk_max: int = SHRUNK_MAX) -> Found:
    """Play the schedules of these seeds."""
    found = Found()
    for seed in seeds:
        explore_one(stage, seed, found, shrunk_max)
    return found


def explore_one(stage: Stage, seed: int, found: Found, shrunk_max: int = SHRUNK_MAX) -> None:
    """Play the schedule of a seed, and note what came of it."""
    outcome = play(stage, seed)
    found.schedules += 1
    if outcome.violation is not None:
        found.violations += 1
        if len(found.counterexamples) < shrunk_max:
            found.counterexamples.append(counterexample(stage, outcome))


def counterexample(stage: Stage, outcome: Outcome) -> Counterexample:
    """The shortest schedule found that violates the same."""
    assert outcome.violation is not None
    invariant, best = outcome.violation.invariant, outcome

    def failing(moves: Sequence[Move]) -> list[Move] | None:
        nonlocal best
        again = play(stage, outcome.seed, moves)
        if again.violation is None or again.violation.invariant != invariant or len(again.moves) > len(best.moves):
            return None
        best = again
        return again.moves

    shrink(outcome.moves, failing)
    assert best.violation is not None
    return Counterexample(
        outcome.seed,
        invariant,
        best.violation.what,
        len(outcome.moves),
        len(best.moves),
        list(_lines(best)),
        best.journals,
    )


def _lines(outcome: Outcome) -> Iterator[str]:
    for number, now_s, actor, text in outcome.story:
        yield f"{number if number is not None else 'end':>3}  {now_s:>4} s  {actor:<8}  {text}"
