"""What an actor can do next, and what must not come of it."""

from __future__ import annotations

from typing import NamedTuple


class Move(NamedTuple):
    """One move of one actor. ``arg`` is a number that the actor draws all its choices from."""

    actor: str
    kind: str
    arg: int


class Option(NamedTuple):
    """A move that is possible now, and how likely it is to be chosen beside the others."""

    kind: str
    weight: int


class Violation(Exception):
    """Something that must hold does not."""

    def __init__(self, invariant: str, what: str) -> None:
        super().__init__(f"{invariant}: {what}")
        self.invariant = invariant
        self.what = what


def require(condition: bool, invariant: str, what: str) -> None:
    """Raise Violation unless the condition holds."""
    if not condition:
        raise Violation(invariant, what)
