"""The plan of the faults, drawn beside that of the load: which, when, for how long. Pure: the same arguments give the same plan."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import count, islice
from typing import Any, Final

from meshproof.draw import Draw
from meshproof.faults.fault import Fault

EXACT_S: Final = 1e-6
"""Sums of seconds are told apart to this."""
ROOM_S: Final = 1.0
"""So long after one that leaves room the next begins."""


class ScheduleError(ValueError):
    """What was asked for has no place; the message says how much time it takes."""


@dataclass(frozen=True)
class Planned:
    """One fault to come. Times are seconds from the start of the load."""

    number: int
    kind: str
    at_s: float
    for_s: float
    turn: int = 0
    """How often every kind was planned before; the first turn is what was asked for."""

    def document(self) -> dict[str, Any]:
        """As it stands in plan.json."""
        return asdict(self)

    def draw(self, seed: int) -> Draw:
        """What decides everything else about it."""
        return Draw(seed, "fault", self.number, self.kind)


def schedule(
    seed: int, asked: Sequence[str], kinds: Mapping[str, type[Fault]], from_s: float, to_s: float, lease_s: float
) -> tuple[Planned, ...]:
    """Every kind once, in an order of the seed, then again and again until the time is full.

    One follows the other when that has ended and the engine was left alone for a while; beside one that leaves room the next may
    begin at once. Raises ScheduleError when not every kind that was asked for has a place.
    """
    if (needed := needed_s(seed, asked, kinds, lease_s)) > to_s - from_s + EXACT_S:
        raise ScheduleError(
            f"{len(asked)} faults take {needed:.0f} s, and {max(0.0, to_s - from_s):g} s of the load are left for them."
            " Give --duration, or name fewer with --faults."
        )
    planned: list[Planned] = []
    for fault, healed_s in _one_after_the_other(seed, asked, kinds, from_s, lease_s):
        if healed_s > to_s + EXACT_S:
            return tuple(planned)
        planned.append(fault)
    raise AssertionError("there is always another turn")


def needed_s(seed: int, asked: Sequence[str], kinds: Mapping[str, type[Fault]], lease_s: float) -> float:
    """So long takes it to make each of them once."""
    return max(healed_s for _, healed_s in islice(_one_after_the_other(seed, asked, kinds, 0.0, lease_s), len(asked)))


def _one_after_the_other(
    seed: int, asked: Sequence[str], kinds: Mapping[str, type[Fault]], at_s: float, lease_s: float
) -> Iterator[tuple[Planned, float]]:
    """Faults without an end, each with the time by which the engine was left alone after it."""
    all_healed_s = at_s
    for number in count():
        turn, place = divmod(number, len(asked))
        kind = shuffled(list(asked), Draw(seed, "faults", turn))[place]
        fault = kinds[kind]
        for_s = length_s(fault, Draw(seed, "fault length", number), lease_s)
        at_s = all_healed_s if fault.alone else at_s
        healed_s = at_s + for_s + fault.heals_s + fault.leaves_s
        all_healed_s = max(all_healed_s, healed_s)
        yield Planned(number, kind, round(at_s, 3), for_s, turn), healed_s
        at_s = at_s + ROOM_S if fault.leaves_room else healed_s


def length_s(fault: type[Fault], draw: Draw, lease_s: float) -> float:
    """How long a fault of this kind goes on."""
    least, most = fault.lasts_s
    return round((lease_s if fault.outlasts_lease else 0.0) + least + draw.unit() * (most - least), 3)


def shuffled(kinds: list[str], draw: Draw) -> list[str]:
    """The same kinds in another order."""
    for last in range(len(kinds) - 1, 0, -1):
        other = draw.below(last + 1)
        kinds[last], kinds[other] = kinds[other], kinds[last]
    return kinds
