"""Effects: what the sink has seen against what the journals say, on histories of two or three calls."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from story import SECOND, Story, call_failed, clock, run_id

from meshproof.judge import Verdict, Verdicts

Judged = Callable[[Story], Verdicts]
EFFECTS = ("happened", "known", "counted", "same", "explained", "backoff")


@pytest.fixture
def calls() -> Story:
    """Two calls: one went well at once, the other was refused first."""
    story = Story(scenario="http_call")
    story.called(1)
    story.called(2, ("503", "200"))
    return story


def test_calls_that_went_as_they_should_break_nothing(calls: Story, judged: Judged) -> None:
    calls.called(3, ("reset", "hang", "200"))
    verdicts = judged(calls)
    effects = {
        result.name: (result.verdict, result.checked) for result in verdicts.results if result.family == "effects"
    }
    assert effects == {
        "effects.happened": (Verdict.PASS, 3),
        "effects.known": (Verdict.PASS, 6),
        "effects.counted": (Verdict.PASS, 6),
        "effects.same": (Verdict.PASS, 3),
        "effects.explained": (Verdict.PASS, 6),
        "effects.backoff": (Verdict.PASS, 6),
    }
    assert [r.name for r in verdicts.results if r.family == "journal" and r.verdict is Verdict.FAIL] == []


def test_a_run_without_calls_has_nothing_to_prove(story: Story, judged: Judged) -> None:
    story.delivered(1)
    story.without = {"effects/1.ndjson"}
    for name in EFFECTS:
        result = judged(story).of(f"effects.{name}")
        assert (result.verdict, result.sentence) == (Verdict.PASS, "no workflow of this run calls out")


@pytest.mark.parametrize("name", EFFECTS)
def test_they_are_unknown_when_calls_were_planned_and_none_was_made(name: str, judged: Judged) -> None:
    story = Story(scenario="http_call")
    story.attempt("d1", "unknown")
    assert judged(story).of(f"effects.{name}").verdict is Verdict.UNKNOWN


@pytest.mark.parametrize("name", EFFECTS)
def test_they_are_unknown_without_the_ledger_of_the_sink(calls: Story, judged: Judged, name: str) -> None:
    calls.without = {"effects/1.ndjson"}
    assert judged(calls).of(f"effects.{name}").verdict is Verdict.UNKNOWN


def test_a_completed_call_that_nobody_has_seen_did_not_happen(calls: Story, judged: Judged) -> None:
    del calls.receipts[0]
    assert judged(calls).of("effects.happened").count == 1


def test_a_completed_call_that_was_never_answered_did_not_happen(calls: Story, judged: Judged) -> None:
    calls.receipts[0]["answer"] = "hang"
    assert judged(calls).of("effects.happened").verdict is Verdict.FAIL


@pytest.mark.parametrize(
    "key", ["", "no run/charge", f"{run_id(1)}/refund", f"{run_id(2)}/charge/2", f"{run_id(9)}/charge"]
)
def test_a_request_with_a_key_of_no_call_is_unknown_to_the_journals(calls: Story, judged: Judged, key: str) -> None:
    calls.receipts[0]["key"] = key
    assert judged(calls).of("effects.known").verdict is Verdict.FAIL


def test_a_request_too_many_is_counted(calls: Story, judged: Judged) -> None:
    calls.receipt(1, 2, at_us=calls.receipts[0]["at_us"] + SECOND)
    assert judged(calls).of("effects.counted").count == 1


def test_two_calls_under_one_key_are_told_by_both(calls: Story, judged: Judged) -> None:
    calls.receipts[0]["key"] = f"{run_id(2)}/charge"
    verdicts = judged(calls)
    broken = {result.name for result in verdicts.results if result.verdict is Verdict.FAIL}
    assert {"effects.happened", "effects.counted", "effects.same"} <= broken


def test_a_request_sent_before_it_was_on_record_is_told(calls: Story, judged: Judged) -> None:
    calls.receipts[0]["at_us"] -= 5_000
    assert "before its attempt was on record" in judged(calls).of("effects.counted").examples[0].why


@pytest.mark.parametrize("member", ["hash", "path"])
def test_another_body_or_place_under_the_same_key_is_told(calls: Story, judged: Judged, member: str) -> None:
    calls.receipts[2][member] = "another"
    assert judged(calls).of("effects.same").count == 1


def failure(story: Story) -> dict[str, object]:
    """The call.failed of the second call, to bend it."""
    return story.journal(2)[2]["events"][0]


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ("502", "was answered 502 1 times by its journal, and 0 times by the sink"),
        ("hang", "timed out after 9 ms, and had 4000 ms"),
        ("reset", "broke 1 times, and 0 times by the sink"),
    ],
)
def test_a_failure_that_nothing_explains_is_told(calls: Story, judged: Judged, answer: str, why: str) -> None:
    failure(calls).update(call_failed("charge", 1, answer))
    assert why in judged(calls).of("effects.explained").examples[0].why


def test_a_failure_of_no_known_kind_is_told(calls: Story, judged: Judged) -> None:
    failure(calls)["error"] = {"type": "refused", "reason": "no public address"}
    assert "which nothing explains" in judged(calls).of("effects.explained").examples[0].why


def test_an_incident_explains_a_broken_connection(calls: Story, judged: Judged) -> None:
    failure(calls).update(call_failed("charge", 1, "reset"))
    at_us = calls.receipts[1]["at_us"]
    calls.incidents.append({"at_us": at_us, "role": "sink", "pid": 1, "what": "ended unexpectedly"})
    assert judged(calls).of("effects.explained").verdict is Verdict.PASS


def test_an_attempt_before_its_time_is_told_by_the_journal(calls: Story, judged: Judged) -> None:
    failure(calls)["retry_at"] = clock(calls.receipts[2]["at_us"] - 1_500)
    result = judged(calls).of("effects.backoff")
    assert (result.count, result.examples[0].why) == (1, "attempt 2 of charge began 500 µs before its time")


def test_an_attempt_before_its_time_is_told_by_the_sink(calls: Story, judged: Judged) -> None:
    calls.receipts[2]["at_us"] = calls.receipts[1]["at_us"] + 20_000
    assert "before the time of that attempt" in judged(calls).of("effects.backoff").examples[0].why


def test_what_came_after_the_database_was_read_is_not_held_against_it(calls: Story, judged: Judged) -> None:
    calls.receipt(1, 2, at_us=calls.read_us + 1)
    assert judged(calls).of("effects.counted").verdict is Verdict.PASS
