"""Children, on histories of a run that started another."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from story import Story, run_id

from meshproof.judge import Verdict, Verdicts

Judged = Callable[[Story], Verdicts]


@pytest.fixture
def family() -> Story:
    story = Story(scenario="families")
    story.parented(1)
    return story


def parent_waits(family: Story) -> None:
    """The child has ended, and nothing of that has come to the journal of its parent."""
    del family.rows[-1]
    family.runs[0].update(status="waiting", epoch=1, finished_us=None)


def test_a_child_that_was_waited_for_breaks_nothing(family: Story, judged: Judged) -> None:
    verdicts = judged(family)
    assert [result.name for result in verdicts.results if result.verdict is Verdict.FAIL] == []
    for name in ("stored", "told"):
        assert (verdicts.of(f"children.{name}").verdict, verdicts.of(f"children.{name}").checked) == (Verdict.PASS, 1)
    assert verdicts.of("intake.unexpected").checked == 2


def test_the_journal_of_a_child_is_replayed_by_its_workflow(family: Story, judged: Judged) -> None:
    del family.journal(1_001)[1]["events"][1]
    assert judged(family).of("journal.order").verdict is Verdict.FAIL


def test_a_run_that_starts_no_other_has_nothing_to_prove(story: Story, judged: Judged) -> None:
    story.delivered(1)
    for name in ("stored", "told"):
        assert judged(story).of(f"children.{name}").sentence == "no workflow of this run starts another"


def test_a_child_that_is_not_stored_is_told(family: Story, judged: Judged) -> None:
    family.runs.pop()
    assert (
        judged(family).of("children.stored").examples[0].why == f"ask has started {run_id(1_001)}, which is not stored"
    )


def test_a_child_of_two_parents_is_told(family: Story, judged: Judged) -> None:
    family.parented(2)
    family.journal(2)[1]["events"][0]["run_id"] = run_id(1_001)
    assert "was started 2 times" in judged(family).of("children.stored").examples[0].why


def test_a_parent_that_was_not_told_of_the_end_is_found(family: Story, judged: Judged) -> None:
    parent_waits(family)
    assert "was not told" in judged(family).of("children.told").examples[0].why


def test_a_parent_that_does_not_wait_need_not_be_told(family: Story, judged: Judged) -> None:
    parent_waits(family)
    family.journal(1)[1]["events"][0]["wait"] = False
    assert judged(family).of("children.told").verdict is Verdict.PASS


def test_a_parent_that_was_told_another_end_is_found(family: Story, judged: Judged) -> None:
    family.journal(1)[2]["events"][0]["status"] = "cancelled"
    assert "was told that" in judged(family).of("children.told").examples[0].why
