"""Whether something grows with time: a robust slope with its interval, held against a stated bound. Pure.

The slope is that of Theil and Sen, the median of the slopes of all pairs of points, with Sen's 95 % interval (Sen 1968,
scipy.stats.theilslopes): a checkpoint or a busy second moves a mean, and this not. Points are medians of blocks of time, because
samples a second apart are not independent, and the interval takes them for that.

The bound is growth over the time that was looked at: what is allowed anyway, and what an hour allows besides. All of the interval
beyond the bound is a drift, all of it within is none; in between nothing is known, and a longer run is needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final, Literal, NamedTuple

BLOCKS: Final = 60
POINTS_MIN: Final = 12
CONFIDENCE: Final = 0.95
HOUR_S: Final = 3_600.0

DriftVerdict = Literal["drift", "no drift", "unknown"]


class Point(NamedTuple):
    """One value at one time."""

    at_s: float
    value: float


@dataclass(frozen=True)
class Bound:
    """By how much something may grow."""

    anyway: float
    """In any time: caches that fill, noise of the measure."""
    an_hour: float
    """For every hour."""
    of_median: float = 0.0
    """Besides, this part of what it usually is."""

    def over(self, seconds: float, usual: float) -> float:
        """How much growth is allowed over so long."""
        return self.anyway + self.an_hour * seconds / HOUR_S + self.of_median * abs(usual)


@dataclass(frozen=True)
class Trend:
    """What is said of one series. `grown`, `low`, `high` and `allowed` are growth over the whole time, in its unit."""

    name: str
    unit: str
    verdict: DriftVerdict
    says: str
    seconds: float
    usual: float
    grown: float
    low: float
    high: float
    allowed: float
    points: tuple[Point, ...]


def trend(name: str, unit: str, points: Sequence[Point], bound: Bound) -> Trend:
    """The trend of a series whose points are in the order of time."""
    blocks = in_blocks(points)
    seconds = points[-1].at_s - points[0].at_s if points else 0.0
    usual = median(point.value for point in points) if points else 0.0
    allowed = bound.over(seconds, usual)
    if len(blocks) < POINTS_MIN:
        says = f"has {len(blocks)} points, and it takes {POINTS_MIN}: the run was too short"
        return Trend(name, unit, "unknown", says, seconds, usual, 0.0, 0.0, 0.0, allowed, tuple(blocks))
    from scipy.stats import theilslopes  # takes a second, which no other command should pay for

    slope, _, low, high = theilslopes(
        [point.value for point in blocks], [point.at_s for point in blocks], alpha=CONFIDENCE
    )
    grown, low, high = (float(each) * seconds for each in (slope, low, high))
    verdict: DriftVerdict = "drift" if low > allowed else "no drift" if high <= allowed else "unknown"
    says = (
        f"grew by {_shown(grown)} {unit} ({_shown(low)} to {_shown(high)}) in {seconds / 60:.1f} min;"
        f" {_shown(allowed)} {unit} are allowed"
    )
    return Trend(name, unit, verdict, says, seconds, usual, grown, low, high, allowed, tuple(blocks))


def in_blocks(points: Sequence[Point]) -> list[Point]:
    """At most `BLOCKS` points: the medians of as many spans of time that are equally long."""
    if len(points) <= BLOCKS:
        return list(points)
    first, span = points[0].at_s, points[-1].at_s - points[0].at_s
    blocks: dict[int, list[Point]] = {}
    for point in points:
        blocks.setdefault(min(BLOCKS - 1, int((point.at_s - first) / span * BLOCKS)), []).append(point)
    return [
        Point(median(point.at_s for point in block), median(point.value for point in block))
        for _, block in sorted(blocks.items())
    ]


def _shown(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
