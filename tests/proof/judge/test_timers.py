"""Timers, on histories of a run or two that slept twice each."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from story import SECOND, Story, timer

from meshproof.judge import Verdict, Verdicts

Judged = Callable[[Story], Verdicts]
TIMERS = ("early", "fired", "asked", "late")


@pytest.fixture
def sleepers() -> Story:
    story = Story(scenario="sleepers")
    story.plan["bounds"]["drain_s"] = 120
    story.slept(1)
    story.slept(2)
    return story


def test_timers_that_fired_in_time_break_nothing(sleepers: Story, judged: Judged) -> None:
    verdicts = judged(sleepers)
    checked = {r.name: (r.verdict, r.checked) for r in verdicts.results if r.family == "timers"}
    assert checked == {
        "timers.early": (Verdict.PASS, 4),
        "timers.fired": (Verdict.PASS, 4),
        "timers.asked": (Verdict.PASS, 2),
        "timers.late": (Verdict.PASS, 4),
    }
    assert [r.name for r in verdicts.results if r.verdict is Verdict.FAIL] == []


def test_a_run_that_never_waits_has_nothing_to_prove(story: Story, judged: Judged) -> None:
    story.delivered(1)
    for name in TIMERS:
        assert judged(story).of(f"timers.{name}").sentence == "no workflow of this run waits for a time"


@pytest.mark.parametrize("name", TIMERS)
def test_they_are_unknown_when_timers_were_planned_and_none_was_set(name: str, judged: Judged) -> None:
    story = Story(scenario="sleepers")
    story.attempt("d1", "unknown")
    assert judged(story).of(f"timers.{name}").verdict is Verdict.UNKNOWN


def test_a_timer_that_fires_early_is_told(sleepers: Story, judged: Judged) -> None:
    row = sleepers.journal(1)[3]
    row["at_us"] -= 4_000
    result = judged(sleepers).of("timers.early")
    assert (result.count, result.examples[0].why) == (1, "sleep fired 500 µs before its time")


def test_early_is_unknown_when_an_end_cannot_be_read(sleepers: Story, judged: Judged) -> None:
    sleepers.journal(1)[1]["events"][0]["until"] = "soon"
    assert judged(sleepers).of("timers.early").verdict is Verdict.UNKNOWN


def test_a_timer_that_never_fires_is_told(sleepers: Story, judged: Judged) -> None:
    del sleepers.journal(1)[3]["events"][0]
    assert "the timer of sleep never fired" in judged(sleepers).of("timers.fired").examples[0].why


def test_a_delay_without_a_timer_is_told(sleepers: Story, judged: Judged) -> None:
    del sleepers.journal(1)[2]["events"][1]
    verdicts = judged(sleepers)
    assert "sleep is over, and had no timer" in verdicts.of("timers.fired").examples[0].why
    assert verdicts.of("journal.legal").verdict is Verdict.FAIL


def test_two_timers_of_one_delay_are_told(sleepers: Story, judged: Judged) -> None:
    events = sleepers.journal(1)[2]["events"]
    events.append(events[1])
    verdicts = judged(sleepers)
    assert verdicts.of("timers.fired").verdict is Verdict.FAIL
    assert verdicts.of("journal.once").verdict is Verdict.FAIL


@pytest.mark.parametrize("by_us", [-1_000, 1_000])
def test_a_timer_set_for_another_time_than_the_definition_says_is_told(
    sleepers: Story, judged: Judged, by_us: int
) -> None:
    row = sleepers.journal(1)[1]
    row["events"] = [timer("nap", row["claimed_us"] + SECOND + by_us)]
    assert judged(sleepers).of("timers.asked").count == 1


def test_a_late_timer_is_told(sleepers: Story, judged: Judged) -> None:
    sleepers.journal(1)[3]["at_us"] += 11 * SECOND
    assert "sleep fired 11003 ms after its time" in judged(sleepers).of("timers.late").examples[0].why


def test_a_timer_may_be_late_when_something_happened(sleepers: Story, judged: Judged) -> None:
    row = sleepers.journal(1)[3]
    sleepers.incidents.append(
        {"at_us": row["at_us"] + SECOND, "role": "worker", "pid": 1, "what": "ended unexpectedly"}
    )
    row["at_us"] += 11 * SECOND
    assert judged(sleepers).of("timers.late").verdict is Verdict.PASS


def test_late_is_unknown_without_a_bound(sleepers: Story, judged: Judged) -> None:
    del sleepers.plan["bounds"]["timer_s"]
    assert judged(sleepers).of("timers.late").verdict is Verdict.UNKNOWN


def test_a_run_that_sleeps_is_waiting(sleepers: Story, judged: Judged) -> None:
    sleepers.sample(1, 2, at_us=sleepers.journal(1)[1]["at_us"] + 1_000, status="waiting", epoch=1)
    assert judged(sleepers).of("journal.whole").verdict is Verdict.PASS


def test_a_run_that_sleeps_is_not_running(sleepers: Story, judged: Judged) -> None:
    sleepers.sample(1, 2, at_us=sleepers.journal(1)[1]["at_us"] + 1_000, status="running", epoch=1)
    assert judged(sleepers).of("journal.whole").verdict is Verdict.FAIL
