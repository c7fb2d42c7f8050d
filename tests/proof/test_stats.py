"""Percentiles of merged histograms are those of all the values together."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from meshproof.stats import Histogram

values = st.lists(st.integers(0, 10_000_000), min_size=1, max_size=200)


@given(values, values)
def test_merging_is_the_same_as_recording_everything_in_one(one: list[int], two: list[int]) -> None:
    merged = Histogram.of(one)
    merged.merge(Histogram.decode(Histogram.of(two).encode()))
    together = Histogram.of(one + two)
    assert merged.milliseconds() == together.milliseconds()
    assert merged.count == len(one) + len(two)


@given(values)
def test_a_percentile_is_within_a_thousandth_of_a_value_at_its_rank(sample: list[int]) -> None:
    ordered = sorted(sample)
    rank = max(0, -(-len(ordered) * 99 // 100) - 1)
    assert abs(Histogram.of(sample).percentile_us(99) - ordered[rank]) <= max(1, ordered[rank] / 1_000)


def test_the_mean_of_percentiles_would_have_been_wrong() -> None:
    fast, slow = Histogram.of([1_000] * 9_900), Histogram.of([100_000] * 100)
    fast.merge(slow)
    figures = fast.milliseconds()
    assert figures is not None
    assert figures["p50"] == 1.0
    assert figures["max"] == 100.0
    assert 99.9 <= figures["p99_9"] <= 100.0


def test_no_values_have_no_percentiles_and_negative_ones_count_as_zero() -> None:
    assert Histogram().milliseconds() is None
    assert Histogram.of([-5]).percentile_us(50) == 0
