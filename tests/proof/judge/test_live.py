"""Live view, on histories of a few subscribers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from held import Held
from story import SECOND, START_US, Story, run_id

from meshproof.judge import Verdict

Holding = Callable[[Story], Held]
LATE_US = 20_000


def subscriber(story: Story, number: int, *, scenario: str = "watchers", connections: int = 2, **more: Any) -> None:
    line = {"w": number, "scenario": scenario, "kind": "workflow", "ended": [], "quits": True, "slow": False}
    story.subscribers.append(line | {"connections": connections} | more)


def told(story: Story, number: int, run: int, seqs: tuple[int, ...] = (1, 2, 3, 4), *, late_us: int = LATE_US) -> None:
    """A subscriber is told these events of a run in this order."""
    for seq in seqs:
        at_us = START_US + run * 10_000
        line = {"w": number, "run_id": run_id(run), "seq": seq, "n": len(story.told), "at_us": at_us}
        story.told.append(line | {"seen_us": at_us + late_us, "live": True, "marks": []})


@pytest.fixture
def watched() -> Story:
    """Two runs: one who watches the workflow, one who took up the second run, and one of the other project."""
    story = Story(scenario="watchers")
    story.plan["scenarios"]["watched_next_door"] = story.place("watched_next_door")
    story.plan["bounds"]["live_s"] = 0.5
    story.delivered(1)
    story.delivered(2)
    subscriber(story, 0)
    subscriber(story, 1, kind="run", ended=[run_id(2)])
    subscriber(story, 2, scenario="watched_next_door", connections=1)
    told(story, 0, 1)
    told(story, 0, 2)
    told(story, 1, 2)
    return story


def test_who_is_told_everything_once_and_in_order_misses_nothing(watched: Story, held: Holding) -> None:
    verdicts = held(watched)
    for name in ("every", "once", "order", "own", "lag"):
        result = verdicts.of(f"live.{name}")
        assert (result.verdict, result.checked) == (Verdict.PASS, 12), result
    assert "p99 20.0 ms" in verdicts.of("live.lag").sentence
    assert "(2 had to connect again, 0 were slow)" in verdicts.of("live.every").sentence


def test_where_nobody_watched_there_is_nothing_to_prove(story: Story, held: Holding) -> None:
    story.delivered(1)
    assert held(story).of("live.every").sentence == "nobody watched this run"


@pytest.mark.parametrize(("number", "run"), [(0, 1), (1, 2)])
def test_an_event_that_was_not_told_is_missed(watched: Story, held: Holding, number: int, run: int) -> None:
    watched.told = [
        line for line in watched.told if (line["w"], line["run_id"], line["seq"]) != (number, run_id(run), 3)
    ]
    (example,) = held(watched).of("live.every").examples
    assert (example.why, example.run_id) == (f"subscriber {number} was not told event 3", run_id(run))


def test_every_is_unknown_when_nobody_had_to_connect_again(watched: Story, held: Holding) -> None:
    watched.subscribers = [line | {"connections": 1} for line in watched.subscribers]
    assert held(watched).of("live.every").verdict is Verdict.UNKNOWN


def test_an_event_that_was_told_twice_is_told(watched: Story, held: Holding) -> None:
    told(watched, 0, 1, (4,))
    verdicts = held(watched)
    assert verdicts.of("live.once").examples[0].why == "subscriber 0 was told event 4 2 times"
    assert verdicts.of("live.order").verdict is Verdict.PASS


def test_events_out_of_order_are_told(watched: Story, held: Holding) -> None:
    for line in watched.told[:4]:
        line["n"] = -line["seq"]
    assert held(watched).of("live.order").examples[0].why == "subscriber 0 was told event 1 behind event 2"


def test_a_run_of_another_project_is_told(watched: Story, held: Holding) -> None:
    told(watched, 2, 1, (1,))
    (example,) = held(watched).of("live.own").examples
    assert example.why == "subscriber 2 of watched_next_door was told event 1 of a run of watchers"


def test_a_canary_of_another_project_is_told(watched: Story, held: Holding) -> None:
    watched.told[5]["marks"] = ["next-door"]
    assert "holds a canary of next-door" in held(watched).of("live.own").examples[0].why


@pytest.mark.parametrize("disturbed", [False, True])
def test_a_slow_view_is_told_where_nothing_had_happened(watched: Story, held: Holding, disturbed: bool) -> None:
    told(watched, 0, 3, late_us=2 * SECOND)
    if disturbed:
        watched.incidents.append({"at_us": START_US + SECOND, "role": "api", "pid": 1, "what": "ended"})
        assert held(watched).of("live.lag").verdict is Verdict.PASS
    else:
        assert "p99 2000.0 ms, max 2000.0 ms" in held(watched).of("live.lag").examples[0].why


def test_lag_is_unknown_when_nobody_was_connected(watched: Story, held: Holding) -> None:
    watched.told = [line | {"live": False} for line in watched.told]
    assert held(watched).of("live.lag").verdict is Verdict.UNKNOWN


def test_lag_is_unknown_without_a_bound(watched: Story, held: Holding) -> None:
    del watched.plan["bounds"]["live_s"]
    assert "states no bound" in held(watched).of("live.lag").sentence
