"""Refusals, on histories of signed deliveries: good ones, bad ones, and some with a secret that is withdrawn."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from held import Held
from story import SECOND, SEED, START_US, Story

from meshproof import scenarios, signing
from meshproof.judge import Verdict

Holding = Callable[[Story], Held]

SCENARIO = "signatures"
BEGAN_US, ENDED_US = START_US + 100 * SECOND, START_US + 101 * SECOND
BEFORE_US, BETWEEN_US, AFTER_US = BEGAN_US - SECOND, ENDED_US + SECOND, ENDED_US + 3 * SECOND


def index_of(fate: str) -> int:
    """The first payload of this fate."""
    load = scenarios.load(SCENARIO)
    return next(index for index in range(500) if json.loads(load.payload(SEED, index))["fate"] == fate)


def sent(story: Story, fate: str, problem: str | None = None, at_us: int = BEFORE_US) -> None:
    """A delivery of this fate: refused as the problem, or without one accepted and stored."""
    number, index = len(story.attempts), index_of(fate)
    if problem:
        story.attempt(f"d{number}", "fail", index=index, status=401, problem=f"/problems/{problem}", at_us=at_us)
    else:
        story.attempt(f"d{number}", run=number, index=index, at_us=at_us)
        story.stored(number, f"d{number}", index=index)


@pytest.fixture
def signed() -> Story:
    """Every fate as it must be."""
    story = Story(scenario=SCENARIO)
    story.did(signing.WITHDRAWN, BEGAN_US, ENDED_US)
    sent(story, "valid")
    for fate, problem in signing.PROBLEMS.items():
        sent(story, fate, problem)
    sent(story, "rotated")
    sent(story, "rotated", "signature-wrong", at_us=AFTER_US)
    return story


def test_each_refused_as_it_must_be_breaks_nothing(signed: Story, held: Holding) -> None:
    verdicts = held(signed)
    for name, checked in (("phantom", 6), ("told", 6), ("rotated", 2)):
        result = verdicts.of(f"refusals.{name}")
        assert (result.verdict, result.checked) == (Verdict.PASS, checked), result
    assert verdicts.of("intake.refused").verdict is Verdict.PASS


def test_where_every_delivery_is_good_there_is_nothing_to_prove(story: Story, held: Holding) -> None:
    story.delivered(1)
    for name in ("phantom", "told", "rotated"):
        assert held(story).of(f"refusals.{name}").sentence == "every delivery of this run is good"


@pytest.mark.parametrize("fate", sorted(signing.PROBLEMS))
def test_one_that_is_acknowledged_is_told(signed: Story, held: Holding, fate: str) -> None:
    sent(signed, fate)
    (example,) = held(signed).of("refusals.phantom").examples
    assert example.why == f"must be refused as {signing.PROBLEMS[fate]}, and was acknowledged with 202"


def test_one_that_is_refused_and_stored_all_the_same_is_told(signed: Story, held: Holding) -> None:
    sent(signed, "forged", "signature-wrong")
    signed.stored(99, signed.attempts[-1]["d"], index=index_of("forged"))
    assert "and was stored" in held(signed).of("refusals.phantom").examples[0].why


def test_another_reason_is_told(signed: Story, held: Holding) -> None:
    sent(signed, "stale", "signature-wrong")
    (example,) = held(signed).of("refusals.told").examples
    assert example.why == "refused with 401 /problems/signature-wrong, and must be told signature-stale"


def test_a_good_one_that_is_refused_is_no_good_refusal(signed: Story, held: Holding) -> None:
    sent(signed, "valid", "signature-wrong")
    verdicts = held(signed)
    assert verdicts.of("intake.refused").verdict is Verdict.FAIL
    assert verdicts.of("refusals.told").verdict is Verdict.PASS


def test_told_is_unknown_when_a_kind_was_never_refused(signed: Story, held: Holding) -> None:
    signed.attempts = [line for line in signed.attempts if line["i"] != index_of("unsigned")]
    result = held(signed).of("refusals.told")
    assert result.verdict is Verdict.UNKNOWN
    assert "nobody was refused as signature-missing at signatures" in result.sentence


def test_what_was_withdrawn_and_is_taken_is_told(signed: Story, held: Holding) -> None:
    sent(signed, "rotated", at_us=AFTER_US)
    assert "accepted 1000 ms after it was in force" in held(signed).of("refusals.rotated").examples[0].why


def test_what_is_refused_before_it_was_withdrawn_is_told(signed: Story, held: Holding) -> None:
    sent(signed, "rotated", "signature-wrong")
    verdicts = held(signed)
    assert "before it was withdrawn" in verdicts.of("refusals.rotated").examples[0].why
    assert verdicts.of("intake.refused").verdict is Verdict.FAIL


@pytest.mark.parametrize("problem", [None, "signature-wrong"])
def test_within_two_seconds_either_is_right(signed: Story, held: Holding, problem: str | None) -> None:
    sent(signed, "rotated", problem, at_us=BETWEEN_US)
    verdicts = held(signed)
    for name in ("refusals.rotated", "refusals.phantom", "intake.refused"):
        assert verdicts.of(name).verdict is Verdict.PASS


def test_rotated_is_unknown_when_nothing_was_sent_after(signed: Story, held: Holding) -> None:
    for line in (*signed.attempts, *signed.outcomes):
        if line["n"] == len(signed.attempts) - 1:
            line["d"] = "gone"
    signed.outcomes = [line for line in signed.outcomes if line["d"] != "gone"]
    assert held(signed).of("refusals.rotated").verdict is Verdict.UNKNOWN


def test_rotated_is_unknown_when_it_was_not_withdrawn(signed: Story, held: Holding) -> None:
    signed.acts = []
    result = held(signed).of("refusals.rotated")
    assert "it was not done: the old secret is withdrawn" in result.sentence
