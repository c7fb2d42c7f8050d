"""How a stress run climbs: the next rate, out of what became of the last ones. Pure.

up      by a factor, as long as goodput follows
turn    when it has stopped following: twice in a row, or once by far
down    the same rates again, in the opposite order, so that each can be compared with itself
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

FOLLOWS: Final = 0.9
"""Goodput follows the load when it is at least this part of it."""
BY_FAR: Final = 0.6
"""Below this part, one step is enough to know."""

Turn = Literal["goodput", "top"]


@dataclass(frozen=True)
class Climb:
    """How to climb. Rates are per second."""

    start: float
    factor: float
    top: float
    """No higher: the generator could not vouch for more."""


@dataclass(frozen=True)
class Reached:
    """One step, as it was seen while the run went on."""

    rate: float
    offered_per_s: float
    """Runs there should have been: redeliveries make none."""
    goodput_per_s: float

    @property
    def share(self) -> float:
        """Which part of what was offered got done."""
        return self.goodput_per_s / self.offered_per_s if self.offered_per_s else 1.0


def next_rate(climb: Climb, up: Sequence[Reached]) -> float | Turn:
    """The rate of the next step up, or why there is none."""
    if not up:
        return climb.start
    if up[-1].share < BY_FAR or (len(up) > 1 and max(up[-1].share, up[-2].share) < FOLLOWS):
        return "goodput"
    rate = up[-1].rate * climb.factor
    return "top" if rate > climb.top else rate


def way_down(up: Sequence[Reached]) -> list[float]:
    """The rates on the way down."""
    return [step.rate for step in reversed(up[:-1])]


def steps_up(climb: Climb) -> int:
    """How many steps up there are at most."""
    count, rate = 1, climb.start
    while (rate := rate * climb.factor) <= climb.top:
        count += 1
    return count
