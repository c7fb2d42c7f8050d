"""Speed-up, efficiency, and the Universal Scalability Law. Pure.

Throughput of N processes, after Gunther (1993; "Guerrilla Capacity Planning", 2007):

    X(N) = λN / (1 + σ(N - 1) + κN(N - 1))

λ is what one does, σ contention (the part that has to be done one after the other), κ coherency (what each must hear of every
other). With κ > 0 there is a size beyond which more is less: N* = √((1 - σ)/κ). Without κ it is Amdahl's law.

Intervals are bootstrapped: residuals of the fit, as parts of it, are drawn again with replacement, and the law is fitted to each
such sample (Efron and Tibshirani 1993, chapter 9). One size is left out of the fit and predicted by it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Final, NamedTuple

import numpy as np

SIZES_MIN: Final = 5
SAMPLES: Final = 400
SEED: Final = 1
INTERVAL: Final = (2.5, 97.5)


class Measured(NamedTuple):
    """What so many processes did."""

    size: int
    per_s: float


class ScalingError(ValueError):
    """There are too few sizes to fit anything to; the message says how many it takes."""


@dataclass(frozen=True)
class Law:
    """The three numbers of the law."""

    one: float
    """λ: what one process does a second."""
    contention: float
    coherency: float

    def at(self, size: float) -> float:
        """What so many do."""
        return float(_usl(size, self.one, self.contention, self.coherency))

    @property
    def best_size(self) -> float | None:
        """Beyond it more is less; None when there is no such size."""
        if self.coherency <= 1e-9 or self.contention >= 1:
            return None if self.contention < 1 else 1.0
        return math.sqrt((1 - self.contention) / self.coherency)


@dataclass(frozen=True)
class Fit:
    """The law with its intervals (95 %), and what it says of the size that was left out."""

    law: Law
    intervals: dict[str, tuple[float, float]]
    held_out: int
    predicted: float
    predicted_interval: tuple[float, float]
    measured: float
    samples: tuple[Law, ...]

    @property
    def holds(self) -> bool:
        """Whether what was measured at the size left out is within the interval."""
        low, high = self.predicted_interval
        return low <= self.measured <= high


def fit(measured: Sequence[Measured], held_out: int) -> Fit:
    """Fit the law to all sizes but one. Raises ScalingError with fewer than five others."""
    used = [each for each in measured if each.size != held_out]
    sizes = {each.size for each in used}
    if len(sizes) < SIZES_MIN:
        raise ScalingError(
            f"There are {len(sizes)} sizes beside the one held out; a fit of three numbers takes {SIZES_MIN}."
        )
    law = _fit(used)
    residuals = np.array([each.per_s / law.at(each.size) - 1 for each in used])
    # A fit of three numbers leaves residuals that are smaller than the noise was.
    residuals *= math.sqrt(len(used) / max(1, len(used) - 3))
    draw = np.random.default_rng(SEED)
    samples, predictions = [], []
    for _ in range(SAMPLES):
        drawn = draw.choice(residuals, len(used))
        again = [Measured(each.size, law.at(each.size) * (1 + off)) for each, off in zip(used, drawn, strict=True)]
        sample = _fit(again)
        samples.append(sample)
        predictions.append(sample.at(held_out) * (1 + float(draw.choice(residuals))))
    return Fit(
        law=law,
        intervals={
            "one": _interval([sample.one for sample in samples]),
            "contention": _interval([sample.contention for sample in samples]),
            "coherency": _interval([sample.coherency for sample in samples]),
        },
        held_out=held_out,
        predicted=law.at(held_out),
        predicted_interval=_interval(predictions),
        measured=median(each.per_s for each in measured if each.size == held_out),
        samples=tuple(samples),
    )


def speed_ups(measured: Sequence[Measured]) -> list[dict[str, Any]]:
    """Each size beside the smallest: medians of its rounds."""
    sizes = sorted({each.size for each in measured})
    per_s = {size: median(each.per_s for each in measured if each.size == size) for size in sizes}
    first = sizes[0]
    return [
        {
            "size": size,
            "per_s": per_s[size],
            "rounds": sorted(each.per_s for each in measured if each.size == size),
            "speed_up": per_s[size] / per_s[first] if per_s[first] else None,
            "efficiency": per_s[size] / per_s[first] * first / size if per_s[first] else None,
        }
        for size in sizes
    ]


def band(found: Fit, sizes: Sequence[float]) -> list[tuple[float, float, float]]:
    """The curve of the law over some sizes: low, itself, high."""
    rows = []
    for size in sizes:
        low, high = _interval([sample.at(size) for sample in found.samples])
        rows.append((low, found.law.at(size), high))
    return rows


def _fit(points: Sequence[Measured]) -> Law:
    """N/X is linear in 1/λ, σ/λ and κ/λ, none of which is negative; residuals count as parts of what they are off from."""
    sizes = np.array([point.size for point in points], dtype=float)
    each_takes = sizes / np.array([max(point.per_s, 1e-9) for point in points])
    terms = np.stack([np.ones_like(sizes), sizes - 1, sizes * (sizes - 1)], axis=1)
    from scipy.optimize import nnls  # takes a while, which no other command should pay for

    (alone, contention, coherency), _ = nnls(terms / each_takes[:, None], np.ones_like(sizes))
    alone = max(float(alone), 1e-12)
    return Law(1 / alone, float(contention) / alone, float(coherency) / alone)


def _usl(size: Any, one: float, contention: float, coherency: float) -> Any:
    return one * size / (1 + contention * (size - 1) + coherency * size * (size - 1))


def _interval(values: Sequence[float]) -> tuple[float, float]:
    low, high = np.percentile(values, INTERVAL)
    return float(low), float(high)
