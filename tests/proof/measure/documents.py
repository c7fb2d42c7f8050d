"""Summaries made up for tests: one run of a plan, and rounds of it that vary."""

from __future__ import annotations

from typing import Any

from meshproof.measure import rounds
from meshproof.measure.rounds import Round
from meshproof.stats import Histogram

START_US = 1_800_000_000_000_000
MACHINE = {
    "cores": 2,
    "processor": "a processor",
    "memory_bytes": 8 << 30,
    "system": "Linux 6 x86_64",
    "load_before": 0.1,
}


def summary(at_s: int = 0, **changed: Any) -> dict[str, Any]:
    """One run, as `summary.json` tells it."""
    return {
        "profile": "load",
        "scenario": "mixed",
        "seed": 1,
        "commit": "abcdef0123456789",
        "versions": {"python": "3.11.7", "machine": MACHINE},
        "settings": {"rate": 300.0},
        "valid": True,
        "verdict": "pass",
        "lost": 0,
        "completed_per_s": 300.0,
        "accept_ms": {"p50": 2.0, "p90": 4.0, "p99": 9.0, "p99_9": 20.0, "max": 30.0},
        "queue_ms": None,
        "cpu_ms_per_run": 2.0,
        "rss_bytes_max": {"worker": 80_000_000, "suite": 70_000_000},
        "floor_runs_per_s": 50_000.0,
        "started_us": START_US + at_s * 1_000_000,
        "digest": "0123456789abcdef",
    } | changed


def round_of(at_s: int = 0, latencies_us: list[int] | None = None, **changed: Any) -> Round:
    """One round, with the histogram of these latencies of accepting."""
    histograms = {"accept_ms": Histogram.of(latencies_us).encode()} if latencies_us else {}
    (made,) = rounds.of(summary(at_s, **changed), histograms)
    return made


def in_turn(a: list[float], b: list[float], metric: str = "completed_per_s") -> tuple[list[Round], list[Round]]:
    """Rounds A B A B … with these values of one figure."""
    return (
        [round_of(20 * number, **{metric: value}) for number, value in enumerate(a)],
        [round_of(20 * number + 10, **{metric: value}) for number, value in enumerate(b)],
    )
