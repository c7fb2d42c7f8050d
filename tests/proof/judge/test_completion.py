"""Completion, on histories of a few lines."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from story import SECOND, START_US, Story, completed, failed, step

from meshproof import scenarios
from meshproof.judge import Verdict, Verdicts, outputs
from meshproof.judge.exact import difference

Judged = Callable[[Story], Verdicts]


def unfinished(story: Story, number: int) -> None:
    """The run was accepted, and then nothing happened."""
    run = story.delivered(number)
    run.update(status="queued", epoch=0, finished_us=None)
    story.rows = [row for row in story.rows if row["run_id"] != run["run_id"] or row["seq"] == 1]
    story.tasks.append({"run_id": run["run_id"], "due_us": START_US, "epoch": 0, "owner": None})


def ends_with(story: Story, output: Any) -> None:
    """Bend the output of the only run, consistently over its journal."""
    story.rows[-1]["events"][-2:] = [step("receipt", output), completed(output)]


# stuck, drained --------------------------------------------------------------------------------------------------------


def test_stuck_when_a_run_is_left_unfinished(story: Story, judged: Judged) -> None:
    story.delivered(1)
    unfinished(story, 2)
    verdicts = judged(story)
    assert (verdicts.of("completion.stuck").verdict, verdicts.counts.stuck) == (Verdict.FAIL, 1)
    assert verdicts.of("completion.queue").verdict is Verdict.PASS


def test_stuck_is_unknown_while_the_bound_has_not_passed(story: Story, judged: Judged) -> None:
    unfinished(story, 1)
    story.read_us = START_US + 20 * SECOND
    assert judged(story).of("completion.stuck").verdict is Verdict.UNKNOWN


def test_the_bound_counts_from_the_last_incident(story: Story, judged: Judged) -> None:
    unfinished(story, 1)
    story.incidents.append({"at_us": START_US + 50 * SECOND, "role": "worker", "pid": 1, "what": "died"})
    assert judged(story).of("completion.stuck").verdict is Verdict.UNKNOWN
    story.read_us = START_US + 81 * SECOND
    assert judged(story).of("completion.stuck").verdict is Verdict.FAIL


@pytest.mark.parametrize("gone", ["plan.json", "stored/runs.csv", "stored/read.json"])
def test_stuck_is_unknown_without_evidence(story: Story, judged: Judged, gone: str) -> None:
    unfinished(story, 1)
    story.without = {gone}
    assert judged(story).of("completion.stuck").verdict is Verdict.UNKNOWN


def test_drained_fails_when_a_run_ended_after_the_bound(story: Story, judged: Judged) -> None:
    story.delivered(1)["finished_us"] = START_US + 40 * SECOND
    verdicts = judged(story)
    assert verdicts.of("completion.drained").verdict is Verdict.FAIL
    assert verdicts.of("completion.stuck").verdict is Verdict.PASS


def test_drained_is_unknown_without_a_bound(story: Story, judged: Judged) -> None:
    story.delivered(1)
    del story.plan["bounds"]["drain_s"]
    assert judged(story).of("completion.drained").verdict is Verdict.UNKNOWN


def test_drained_is_unknown_when_nothing_finished(story: Story, judged: Judged) -> None:
    unfinished(story, 1)
    assert judged(story).of("completion.drained").verdict is Verdict.UNKNOWN


@pytest.fixture
def dozen(story: Story) -> Story:
    """Twelve sound runs, for snapshots to count."""
    for number in range(12):
        story.delivered(number)
    return story


# conservation, queue ---------------------------------------------------------------------------------------------------


def test_conservation_holds_when_every_run_is_accounted_for(dozen: Story, judged: Judged) -> None:
    dozen.count(START_US, accepted=10, queued=5, leased=2, terminal=3)
    dozen.count(START_US + SECOND, accepted=12, terminal=12)
    assert judged(dozen).of("completion.conservation").verdict is Verdict.PASS


def test_conservation_counts_waiting_runs(dozen: Story, judged: Judged) -> None:
    dozen.count(START_US, accepted=10, queued=5, terminal=3)["waiting"] = 2
    assert judged(dozen).of("completion.conservation").verdict is Verdict.PASS


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"accepted": 10, "queued": 9}, {"accepted": 10, "terminal": 10}),
        ({"accepted": 10, "queued": 6, "leased": 5}, {"accepted": 11, "terminal": 11}),
        ({"accepted": 10, "queued": 10}, {"accepted": 9, "queued": 9}),
        ({"accepted": 10, "terminal": 10}, {"accepted": 10, "terminal": 9, "queued": 1}),
    ],
    ids=["one is nowhere", "one is in two places", "fewer accepted than before", "fewer terminal than before"],
)
def test_conservation_fails(dozen: Story, judged: Judged, first: dict[str, int], second: dict[str, int]) -> None:
    dozen.count(START_US, **first)
    dozen.count(START_US + SECOND, **second)
    result = judged(dozen).of("completion.conservation")
    assert (result.verdict, result.count) == (Verdict.FAIL, 1)


def test_conservation_fails_when_a_number_is_missing(story: Story, judged: Judged) -> None:
    del story.count(START_US, accepted=1, terminal=1)["queued"]
    assert judged(story).of("completion.conservation").verdict is Verdict.FAIL


def test_conservation_fails_when_the_end_has_fewer_runs_than_were_counted(story: Story, judged: Judged) -> None:
    story.delivered(1)
    story.count(START_US, accepted=2, terminal=2)
    result = judged(story).of("completion.conservation")
    assert "in the end 1 runs are stored" in result.examples[0].why


def test_conservation_is_unknown_without_snapshots(story: Story, judged: Judged) -> None:
    assert judged(story).of("completion.conservation").verdict is Verdict.UNKNOWN


@pytest.mark.parametrize("places", [0, 2])
def test_queue_fails_when_a_live_run_has_not_one_place(story: Story, judged: Judged, places: int) -> None:
    unfinished(story, 1)
    story.tasks = story.tasks * places
    assert judged(story).of("completion.queue").verdict is Verdict.FAIL


def test_queue_fails_when_a_finished_run_is_still_in_it(story: Story, judged: Judged) -> None:
    run = story.delivered(1)
    story.tasks.append({"run_id": run["run_id"], "due_us": START_US, "epoch": 1, "owner": None})
    assert judged(story).of("completion.queue").verdict is Verdict.FAIL


def test_queue_fails_when_it_holds_a_run_that_is_not_stored(story: Story, judged: Judged) -> None:
    unfinished(story, 1)
    unfinished(story, 2)
    story.runs.pop()
    assert judged(story).of("completion.queue").count == 1


def test_queue_is_unknown_without_tasks(story: Story, judged: Judged) -> None:
    story.delivered(1)
    story.without = {"stored/tasks.csv"}
    assert judged(story).of("completion.queue").verdict is Verdict.UNKNOWN


# status, output --------------------------------------------------------------------------------------------------------


def test_status_fails_when_a_run_failed_that_must_not(story: Story, judged: Judged) -> None:
    story.delivered(1)["status"] = "failed"
    story.rows[-1]["events"] = [{"type": "step.failed", "node": "payment", "error": {}}, failed()]
    verdicts = judged(story)
    assert verdicts.of("completion.status").verdict is Verdict.FAIL
    assert verdicts.of("completion.output").verdict is Verdict.PASS
    assert verdicts.of("journal.fold").verdict is Verdict.PASS
    assert verdicts.counts.wrong == 1


def test_status_fails_when_a_run_completed_that_must_fail(judged: Judged) -> None:
    story = Story("mixed")
    index = next(i for i in range(1000) if scenarios.load("mixed").expected(7, i) == ("failed", None))
    story.attempt("d1", run=1, index=index)
    story.stored(1, "d1", index=index, status="completed")
    story.rows[-1]["events"] = [completed(None)]
    assert judged(story).of("completion.status").verdict is Verdict.FAIL


def test_a_run_that_fails_as_it_must_is_right(judged: Judged) -> None:
    story = Story("mixed")
    index = next(i for i in range(1000) if scenarios.load("mixed").expected(7, i) == ("failed", None))
    story.attempt("d1", run=1, index=index)
    story.stored(1, "d1", index=index)
    story.rows[-1]["events"] = [
        step("kind", {}, port="order"),
        {"type": "step.failed", "node": "price", "error": {}},
        failed(),
    ]
    verdicts = judged(story)
    for name in ("completion.status", "completion.output", "journal.fold", "journal.legal", "journal.order"):
        assert verdicts.of(name).verdict is Verdict.PASS, name


def test_status_fails_when_the_engine_itself_is_at_fault_even_where_the_run_must_fail(judged: Judged) -> None:
    story = Story("mixed")
    index = next(i for i in range(1000) if scenarios.load("mixed").expected(7, i) == ("failed", None))
    story.attempt("d1", run=1, index=index)
    story.stored(1, "d1", index=index)
    story.rows[-1]["events"] = [failed("engine")]
    result = judged(story).of("completion.status")
    assert "a fault of the engine itself" in result.examples[0].why


def test_output_fails_when_it_is_not_the_models(story: Story, judged: Judged) -> None:
    story.delivered(1)
    ends_with(story, {"text": "nobody paid anything", "paid": True})
    verdicts = judged(story)
    assert (verdicts.of("completion.output").verdict, verdicts.counts.wrong) == (Verdict.FAIL, 1)
    assert verdicts.of("journal.fold").verdict is Verdict.PASS
    assert "at $.text" in verdicts.of("completion.output").examples[0].why


@pytest.mark.parametrize("bend", ["1", "1.0", '"true"', "null"])
def test_output_is_exact_about_types(story: Story, judged: Judged, bend: str) -> None:
    story.delivered(1)
    output = dict(scenarios.load("duplicates").expected(7, 1).output)
    output["paid"] = json.loads(bend)
    ends_with(story, output)
    assert judged(story).of("completion.output").verdict is Verdict.FAIL


def test_the_order_of_members_does_not_matter(story: Story, judged: Judged) -> None:
    story.delivered(1)
    output = scenarios.load("duplicates").expected(7, 1).output
    ends_with(story, dict(reversed(output.items())))
    assert judged(story).of("completion.output").verdict is Verdict.PASS


@pytest.mark.parametrize("name", ["completion.status", "completion.output"])
def test_status_and_output_are_unknown_when_nothing_finished(story: Story, judged: Judged, name: str) -> None:
    unfinished(story, 1)
    assert judged(story).of(name).verdict is Verdict.UNKNOWN


@pytest.mark.parametrize("name", ["completion.status", "completion.output", "journal.fold", "intake.body"])
def test_they_are_unknown_when_the_reference_model_crashes(
    story: Story, judged: Judged, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(body: bytes) -> scenarios.Expected:
        raise ZeroDivisionError("the model is broken")

    story.delivered(1)
    broken = replace(scenarios.load("duplicates"), model=crash)
    monkeypatch.setattr(scenarios, "load", lambda name: broken)
    result = judged(story).of(name)
    assert result.verdict is Verdict.UNKNOWN
    assert "the model is broken" in result.sentence


def test_they_are_unknown_when_the_scenario_makes_another_payload_than_was_sent(story: Story, judged: Judged) -> None:
    story.delivered(1)
    story.attempts[0]["hash"] = "0" * 64
    result = judged(story).of("completion.output")
    assert result.verdict is Verdict.UNKNOWN
    assert "the scenario has changed since" in result.sentence


def test_helpers_find_what_one_process_finds(story: Story, judged: Judged, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(1, 40):
        story.delivered(number)
        if number % 7 == 0:
            ends_with(story, {"text": "changed", "paid": True})
    alone = judged(story)
    monkeypatch.setattr(outputs, "ALONE_RUNS", 0)
    assert judged(story) == alone
    assert alone.counts.wrong == 5


@pytest.mark.parametrize(("bend", "says"), [("hash", "the scenario has changed since"), ("s", "crashed")])
def test_what_a_helper_cannot_judge_is_unknown(
    story: Story, judged: Judged, monkeypatch: pytest.MonkeyPatch, bend: str, says: str
) -> None:
    monkeypatch.setattr(outputs, "ALONE_RUNS", 0)
    story.delivered(1)
    story.attempts[0][bend] = "0"
    story.plan["scenarios"]["0"] = story.plan["scenarios"]["duplicates"]
    result = judged(story).of("completion.output")
    assert result.verdict is Verdict.UNKNOWN
    assert says in result.sentence


@pytest.mark.parametrize(
    ("stored", "expected", "where"),
    [
        (1, 1.0, "$"),
        (True, 1, "$"),
        (0.0, -0.0, "$"),
        ({"a": [1, 2]}, {"a": [1, 3]}, "$.a[1]"),
        ({"a": [1]}, {"a": [1, 3]}, "$.a"),
        ({"a": None}, {}, "$.a"),
        (10**30, 10**30 + 1, "$"),
        ("é", "e\u0301", "$"),
    ],
)
def test_difference_says_where(stored: Any, expected: Any, where: str) -> None:
    assert (difference(stored, expected) or "").startswith(f"at {where}:")


@pytest.mark.parametrize("value", [None, 0, -1.5, "x\u0000", [], {}, {"b": 1, "a": [{"d": 1, "c": 2.0}]}, 10**30])
def test_no_difference_between_a_value_and_itself(value: Any) -> None:
    assert difference(value, json.loads(json.dumps(value))) is None
