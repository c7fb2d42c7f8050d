"""Comparing two sets of rounds: for each figure better, worse or no difference, and by how much.

The figure is the ratio of B to A. Rounds that were made in turn (A B A B …) are compared pair by pair, so that what a machine
does to both of them falls out; others as two samples. The interval is the bootstrap's (Efron and Tibshirani, 1993), widened for
few rounds as Hesterberg proposes («What Teachers Should Know About the Bootstrap», The American Statistician 69, 2015, section
4.1): without that, five rounds give an interval that is a third too narrow. Latencies of several rounds are percentiles of
their histograms added together, never averages of percentiles.

A difference is told when the interval leaves 1 out, and when it is large enough to matter (`least`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import Any, Final

import numpy as np

from meshproof.measure import metrics
from meshproof.measure.metrics import Better
from meshproof.measure.rounds import Round
from meshproof.stats import PERCENTILES, Histogram

ROUNDS_MIN: Final = 5
"""With fewer rounds chance alone has all of them on one side more often than one time in sixteen."""
RESAMPLES: Final = 4_000
CONFIDENCE: Final = 0.95
LEAST: Final = 0.03
Floats = np.ndarray[Any, np.dtype[np.float64]]


class Word(StrEnum):
    """What is said of a figure."""

    BETTER = "better"
    WORSE = "worse"
    SAME = "no difference"
    TOO_FEW = "too few rounds"


@dataclass(frozen=True)
class Compared:
    """One figure of both sides."""

    metric: str
    better: Better
    a: float
    b: float
    ratio: float | None
    """B to A; None where A is 0."""
    low: float | None
    high: float | None
    """The interval of the ratio; None with too few rounds. Where A is 0, that of the difference."""
    rounds: tuple[int, int]
    word: Word


@dataclass(frozen=True)
class Comparison:
    """Everything that was compared, and what speaks against it."""

    figures: list[Compared]
    paired: bool
    obstacles: list[str]
    """Why the two should not be compared; empty when they may."""
    notes: list[str]

    def of(self, word: Word) -> list[Compared]:
        """The figures that are said to be so."""
        return [one for one in self.figures if one.word is word]


def compare(a: Sequence[Round], b: Sequence[Round], least: float = LEAST) -> Comparison:
    """Compare every figure that both sides tell and that has a good direction."""
    paired = are_in_turn(a, b)
    told = set.intersection(*({name for one in side for name in one.figures} for side in (a, b)))
    names = sorted(name for name in told if metrics.better(name) is not Better.NEITHER and can_be_merged(name, *a, *b))
    draws = np.random.default_rng(1)
    figures = [_compare(name, a, b, paired, least, draws) for name in names]
    return Comparison(figures, paired, obstacles(a, b), _notes(a, b, paired))


def can_be_merged(name: str, *rounds: Round) -> bool:
    """Whether the rounds make one figure of this name: a percentile needs their histograms, for it can't be averaged."""
    stage, _, percentile = name.rpartition(".")
    return percentile not in PERCENTILES or all(stage in one.histograms for one in rounds if name in one.figures)


def are_in_turn(a: Sequence[Round], b: Sequence[Round]) -> bool:
    """Whether the rounds were made A B A B …, by the times they began."""
    if len(a) != len(b) or not all(one.about.started_us for one in (*a, *b)):
        return False
    times = [one.about.started_us for pair in zip(a, b, strict=True) for one in pair]
    return all(earlier < later for earlier, later in pairwise(times))


def obstacles(a: Sequence[Round], b: Sequence[Round]) -> list[str]:
    """Why these rounds should not be compared."""
    found = []
    for what in ("profile", "scenario", "plan", "machine"):
        values = {getattr(one.about, what) for one in (*a, *b)}
        if len(values) > 1:
            found.append(f"they are of more than one {what}: {'; '.join(sorted(values))}")
    for name, side in (("A", a), ("B", b)):
        unfair = sum(one.valid is False for one in side)
        if unfair:
            found.append(f"{unfair} of the {len(side)} rounds of {name} were no fair test (INVALID or UNKNOWN)")
    return found


def _notes(a: Sequence[Round], b: Sequence[Round], paired: bool) -> list[str]:
    notes = []
    if not paired:
        notes.append(
            "The rounds were not made in turn (A B A B …): if the machine changed its pace meanwhile, that looks like a "
            "difference. --run makes them in turn."
        )
    for name, side in (("A", a), ("B", b)):
        commits = {one.commit for one in side}
        if len(commits) > 1:
            notes.append(f"The rounds of {name} are of {len(commits)} commits.")
        violated = sum(one.verdict == "fail" for one in side)
        if violated:
            notes.append(f"{violated} of the {len(side)} rounds of {name} violated an invariant: look at that first.")
    return notes


