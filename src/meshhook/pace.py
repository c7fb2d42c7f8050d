"""How long a busy worker lets work gather between two turns."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

_BUSY_PER_S: Final = 2_000
_GATHER_RUNS: Final = 200
_GATHER_S_MAX: Final = 0.02
_MEMORY_S: Final = 0.25


@dataclass(slots=True)
class Pace:
    """So that a busy worker does not spend itself on tiny transactions.

    Below ``_BUSY_PER_S`` runs a second nothing waits: latency is what counts there.
    """

    _per_s: float = 0.0
    _done: int = 0
    _at: float = 0.0

    def ahead_s(self, done: int, now: float) -> float:
        """Seconds to wait now, given that ``done`` runs have been written in all."""
        elapsed = max(now - self._at, 1e-6)
        self._per_s += (1 - math.exp(-elapsed / _MEMORY_S)) * ((done - self._done) / elapsed - self._per_s)
        self._done, self._at = done, now
        if self._per_s < _BUSY_PER_S:
            return 0.0
        return max(0.0, min(_GATHER_S_MAX, _GATHER_RUNS / self._per_s) - elapsed)
