"""Which refusals get a row of the delivery log: all of them, until there are too many; every one is counted. Pure.

A flood must not become a flood of writes. So each endpoint may have so many rows at once and so many more as time passes, and a
row says how many alike went before it without one.
"""

from __future__ import annotations

from collections import Counter
from typing import Final

BURST: Final = 20.0
PER_S: Final = 0.2
_ENDPOINTS_MAX: Final = 10_000


class Sampler:
    """Decides for one process. Times are seconds of any monotonic clock."""

    def __init__(self) -> None:
        self._buckets: dict[int, tuple[float, float]] = {}
        self._skipped: Counter[tuple[int, str]] = Counter()

    def sample(self, endpoint_id: int, problem: str, now: float) -> int | None:
        """``None``: no row. Else how many alike had none since the last row."""
        tokens, at = self._buckets.get(endpoint_id, (BURST, now))
        tokens = min(BURST, tokens + (now - at) * PER_S)
        if endpoint_id not in self._buckets and len(self._buckets) >= _ENDPOINTS_MAX:
            self._buckets.clear()
            self._skipped.clear()
        if tokens < 1:
            self._buckets[endpoint_id] = (tokens, now)
            self._skipped[endpoint_id, problem] += 1
            return None
        self._buckets[endpoint_id] = (tokens - 1, now)
        return self._skipped.pop((endpoint_id, problem), 0)
