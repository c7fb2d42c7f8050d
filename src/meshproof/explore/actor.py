"""An actor: somebody with a connection, who does one thing at a time."""

from __future__ import annotations

from abc import ABC, abstractmethod

from meshproof.explore.moves import Option
from meshproof.explore.session import Session
from meshproof.explore.world import World

BREAKS_ONE_IN = 32
"""One crash in so many is a connection that is really closed; the server treats all others the same, for a fraction of the cost."""


class Actor(ABC):
    """Somebody who takes part. ``gone`` is the server process of a connection that was closed, until it is seen to be gone."""

    def __init__(self, name: str, session: Session, world: World) -> None:
        self.name = name
        self.session = session
        self.world = world
        self.gone: int | None = None

    @abstractmethod
    def options(self) -> list[Option]:
        """What it can do now."""

    @abstractmethod
    async def do(self, kind: str, arg: int) -> str:
        """Do it; returns what it was and what came of it. Raises Violation."""

    @abstractmethod
    def forget(self) -> None:
        """All that was in its memory is lost."""

    async def crash(self, arg: int = 1) -> str:
        """Die, and be started again with an empty memory. What was not committed did not happen."""
        was_open = self.session.is_open
        if was_open and arg % BREAKS_ONE_IN == 0:
            self.gone = self.session.break_off()
        else:
            await self.session.roll_back()
        self.forget()
        return "dies, and what it had open is rolled back" if was_open else "dies"
