"""Change points: planted ones are found where they are, noise gets no mark."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshproof.measure.changes import POINTS_MAX, SEGMENT_MIN, SIGNIFICANCE, changes

NOISES = ("normal", "lognormal", "laplace")


def noise(kind: str, draws: np.random.Generator, count: int) -> np.ndarray:
    """`count` values around 100 that vary by about 5."""
    if kind == "lognormal":
        return 100 * draws.lognormal(0, 0.05, count)
    return getattr(draws, kind)(100, 5, count)


@pytest.mark.parametrize("kind", NOISES)
def test_of_series_that_are_noise_alone_as_many_are_marked_as_the_level_says(kind: str) -> None:
    draws = np.random.default_rng(2026)
    marked = sum(bool(changes(noise(kind, draws, 30).tolist(), magnitude=0)) for _ in range(100))
    # One is expected; six or more come up less than once in a thousand if the level is what it says.
    assert marked <= 5, f"{marked} of 100, at a level of {SIGNIFICANCE}"


@settings(max_examples=15, deadline=None)
@given(
    before=st.integers(8, 25),
    after=st.integers(8, 25),
    step=st.sampled_from([-30.0, 25.0, 60.0]),
    kind=st.sampled_from(["normal", "lognormal"]),
    seed=st.integers(0, 2**32),
)
def test_a_planted_change_is_found_where_it_is(before: int, after: int, step: float, kind: str, seed: int) -> None:
    draws = np.random.default_rng(seed)
    values = noise(kind, draws, before + after)
    values[before:] += step
    found = changes(values.tolist())
    assert any(abs(change.index - before) <= 1 for change in found), found
    planted = min(found, key=lambda change: abs(change.index - before))
    assert (planted.after > planted.before) == (step > 0)


def test_several_changes_are_found_each() -> None:
    draws = np.random.default_rng(3)
    values = np.concatenate(
        [noise("normal", draws, 20), noise("normal", draws, 15) * 1.3, noise("normal", draws, 20) * 0.9]
    )
    assert [change.index for change in changes(values.tolist())] == [20, 35]


def test_one_outlier_is_no_change() -> None:
    values = noise("normal", np.random.default_rng(4), 40)
    values[20] = 400
    assert changes(values.tolist()) == []


def test_a_change_too_small_to_matter_is_not_marked() -> None:
    values = [100.0] * 20 + [101.0] * 20
    assert changes(values) == []
    assert [change.index for change in changes(values, magnitude=0.005)] == [20]


def test_a_change_is_told_once_there_are_runs_enough_after_it() -> None:
    values = [100.0 + number % 3 for number in range(20)] + [150.0 + number % 3 for number in range(SEGMENT_MIN)]
    assert changes(values[:-3]) == []
    (change,) = changes(values)
    assert (change.index, change.before, change.after) == (20, 101.0, 151.0)
    assert change.relative == pytest.approx(0.495, abs=0.001)


@pytest.mark.parametrize("values", [[], [1.0], [5.0] * 50, [1.0, 2.0] * 4])
def test_where_nothing_can_be_said_nothing_is(values: list[float]) -> None:
    assert changes(values) == []


def test_only_the_newest_points_are_looked_at_and_counted_as_they_are() -> None:
    values = [100.0 + number % 2 for number in range(POINTS_MAX + 60)]
    values[-20:] = [value + 50 for value in values[-20:]]
    assert [change.index for change in changes(values)] == [POINTS_MAX + 40]


def test_the_same_values_give_the_same_changes() -> None:
    values = noise("normal", np.random.default_rng(5), 60).tolist()
    assert changes(values) == changes(values)
