"""One connection of one actor. Its clock is that of the schedule, and so is what it would leave to chance.

The first statement of a transaction takes its beginning and the clock along, and a commit brings back what is committed then: so a
move is a single trip.
"""

from __future__ import annotations

from collections.abc import Generator
from datetime import datetime
from typing import Final

from meshproof.explore.seen import STATEMENT, Seen
from meshproof.explore.wire import Asked, Row, Wire

SETTINGS: Final = {"application_name": "meshproof explore", "jit": "off", "synchronous_commit": "off"}
_BEGIN: Final[Asked] = ("BEGIN", ())
_COMMIT: Final[Asked] = ("COMMIT", ())
_ROLLBACK: Final[Asked] = ("ROLLBACK", ())
_CLOCK: Final = "SELECT set_config('meshhook.fake_now', $1, true)"
_CHANCE: Final = "SELECT setseed($1)"


class Session:
    """A connection. ``is_open``: something was asked in its transaction. ``seen`` is what was committed when it last committed,
    until somebody takes it.
    """

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._clock: datetime | None = None
        self._looks_at: tuple[object, ...] = ()
        self._chance: float | None = None
        self.is_open = False
        self.seen: Seen | None = None

    def connect(self) -> None:
        """Open the connection."""
        self._wire = Wire(self._dsn, SETTINGS)
        self.pid = self._wire.pid
        self.is_open = False

    def close(self) -> None:
        """Close the connection."""
        self._wire.close()

    def enter(self, looks_at: tuple[object, ...], chance: float) -> None:
        """A schedule begins: what to look at after a commit, and what random() of the server begins with."""
        self._looks_at, self._chance, self.seen = looks_at, chance, None

    async def fetch(self, now: datetime, sql: str, *values: object) -> list[Row]:
        """The rows of one statement at this time, in the transaction that is open or is opened by it."""
        asked: list[Asked] = []
        if self._chance is not None:
            asked.append((_CHANCE, (self._chance,)))
            self._chance = None
        if not self.is_open:
            asked.append(_BEGIN)
        if not self.is_open or now != self._clock:
            asked.append((_CLOCK, (now,)))
        self.is_open, self._clock = True, now
        return (await self._answers(*asked, (sql, values)))[-1]

    async def commit(self) -> None:
        """Commit, and look at what is committed then."""
        _, rows = await self._answers(_COMMIT, (STATEMENT, self._looks_at))
        self.is_open = False
        self.seen = Seen.of(*rows[0])

    async def roll_back(self) -> None:
        """What the server does when the connection of an open transaction breaks."""
        if self.is_open:
            await self._answers(_ROLLBACK)
            self.is_open = False

    def break_off(self) -> int:
        """Close the connection in the middle of whatever it is in, and open another; returns the process that served it."""
        gone = self.pid
        self._wire.close()
        self.connect()
        return gone

    def has_answer(self, timeout_s: float) -> bool:
        """Whether what was asked is answered, or is within this time."""
        return self._wire.has_answer(timeout_s)

    async def _answers(self, *asked: Asked) -> list[list[Row]]:
        self._wire.send(*asked)
        await _Answer()
        return self._wire.receive()


class _Answer:
    """What an actor waits for: whoever drives it goes on with it when the answer is there."""

    def __await__(self) -> Generator[None]:
        yield
