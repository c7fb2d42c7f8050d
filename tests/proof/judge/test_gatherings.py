"""Gatherings, on histories in which deliveries of one key share a run."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
from held import Held
from story import SECOND, SEED, START_US, Story, completed, step

from meshproof import scenarios
from meshproof.judge import Verdict
from meshproof.scenarios import gatherings

Holding = Callable[[Story], Held]
BATCH = scenarios.load("gatherings")
WAIT_US = round(gatherings.GATHER.wait_s * 1e6)


def of_one_key(key: str, count: int, scenario: str = "gatherings") -> list[int]:
    """The first payloads of a key."""
    load = scenarios.load(scenario)
    assert load.gathered_by is not None
    found = (index for index in range(1_000) if load.gathered_by(load.payload(SEED, index)) == key)
    return [index for index, _ in zip(found, range(count), strict=False)]


def gathered(story: Story, number: int, indices: Sequence[int], at_us: int, *, start_us: int | None = None) -> None:
    """Deliveries in one run, ten milliseconds apart; it starts a millisecond after its time."""
    load = scenarios.load(story.scenario)
    first = len(story.attempts)
    for place, index in enumerate(indices):
        story.attempt(f"d{first + place}", run=number, index=index, at_us=at_us + place * 10_000 - 2_000)
    bodies = [load.payload(SEED, index) for index in indices]
    is_batch = load.gather is not None and load.gather.kind == "batch"
    output = load.model(b"[" + b",".join(bodies) + b"]" if is_batch else bodies[-1]).output
    run = story.stored(number, f"d{first}", index=indices[0])
    accepted, work = story.journal(number)
    accepted["at_us"] = at_us
    for place in range(1, len(indices)):
        line = story.attempts[first + place]
        added = {"type": "delivery.added", "key": line["d"], "sha256": line["hash"]}
        story.row(number, 1 + place, 0, [added], at_us=at_us + place * 10_000)
    start_us = at_us + WAIT_US + 1_000 if start_us is None else start_us
    done = [step("all", output), completed(output)]
    work.update(seq=1 + len(indices), events=done, claimed_us=start_us, at_us=start_us + 500)
    run["finished_us"] = start_us + 500


@pytest.fixture
def batches() -> Story:
    story = Story(scenario="gatherings")
    ours = of_one_key("c1", 5)
    gathered(story, 1, ours[:3], START_US)
    gathered(story, 2, ours[3:], START_US + SECOND)
    return story


def test_batches_as_they_must_be_break_nothing(batches: Story, held: Holding) -> None:
    verdicts = held(batches)
    for name, checked in (("together", 5), ("order", 5), ("bounds", 2), ("quiet", 2), ("late", 2)):
        result = verdicts.of(f"gatherings.{name}")
        assert (result.verdict, result.checked) == (Verdict.PASS, checked), result
    for name in ("lost", "phantom", "unexpected", "duplicated", "named"):
        assert verdicts.of(f"intake.{name}").verdict is Verdict.PASS
    assert verdicts.of("completion.output").checked == 2
    assert verdicts.of("completion.output").verdict is Verdict.PASS


def test_where_nothing_is_gathered_there_is_nothing_to_prove(story: Story, held: Holding) -> None:
    story.delivered(1)
    assert held(story).of("gatherings.order").sentence == "every delivery of this run has a run of its own"


def test_the_output_is_held_against_all_of_its_deliveries(batches: Story, held: Holding) -> None:
    work = batches.journal(1)[-1]
    output = BATCH.model(BATCH.payload(SEED, of_one_key("c1", 1)[0])).output
    work["events"] = [step("all", output), completed(output)]
    assert held(batches).of("completion.output").count == 1


def test_a_gathered_delivery_that_is_lost_is_missed(batches: Story, held: Holding) -> None:
    batches.rows.remove(batches.journal(2)[-1])
    assert "no run of this delivery is stored" in held(batches).of("intake.lost").examples[0].why


def test_a_gathered_delivery_in_two_runs_is_told(batches: Story, held: Holding) -> None:
    added = next(row for row in batches.journal(1) if row["events"][0]["type"] == "delivery.added")
    batches.row(2, 3, 0, [dict(added["events"][0])], at_us=START_US + SECOND + 15_000)
    assert "2 runs of one delivery" in held(batches).of("intake.duplicated").examples[0].why


def test_another_key_in_a_run_is_told(batches: Story, held: Holding) -> None:
    gathered(batches, 3, [of_one_key("c1", 6)[5], of_one_key("c2", 1)[0]], START_US + 2 * SECOND)
    assert held(batches).of("gatherings.together").examples[0].why == "its deliveries are of 2 keys"


def test_another_hash_is_told(batches: Story, held: Holding) -> None:
    batches.journal(2)[-1]["events"][0]["sha256"] = "0" * 64
    assert "delivery 2 of the run has another hash" in held(batches).of("gatherings.together").examples[0].why


def test_together_is_unknown_when_each_came_alone(held: Holding) -> None:
    story = Story(scenario="gatherings")
    gathered(story, 1, [1], START_US)
    assert held(story).of("gatherings.together").verdict is Verdict.UNKNOWN


def test_one_that_stands_before_an_earlier_one_is_told(batches: Story, held: Holding) -> None:
    added = [row for row in batches.journal(1) if row["events"][0]["type"] == "delivery.added"]
    added[0]["events"], added[1]["events"] = added[1]["events"], added[0]["events"]
    assert "stands before one that was acknowledged before" in held(batches).of("gatherings.order").examples[0].why


def test_too_many_in_a_run_are_told(batches: Story, held: Holding) -> None:
    gathered(batches, 3, of_one_key("c2", 6), START_US)
    assert held(batches).of("gatherings.bounds").examples[0].why == "gathered 6 deliveries, and may gather 5"


def test_one_that_came_when_the_time_was_over_is_told(batches: Story, held: Holding) -> None:
    batches.journal(2)[-1]["at_us"] = START_US + SECOND + WAIT_US + 9
    assert held(batches).of("gatherings.bounds").examples[0].why == "delivery 2 came 9 µs after the time was over"


def test_a_start_before_its_time_is_told_unless_the_batch_is_full(batches: Story, held: Holding) -> None:
    gathered(batches, 3, of_one_key("c2", 5), START_US, start_us=START_US + 50_000)
    assert held(batches).of("gatherings.quiet").verdict is Verdict.PASS
    gathered(batches, 4, of_one_key("c3", 4), START_US, start_us=START_US + 50_000)
    assert "with 4 of 5 deliveries" in held(batches).of("gatherings.quiet").examples[0].why


@pytest.mark.parametrize("disturbed", [False, True])
def test_a_late_start_is_told_where_nothing_had_happened(batches: Story, held: Holding, disturbed: bool) -> None:
    batches.journal(2)[1]["claimed_us"] = START_US + SECOND + WAIT_US + 11 * SECOND
    if disturbed:
        batches.incidents.append({"at_us": START_US + 5 * SECOND, "role": "worker", "pid": 1, "what": "ended"})
        assert held(batches).of("gatherings.late").verdict is Verdict.PASS
    else:
        assert held(batches).of("gatherings.late").examples[0].why == "started 11000 ms after its time"


def test_a_debounce_counts_from_the_last_and_at_most_so_long_from_the_first(held: Holding) -> None:
    story = Story(scenario="debounces")
    rule = scenarios.load("debounces").gather
    assert rule is not None
    ours = of_one_key("o1", 3, "debounces")
    gathered(story, 1, ours, START_US, start_us=START_US + 20_000 + round(rule.wait_s * 1e6))
    assert held(story).of("gatherings.quiet").verdict is Verdict.PASS
    story.journal(1)[1]["claimed_us"] -= 1
    assert "started 1 µs before its time" in held(story).of("gatherings.quiet").examples[0].why
