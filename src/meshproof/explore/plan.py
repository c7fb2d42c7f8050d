"""What comes from outside in one schedule, drawn from its seed. The order in which it comes is the scheduler's.

Each schedule has a theme: what goes wrong together comes together, and a schedule stays short.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from enum import StrEnum
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


class Theme(StrEnum):
    """What a schedule is about."""

    MIXED = "mixed"
    """Steps, events, cancellations, repeated deliveries."""
    LANES = "lanes"
    """Runs with keys, of which only so many of a key may be under way."""
    GATHERED = "gathered"
    """Several deliveries of a key become one run."""
    PAUSED = "paused"
    """Runs are paused, resumed and cancelled."""
    FAMILIES = "families"
    """Runs that start another and wait for its end."""


class Delivery(NamedTuple):
    """A webhook: the run it asks for, and the key by which a repetition is known."""

    kind: str
    size: int
    dedupe: str | None
    body: str
    key: str | None = None
    """Of its lane, or of what it is gathered with."""


@dataclass(frozen=True)
class Plan:
    """What may come, and for how many moves."""

    theme: Theme
    deliveries: tuple[Delivery, ...]
    events: tuple[str, ...]
    """Ids of events; the same id again is the same event."""
    cancels: int
    pauses: int
    slots: int
    """How many runs of a key may be under way."""
    choices: tuple[Choice, ...]
    ticks: tuple[int, ...]
    """Seconds by which the clock goes on."""
    moves: int


_THEMES: Final[list[Theme]] = [Theme.MIXED, *Theme]


def theme_of(seed: int) -> Theme:
    """What the schedule of a seed is about."""
    return random.Random(-2 - seed).choice(_THEMES)


def draw(rng: random.Random, theme: Theme = Theme.MIXED) -> Plan:
    """A plan: one to three deliveries, some of them repeated, some with events to wait for; of keys more."""
    deliveries = _DELIVERIES[theme](rng)
    waits = any(delivery.kind == "waits" for delivery in deliveries)
    events = [rng.choice(("e1", "e2", "e3")) for _ in range(rng.choice((1, 2, 2)) if waits else 0)]
    cancels = rng.choice((0, 1, 1, 2))
    return Plan(
        theme,
        tuple(deliveries),
        tuple(events),
        cancels=cancels if theme in (Theme.MIXED, Theme.PAUSED, Theme.FAMILIES) else 0,
        pauses=3 if theme is Theme.PAUSED else 0,
        slots=1 + len(deliveries) % 2,
        choices=rng.choice(CHOICES),
        ticks=rng.choice(TICKS),
        moves=rng.randint(MOVES_MIN, MOVES_MAX),
    )


def _mixed(rng: random.Random) -> list[Delivery]:
    return [
        Delivery(
            kind=rng.choice(("steps", "waits")),
            size=rng.choice((1, 2, 2)),
            dedupe=rng.choice((None, None, "a", "b")),
            body=rng.choice(("x", "x", "x", "y")),
        )
        for _ in range(rng.choice((1, 1, 2, 3)))
    ]


def _keyed(rng: random.Random) -> list[Delivery]:
    return [
        Delivery("steps", rng.choice((1, 2)), None, "x", rng.choice(("k", "k", "k", "l")))
        for _ in range(rng.choice((2, 3, 4)))
    ]


def _few(rng: random.Random) -> list[Delivery]:
    return [Delivery("steps", 2, None, "x") for _ in range(rng.choice((1, 1, 2)))]


def _parents(rng: random.Random) -> list[Delivery]:
    return [Delivery("parent", rng.choice((1, 1, 2)), None, "x") for _ in range(rng.choice((1, 1, 2)))]


_DELIVERIES: Final = {
    Theme.MIXED: _mixed,
    Theme.LANES: _keyed,
    Theme.GATHERED: _keyed,
    Theme.PAUSED: _few,
    Theme.FAMILIES: _parents,
}
