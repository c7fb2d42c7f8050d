"""Tenants, on histories of two projects."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from story import Story

from meshproof import scenarios
from meshproof.judge import Verdict, Verdicts

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
