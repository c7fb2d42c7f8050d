"""Percentiles, without ever averaging one: values go into HdrHistograms, and histograms are added."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from hdrh.histogram import HdrHistogram

# A microsecond to an hour, three significant digits: no figure is off by more than 0.1 %.
LOWEST_US = 1
HIGHEST_US = 3_600_000_000
DIGITS = 3

PERCENTILES = {"p50": 50.0, "p90": 90.0, "p99": 99.0, "p99_9": 99.9}


class Histogram:
    """Latencies in microseconds; negative ones count as zero."""

    def __init__(self) -> None:
        self._hdr = HdrHistogram(LOWEST_US, HIGHEST_US, DIGITS)
        self._max_us = 0

    @classmethod
    def of(cls, values_us: Iterable[int]) -> Histogram:
        """A histogram of these values."""
        histogram = cls()
        histogram.add(values_us)
        return histogram

    def add(self, values_us: Iterable[int]) -> None:
        """Add values."""
        array = np.fromiter(values_us, dtype=np.int64)
        if not array.size:
            return
        array = array.clip(0, HIGHEST_US)
        for value, count in zip(*np.unique(array, return_counts=True), strict=True):
            self._hdr.record_value(int(value), int(count))
        self._max_us = max(self._max_us, int(array.max()))

    def merge(self, other: Histogram) -> None:
        """Add the values of another histogram."""
        self._hdr.add(other._hdr)
        self._max_us = max(self._max_us, other._max_us)

    @property
    def count(self) -> int:
        """How many values there are."""
        return int(self._hdr.get_total_count())

    def percentile_us(self, percentile: float) -> int:
        """The value at a percentile (0-100); at most the largest value there is. 0 without values."""
        if not self.count:
            return 0
        return min(int(self._hdr.get_value_at_percentile(percentile)), self._max_us)

    def milliseconds(self) -> dict[str, float] | None:
        """`{"p50", "p90", "p99", "p99_9", "max"}` in milliseconds; None without values."""
        if not self.count:
            return None
        figures = {name: self.percentile_us(percentile) / 1_000 for name, percentile in PERCENTILES.items()}
        return {**figures, "max": self._max_us / 1_000}

    def counts_ms(self) -> dict[float, int]:
        """How often each value was seen, in milliseconds; a bucket stands for its highest value, as percentiles do."""
        counts = np.array(self._hdr.counts)
        seen = np.flatnonzero(counts)
        values = (self._hdr.get_highest_equivalent_value(self._hdr.get_value_from_index(int(index))) for index in seen)
        # No bucket stands for more than there was.
        return {min(value, self._max_us) / 1_000: int(counts[index]) for value, index in zip(values, seen, strict=True)}

    def encode(self) -> dict[str, Any]:
        """As JSON data, for another process to merge."""
        return {"hdr": self._hdr.encode().decode(), "max_us": self._max_us}

    @classmethod
    def decode(cls, document: dict[str, Any]) -> Histogram:
        """The histogram that `encode` wrote."""
        histogram = cls()
        histogram._hdr = HdrHistogram.decode(document["hdr"])
        histogram._max_us = document["max_us"]
        return histogram
