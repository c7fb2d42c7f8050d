"""Operations, on histories in which many runs are cancelled and begun again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from held import Held
from story import SECOND, START_US, Story, clock, failed, run_id, started, timer

from meshproof.judge import Verdict

Holding = Callable[[Story], Held]

CANCEL_US, REPLAY_US = START_US + 10 * SECOND, START_US + 20 * SECOND


def operated(story: Story, kind: str, began_us: int, **counts: Any) -> dict[str, Any]:
    reply = {"id": f"{kind}-1", "kind": kind, "state": "done", "matched": 2, "done": 2, "refused": 0}
    reply |= {"began_at": clock(began_us), "finished_at": clock(began_us + SECOND)} | counts
    story.did(kind, began_us, began_us + SECOND, reply)
    return reply


def run(story: Story, number: int, *begun: dict[str, Any], at_us: int = CANCEL_US - SECOND) -> dict[str, Any]:
    """A run that has begun something when it is cancelled."""
    story.attempt(f"d{number}", run=number, index=number, at_us=at_us)
    stored = story.stored(number, f"d{number}", index=number, status="cancelled")
    accepted, work = story.journal(number)
    accepted["at_us"] = at_us
    work.update(events=list(begun), claimed_us=at_us + 1_000, at_us=at_us + 2_000)
    end = [{"type": "run.cancelled", "by": "somebody", "reason": "operation cancel-1"}]
    story.row(number, 2 + len(begun), 2, end, claimed_us=CANCEL_US + 1_000, at_us=CANCEL_US + 2_000)
    stored.update(epoch=2, finished_us=CANCEL_US + 2_000)
    return stored


def failed_and_begun_again(story: Story, number: int, *, at_us: int = REPLAY_US + 1_000) -> None:
    story.attempt(f"d{number}", run=number, index=number, at_us=CANCEL_US - SECOND)
    story.stored(number, f"d{number}", index=number, status="failed")
    story.journal(number)[1]["events"] = [failed()]
    begun_again(story, number, number + 100, at_us)


def begun_again(story: Story, number: int, again: int, at_us: int) -> None:
    run = story.stored(again, None, index=number, status="failed")
    run.update(endpoint=None, delivery_key=None, finished_us=at_us + 2_000)
    accepted, work = story.journal(again)
    accepted.update(at_us=at_us, events=[story.accepted() | {"source": "replay", "replay_of": run_id(number)}])
    work.update(events=[failed()], claimed_us=at_us + 1_000, at_us=at_us + 2_000)


@pytest.fixture
def bulk() -> Story:
    story = Story(scenario="bulk_cancel")
    operated(story, "cancel", CANCEL_US)
    operated(story, "replay", REPLAY_US)
    run(story, 1, timer("nap", CANCEL_US + SECOND))
    run(story, 2, started("call", 1))
    receipt = story.receipt(2, 1, at_us=CANCEL_US + 3_000)
    receipt["key"] = f"{run_id(2)}/call"
    failed_and_begun_again(story, 3)
    failed_and_begun_again(story, 4)
    return story


def test_operations_that_do_what_they_say_break_nothing(bulk: Story, held: Holding) -> None:
    verdicts = held(bulk)
    for name, checked in (("counted", 4), ("rightful", 4), ("reached", 2), ("silent", 1)):
        result = verdicts.of(f"operations.{name}")
        assert (result.verdict, result.checked) == (Verdict.PASS, checked), result
    assert verdicts.of("intake.unexpected").verdict is Verdict.PASS


def test_without_operations_there_is_nothing_to_prove(story: Story, held: Holding) -> None:
    story.delivered(1)
    assert held(story).of("operations.counted").sentence == "nothing was done to many runs at once"


@pytest.mark.parametrize(
    "counts", [{"done": 3, "matched": 3}, {"done": 1, "matched": 1}, {"matched": 5}, {"state": "stopped"}]
)
@pytest.mark.parametrize("kind", ["cancel", "replay"])
def test_other_counts_than_the_ledgers_have_are_told(
    held: Holding, bulk: Story, kind: str, counts: dict[str, Any]
) -> None:
    bulk.acts = [line for line in bulk.acts if line["name"] != kind]
    operated(bulk, kind, CANCEL_US if kind == "cancel" else REPLAY_US, **counts)
    assert f"operation {kind}-1 to {kind} says" in held(bulk).of("operations.counted").examples[0].why


def test_counted_is_unknown_when_nothing_was_begun_again(bulk: Story, held: Holding) -> None:
    bulk.acts.pop()
    assert held(bulk).of("operations.counted").verdict is Verdict.UNKNOWN


def test_a_run_that_came_later_is_not_to_be_cancelled(bulk: Story, held: Holding) -> None:
    run(bulk, 5, at_us=CANCEL_US + 2 * SECOND)
    assert "accepted 2000 ms after the operation began" in held(bulk).of("operations.rightful").examples[0].why


def test_a_cancellation_that_nobody_asked_for_is_told(bulk: Story, held: Holding) -> None:
    bulk.journal(1)[2]["events"][0]["reason"] = "why not"
    assert "no operation was to do it: why not" in held(bulk).of("operations.rightful").examples[0].why


def test_a_run_that_is_begun_again_twice_is_told(bulk: Story, held: Holding) -> None:
    begun_again(bulk, 3, 203, REPLAY_US + 5_000)
    assert "begun again 2 times" in {example.why for example in held(bulk).of("operations.rightful").examples}


def test_a_run_that_had_not_failed_is_not_begun_again(bulk: Story, held: Holding) -> None:
    begun_again(bulk, 1, 201, REPLAY_US + 5_000)
    assert "that had not failed" in held(bulk).of("operations.rightful").examples[0].why


def test_a_run_that_goes_on_after_it_was_cancelled_is_told(bulk: Story, held: Holding) -> None:
    late = bulk.journal(1)[2]
    late.update(events=[{"type": "step.completed", "node": "nap", "output": 1}], claimed_us=CANCEL_US + 2 * SECOND)
    (example,) = held(bulk).of("operations.reached").examples
    assert example.why == "step.completed by a claim 1000 ms after everybody was cancelled"


def test_reached_is_unknown_when_nothing_was_in_flight(bulk: Story, held: Holding) -> None:
    bulk.journal(2)[1]["events"] = [timer("nap", CANCEL_US + SECOND)]
    assert "0 runs were cancelled in a call and 2 asleep" in held(bulk).of("operations.reached").sentence


@pytest.mark.parametrize("after_us", [6 * SECOND, 3_000])
def test_a_call_that_comes_long_after_or_was_not_begun_is_told(bulk: Story, held: Holding, after_us: int) -> None:
    receipt = bulk.receipt(2, 2, at_us=CANCEL_US + 2_000 + after_us)
    receipt["key"] = f"{run_id(2)}/call"
    example = held(bulk).of("operations.silent").examples[0]
    assert f"came {after_us // 1000} ms after the run was cancelled, and 1 attempts had been begun" in example.why
