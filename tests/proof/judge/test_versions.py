"""Versions, on histories in which another one is published."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from held import Held
from story import SECOND, START_US, Story, run_id

from meshproof.judge import Verdict
from meshproof.scenarios import publish_under_load

Holding = Callable[[Story], Held]

BEGAN_US, ENDED_US = START_US + 10 * SECOND, START_US + 11 * SECOND


def delivered(story: Story, number: int, version: int, at_us: int, finished_us: int | None = None) -> None:
    story.attempt(f"d{number}", run=number, index=number, at_us=at_us)
    run = story.stored(number, f"d{number}", index=number)
    run.update(version=version, finished_us=finished_us or at_us + 500_000)
    story.journal(number)[0]["events"][0]["version"] = version


@pytest.fixture
def published() -> Story:
    story = Story(scenario="publish_under_load")
    story.did(publish_under_load.PUBLISH, BEGAN_US, ENDED_US, {"version": 2})
    delivered(story, 1, 1, BEGAN_US - SECOND, finished_us=ENDED_US + 1)
    delivered(story, 2, 1, BEGAN_US + 1)
    delivered(story, 3, 2, BEGAN_US + 10_000)
    delivered(story, 4, 2, ENDED_US + 1)
    return story


def test_versions_as_they_were_published_break_nothing(published: Story, held: Holding) -> None:
    verdicts = held(published)
    for name in ("named", "current", "monotone"):
        result = verdicts.of(f"versions.{name}")
        assert (result.verdict, result.checked) == (Verdict.PASS, 4), result


def test_one_version_has_nothing_to_prove(story: Story, held: Holding) -> None:
    story.delivered(1)
    assert held(story).of("versions.current").sentence == "each workflow of this run has one version"


@pytest.mark.parametrize(("run", "accepted", "why"), [(2, 1, "accepted as 1"), (3, 3, "never published")])
def test_another_version_than_the_journal_says_is_told(
    published: Story, held: Holding, run: int, accepted: int, why: str
) -> None:
    delivered(published, 5, run, ENDED_US + 2)
    published.journal(5)[0]["events"][0]["version"] = accepted
    assert why in held(published).of("versions.named").examples[0].why


@pytest.mark.parametrize(
    ("version", "at_us", "why"),
    [(1, ENDED_US + 2_000, "and sent 2 ms after 2 was"), (2, BEGAN_US - SECOND, "acknowledged 996 ms before that was")],
)
def test_a_version_that_is_over_or_was_not_yet_is_told(
    published: Story, held: Holding, version: int, at_us: int, why: str
) -> None:
    delivered(published, 5, version, at_us)
    assert why in held(published).of("versions.current").examples[0].why


def test_a_version_that_goes_back_is_told(published: Story, held: Holding) -> None:
    delivered(published, 5, 1, BEGAN_US + 20_000)
    (example,) = held(published).of("versions.monotone").examples
    assert (example.run_id, "and one of version 2 was" in example.why) == (run_id(5), True)


def test_current_is_unknown_when_no_run_was_under_way(published: Story, held: Holding) -> None:
    published.runs[0]["finished_us"] = BEGAN_US - 1
    published.runs[1]["finished_us"] = BEGAN_US + 2
    assert held(published).of("versions.current").verdict is Verdict.UNKNOWN


def test_versions_are_unknown_when_none_was_published(published: Story, held: Holding) -> None:
    published.acts = []
    assert held(published).of("versions.named").sentence == "cannot be judged: no other version was published"
