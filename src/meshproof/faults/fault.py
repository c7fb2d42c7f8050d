"""What a fault is: something that is done to a part of the engine for a while, and the evidence that work was hit by it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import ClassVar

from meshproof.draw import Draw
from meshproof.faults.scene import Scene


@dataclass(frozen=True)
class Evidence:
    """What a fault is known to have done."""

    hit: bool
    """Whether it was seen to hit work in flight. A fault that hit nothing has tested nothing."""
    what: str
    figures: dict[str, int] = field(default_factory=dict)


class Fault(ABC):
    """One fault of a run. Everything it leaves behind until `evidence` is its own.

    `aim` waits, within a bound, for work that can be hit, and says what that is. `begin` does it. `end` heals it, and returns when
    the part works again; it is called also when `begin` has failed, and when the run is broken off. `evidence` looks back, once
    the load is over.
    """

    lasts_s: ClassVar[tuple[float, float]] = (0.0, 0.0)
    """How long it goes on; the seed draws from this span."""
    heals_s: ClassVar[float] = 0.5
    """How long it takes until the part works again, on a machine with nothing else to do; where it takes longer, all that follows
    comes later."""
    leaves_s: ClassVar[float] = 1.5
    """How long the engine is left alone after it, once it works again: there must be work for the next one to hit."""
    leaves_room: ClassVar[bool] = False
    """Whether the next one may begin while it goes on."""
    alone: ClassVar[bool] = False
    """Whether nothing else may go on meanwhile: it would be ended by this."""
    wire: ClassVar[str | None] = None
    """The connection it needs a proxy in."""
    outlasts_lease: ClassVar[bool] = False
    """Whether it goes on for as long as a lease lasts, and then `lasts_s`."""
    impossible: ClassVar[str | None] = None
    """Why it cannot be made here. It is skipped then, and the reason is on record."""

    def __init__(self, draw: Draw) -> None:
        """`draw` decides what is left open, such as which worker it is."""
        self.draw = draw

    @abstractmethod
    async def aim(self, scene: Scene) -> str:
        """Wait for work to hit; returns the target in words, for the record."""

    @abstractmethod
    async def begin(self, scene: Scene) -> None:
        """Do it."""

    @abstractmethod
    async def end(self, scene: Scene) -> None:
        """Heal it, and return when the part works again."""

    @abstractmethod
    async def evidence(self, scene: Scene) -> Evidence:
        """What it has hit."""
