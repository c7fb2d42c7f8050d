"""Limits, on histories of runs that share lanes."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from story import SECOND, SEED, Story

from meshproof.judge import Verdict, Verdicts
from meshproof.scenarios import ordered_keys

Judged = Callable[[Story], Verdicts]


def of_one_lane(count: int) -> list[int]:
    """Numbers whose runs share the lane of number 1."""
    lane = ordered_keys.lane(ordered_keys.payload(SEED, 1))
    shared = (n for n in range(1, 1_000) if ordered_keys.lane(ordered_keys.payload(SEED, n)) == lane)
    return [number for number, _ in zip(shared, range(count), strict=False)]


@pytest.fixture
def lane() -> Story:
    story = Story(scenario="ordered_keys")
    for number in of_one_lane(3):
        story.delivered(number)
    return story


def test_one_after_the_other_breaks_nothing(lane: Story, judged: Judged) -> None:
    for name in ("slots", "order"):
        result = judged(lane).of(f"limits.{name}")
        assert (result.verdict, result.checked) == (Verdict.PASS, 3)


def test_a_run_without_limits_has_nothing_to_prove(story: Story, judged: Judged) -> None:
    story.delivered(1)
    for name in ("slots", "order"):
        assert judged(story).of(f"limits.{name}").sentence == "no workflow of this run has a limit"


def test_two_at_once_are_told(lane: Story, judged: Judged) -> None:
    one, other, _ = of_one_lane(3)
    lane.journal(one)[1]["at_us"] = lane.journal(other)[1]["claimed_us"] + 1
    assert "run 2 of lane" in judged(lane).of("limits.slots").examples[0].why


def test_a_lease_holds_its_slot_between_two_writes(lane: Story, judged: Judged) -> None:
    one, other, last = of_one_lane(3)
    story = Story(scenario="ordered_keys")
    story.taken_over(one)
    story.delivered(last)  # long before the lease of the first is over
    assert judged(story).of("limits.slots").verdict is Verdict.FAIL
    for row in story.journal(last)[1:]:
        row["claimed_us"] += 2 * SECOND
        row["at_us"] += 2 * SECOND
    assert judged(story).of("limits.slots").verdict is Verdict.PASS
    assert other < last


def test_a_later_one_that_starts_first_is_told(lane: Story, judged: Judged) -> None:
    one, other, _ = of_one_lane(3)
    later = lane.journal(other)[1]["at_us"] + 100
    lane.journal(one)[1].update(claimed_us=later, at_us=later + 100)
    verdicts = judged(lane)
    assert verdicts.of("limits.slots").verdict is Verdict.PASS
    assert "acknowledged before it was sent" in verdicts.of("limits.order").examples[0].why


def test_of_two_on_their_way_at_once_either_may_start_first(lane: Story, judged: Judged) -> None:
    one, other, _ = of_one_lane(3)
    later = lane.journal(other)[1]["at_us"] + 100
    lane.journal(one)[1].update(claimed_us=later, at_us=later + 100)
    sent_us = next(line["sent_us"] for line in lane.outcomes if line["d"] == f"d{other}")
    for line in lane.outcomes:
        if line["d"] == f"d{one}":
            line["reply_us"] = sent_us + 1
    assert judged(lane).of("limits.order").verdict is Verdict.PASS
