"""Intake, on histories of a few lines: each invariant passes, fails in every way it can, and admits when it cannot tell."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from story import SECOND, START_US, Story, run_id

from meshproof.judge import Verdict, Verdicts

Judged = Callable[[Story], Verdicts]


def whys(verdicts: Verdicts, name: str) -> str:
    return "\n".join(example.why for example in verdicts.of(name).examples)


def test_a_delivery_that_went_as_it_should_breaks_nothing(story: Story, judged: Judged) -> None:
    story.delivered(1)
    story.sample(1, 1, at_us=START_US + SECOND)
    story.count(START_US + SECOND, accepted=1, terminal=1)
    verdicts = judged(story)
    assert verdicts.verdict is Verdict.PASS, verdicts.reason
    assert verdicts.valid


# lost ------------------------------------------------------------------------------------------------------------------


def test_lost_when_an_acknowledged_delivery_has_no_run(story: Story, judged: Judged) -> None:
    story.delivered(1)
    story.attempt("d2", run=2)
    result = judged(story).of("intake.lost")
    assert (result.verdict, result.count, result.checked) == (Verdict.FAIL, 1, 2)
    assert result.examples[0].delivery == "d2"
    assert result.examples[0].sent[0]["outcome"] == "ok"


def test_lost_when_only_the_redelivery_was_acknowledged(story: Story, judged: Judged) -> None:
    story.attempt("d1", "fail")
    story.attempt("d1", "unknown", kind="redelivery")
    story.attempt("d1", run=1, kind="redelivery")
    assert judged(story).of("intake.lost").verdict is Verdict.FAIL


def test_lost_when_the_run_that_was_promised_was_replaced_by_another(story: Story, judged: Judged) -> None:
    story.attempt("d1", run=1)
    story.stored(2, "d1")
    verdicts = judged(story)
    assert verdicts.of("intake.lost").verdict is Verdict.FAIL
    assert "another run of this delivery" in whys(verdicts, "intake.lost")


def test_a_run_stored_under_another_endpoint_does_not_help(story: Story, judged: Judged) -> None:
    story.delivered(1)["endpoint"] = "somewhere-else"
    verdicts = judged(story)
    assert verdicts.of("intake.lost").verdict is Verdict.FAIL
    assert verdicts.of("intake.unexpected").verdict is Verdict.FAIL


def test_lost_is_unknown_when_nothing_was_acknowledged(story: Story, judged: Judged) -> None:
    story.attempt("d1", "unknown")
    assert judged(story).of("intake.lost").verdict is Verdict.UNKNOWN


# phantom, unexpected, recovered ----------------------------------------------------------------------------------------


def test_phantom_when_a_refused_delivery_is_stored(story: Story, judged: Judged) -> None:
    story.attempt("d1", "fail")
    story.attempt("d1", "fail", kind="redelivery")
    story.stored(1, "d1")
    verdicts = judged(story)
    assert verdicts.of("intake.phantom").verdict is Verdict.FAIL
    assert verdicts.of("intake.lost").verdict is Verdict.UNKNOWN


@pytest.mark.parametrize("lost", [False, True], ids=["outcome is unknown", "no outcome line"])
def test_a_run_of_unknown_fate_is_recovered_and_no_phantom(story: Story, judged: Judged, lost: bool) -> None:
    story.attempt("d1", "fail")
    story.attempt("d1", "unknown", kind="redelivery", lost=lost)
    story.stored(1, "d1")
    verdicts = judged(story)
    assert verdicts.of("intake.phantom").verdict is Verdict.PASS
    assert verdicts.counts.recovered == 1


def test_a_run_of_unknown_fate_may_be_missing(story: Story, judged: Judged) -> None:
    story.delivered(1)
    story.attempt("d2", "unknown")
    verdicts = judged(story)
    assert verdicts.of("intake.lost").verdict is Verdict.PASS
    assert verdicts.counts.recovered == 0


def test_phantom_is_unknown_when_nothing_was_attempted(story: Story, judged: Judged) -> None:
    assert judged(story).of("intake.phantom").verdict is Verdict.UNKNOWN


def test_unexpected_when_nobody_sent_it(story: Story, judged: Judged) -> None:
    story.delivered(1)
    story.stored(2, "d2")
    verdicts = judged(story)
    assert (verdicts.of("intake.unexpected").verdict, verdicts.of("intake.unexpected").count) == (Verdict.FAIL, 1)


def test_unexpected_when_it_has_no_delivery_at_all(story: Story, judged: Judged) -> None:
    story.delivered(1)
    story.stored(2, None)
    assert judged(story).of("intake.unexpected").verdict is Verdict.FAIL


def test_unexpected_is_unknown_when_nothing_is_stored(story: Story, judged: Judged) -> None:
    story.attempt("d1", "fail")
    assert judged(story).of("intake.unexpected").verdict is Verdict.UNKNOWN


# duplicated ------------------------------------------------------------------------------------------------------------


def test_duplicated_when_a_delivery_has_two_runs(story: Story, judged: Judged) -> None:
    story.delivered(1)
    story.stored(2, "d1")
    result = judged(story).of("intake.duplicated")
    assert (result.verdict, result.count) == (Verdict.FAIL, 1)
    assert {run["run_id"] for run in result.examples[0].runs} == {run_id(1), run_id(2)}


def test_duplicated_when_one_run_stands_twice(story: Story, judged: Judged) -> None:
    run = story.delivered(1)
    story.runs.append({**run, "shard": 1})
    assert judged(story).of("intake.duplicated").verdict is Verdict.FAIL


def test_duplicated_when_one_run_serves_two_deliveries(story: Story, judged: Judged) -> None:
    run = story.delivered(1)
    story.attempt("d2", run=1)
    story.runs.append({**run, "delivery_key": "d2"})
    assert judged(story).of("intake.duplicated").verdict is Verdict.FAIL


def test_the_same_id_on_two_endpoints_is_two_deliveries(judged: Judged) -> None:
    story = Story()
    story.plan["scenarios"]["simple"] = story.place("simple")
    story.delivered(1)
    story.attempts.append({**story.attempts[0], "n": 1, "s": "simple"})
    story.outcomes.append({**story.outcomes[0], "n": 1, "run_id": run_id(2)})
    story.stored(2, "d1")["endpoint"] = "x-simple"
    verdicts = judged(story)
    assert verdicts.of("intake.duplicated").verdict is Verdict.PASS
    assert verdicts.of("intake.redelivered").verdict is Verdict.PASS
    assert verdicts.counts.deliveries == 2


def test_duplicated_is_unknown_without_runs(story: Story, judged: Judged) -> None:
    story.delivered(1)
    story.without = {"stored/runs.csv"}
    result = judged(story).of("intake.duplicated")
    assert result.verdict is Verdict.UNKNOWN
    assert "stored/runs.csv is missing" in result.sentence


def test_a_loss_and_a_duplicate_never_make_up_for_each_other(story: Story, judged: Judged) -> None:
    """Three acknowledged, three stored: the sums agree, and yet one is lost and one is there twice."""
    story.delivered(1)
    story.delivered(2)
    story.attempt("d3", run=3)
    story.stored(4, "d2", index=2)
    verdicts = judged(story)
    assert verdicts.counts.acknowledged == verdicts.counts.runs == 3
    assert verdicts.verdict is Verdict.FAIL
    assert (verdicts.counts.lost, verdicts.counts.duplicated) == (1, 1)


def test_a_loss_and_an_unexpected_run_never_make_up_for_each_other(story: Story, judged: Judged) -> None:
    story.attempt("d1", run=1)
    story.stored(1, "dX")
    verdicts = judged(story)
    assert verdicts.of("intake.lost").verdict is Verdict.FAIL
    assert verdicts.of("intake.unexpected").verdict is Verdict.FAIL
    assert verdicts.of("intake.named").verdict is Verdict.FAIL


# named, redelivered ----------------------------------------------------------------------------------------------------


def test_named_fails_when_the_reply_names_the_run_of_another_delivery(story: Story, judged: Judged) -> None:
    story.delivered(1)
    story.delivered(2)
    story.outcomes[1]["run_id"] = run_id(1)
    verdicts = judged(story)
    assert verdicts.of("intake.named").verdict is Verdict.FAIL
    assert verdicts.of("intake.lost").verdict is Verdict.PASS


@pytest.mark.parametrize("garbage", [None, "", "not-a-run-id", "<script>"])
def test_named_fails_when_the_reply_names_nothing(story: Story, judged: Judged, garbage: str | None) -> None:
    story.delivered(1)
    story.outcomes[0]["run_id"] = garbage
    verdicts = judged(story)
    assert verdicts.of("intake.named").verdict is Verdict.FAIL
    assert verdicts.of("intake.lost").verdict is Verdict.PASS


def test_named_is_unknown_without_acknowledgements(story: Story, judged: Judged) -> None:
    story.attempt("d1", "fail")
    assert judged(story).of("intake.named").verdict is Verdict.UNKNOWN


def test_a_redelivery_that_returns_the_first_run_is_as_it_should_be(story: Story, judged: Judged) -> None:
    story.delivered(1)
    story.attempt("d1", run=1, kind="redelivery", duplicate=True)
    assert judged(story).of("intake.redelivered").verdict is Verdict.PASS


def test_redelivered_fails_when_the_answers_name_two_runs(story: Story, judged: Judged) -> None:
    story.delivered(1)
    story.attempt("d1", run=2, kind="redelivery", duplicate=True)
    assert "2 different runs" in whys(judged(story), "intake.redelivered")


def test_redelivered_fails_when_two_answers_say_they_made_it(story: Story, judged: Judged) -> None:
    story.delivered(1)
    story.attempt("d1", run=1, kind="redelivery", duplicate=False)
    assert "say that they made the run" in whys(judged(story), "intake.redelivered")


def test_redelivered_fails_when_nobody_can_have_made_it(story: Story, judged: Judged) -> None:
    story.attempt("d1", "fail")
    story.attempt("d1", run=1, kind="redelivery", duplicate=True)
    story.stored(1, "d1")
    assert "no attempt can have made" in whys(judged(story), "intake.redelivered")


def test_an_attempt_of_unknown_fate_may_have_made_it(story: Story, judged: Judged) -> None:
    story.attempt("d1", "unknown")
    story.attempt("d1", run=1, kind="redelivery", duplicate=True)
    story.stored(1, "d1")
    assert judged(story).of("intake.redelivered").verdict is Verdict.PASS


def test_redelivered_is_unknown_without_the_sent_ledger(story: Story, judged: Judged) -> None:
    story.delivered(1)
    story.without = {"sent/p0.outcomes.ndjson"}
    assert judged(story).of("intake.redelivered").verdict is Verdict.UNKNOWN


# conflict, refused, body -----------------------------------------------------------------------------------------------

KEY_REUSED = {"status": 422, "problem": "/problems/key-reused", "kind": "conflict", "index": 99}


def test_a_conflict_that_is_refused_is_as_it_should_be(story: Story, judged: Judged) -> None:
    story.delivered(1)
    story.attempt("d1", "fail", **KEY_REUSED)
    verdicts = judged(story)
    for name in ("intake.conflict", "intake.refused", "intake.body", "completion.output"):
        assert verdicts.of(name).verdict is Verdict.PASS, name


def test_a_conflict_that_was_stored_first_wins(story: Story, judged: Judged) -> None:
    """It raced the first attempt and won: then it is the first that is refused."""
    story.attempt("d1", "fail", index=1, status=422, problem="/problems/key-reused", at_us=START_US)
    story.attempt("d1", run=1, index=99, kind="conflict", at_us=START_US + 1)
    story.stored(1, "d1", index=99)
    verdicts = judged(story)
    for name in ("intake.conflict", "intake.refused", "intake.body", "completion.output"):
        assert verdicts.of(name).verdict is Verdict.PASS, name


def test_conflict_fails_when_both_bodies_are_acknowledged(story: Story, judged: Judged) -> None:
    story.delivered(1)
    story.attempt("d1", run=1, index=99, kind="conflict", duplicate=True)
    verdicts = judged(story)
    assert "2 different bodies" in whys(verdicts, "intake.conflict")
    assert verdicts.of("intake.body").verdict is Verdict.FAIL


def test_conflict_fails_when_the_same_body_is_refused_as_reused(story: Story, judged: Judged) -> None:
    story.delivered(1)
    story.attempt("d1", "fail", kind="redelivery", index=1, status=422, problem="/problems/key-reused")
    assert judged(story).of("intake.conflict").verdict is Verdict.FAIL


def test_conflict_fails_when_no_other_body_can_have_been_stored(story: Story, judged: Judged) -> None:
    story.delivered(1)
    story.attempt("d2", "fail")
    story.attempt("d2", "fail", **KEY_REUSED)
    assert judged(story).of("intake.conflict").verdict is Verdict.FAIL


def test_conflict_fails_when_the_other_body_was_sent_only_later(story: Story, judged: Judged) -> None:
    story.attempt("d1", "fail", **KEY_REUSED, at_us=START_US)
    story.attempt("d1", run=1, at_us=START_US + SECOND)
    story.stored(1, "d1")
    assert judged(story).of("intake.conflict").verdict is Verdict.FAIL


def test_conflict_is_unknown_when_nothing_was_attempted(story: Story, judged: Judged) -> None:
    assert judged(story).of("intake.conflict").verdict is Verdict.UNKNOWN


@pytest.mark.parametrize(
    ("status", "problem"),
    [(404, "unknown-endpoint"), (400, "invalid-json"), (413, "body-too-large"), (422, "other"), (422, None)],
)
def test_refused_fails_when_a_good_delivery_is_refused(
    story: Story, judged: Judged, status: int, problem: str | None
) -> None:
    story.delivered(1)
    story.attempt("d2", "fail", status=status, problem=problem)
    assert judged(story).of("intake.refused").verdict is Verdict.FAIL


@pytest.mark.parametrize("status", [429, 503, None])
def test_a_busy_or_absent_engine_may_refuse(story: Story, judged: Judged, status: int | None) -> None:
    story.delivered(1)
    story.attempt("d2", "fail", status=status, problem=None if status is None else "overloaded")
    if status is None:
        story.outcomes[1]["status"] = None
    assert judged(story).of("intake.refused").verdict is Verdict.PASS


def test_refused_is_unknown_without_a_plan(story: Story, judged: Judged) -> None:
    story.delivered(1)
    story.without = {"plan.json"}
    assert judged(story).of("intake.refused").verdict is Verdict.UNKNOWN


def test_body_fails_when_the_run_is_made_of_a_body_that_was_refused(story: Story, judged: Judged) -> None:
    story.delivered(1, index=1)
    story.attempt("d2", "fail", index=2)
    story.attempt("d2", "unknown", index=99, kind="conflict")
    story.stored(2, "d2", index=2)
    verdicts = judged(story)
    assert "made of a body that was refused" in whys(verdicts, "intake.body")
    assert verdicts.of("completion.output").verdict is Verdict.PASS


def test_body_fails_when_the_run_is_made_of_the_conflict(story: Story, judged: Judged) -> None:
    story.attempt("d1", run=1, index=1)
    story.attempt("d1", "unknown", index=99, kind="conflict")
    story.stored(1, "d1", index=99)
    assert "made of another" in whys(judged(story), "intake.body")


def test_body_is_unknown_when_no_run_is_finished(story: Story, judged: Judged) -> None:
    story.attempt("d1", run=1)
    assert judged(story).of("intake.body").verdict is Verdict.UNKNOWN


# vanished, visible -----------------------------------------------------------------------------------------------------


def test_vanished_when_a_run_that_was_seen_is_gone(story: Story, judged: Judged) -> None:
    story.delivered(1)
    story.delivered(2)
    story.sample(1, 1, at_us=START_US + SECOND)
    story.sample(2, 1, at_us=START_US + SECOND)
    story.runs.pop()
    result = judged(story).of("intake.vanished")
    assert (result.verdict, result.count, result.checked) == (Verdict.FAIL, 1, 2)
    assert result.examples[0].run_id == run_id(2)


def test_vanished_when_a_run_was_absent_for_a_while(story: Story, judged: Judged) -> None:
    story.delivered(1)
    story.sample(1, 1, at_us=START_US)
    story.sample(1, 1, at_us=START_US + SECOND).update(status="absent", epoch=None, seq=None, digest=None)
    story.sample(1, 1, at_us=START_US + 2 * SECOND)
    verdicts = judged(story)
    assert verdicts.of("intake.vanished").verdict is Verdict.FAIL
    assert verdicts.of("journal.prefix").verdict is Verdict.PASS


def test_vanished_passes_for_runs_that_stay(story: Story, judged: Judged) -> None:
    story.delivered(1)
    story.sample(1, 1, at_us=START_US + SECOND)
    assert judged(story).of("intake.vanished").verdict is Verdict.PASS


def test_vanished_is_unknown_when_nothing_was_seen(story: Story, judged: Judged) -> None:
    story.delivered(1)
    assert judged(story).of("intake.vanished").verdict is Verdict.UNKNOWN


def test_visible_fails_when_a_snapshot_holds_less_than_was_acknowledged(story: Story, judged: Judged) -> None:
    for number in range(3):
        story.delivered(number)
    story.count(START_US + SECOND, accepted=2, terminal=2)
    story.count(START_US + 2 * SECOND, accepted=3, terminal=3)
    result = judged(story).of("intake.visible")
    assert (result.verdict, result.count) == (Verdict.FAIL, 1)
    assert "holds 2 runs, but 3 were acknowledged" in result.examples[0].why


def test_visible_forgives_what_was_acknowledged_at_the_same_moment(story: Story, judged: Judged) -> None:
    story.delivered(1)
    story.count(START_US + 15_000, accepted=0)
    assert judged(story).of("intake.visible").verdict is Verdict.PASS


def test_visible_is_unknown_without_counts(story: Story, judged: Judged) -> None:
    story.delivered(1)
    assert judged(story).of("intake.visible").verdict is Verdict.UNKNOWN


def test_visible_is_unknown_without_reply_times(story: Story, judged: Judged) -> None:
    story.delivered(1)
    story.count(START_US + SECOND, accepted=0)
    story.outcomes[0]["reply_us"] = None
    assert judged(story).of("intake.visible").verdict is Verdict.UNKNOWN
