"""Tenants, on histories of two projects that have the same work, or of which one holds a backlog."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from story import SECOND, START_US, Story

from meshproof import scenarios
from meshproof.judge import Verdict, Verdicts
from meshproof.judge.tenants import STARTS_MIN

Judged = Callable[[Story], Verdicts]


@pytest.fixture
def birds() -> Story:
    story = Story(scenario="tenants")
    story.neighbours()
    story.heard(1)
    story.heard(2)
    return story


def test_two_projects_that_see_nothing_of_each_other_break_nothing(birds: Story, judged: Judged) -> None:
    verdicts = judged(birds)
    assert [result.name for result in verdicts.results if result.verdict is Verdict.FAIL] == []
    assert verdicts.of("tenants.rows").checked == 2 * 6
    assert verdicts.of("tenants.replies").checked == 2


def test_one_project_has_nothing_to_prove(story: Story, judged: Judged) -> None:
    story.delivered(1)
    for name in ("rows", "replies"):
        assert judged(story).of(f"tenants.{name}").sentence == "all of this run is in one project"
    assert judged(story).of("tenants.neighbour").sentence == "no project of this run holds a backlog"


def test_a_canary_in_the_journal_of_another_is_told(birds: Story, judged: Judged) -> None:
    birds.journal(2)[2]["events"][0]["payload"] = scenarios.canary("neighbour", "la")
    (example,) = judged(birds).of("tenants.rows").examples
    assert example.why == "event 3 of a run of default holds a canary of neighbour"


def test_a_reply_that_shows_something_of_another_is_told_whatever_its_status(birds: Story, judged: Judged) -> None:
    birds.shown("neighbour", "default")
    birds.replies[-1]["status"] = 404
    (example,) = judged(birds).of("tenants.replies").examples
    assert example.why == "GET /api/v1/runs showed neighbour something of default (status 404)"


def test_replies_is_unknown_when_nobody_was_shown_anything_of_his_own(birds: Story, judged: Judged) -> None:
    birds.replies = [line | {"marks": []} for line in birds.replies]
    assert judged(birds).of("tenants.replies").verdict is Verdict.UNKNOWN


def test_replies_is_unknown_when_nobody_asked(birds: Story, judged: Judged) -> None:
    birds.without.add("samples/replies.ndjson")
    assert judged(birds).of("tenants.replies").verdict is Verdict.UNKNOWN
    assert judged(birds).of("tenants.rows").verdict is Verdict.PASS


def beside(backlog: int, gone_us: int, alone: int = STARTS_MIN) -> Story:
    """So many runs of a quiet project alone, and then beside a backlog that is worked off at `gone_us`."""
    story = Story(scenario="noisy_neighbour")
    for number in range(alone):
        story.delivered(number)
    noise = range(1_000, 1_000 + backlog)
    story.backlogged(noise, gone_us)
    for number in range(noise.stop, noise.stop + STARTS_MIN):
        story.delivered(number)
    return story


LATE_US = START_US + 60 * SECOND


def test_a_quiet_project_starts_as_soon_beside_a_backlog(judged: Judged) -> None:
    result = judged(beside(10, LATE_US)).of("tenants.neighbour")
    assert (result.verdict, result.checked) == (Verdict.PASS, STARTS_MIN)
    assert result.sentence == "start latency p99 1.0 ms alone, 1.0 ms beside a backlog of 10 runs"


@pytest.mark.parametrize(("wait_ms", "verdict"), [(252, Verdict.PASS), (253, Verdict.FAIL)])
def test_its_slowest_percent_counts_up_to_twice_its_own_and_a_quarter_second(
    judged: Judged, wait_ms: int, verdict: Verdict
) -> None:
    story = beside(10, LATE_US)
    for run in story.runs[-3:]:
        accepted, work = story.row_of(run, 1), story.row_of(run, 2)
        work["claimed_us"] = accepted["at_us"] + wait_ms * 1_000
        work["at_us"] = run["finished_us"] = work["claimed_us"] + 1
    assert judged(story).of("tenants.neighbour").verdict is verdict


def test_one_slow_start_is_no_p99(judged: Judged) -> None:
    story = beside(10, LATE_US)
    story.row_of(story.runs[-1], 2)["claimed_us"] += 2 * SECOND
    assert judged(story).of("tenants.neighbour").verdict is Verdict.PASS


def test_a_backlog_that_is_gone_too_soon_proves_nothing(judged: Judged) -> None:
    story = beside(10, START_US + 11 * SECOND)
    result = judged(story).of("tenants.neighbour")
    assert result.verdict is Verdict.UNKNOWN
    assert "while at least 90% of 8 runs were waiting" in result.sentence


def test_too_few_starts_before_it_prove_nothing_either(judged: Judged) -> None:
    story = beside(10, LATE_US, alone=STARTS_MIN - 1)
    assert "199 runs were started before the backlog" in judged(story).of("tenants.neighbour").sentence


def test_a_backlog_that_was_never_put_in_is_missed(judged: Judged) -> None:
    story = beside(10, LATE_US)
    story.attempts = [line for line in story.attempts if line["k"] != "prepared"]
    assert "no backlog was put in" in judged(story).of("tenants.neighbour").sentence
