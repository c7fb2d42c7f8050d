"""Runs of a workflow that has no reference model: what is judged of them, and that it can be violated."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from held import Held
from story import SEED, START_US, Story, completed, failed, run_id, step

from meshproof import scenario_file, scenarios
from meshproof.judge import NO_MODEL, Verdict, Verdicts
from meshproof.own.document import OwnWorkflow

ECHO = {
    "nodes": [{"id": "echo", "type": "transform", "config": {"expression": "input"}}],
    "edges": [{"from": "trigger", "to": "echo"}],
}
CALL = {
    "nodes": [{"id": "echo", "type": "http_call", "config": {"url": "https://x.example"}}],
    "edges": [{"from": "trigger", "to": "echo"}],
}


class OwnStory(Story):
    """Runs of a workflow of the user's own, which gives back what it was given."""

    def took(self, number: int, *, index: int, body: Any = None, output: Any = None, error: str = "") -> None:
        """A delivery that was acknowledged, and its run; `body` is what the engine made of what was sent."""
        delivery = f"d{number}"
        self.attempt(delivery, run=number, index=index)
        sent = json.loads(scenarios.load(self.scenario).payload(SEED, index))
        at_us = START_US + number * 10_000 + 2_000
        self.runs.append(
            {
                "run_id": run_id(number),
                "shard": 0,
                "workflow": f"x-{self.scenario}",
                "version": 1,
                "endpoint": f"x-{self.scenario}",
                "delivery_key": delivery,
                "epoch": 1,
                "finished_us": at_us + 3_000,
                "status": "failed" if error else "completed",
            }
        )
        accepted = {**self.accepted(), "trigger": {"body": sent if body is None else body}}
        given = sent if output is None else output
        end = [step("echo", given), completed(given)]
        if error:
            cause = {"type": error, "reason": "it was so"}
            end = (
                [{"type": "step.failed", "node": "echo", "error": cause}, failed(error)]
                if error != "engine"
                else [failed(error)]
            )
        self.row(number, 1, 0, [accepted], at_us=at_us)
        self.row(number, 2, 1, end, claimed_us=at_us + 1_000, at_us=at_us + 3_000)


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Callable[..., OwnStory]]:
    def make(definition: dict[str, Any] = ECHO) -> OwnStory:
        document = msgspec.json.encode(OwnWorkflow("mine", definition))
        return OwnStory(scenario_file.adopt_workflow(document, "mine", tmp_path))

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(scenarios.OWN, "")
        yield make
    scenarios.GIVEN.clear()
    scenarios.load.cache_clear()


def test_a_sound_run_holds_and_says_what_was_not_proved(
    own: Callable[..., OwnStory], held: Callable[[Story], Held]
) -> None:
    story = own()
    for number in range(4):
        story.took(number, index=number)
    facts = held(story)
    assert facts.of("intake.body").checked == 4
    assert (facts.of("completion.alike").checked, facts.of("completion.alike").verdict) == (2, Verdict.PASS)
    assert "4 completed; no model says which" in facts.of("completion.status").sentence
    assert facts.of("completion.output").of_what == "plans"
    assert {facts.of(name).verdict for name in ("journal.legal", "journal.fold", "intake.lost")} == {Verdict.PASS}


def test_a_pass_says_that_outputs_were_not_proved(
    own: Callable[..., OwnStory], judged: Callable[[Story], Verdicts]
) -> None:
    story = own()
    story.took(0, index=0)
    story.took(1, index=1)
    story.sample(0, 3, at_us=START_US + 5_000_000, status="completed", epoch=1)
    story.count(START_US + 5_000_000, 2, terminal=2)
    verdicts = judged(story)
    assert {one.name: one.sentence for one in verdicts.results if one.verdict is not Verdict.PASS} == {}
    assert NO_MODEL in verdicts.reason
    assert (verdicts.counts.lost, verdicts.counts.wrong) == (0, None)


def test_a_run_made_of_another_body_than_was_sent(own: Callable[..., OwnStory], held: Callable[[Story], Held]) -> None:
    story = own()
    story.took(0, index=0)
    story.took(1, index=2, body=json.loads(scenarios.load(story.scenario).payload(SEED, 4)))
    result = held(story).of("intake.body")
    assert (result.verdict, result.count, result.examples[0].run_id) == (Verdict.FAIL, 1, run_id(1))


def test_two_runs_of_one_body_that_end_differently(own: Callable[..., OwnStory], held: Callable[[Story], Held]) -> None:
    story = own()
    story.took(0, index=0)
    story.took(1, index=1, output={"another": "output"})
    story.took(2, index=2)
    story.took(3, index=3, error="expression")
    result = held(story).of("completion.alike")
    assert (result.verdict, result.checked, result.count) == (Verdict.FAIL, 2, 2)
    assert any("failed" in example.why and "completed" in example.why for example in result.examples)


def test_where_a_call_is_made_runs_of_one_body_may_differ(
    own: Callable[..., OwnStory], held: Callable[[Story], Held]
) -> None:
    story = own(CALL)
    story.took(0, index=0)
    story.took(1, index=1, output=1)
    assert held(story).of("completion.alike").sentence == "not judged: echo makes a call"


def test_a_fault_of_the_engine_is_one_without_a_model_too(
    own: Callable[..., OwnStory], held: Callable[[Story], Held]
) -> None:
    story = own()
    story.took(0, index=0)
    story.took(1, index=2, error="engine")
    assert held(story).of("completion.status").count == 1


def test_an_output_that_its_steps_do_not_give(own: Callable[..., OwnStory], held: Callable[[Story], Held]) -> None:
    story = own()
    story.took(0, index=0)
    story.rows[-1]["events"][-1] = completed({"made": "up"})
    assert held(story).of("journal.fold").verdict is Verdict.FAIL


def test_with_a_model_nothing_is_compared(story: Story, held: Callable[[Story], Held]) -> None:
    story.delivered(1)
    assert held(story).of("completion.alike").of_what == "plans"
