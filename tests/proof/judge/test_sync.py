"""Sync replies, on histories of callers who wait."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from held import Held
from story import SECOND, SEED, Story, run_id

from meshproof import scenarios
from meshproof.judge import Verdict
from meshproof.scenarios import sync_reply

Holding = Callable[[Story], Held]
SCENARIO = scenarios.load("sync_reply")
WAIT_US = sync_reply.WAIT_S * SECOND


def answered(story: Story, number: int, reply: Any = None, status: int = 201) -> None:
    story.attempt(f"d{number}", run=number, index=number, status=status)
    assert SCENARIO.reply is not None
    said = SCENARIO.reply(SCENARIO.payload(SEED, number)).body if reply is None else reply
    story.outcomes[-1]["reply"] = said if isinstance(said, str) else json.dumps(said)


def put_off(story: Story, number: int, waited_us: int = WAIT_US + 9_000, **page: Any) -> None:
    story.attempt(f"d{number}", run=number, index=number)
    story.outcomes[-1]["reply_us"] = story.outcomes[-1]["sent_us"] + waited_us
    run = {"status": "completed", "output": SCENARIO.expected(SEED, number).output} | page
    story.status_pages.append({"at_us": 0, "run_id": run_id(number), "status": 200, "reply": json.dumps(run)})


@pytest.fixture
def waiting() -> Story:
    story = Story(scenario="sync_reply")
    answered(story, 1)
    answered(story, 2)
    put_off(story, 3)
    return story


def test_answers_and_pages_as_they_must_be_break_nothing(waiting: Story, held: Holding) -> None:
    verdicts = held(waiting)
    assert verdicts.of("sync.answer").sentence == "holds for 2 of 2 answers; up to 1 callers waited at once"
    assert (verdicts.of("sync.later").verdict, verdicts.of("sync.later").checked) == (Verdict.PASS, 1)


def test_where_nobody_waits_there_is_nothing_to_prove(story: Story, held: Holding) -> None:
    story.delivered(1)
    for name in ("answer", "later"):
        assert held(story).of(f"sync.{name}").sentence == "nobody waits for an answer in this run"


def test_the_answer_of_somebody_else_is_told(waiting: Story, held: Holding) -> None:
    answered(waiting, 4, reply=waiting.outcomes[0]["reply"])
    (example,) = held(waiting).of("sync.answer").examples
    assert example.delivery == "d4"
    assert example.why.startswith("the answer: at $.n")


@pytest.mark.parametrize(
    ("reply", "status", "why"),
    [
        (None, 200, "answered with 200, must be 201"),
        ("oops", 201, "the answer is no JSON: oops"),
        ({}, 201, "the answer:"),
    ],
)
def test_another_answer_is_told(waiting: Story, held: Holding, reply: Any, status: int, why: str) -> None:
    answered(waiting, 4, reply, status)
    assert why in held(waiting).of("sync.answer").examples[0].why


def test_answer_is_unknown_when_nobody_was_answered(held: Holding) -> None:
    story = Story(scenario="sync_reply")
    put_off(story, 1)
    assert held(story).of("sync.answer").verdict is Verdict.UNKNOWN


def test_later_is_unknown_when_nobody_waited_in_vain(held: Holding) -> None:
    story = Story(scenario="sync_reply")
    answered(story, 1)
    assert held(story).of("sync.later").verdict is Verdict.UNKNOWN


def test_later_is_unknown_when_a_page_was_not_looked_at(waiting: Story, held: Holding) -> None:
    waiting.status_pages = []
    assert "was not looked at" in held(waiting).of("sync.later").sentence


@pytest.mark.parametrize(
    ("page", "why"), [({"status": "failed"}, "says failed"), ({"output": 1}, "its status_url: at $")]
)
def test_another_answer_on_the_page_is_told(waiting: Story, held: Holding, page: dict[str, Any], why: str) -> None:
    put_off(waiting, 4, **page)
    assert why in held(waiting).of("sync.later").examples[0].why


def test_who_is_put_off_too_soon_is_told(waiting: Story, held: Holding) -> None:
    put_off(waiting, 4, waited_us=WAIT_US // 2)
    assert held(waiting).of("sync.later").examples[0].why == "told to look later after 2000 ms, and waits 4000 ms"


def test_a_server_that_goes_down_may_put_off_sooner(waiting: Story, held: Holding) -> None:
    put_off(waiting, 4, waited_us=WAIT_US // 2)
    at_us = waiting.outcomes[-1]["reply_us"]
    waiting.incidents.append({"at_us": at_us, "role": "api", "pid": 1, "what": "ended (exit code 0)"})
    assert held(waiting).of("sync.later").verdict is Verdict.PASS
