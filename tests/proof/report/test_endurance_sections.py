"""Curves and trends on the page: what is drawn is what was found."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from meshproof.report.endurance_sections import soak, stress
from meshproof.report.gather import Gathered
from meshproof.report.plot import Curve, Plot, draw, spark, ticks

STEP: dict[str, Any] = {
    "way": "up", "rate": 100.0, "offered_per_s": 99.0, "accepted_per_s": 99.0, "goodput_per_s": 98.0, "share": 0.99,
    "end_to_end_p99_ms": 12.0, "busy": {"worker processes": 0.4}, "lag_p99_ms": 1.0, "unsent": 0,
}  # fmt: skip
FOUND: dict[str, Any] = {
    "steps": [STEP, {**STEP, "rate": 200.0, "goodput_per_s": 120.0, "share": 0.6}, {**STEP, "way": "down"}],
    "knee_per_s": 100.0, "broke_at_per_s": 200.0, "goodput_max_per_s": 120.0, "backlog_max": 80, "drain_s": 0.4, "relieved_s": 2.0,
    "recovered": True, "generator_broke_at_per_s": None,
    "full_first": {"at_per_s": 200.0, "what": ["worker processes", "generator"]}, "full_when_broke": {},
}  # fmt: skip


def gathered(analysis: dict[str, Any]) -> Gathered:
    return Gathered(Path("x"), documents={"analysis": analysis})


def test_a_stress_run_shows_both_ways_and_what_was_full_first() -> None:
    page = str(stress(gathered(FOUND)))
    assert "Full first, at 200/s: worker processes, then generator." in page
    assert page.count("<circle") >= 4, "two steps up in each of two plots"
    assert "<rect" in page, "and one down"
    assert ">broke</text>" in page
    assert stress(gathered({})) is None


def test_a_generator_that_broke_first_is_said_before_anything_else() -> None:
    assert "The generator broke first, at 100/s" in str(stress(gathered(FOUND | {"generator_broke_at_per_s": 100.0})))


def test_a_soak_shows_every_trend_with_its_verdict_and_its_line() -> None:
    trend = {
        "name": "memory of worker", "unit": "MB", "verdict": "drift", "usual": 100.0, "grown": 40.0, "low": 38.0, "high": 42.0,
        "allowed": 20.0, "seconds": 1_800.0, "points": [[0, 80.0], [900, 100.0], [1_800, 120.0]],
    }  # fmt: skip
    page = str(soak(gathered({"trends": [trend, {**trend, "name": "<b>", "verdict": "unknown"}]})))
    for word in (
        "badge fail",
        "badge unknown",
        "memory of worker",
        "40.00 MB",
        "38.00 to 42.00",
        "&lt;b&gt;",
        "from 80 to 120",
    ):
        assert word in page, word
    assert soak(gathered({})) is None


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0, 10, [0, 2, 4, 6, 8, 10]), (0, 1_145, [0, 500, 1_000]), (-3, 3, [-2, 0, 2]), (5, 5, [5])],
)
def test_ticks_are_round_numbers(low: float, high: float, expected: list[float]) -> None:
    assert ticks(low, high) == expected


def test_points_are_drawn_where_they_are() -> None:
    picture = str(draw(Plot("x", "y", [Curve("c", [(0.0, 0.0), (10.0, 100.0)])])))
    assert 'cx="62.0" cy="286.0"' in picture, "the origin is the lower left corner of the grid"
    assert "There is nothing to draw" in str(draw(Plot("x", "y", [])))
    assert str(spark([(0.0, 1.0)])) == "<span>–</span>"
