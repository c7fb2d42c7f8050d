"""A stress run is judged by its steps, and a soak by its trends: pass, fail, unknown, and no word of other runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from story import SECOND, START_US, Story

from meshproof.judge import Verdict, Verdicts, judge
from meshproof.ledger import write_document

FULL = {"number": 0, "lag_p99_ms": 1.0, "generator_cpu": 0.3}
STRESS: dict[str, Any] = {
    "steps": [
        {**FULL, "way": "up", "rate": 100.0, "share": 1.0},
        {**FULL, "way": "up", "rate": 200.0, "share": 0.5},
        {**FULL, "way": "down", "rate": 100.0, "share": 1.0},
    ],
    "knee_per_s": 100.0,
    "broke_at_per_s": 200.0,
    "generator_broke_at_per_s": None,
    "recovered": True,
    "relieved_s": 1.5,
}
FLAT = {"name": "worker memory", "verdict": "no drift", "says": "+0.1 MB an hour"}


@pytest.fixture
def judged_as(tmp_path: Path) -> Callable[..., Verdicts]:
    def judged(
        profile: str, analysis: dict[str, Any] | None, bend: Callable[[Story], Any] = lambda _: None
    ) -> Verdicts:
        story = Story()
        for number in range(3):
            story.delivered(number)
        story.sample(1, 1, at_us=START_US + SECOND)
        story.count(START_US + SECOND, accepted=3, terminal=3)
        story.plan.update(profile=profile)
        bend(story)
        folder = story.write(tmp_path / "evidence")
        if analysis is not None:
            write_document(folder / "analysis.json", analysis)
        return judge(folder)

    return judged


def test_a_stress_run_that_broke_and_came_back_is_a_pass_however_late_and_full_it_was(
    judged_as: Callable[..., Verdicts],
) -> None:
    def overloaded(story: Story) -> None:
        assert story.generator is not None
        story.generator["processes"][0].update(lag_ms={"p50": 1, "p99": 80.0, "max": 90}, unsent=2)
        story.plan.update(attempts=len(story.attempts) + 2)

    verdicts = judged_as("stress", STRESS, overloaded)
    assert verdicts.verdict is Verdict.PASS, verdicts.reason
    assert "followed up to 100/s" in verdicts.of("validity.steps").sentence
    assert "1.5 s after" in verdicts.of("endurance.recovery").sentence


@pytest.mark.parametrize(
    ("name", "change", "verdict"),
    [
        ("validity.generator", {"generator_broke_at_per_s": 100.0}, Verdict.INVALID),
        ("validity.steps", {"broke_at_per_s": None, "recovered": None}, Verdict.UNKNOWN),
        ("endurance.recovery", {"recovered": False}, Verdict.FAIL),
        ("endurance.recovery", {"recovered": None}, Verdict.UNKNOWN),
    ],
)
def test_a_stress_run_can_fail_in_each_of_its_ways(
    judged_as: Callable[..., Verdicts], name: str, change: dict[str, Any], verdict: Verdict
) -> None:
    verdicts = judged_as("stress", STRESS | change)
    assert verdicts.verdict is verdict, verdicts.reason
    assert verdicts.of(name).verdict is not Verdict.PASS


def test_what_breaks_it_is_said(judged_as: Callable[..., Verdicts]) -> None:
    said = judged_as("stress", STRESS | {"recovered": False}).of("endurance.recovery").examples
    assert "at 100/s on the way down" in said[0].why
    said = judged_as("soak", {"trends": [{**FLAT, "verdict": "drift"}]}).of("endurance.drift").examples
    assert said[0].why == "worker memory +0.1 MB an hour"


def test_a_stress_run_with_attempts_nobody_made_is_invalid(judged_as: Callable[..., Verdicts]) -> None:
    verdicts = judged_as("stress", STRESS, lambda story: story.plan.update(attempts=99))
    assert verdicts.of("validity.attempted").verdict is Verdict.FAIL


@pytest.mark.parametrize(
    ("trends", "verdict"),
    [
        ([FLAT], Verdict.PASS),
        ([FLAT, {**FLAT, "verdict": "unknown"}], Verdict.UNKNOWN),
        ([{**FLAT, "verdict": "unknown"}, {**FLAT, "verdict": "drift"}], Verdict.FAIL),
        ([], Verdict.UNKNOWN),
    ],
)
def test_a_soak_is_as_good_as_its_worst_trend(
    judged_as: Callable[..., Verdicts], trends: list[dict[str, Any]], verdict: Verdict
) -> None:
    verdicts = judged_as("soak", {"trends": trends})
    assert verdicts.of("endurance.drift").verdict is verdict
    assert verdicts.verdict is verdict


@pytest.mark.parametrize("profile", ["stress", "soak"])
def test_without_an_analysis_nothing_is_known(judged_as: Callable[..., Verdicts], profile: str) -> None:
    assert judged_as(profile, None).verdict is Verdict.UNKNOWN
