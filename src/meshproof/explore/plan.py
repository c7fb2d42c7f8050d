"""What comes from outside in one schedule, drawn from its seed. The order in which it comes is the scheduler's."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Final, NamedTuple

from meshproof.explore.machine import Choice
from meshproof.explore.times import LEASE_S

CHOICES: Final = (
    (Choice.FINISH, Choice.LEASE, Choice.LEASE, Choice.AGAIN, Choice.SLEEP, Choice.PUT_BACK),
    (Choice.LEASE,),
    (Choice.LEASE, Choice.PUT_BACK),
    (Choice.AGAIN, Choice.SLEEP, Choice.PUT_BACK),
)
"""What workers do with runs: anything, or little else than what goes wrong together."""
TICKS: Final = ((1, 6, LEASE_S - 1, LEASE_S + 1), (LEASE_S + 1,))
MOVES_MIN, MOVES_MAX = 10, 24


class Delivery(NamedTuple):
    """A webhook: the run it asks for, and the key by which a repetition is known."""

    kind: str
    size: int
    dedupe: str | None
    body: str


@dataclass(frozen=True)
class Plan:
    """What may come, and for how many moves."""

    deliveries: tuple[Delivery, ...]
    events: tuple[str, ...]
    """Ids of events; the same id again is the same event."""
    cancels: int
    choices: tuple[Choice, ...]
    ticks: tuple[int, ...]
    """Seconds by which the clock goes on."""
    moves: int


def draw(rng: random.Random) -> Plan:
    """A plan: one to three deliveries, some of them repeated, some with events to wait for."""
    deliveries = [
        Delivery(
            kind=rng.choice(("steps", "waits")),
            size=rng.choice((1, 2, 2)),
            dedupe=rng.choice((None, None, "a", "b")),
            body=rng.choice(("x", "x", "x", "y")),
        )
        for _ in range(rng.choice((1, 1, 2, 3)))
    ]
    waits = any(delivery.kind == "waits" for delivery in deliveries)
    events = [rng.choice(("e1", "e2", "e3")) for _ in range(rng.choice((1, 2, 2)) if waits else 0)]
    return Plan(
        tuple(deliveries),
        tuple(events),
        cancels=rng.choice((0, 1, 1, 2)),
        choices=rng.choice(CHOICES),
        ticks=rng.choice(TICKS),
        moves=rng.randint(MOVES_MIN, MOVES_MAX),
    )
