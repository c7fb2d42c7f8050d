"""The line of runs that wait for room: at a host, or on this worker. Who has to wait is called when there is room, and not before.

A run in line lies in the queue, due at a time that is late enough not to matter: to come and be sent away again costs a
transaction. That time is for a worker that ends, or forgets, with others waiting for its word. Pure: the time is an argument, in
monotonic seconds.
"""

from __future__ import annotations

from typing import Final
from uuid import UUID

_CALLED_S: Final = 0.25
"""Who was called and has not come by then was taken by another worker, or is no more: his place is free again."""
_UNCALLED_S_MAX: Final = 60.0
_UNCALLED_GAP_S: Final = 0.01
_LENGTH_MAX: Final = 100_000


class Line:
    """One line, first come first called.

    Args:
        uncalled_s: who waits alone comes after so long without being called, and of many a hundred a second.
    """

    __slots__ = ("_called", "_uncalled_s", "_waiting")

    def __init__(self, uncalled_s: float) -> None:
        self._uncalled_s = uncalled_s
        self._waiting: dict[UUID, None] = {}
        self._called: dict[UUID, float] = {}

    def __len__(self) -> int:
        """How many wait."""
        return len(self._waiting)

    def wait_s(self, run_id: UUID) -> float:
        """Get in line, or stay where one stands; returns in how many seconds to come without being called."""
        self._called.pop(run_id, None)
        if len(self._waiting) < _LENGTH_MAX:
            self._waiting.setdefault(run_id)
        return min(_UNCALLED_S_MAX, self._uncalled_s + len(self._waiting) * _UNCALLED_GAP_S)

    def is_next(self, run_id: UUID) -> bool:
        """Whether nobody goes before this one: it was called, or nobody waits."""
        return not self._waiting or run_id in self._called

    def leave(self, run_id: UUID) -> None:
        """This one has found room."""
        if self._waiting or self._called:
            self._waiting.pop(run_id, None)
            self._called.pop(run_id, None)

    def call(self, room: int, now: float) -> list[UUID]:
        """Those to come now: as many as there is room for, those included that were called and have not come yet."""
        if not self._waiting:
            return []
        for run_id, until in list(self._called.items()):
            if until <= now:
                del self._called[run_id]
        run_ids = [run_id for run_id, _ in zip(self._waiting, range(max(0, room - len(self._called))), strict=False)]
        for run_id in run_ids:
            del self._waiting[run_id]
            self._called[run_id] = now + _CALLED_S
        return run_ids
