"""Schedules, on histories of a few ticks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from held import Held
from story import SECOND, START_US, Story, clock, completed

from meshproof.judge import Verdict
from meshproof.scenarios import schedules

Holding = Callable[[Story], Held]

FIRST_US = START_US - START_US % (2 * SECOND) + 10 * SECOND
BEGUN_US, STOP_US = FIRST_US - SECOND // 2, FIRST_US + 4 * SECOND - SECOND // 2


def fired(
    story: Story,
    schedule: str,
    tick_us: int,
    *,
    lasts_us: int = 10_000,
    after_us: int = 5_000,
    told: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """The run of a tick."""
    number = 1_000 + len(story.runs)
    run = story.stored(number, None, index=number)
    at_us = tick_us + after_us
    trigger = {"schedule": f"x-schedules-{schedule}", "tick": clock(tick_us)}
    output = {"schedule": schedule, "tick": clock(tick_us), **(told or {})}
    accepted, work = story.journal(number)
    accepted.update(at_us=at_us, events=[story.accepted() | {"source": "schedule", "trigger": trigger}])
    work.update(events=[completed(output)], claimed_us=at_us + 1_000, at_us=at_us + lasts_us)
    run.update(endpoint=None, delivery_key=f"1/{clock(tick_us)}", finished_us=at_us + lasts_us)
    return run


@pytest.fixture
def ticking() -> Story:
    """Four seconds of every schedule; the runs of some last for a second and a half."""
    story = Story(scenario="schedules")
    for name in schedules.SCHEDULES:
        story.did(f"begin {name}", BEGUN_US - 1_000, BEGUN_US)
        story.did(f"pause {name}", STOP_US, STOP_US + 1_000)
    for second in range(4):
        at_us = FIRST_US + second * SECOND
        for name in ("interval", "making-up", "letting-go"):
            fired(story, name, at_us)
        if second % 2 == 0:
            fired(story, "cron", at_us)
            fired(story, "skipping", at_us, lasts_us=1_500_000)
            fired(story, "queueing", at_us, lasts_us=1_500_000)
    return story


def of(story: Story, schedule: str, second: int) -> int:
    """The number of the run of a tick."""
    accepted = f"x-schedules-{schedule}", clock(FIRST_US + second * SECOND)
    return next(
        index
        for index, row in enumerate(story.rows)
        if row["seq"] == 1 and tuple(row["events"][0]["trigger"].values()) == accepted
    )


def test_a_run_for_every_tick_breaks_nothing(ticking: Story, held: Holding) -> None:
    verdicts = held(ticking)
    for name, checked in (("once", 18), ("fired", 22), ("overlap", 4), ("late", 14), ("told", 18)):
        result = verdicts.of(f"schedules.{name}")
        assert (result.verdict, result.checked) == (Verdict.PASS, checked), result


def test_without_schedules_there_is_nothing_to_prove(story: Story, held: Holding) -> None:
    story.delivered(1)
    assert held(story).of("schedules.once").sentence == "no schedule ticks in this run"


def test_a_tick_with_two_runs_is_told(ticking: Story, held: Holding) -> None:
    fired(ticking, "interval", FIRST_US)
    assert held(ticking).of("schedules.once").examples[0].why == "2 runs of one tick of interval"


@pytest.mark.parametrize(
    ("schedule", "tick_us", "after_us", "why"),
    [
        ("interval", FIRST_US + SECOND // 2, 5_000, "interval has no tick at"),
        ("cron", FIRST_US + SECOND, 5_000, "cron has no tick at"),
        ("interval", FIRST_US + 5 * SECOND, 5_000, "interval has no tick at"),
        ("interval", FIRST_US - SECOND, 5_000, "interval has no tick at"),
        ("nobody", FIRST_US, 5_000, "nobody has no tick at"),
    ],
)
def test_a_moment_that_is_no_tick_is_told(
    ticking: Story, held: Holding, schedule: str, tick_us: int, after_us: int, why: str
) -> None:
    fired(ticking, schedule, tick_us, after_us=after_us)
    assert why in held(ticking).of("schedules.once").examples[0].why


def test_a_run_before_its_tick_is_told(ticking: Story, held: Holding) -> None:
    ticking.rows[of(ticking, "interval", 2)]["at_us"] = FIRST_US + 2 * SECOND - 7
    assert held(ticking).of("schedules.once").examples[0].why == "interval began 7 µs before its tick"


@pytest.mark.parametrize(("schedule", "second"), [("interval", 1), ("cron", 2), ("skipping", 2), ("queueing", 0)])
def test_a_tick_without_a_run_is_told(ticking: Story, held: Holding, schedule: str, second: int) -> None:
    ticking.rows[of(ticking, schedule, second)]["events"][0]["trigger"]["schedule"] = "x-schedules-other"
    assert f"{schedule} was to tick at" in held(ticking).of("schedules.fired").examples[0].why


@pytest.mark.parametrize(("schedule", "verdict"), [("letting-go", Verdict.PASS), ("making-up", Verdict.FAIL)])
def test_a_tick_may_be_missed_when_nobody_was_there_and_the_schedule_lets_it(
    ticking: Story, held: Holding, schedule: str, verdict: Verdict
) -> None:
    ticking.rows[of(ticking, schedule, 2)]["events"][0]["trigger"]["schedule"] = "x-schedules-other"
    ticking.incidents.append({"at_us": FIRST_US + 2 * SECOND, "role": "worker", "pid": 1, "what": "ended"})
    assert held(ticking).of("schedules.fired").verdict is verdict


@pytest.mark.parametrize("schedule", ["skipping", "queueing"])
def test_runs_that_overlap_and_may_not_are_told(ticking: Story, held: Holding, schedule: str) -> None:
    fired(ticking, schedule, FIRST_US + SECOND)
    assert f"{schedule} began" in held(ticking).of("schedules.overlap").examples[0].why


def test_overlap_is_unknown_when_no_tick_met_a_live_run(ticking: Story, held: Holding) -> None:
    for run in ticking.runs:
        run["finished_us"] = min(run["finished_us"], FIRST_US + 100_000)
    assert held(ticking).of("schedules.overlap").verdict is Verdict.UNKNOWN


@pytest.mark.parametrize("disturbed", [False, True])
def test_a_late_run_is_told_where_nothing_had_happened(ticking: Story, held: Holding, disturbed: bool) -> None:
    ticking.rows[of(ticking, "interval", 2)]["at_us"] += 11 * SECOND
    if disturbed:
        ticking.incidents.append({"at_us": FIRST_US + 3 * SECOND, "role": "worker", "pid": 1, "what": "ended"})
        assert held(ticking).of("schedules.late").verdict is Verdict.PASS
    else:
        assert "interval began 11005 ms after" in held(ticking).of("schedules.late").examples[0].why


@pytest.mark.parametrize("told", [{"schedule": "another"}, {"tick": "2027-01-01T00:00:00Z"}])
def test_a_run_that_was_told_of_another_tick_is_told(ticking: Story, held: Holding, told: dict[str, str]) -> None:
    fired(ticking, "interval", FIRST_US, told=told)
    assert "the tick of interval gave completed" in held(ticking).of("schedules.told").examples[0].why


def test_schedules_are_unknown_when_they_were_never_begun(ticking: Story, held: Holding) -> None:
    ticking.acts = []
    assert "it was not done: begin" in held(ticking).of("schedules.fired").sentence
