"""Faults as evidence: whether they hit, whether stale writes were refused, and whether the engine is what it was afterwards."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from story import SECOND, START_US, Story

from meshproof.judge import Verdict, Verdicts

Judged = Callable[[Story], Verdicts]


@pytest.fixture
def broken(story: Story) -> Story:
    """A worker was frozen from second 2 to 5; there was load until second 9."""
    for number in (1, 2, 3):
        story.delivered(number)
    story.count(START_US + SECOND, accepted=3, queued=1, terminal=2)
    story.fault("freeze-worker", START_US + 2 * SECOND, START_US + 5 * SECOND, figures={"held": 4, "refused": 2})
    story.count(START_US + 6 * SECOND, accepted=3, terminal=3)
    story.roll_call(START_US + 6 * SECOND, "host-1-a", 10)
    story.roll_call(START_US + 9 * SECOND, "host-1-a", 12)
    story.attempt("late", "fail", at_us=START_US + 9 * SECOND)
    return story


def of(story: Story, judged: Judged, name: str) -> tuple[Verdict, str]:
    result = judged(story).of(name)
    return result.verdict, result.sentence


NAMES = ("liveness.backlog", "liveness.workers", "validity.faults", "validity.zombies")


@pytest.mark.parametrize("name", NAMES)
def test_faults_that_hit_and_are_healed_pass(broken: Story, judged: Judged, name: str) -> None:
    assert of(broken, judged, name)[0] is Verdict.PASS


@pytest.mark.parametrize("name", NAMES)
def test_a_run_without_planned_faults_is_not_asked_for_any(story: Story, judged: Judged, name: str) -> None:
    story.delivered(1)
    assert of(story, judged, name)[0] is Verdict.PASS


@pytest.mark.parametrize("name", NAMES)
def test_without_a_record_of_the_faults_nothing_is_known(broken: Story, judged: Judged, name: str) -> None:
    broken.without = {"faults.ndjson"}
    assert of(broken, judged, name)[0] is Verdict.UNKNOWN


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"hit": False}, "freeze-worker (number 1): as seen"),
        ({"hit": False, "failed": "its turn came too late"}, "its turn came too late"),
    ],
)
def test_a_fault_that_hit_nothing_makes_the_verdict_unknown(
    broken: Story, judged: Judged, more: dict[str, Any], why: str
) -> None:
    broken.fault("freeze-worker", START_US + 5 * SECOND, START_US + 6 * SECOND, **more)
    verdicts = judged(broken)
    assert verdicts.of("validity.faults").verdict is Verdict.UNKNOWN
    assert why in verdicts.of("validity.faults").sentence
    assert verdicts.verdict is not Verdict.PASS


def test_a_fault_nobody_knows_of_makes_it_unknown(broken: Story, judged: Judged) -> None:
    broken.plan["faults"].append({"number": 1, "kind": "kill-api", "at_s": 3.0, "for_s": 0.0})
    assert of(broken, judged, "validity.faults")[0] is Verdict.UNKNOWN


def test_a_skipped_fault_is_no_excuse_for_all_and_no_fault_of_the_others(broken: Story, judged: Judged) -> None:
    broken.fault("disk-full", 0, 0, hit=False, skipped="it cannot be made here")
    assert of(broken, judged, "validity.faults") == (
        Verdict.PASS,
        "1 faults hit work in flight, 1 were skipped with a reason",
    )
    broken.faults.pop(0)
    broken.plan["faults"].pop(0)
    assert of(broken, judged, "validity.faults")[0] is Verdict.UNKNOWN, "nothing was checked"


def test_a_zombie_of_which_nothing_was_refused_proves_nothing(broken: Story, judged: Judged) -> None:
    broken.faults[0]["figures"]["refused"] = 0
    verdict, sentence = of(broken, judged, "validity.zombies")
    assert verdict is Verdict.UNKNOWN
    assert "not one stale write" in sentence


@pytest.mark.parametrize(
    ("at_s", "backlog", "verdict"),
    [(6, 11, Verdict.PASS), (6, 12, Verdict.FAIL), (21, 0, Verdict.FAIL)],
)
def test_the_backlog_is_as_before_within_the_bound(
    broken: Story, judged: Judged, at_s: int, backlog: int, verdict: Verdict
) -> None:
    broken.plan["bounds"]["liveness_s"] = 15
    broken.counts.pop()
    broken.count(START_US + at_s * SECOND, accepted=30, queued=backlog, terminal=30 - backlog)
    assert of(broken, judged, "liveness.backlog")[0] is verdict


def test_a_worker_that_is_gone_need_not_work_and_one_that_lives_must(broken: Story, judged: Judged) -> None:
    broken.roll_call(START_US + 6 * SECOND, "host-2-b", 5)
    broken.roll_call(START_US + 9 * SECOND, "host-2-b", 5, alive=False)
    assert of(broken, judged, "liveness.workers")[0] is Verdict.PASS
    broken.roll_calls[-1]["alive"] = True
    assert of(broken, judged, "liveness.workers")[0] is Verdict.FAIL


def test_without_load_after_the_last_fault_nobody_can_be_seen_to_work(broken: Story, judged: Judged) -> None:
    broken.outcomes[-1]["sent_us"] = START_US + 6 * SECOND
    assert of(broken, judged, "liveness.workers")[0] is Verdict.UNKNOWN


def test_who_takes_over_late_has_an_excuse_only_in_what_happened(story: Story, judged: Judged) -> None:
    story.taken_over(1)
    late = next(row for row in story.rows if any(event["type"] == "lease.expired" for event in row["events"]))
    moved = 20 * SECOND
    for row in story.rows:
        if row["seq"] >= late["seq"]:
            row["claimed_us"], row["at_us"] = row["claimed_us"] + moved, row["at_us"] + moved
    assert of(story, judged, "leases.recovery")[0] is Verdict.FAIL
    at_us = late["claimed_us"]
    story.incidents.append({"at_us": at_us - 6 * SECOND, "role": "postgres", "pid": 1, "what": "started again"})
    assert of(story, judged, "leases.recovery")[0] is Verdict.FAIL
    story.incidents.append(
        {"at_us": at_us - SECOND, "role": "fault", "pid": None, "what": "is over", "since_us": at_us - 9 * SECOND}
    )
    assert of(story, judged, "leases.recovery")[0] is Verdict.PASS
