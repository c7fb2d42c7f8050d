"""Leases and fencing, on histories of a few claims."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from story import SECOND, START_US, Story, completed, expired, run_id, step, taken

from meshproof.judge import Verdict, Verdicts

Judged = Callable[[Story], Verdicts]
FAMILY = ("leases.epochs", "leases.fenced", "leases.overlap", "leases.takeover", "leases.recovery", "leases.returned")


def broken(verdicts: Verdicts) -> list[str]:
    return [name for name in FAMILY if verdicts.of(name).verdict is Verdict.FAIL]


def test_claims_one_after_the_other_break_nothing(story: Story, judged: Judged) -> None:
    story.delivered(1)
    story.taken_over(2)
    story.handed_back(3)
    verdicts = judged(story)
    assert [verdicts.of(name).verdict for name in FAMILY] == [Verdict.PASS] * len(FAMILY)
    assert [r.name for r in verdicts.results if r.verdict is Verdict.FAIL] == []
    assert "(1 of them after an expired lease)" in verdicts.of("leases.recovery").sentence


@pytest.mark.parametrize("name", FAMILY)
def test_they_are_unknown_without_claims(story: Story, judged: Judged, name: str) -> None:
    assert judged(story).of(name).verdict is Verdict.UNKNOWN


# epochs, fenced --------------------------------------------------------------------------------------------------------


def test_epochs_fails_when_two_claims_share_one(story: Story, judged: Judged) -> None:
    story.taken_over(1)
    story.journal(1)[2]["epoch"] = 1
    assert "leases.epochs" in broken(judged(story))


def test_epochs_and_fenced_fail_when_one_falls(story: Story, judged: Judged) -> None:
    story.taken_over(1)
    story.journal(1)[1]["epoch"] = 3
    assert {"leases.epochs", "leases.fenced"} <= set(broken(judged(story)))


def test_epochs_fails_when_a_row_was_written_without_a_claim(story: Story, judged: Judged) -> None:
    story.delivered(1)
    story.delivered(2)
    story.journal(1)[1]["claimed_us"] = None
    assert broken(judged(story)) == ["leases.epochs"]


def test_epochs_fails_when_the_first_claim_has_not_raised_it(story: Story, judged: Judged) -> None:
    story.delivered(1)
    story.journal(1)[1]["epoch"] = 0
    assert broken(judged(story)) == ["leases.epochs"]


def test_epochs_fails_when_the_run_does_not_know_its_highest(story: Story, judged: Judged) -> None:
    story.taken_over(1)["epoch"] = 1
    assert broken(judged(story)) == ["leases.epochs"]


def test_fenced_fails_when_an_overtaken_worker_still_writes(story: Story, judged: Judged) -> None:
    """Epoch 2 has taken over, and then epoch 1 comes back from the dead."""
    story.taken_over(1)
    _, under_lease, rest = story.journal(1)
    rest["events"] = rest["events"][:1]
    story.row(
        1, 5, 1, [step("receipt", {}), completed({})], claimed_us=under_lease["claimed_us"], at_us=rest["at_us"] + 5
    )
    assert set(broken(judged(story))) == {"leases.fenced", "leases.overlap"}


def test_fenced_fails_when_a_newer_epoch_had_been_seen(story: Story, judged: Judged) -> None:
    """The claim of epoch 2 wrote nothing, but a sample saw it; what epoch 1 writes after that is a stale write."""
    story.delivered(1)["epoch"] = 2
    story.sample(1, 1, at_us=START_US, epoch=2)
    assert broken(judged(story)) == ["leases.fenced"]


def test_a_sample_of_an_older_epoch_is_no_evidence_of_a_stale_write(story: Story, judged: Judged) -> None:
    story.taken_over(1)
    story.sample(1, 3, at_us=START_US + SECOND // 2, epoch=1, status="running")
    assert broken(judged(story)) == []


# overlap, takeover, recovery -------------------------------------------------------------------------------------------


def test_overlap_fails_when_a_claim_begins_before_the_last_write_of_another(story: Story, judged: Judged) -> None:
    story.handed_back(1)
    rows = story.journal(1)
    rows[2]["claimed_us"] = rows[3]["at_us"] - 1
    assert set(broken(judged(story))) == {"leases.overlap", "leases.takeover"}


def test_overlap_fails_when_a_write_is_older_than_its_claim(story: Story, judged: Judged) -> None:
    story.delivered(1)
    row = story.journal(1)[1]
    row["claimed_us"] = row["at_us"] + 1
    assert broken(judged(story)) == ["leases.overlap"]


def test_takeover_fails_before_the_lease_has_expired(story: Story, judged: Judged) -> None:
    story.taken_over(1)
    row = story.journal(1)[2]
    row["claimed_us"] -= 100_001
    verdicts = judged(story)
    assert broken(verdicts) == ["leases.takeover"]
    assert "ran 1 µs longer" in verdicts.of("leases.takeover").examples[0].why


def test_takeover_may_be_at_the_very_end_of_the_lease(story: Story, judged: Judged) -> None:
    story.taken_over(1)
    story.journal(1)[2]["claimed_us"] -= 100_000
    assert broken(judged(story)) == []


def test_takeover_fails_when_the_taker_says_the_lease_ended_sooner(story: Story, judged: Judged) -> None:
    story.taken_over(1)
    row = story.journal(1)[2]
    row["claimed_us"] -= SECOND // 2
    row["events"][0] = expired("w1", row["claimed_us"])
    assert broken(judged(story)) == ["leases.takeover"]


def test_takeover_fails_before_a_lease_that_was_renewed(story: Story, judged: Judged) -> None:
    story.taken_over(1)
    row = story.journal(1)[2]
    row["events"][0] = expired("w1", row["claimed_us"] + 1)
    assert broken(judged(story)) == ["leases.takeover"]


def test_takeover_fails_when_nobody_says_that_the_lease_ended(story: Story, judged: Judged) -> None:
    story.taken_over(1)
    rows = story.journal(1)
    rows[1]["events"][-1] = taken("w1", rows[2]["claimed_us"] + 1)
    rows[2]["events"] = rows[2]["events"][1:]
    verdicts = judged(story)
    assert broken(verdicts) == ["leases.takeover"]
    assert verdicts.of("journal.legal").verdict is Verdict.FAIL


def test_takeover_is_unknown_when_a_lease_has_no_end(story: Story, judged: Judged) -> None:
    story.taken_over(1)
    story.journal(1)[1]["events"][-1]["until"] = "whenever"
    assert judged(story).of("leases.takeover").verdict is Verdict.UNKNOWN


def test_recovery_fails_when_nobody_took_the_run_up_in_time(story: Story, judged: Judged) -> None:
    story.taken_over(1)
    row = story.journal(1)[2]
    row["claimed_us"] += 6 * SECOND
    row["at_us"] += 6 * SECOND
    verdicts = judged(story)
    assert broken(verdicts) == ["leases.recovery"]
    assert verdicts.of("leases.recovery").examples[0].run_id == run_id(1)


def test_recovery_is_unknown_without_a_bound(story: Story, judged: Judged) -> None:
    story.taken_over(1)
    del story.plan["bounds"]["takeover_s"]
    assert judged(story).of("leases.recovery").verdict is Verdict.UNKNOWN


def test_recovery_needs_no_bound_when_no_lease_expired(story: Story, judged: Judged) -> None:
    story.delivered(1)
    del story.plan["bounds"]["takeover_s"]
    assert judged(story).of("leases.recovery").verdict is Verdict.PASS


# returned --------------------------------------------------------------------------------------------------------------


def ended(story: Story, how: str, role: str = "worker") -> None:
    """Process 4711 has ended, just after the run was taken over from it."""
    story.incidents.append(
        {"at_us": START_US + 2 * SECOND, "role": role, "pid": 4711, "what": f"was ended on purpose ({how})"}
    )


def left_behind(story: Story, owner: str = "host-4711-c0ffee") -> None:
    """A run whose lease was left to run out by its owner."""
    story.taken_over(1)
    _, under_lease, rest = story.journal(1)
    for event in (under_lease["events"][1], rest["events"][0]):
        event["owner"] = owner


def test_returned_fails_when_a_worker_that_ended_in_good_order_left_a_lease_behind(
    story: Story, judged: Judged
) -> None:
    left_behind(story)
    ended(story, "exit code 0")
    verdicts = judged(story)
    assert broken(verdicts) == ["leases.returned"]
    assert verdicts.of("leases.returned").examples[0].run_id == run_id(1)


def test_returned_asks_nothing_of_who_was_killed_nor_of_anybody_else(story: Story, judged: Judged) -> None:
    left_behind(story)
    ended(story, "killed by SIGKILL")
    ended(story, "exit code 0", role="api")
    assert broken(judged(story)) == []


def test_returned_knows_a_process_by_its_whole_number(story: Story, judged: Judged) -> None:
    left_behind(story, owner="host-47-c0ffee")
    ended(story, "exit code 0")
    assert broken(judged(story)) == []


def test_returned_asks_nothing_when_the_database_was_away(story: Story, judged: Judged) -> None:
    left_behind(story)
    ended(story, "exit code 0")
    story.incidents.append({"at_us": START_US + SECOND, "role": "postgres", "pid": 1, "what": "was ended on purpose"})
    assert broken(judged(story)) == []
