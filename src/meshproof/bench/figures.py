"""Figures as they are written down: rows in the keys of a run, intervals, texts."""

from __future__ import annotations

from typing import Any

import numpy as np

from meshproof.bench.engine import SCENARIO
from meshproof.summary import KEYS
from meshproof.versions import commit

RESAMPLES = 10_000


def row(**known: Any) -> dict[str, Any]:
    """A row in the keys of summary.json; what a benchmark does not say is null."""
    return dict.fromkeys(KEYS) | {"profile": "bench", "scenario": SCENARIO, "commit": commit()} | known


def bootstrap(values: list[float]) -> list[float]:
    """The interval that holds 95 % of the medians of resampled rounds."""
    draws = np.random.default_rng(1).choice(values, size=(RESAMPLES, len(values)))
    low, high = np.percentile(np.median(draws, axis=1), [2.5, 97.5])
    return [float(low), float(high)]


def interval(interval: list[float]) -> str:
    """From where to where."""
    return f"{interval[0]:,.0f} to {interval[1]:,.0f}"


def ms(figures: dict[str, float] | None) -> str:
    """Median and 99th percentile."""
    return f"p50 {figures['p50']:.1f} ms, p99 {figures['p99']:.1f} ms" if figures else "—"
