"""The law is found in data made by it, with intervals that hold it, and it predicts what it has not seen."""

from __future__ import annotations

from random import Random

import pytest

from meshproof.analysis.scaling import Law, Measured, ScalingError, band, fit, speed_ups

SIZES = (1, 2, 3, 4, 6, 8, 12)
TRUE = Law(one=1_000.0, contention=0.08, coherency=0.01)


def made(law: Law, noise: float = 0.0, rounds: int = 1) -> list[Measured]:
    draw = Random(5)
    return [Measured(size, law.at(size) * (1 + draw.gauss(0.0, noise))) for size in SIZES for _ in range(rounds)]


def test_the_law_is_found_in_what_it_made() -> None:
    found = fit(made(TRUE), held_out=4)
    assert (found.law.one, found.law.contention, found.law.coherency) == pytest.approx((1_000.0, 0.08, 0.01), rel=1e-3)
    assert found.predicted == pytest.approx(found.measured, rel=1e-3)
    assert found.law.best_size == pytest.approx((0.92 / 0.01) ** 0.5, rel=1e-2)


def test_the_intervals_hold_the_truth_when_there_is_noise() -> None:
    found = fit(made(TRUE, noise=0.03, rounds=3), held_out=4)
    for name, true in (("one", 1_000.0), ("contention", 0.08), ("coherency", 0.01)):
        low, high = found.intervals[name]
        assert low <= true <= high, name
        assert low < high
    low, high = found.predicted_interval
    assert low <= TRUE.at(4) <= high
    assert found.holds
    assert all(low <= middle <= high for low, middle, high in band(found, SIZES))


def test_a_size_that_does_not_follow_the_law_is_seen() -> None:
    odd = [
        Measured(size, per_s * 0.5) if size == 4 else Measured(size, per_s) for size, per_s in made(TRUE, noise=0.02)
    ]
    assert not fit(odd, held_out=4).holds


def test_without_coherency_more_is_never_less() -> None:
    found = fit(made(Law(500.0, 0.0, 0.0)), held_out=6)
    assert found.law.best_size is None or found.law.best_size > 100
    assert found.law.at(100) == pytest.approx(50_000.0, rel=0.05)


def test_processes_that_only_stand_in_each_others_way_have_a_contention_of_one() -> None:
    found = fit(made(Law(800.0, 1.0, 0.0)), held_out=3)
    assert found.law.contention == pytest.approx(1.0, abs=0.02)
    assert found.law.at(8) == pytest.approx(800.0, rel=0.02)


def test_four_sizes_are_too_few() -> None:
    with pytest.raises(ScalingError, match="4 sizes"):
        fit([each for each in made(TRUE) if each.size < 8], held_out=6)


def test_speed_up_and_efficiency_are_those_of_medians() -> None:
    rows = speed_ups(
        [Measured(1, 100.0), Measured(2, 150.0), Measured(2, 900.0), Measured(2, 160.0), Measured(4, 200.0)]
    )
    assert [(row["size"], row["per_s"], row["speed_up"], row["efficiency"]) for row in rows] == [
        (1, 100.0, 1.0, 1.0),
        (2, 160.0, 1.6, 0.8),
        (4, 200.0, 2.0, 0.5),
    ]