def _compare(
    name: str, a: Sequence[Round], b: Sequence[Round], paired: bool, least: float, draws: np.random.Generator
) -> Compared:
    sides = [[one for one in side if name in one.figures] for side in (a, b)]
    counts = (len(sides[0]), len(sides[1]))
    together = paired and counts == (len(a), len(b))
    samples: Sequence[_Values | _Merged] = _histograms(name, *sides) or _values(name, *sides)
    whole = [sample.of(np.ones((1, count))) for sample, count in zip(samples, counts, strict=True)]
    at = (float(whole[0][0]), float(whole[1][0]))
    way = metrics.better(name)
    relative = at[0] > 0 and at[1] > 0
    ratio = at[1] / at[0] if at[0] else None
    if at[0] == at[1] == 0:
        enough = min(counts) >= ROUNDS_MIN
        return Compared(name, way, 0.0, 0.0, None, None, None, counts, Word.SAME if enough else Word.TOO_FEW)
    if min(counts) < ROUNDS_MIN:
        return Compared(name, way, *at, ratio, None, None, counts, Word.TOO_FEW)
    weights_a = _weights(counts[0], draws)
    weights_b = weights_a if together else _weights(counts[1], draws)
    of_a, of_b = samples[0].of(weights_a), samples[1].of(weights_b)
    differences = np.log(np.maximum(of_b, 1e-12) / np.maximum(of_a, 1e-12)) if relative else of_b - of_a
    low, high = np.quantile(differences, _quantiles(min(counts)))
    if relative:
        low, high = np.exp(low), np.exp(high)
    word = _word(way, float(low), float(high), ratio, 1.0 if relative else 0.0, least)
    return Compared(name, way, *at, ratio, float(low), float(high), counts, word)


def _word(way: Better, low: float, high: float, ratio: float | None, same: float, least: float) -> Word:
    if low <= same <= high or (ratio is not None and abs(ratio - 1) < least):
        return Word.SAME
    return Word.BETTER if (low > same) == (way is Better.MORE) else Word.WORSE


def _quantiles(rounds: int) -> tuple[float, float]:
    """The ends of the interval among the resamples: further out than 2.5 %, the fewer rounds there are."""
    from scipy.stats import norm, t  # takes a second, which no other command should pay for

    tail = float(norm.cdf(np.sqrt(rounds / (rounds - 1)) * t.ppf((1 - CONFIDENCE) / 2, rounds - 1)))
    return tail, 1 - tail


def _weights(rounds: int, draws: np.random.Generator) -> Floats:
    """How often each round occurs in each resample."""
    weights: Floats = draws.multinomial(rounds, [1 / rounds] * rounds, size=RESAMPLES).astype(np.float64)
    return weights


@dataclass(frozen=True)
class _Values:
    """A figure that each round tells by itself: the geometric mean over rounds, the arithmetic one where there are zeros."""

    values: Floats

    def of(self, weights: Floats) -> Floats:
        found: Floats
        if (self.values > 0).all():
            found = np.exp(weights @ np.log(self.values) / weights.sum(axis=1))
        else:
            found = weights @ self.values / weights.sum(axis=1)
        return found


@dataclass(frozen=True)
class _Merged:
    """A percentile of the histograms of all rounds, added."""

    bounds: Floats
    """The values of the buckets, rising."""
    counts: Floats
    """How often each was seen, a row a round."""
    percentile: float

    def of(self, weights: Floats) -> Floats:
        # Of few rounds there are few ways to draw them: each is added up once.
        ways, way_of = np.unique(weights, axis=0, return_inverse=True)
        found = []
        # In parts: the sums of all ways at once would be large.
        for part in np.array_split(ways, max(1, len(ways) // 500)):
            sums = (part @ self.counts).cumsum(axis=1)
            # The rank as HdrHistogram rounds it.
            rank = np.maximum(1, np.floor(sums[:, -1:] * self.percentile / 100 + 0.5))
            found.append(self.bounds[(sums >= rank).argmax(axis=1)])
        merged: Floats = np.concatenate(found)[way_of.reshape(-1)]
        return merged


def _values(name: str, *sides: Sequence[Round]) -> list[_Values]:
    return [_Values(np.array([one.figures[name] for one in side])) for side in sides]


def _histograms(name: str, *sides: Sequence[Round]) -> list[_Merged] | None:
    stage, _, percentile = name.rpartition(".")
    if percentile not in PERCENTILES:
        return None
    return [
        _merged([Histogram.decode(one.histograms[stage]) for one in side], PERCENTILES[percentile]) for side in sides
    ]


def _merged(histograms: Sequence[Histogram], percentile: float) -> _Merged:
    counted = [histogram.counts_ms() for histogram in histograms]
    bounds = np.array(sorted({value for each in counted for value in each}), dtype=np.float64)
    counts = np.array([[each.get(value, 0) for value in bounds] for each in counted], dtype=np.float64)
    return _Merged(bounds, counts, percentile)
