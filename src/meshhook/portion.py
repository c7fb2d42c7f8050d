"""How many runs a worker claims at once: about as many as it gets done in the time that others may have to wait for it."""

from __future__ import annotations

from typing import Final

TURN_S: Final = 0.1
"""A turn lasts about so long at most. Who comes meanwhile waits for its end, from whatever project he comes and however urgent."""

LEAST: Final = 50
"""Fewer save nobody any time: what a transaction costs by itself, and on a machine that is busy with other things the waiting for
its processor, is then most of it. So the time a turn took is no reason to take fewer than these."""

_TRIPS: Final = 4
"""Of a turn to the database and back: they take as long as they take, however few runs there are."""


class Portion:
    """How many runs one turn takes, learnt from those before. Pure: times are arguments, in seconds.

    Args:
        most: never more than this. hold_s: how long a turn may last before it puts back what it has not begun.
    """

    __slots__ = ("_hold_s", "_most", "runs")

    def __init__(self, most: int, hold_s: float) -> None:
        self._most = most
        self._hold_s = hold_s
        self.runs = most

    def took(self, claimed: int, begun: int, seconds: float, trip_s: float) -> None:
        """A turn is over: of ``claimed`` runs there was time for ``begun``. It took ``seconds``, and one trip ``trip_s``."""
        working_s = seconds - _TRIPS * trip_s
        if begun < claimed:
            self.runs = max(1, begun)  # what is put back was locked for nothing
        elif working_s > TURN_S and claimed >= LEAST:
            self.runs = min(self._most, max(LEAST, int(claimed * TURN_S / working_s)))
        elif working_s < (self._hold_s if claimed < LEAST else TURN_S) / 2:
            self.runs = min(self._most, self.runs * 2)
