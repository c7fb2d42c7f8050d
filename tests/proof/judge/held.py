"""Single invariants held against the facts of a story: quicker than to judge all of it."""

from __future__ import annotations

from meshproof.facts import Facts
from meshproof.judge import INVARIANTS
from meshproof.judge.invariant import hold
from meshproof.judge.verdicts import Result


class Held:
    """The facts of a story; each invariant is held against them when it is asked for, and the others are not."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts

    def of(self, name: str) -> Result:
        """What comes of one invariant."""
        return hold(INVARIANTS[name], self._facts)
