"""Change points: after which run a figure is another one than before.

E-divisive (Matteson and James, «A Nonparametric Approach for Multiple Change Point Analysis of Multivariate Data», JASA 109,
2014), as the histories of MongoDB and of Apache Otava use it: the series is split where the energy distance between the two
sides is largest, if a permutation test says that chance does not make such a split; then each side is looked at by itself.
Nothing is assumed of how the figure is distributed, and one outlier moves little. A change that is real and too small to matter
is not marked.

Of series that are noise alone, `SIGNIFICANCE` of them get a mark: that is the level of the permutation test.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Final

import numpy as np

SIGNIFICANCE: Final = 0.01
PERMUTATIONS: Final = 199
SEGMENT_MIN: Final = 5
"""How many runs there have to be on either side: a change is told five runs after it at the earliest."""
MAGNITUDE_MIN: Final = 0.03
"""The least relative change that is marked."""
POINTS_MAX: Final = 150
"""Only so many of the newest points are looked at: the work grows with their square."""
Floats = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True)
class Change:
    """A figure changed between two runs."""

    index: int
    """The first run after it."""
    before: float
    """The median of the runs since the change before, or since the beginning."""
    after: float
    """That of the runs up to the next change, or to the end."""
    chance: float
    """The p-value: how often chance alone splits such values as clearly."""

    @property
    def relative(self) -> float:
        """By how much of what it was; infinite when it was zero."""
        return (self.after - self.before) / abs(self.before) if self.before else float("inf")


def changes(
    values: Sequence[float], significance: float = SIGNIFICANCE, magnitude: float = MAGNITUDE_MIN
) -> list[Change]:
    """The change points of a series, in order; the same for the same values."""
    skipped = max(0, len(values) - POINTS_MAX)
    series = np.asarray(values[skipped:], dtype=np.float64)
    draws = np.random.default_rng(1)
    splits = dict(sorted(_splits(series, 0, significance, draws)))
    edges = [0, *splits, len(series)]
    found = []
    for begin, index, end in zip(edges, edges[1:-1], edges[2:], strict=False):
        before, after = median(series[begin:index].tolist()), median(series[index:end].tolist())
        change = Change(index + skipped, before, after, splits[index])
        if abs(change.relative) >= magnitude:
            found.append(change)
    return found


def _splits(series: Floats, begin: int, significance: float, draws: np.random.Generator) -> list[tuple[int, float]]:
    """Where the series splits, and with what p-value; indexes count from `begin`."""
    if len(series) < 2 * SEGMENT_MIN or not np.ptp(series):
        return []
    distances = np.abs(series[:, None] - series[None, :])
    index, strength = _strongest(distances)
    as_strong = 0
    for _ in range(PERMUTATIONS):
        order = draws.permutation(len(series))
        as_strong += _strongest(distances[np.ix_(order, order)])[1] >= strength
        # Too many already: no permutation that is left can make it significant.
        if (as_strong + 1) / (PERMUTATIONS + 1) > significance:
            return []
    chance = (as_strong + 1) / (PERMUTATIONS + 1)
    return [
        (begin + index, chance),
        *_splits(series[:index], begin, significance, draws),
        *_splits(series[index:], begin + index, significance, draws),
    ]


def _strongest(distances: Floats) -> tuple[int, float]:
    """The split with the largest statistic, over every left side and every right side that follows it (κ in the paper)."""
    count = len(distances)
    sums = np.zeros((count + 1, count + 1))
    sums[1:, 1:] = distances.cumsum(axis=0).cumsum(axis=1)
    split = np.arange(SEGMENT_MIN, count - SEGMENT_MIN + 1)[:, None]
    end = np.arange(2 * SEGMENT_MIN, count + 1)[None, :]
    left, right = split.astype(float), (end - split).astype(float)
    possible = right >= SEGMENT_MIN
    right = np.where(possible, right, 2.0)
    within_left = sums[split, split] / (left * (left - 1))
    between = (sums[split, end] - sums[split, split]) / (left * right)
    within_right = (sums[end, end] - 2 * sums[split, end] + sums[split, split]) / (right * (right - 1))
    energy = left * right / (left + right) * (2 * between - within_left - within_right)
    energy = np.where(possible, energy, -np.inf)
    row, column = np.unravel_index(int(energy.argmax()), energy.shape)
    return int(split[row, 0]), float(energy[row, column])
