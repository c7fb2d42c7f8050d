"""A latency histogram that costs one bisection to observe: what is counted for every run must not be felt by any.

The bounds are the same everywhere, from 1 ms to 60 s, so that histograms of several processes add up and one heat map fits all.
Not locked: one thread observes, and whoever reads while it does is off by the one that is being counted.
"""

from __future__ import annotations

from bisect import bisect_left
from itertools import accumulate
from typing import Final

BOUNDS_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Upper bounds of the buckets, inclusive; what is longer is in one more."""


class Buckets:
    """How often which duration was seen."""

    __slots__ = ("_counts", "sum_s")

    def __init__(self) -> None:
        self._counts = [0] * (len(BOUNDS_S) + 1)
        self.sum_s = 0.0

    def observe(self, seconds: float) -> None:
        """One duration. Below 0 counts as 0: two clocks were asked."""
        seconds = max(0.0, seconds)
        self._counts[bisect_left(BOUNDS_S, seconds)] += 1
        self.sum_s += seconds

    @property
    def count(self) -> int:
        """How many there were."""
        return sum(self._counts)

    def cumulative(self) -> list[tuple[str, float]]:
        """Bucket bounds and how many were at or below each, the way Prometheus wants them."""
        bounds = [*map(str, BOUNDS_S), "+Inf"]
        return list(zip(bounds, map(float, accumulate(self._counts)), strict=True))
