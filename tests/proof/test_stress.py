"""A climb stops where goodput stops following, and its story is told as it was: knee, what was full, the way back."""

from __future__ import annotations

from dataclasses import replace

import pytest

from meshproof.analysis.breaking import (
    Machine,
    Step,
    broke_at,
    busy,
    full_first,
    generator_broke_at,
    hysteresis,
    knee,
    recovered,
)
from meshproof.analysis.climb import Climb, Reached, next_rate, steps_up, way_down
from meshproof.profiles.stress import Count, goodput_between

CLIMB = Climb(start=100.0, factor=2.0, top=6_400.0)
MACHINE = Machine(cores=2, apis=1, workers=1)


def climbed(capacity: float, share_beyond: float = 1.0) -> tuple[list[Reached], float | str]:
    """A climb on an engine that does so many a second at most, and only a part of that when it is offered more."""
    up: list[Reached] = []
    while isinstance(rate := next_rate(CLIMB, up), float):
        up.append(Reached(rate, rate, rate if rate <= capacity else capacity * share_beyond))
    return up, rate


def test_the_climb_turns_when_goodput_has_stopped_following_twice() -> None:
    # 1,600 of 1,300 is 81 %: not by far, so the next step has to say the same; 3,200 is 41 %.
    up, why = climbed(1_300.0)
    assert [step.rate for step in up] == [100, 200, 400, 800, 1_600, 3_200]
    assert why == "goodput"
    assert way_down(up) == [1_600, 800, 400, 200, 100]


def test_one_step_is_enough_when_goodput_falls_by_far() -> None:
    up, why = climbed(1_000.0, share_beyond=0.5)
    assert ([step.rate for step in up][-1], why) == (1_600, "goodput")


def test_one_bad_step_alone_turns_nothing() -> None:
    bad = [Reached(100, 100, 100), Reached(200, 200, 160), Reached(400, 400, 390)]
    assert next_rate(CLIMB, bad) == 800
    assert next_rate(CLIMB, bad[:2]) == 400


def test_the_climb_ends_where_the_generator_does() -> None:
    up, why = climbed(1e9)
    assert ([step.rate for step in up][-1], why) == (6_400, "top")
    assert len(up) == steps_up(CLIMB) == 7


def test_a_database_that_does_not_answer_makes_no_step_look_better() -> None:
    # 300,000 runs had ended before: they are not those of the two seconds that were to be looked at.
    before, after = Count(1_000_000, 300_000), Count(3_000_000, 304_000)
    assert goodput_between(before, after) == 2_000.0
    assert goodput_between(None, after) == goodput_between(before, None) == goodput_between(before, before) == 0.0


def step(number: int, way: str, rate: float, goodput: float, **more: object) -> Step:
    known = {"accepted_per_s": goodput, "end_to_end_p99_ms": 10.0, "lag_p99_ms": 1.0, "generator_cpu": 0.2}
    return Step(number, way, rate, rate, goodput_per_s=goodput, **(known | more))  # type: ignore[arg-type]


STORY = [
    step(0, "up", 100, 100),
    step(1, "up", 200, 199, cores={"worker": 0.7, "api": 0.5, "postgres": 0.4}),
    step(2, "up", 400, 380, cores={"worker": 0.95, "api": 0.6, "postgres": 0.4}),
    step(3, "up", 800, 400, cores={"worker": 1.0, "api": 0.99, "postgres": 0.5}),
    step(4, "down", 400, 390),
    step(5, "down", 200, 260),
    step(6, "down", 100, 101),
]


def test_the_knee_is_the_last_step_that_was_followed() -> None:
    assert knee(STORY) == STORY[2]
    assert broke_at(STORY) == STORY[3]
    assert broke_at(STORY[:3]) is None
    assert knee([step(0, "up", 100, 10)]) is None


def test_what_was_full_first_is_what_crossed_the_line_first() -> None:
    found = full_first(STORY, MACHINE)
    assert found is not None
    assert (found[0].rate, found[1]) == (400, ["processors of the machine", "worker processes"])
    assert full_first(STORY, Machine(cores=64, apis=4, workers=8)) is None
    waiting = replace(STORY[0], waits={"meshhook-serve IO:WalSync": 0.9, "meshhook-work Lock:tuple": 0.1})
    assert busy(waiting, MACHINE)["write-ahead log"] == 0.9
    assert busy(waiting, MACHINE)["locks between sessions"] == 0.1


def test_hysteresis_compares_each_rate_with_itself_and_gives_no_credit_for_old_work() -> None:
    found = {pair["rate"]: pair["down_of_up"] for pair in hysteresis(STORY)}
    assert found == {100: 1.0, 200: pytest.approx(200 / 199), 400: pytest.approx(390 / 380)}
    assert recovered(STORY, interventions=0) is True
    assert recovered(STORY, interventions=1) is False, "somebody helped"
    assert recovered([*STORY[:6], step(6, "down", 100, 60)], interventions=0) is False
    assert recovered(STORY[:3], interventions=0) is None, "there was nothing to come back from"


def test_a_generator_that_cannot_keep_up_before_the_engine_breaks_is_what_broke_first() -> None:
    assert generator_broke_at(STORY) is None
    late = [STORY[0], replace(STORY[1], lag_p99_ms=9.0), *STORY[2:]]
    assert generator_broke_at(late) == late[1]
    # What could not be sent because the engine held back its replies is the engine's doing; beyond the break all is.
    assert generator_broke_at([*STORY[:3], replace(STORY[3], unsent=500), *STORY[4:]]) is None
    assert generator_broke_at([*STORY[:4], replace(STORY[4], lag_p99_ms=50.0)]) is None
    assert generator_broke_at([*STORY[:3], replace(STORY[3], generator_cpu=0.95)]) == replace(
        STORY[3], generator_cpu=0.95
    )
