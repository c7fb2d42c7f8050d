"""A leak is called one, a flat line is not, and what is too short for either is unknown."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest

from meshproof.analysis.drift import BLOCKS, Bound, Point, in_blocks, trend
from meshproof.profiles.soak import seconds_of

BOUND = Bound(anyway=5.0, an_hour=2.0)


def half_an_hour(value: Callable[[float], float]) -> list[Point]:
    return [Point(float(at), value(float(at))) for at in range(0, 1_800, 2)]


def noisy(per_hour: float, noise: float = 1.0, seed: int = 1) -> list[Point]:
    draw = Random(seed)
    return half_an_hour(lambda at: 100.0 + per_hour * at / 3_600 + draw.gauss(0.0, noise))


def test_a_known_slope_is_found_within_its_interval() -> None:
    found = trend("x", "MB", noisy(40.0), BOUND)
    assert found.low < 20.0 * 1_798 / 1_800 < found.high
    assert found.grown == pytest.approx(20.0, abs=0.8)
    assert found.allowed == pytest.approx(6.0, abs=0.01)
    assert found.verdict == "drift"


@pytest.mark.parametrize(
    ("per_hour", "verdict"),
    [(0.0, "no drift"), (4.0, "no drift"), (-30.0, "no drift"), (12.0, "unknown"), (30.0, "drift")],
)
def test_growth_is_held_against_its_bound(per_hour: float, verdict: str) -> None:
    # 12 an hour are 6 in half of one, which is exactly what is allowed.
    assert trend("x", "MB", noisy(per_hour, noise=3.0), BOUND).verdict == verdict


def test_checkpoints_and_busy_seconds_do_not_bend_the_slope() -> None:
    def spiky(at: float) -> float:
        return 100.0 if at % 300 else 5_000.0

    assert trend("x", "MB", half_an_hour(spiky), BOUND).grown == 0.0


def test_a_step_that_happens_once_is_no_drift_when_it_is_small() -> None:
    assert trend("x", "MB", half_an_hour(lambda at: 100.0 if at < 900 else 104.0), BOUND).verdict == "no drift"


def test_what_is_too_short_is_unknown_and_says_so() -> None:
    found = trend("x", "MB", noisy(0.0)[:11], BOUND)
    assert (found.verdict, found.says) == ("unknown", "has 11 points, and it takes 12: the run was too short")
    assert trend("x", "MB", [], BOUND).verdict == "unknown"
    # Noise far above the bound cannot be told from growth within these few points.
    assert trend("x", "MB", noisy(0.0, noise=60.0, seed=3)[:14], BOUND).verdict == "unknown"


def test_hours_of_points_become_sixty() -> None:
    blocks = in_blocks(half_an_hour(lambda at: at))
    assert len(blocks) == BLOCKS
    assert blocks == sorted(blocks)
    assert sum(block.value for block in blocks) / BLOCKS == pytest.approx(899, rel=0.01)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30m", 1_800), ("4h", 14_400), ("90s", 90), ("12", 12), ("1.5h", 5_400), ("soon", None), ("-3m", None)],
)
def test_lengths_are_written_as_people_write_them(text: str, seconds: float | None) -> None:
    assert seconds_of(text) == seconds
