"""The plan of the faults follows from the seed alone."""

from __future__ import annotations

from itertools import pairwise

import pytest

from meshproof.faults import KINDS, MIX, QUICK
from meshproof.faults.schedule import ScheduleError, needed_s, schedule

LEASE_S = 4.0


def test_the_same_seed_makes_the_same_plan_and_another_another() -> None:
    plans = [schedule(seed, QUICK, KINDS, 5.0, 205.0, LEASE_S) for seed in (1, 1, 2)]
    assert plans[0] == plans[1] != plans[2]


@pytest.mark.parametrize("seed", range(10))
def test_each_kind_has_its_place_and_the_engine_is_left_alone_in_between(seed: int) -> None:
    needed = needed_s(seed, MIX, KINDS, LEASE_S)
    planned = schedule(seed, MIX, KINDS, 5.0, 5.0 + needed, LEASE_S)
    assert {fault.kind for fault in planned[: len(MIX)]} == set(MIX)
    for before, after in pairwise(planned):
        kind = KINDS[before.kind]
        if not kind.leaves_room:
            assert after.at_s >= before.at_s + before.for_s + kind.heals_s + kind.leaves_s - 0.002
    for fault in planned:
        if KINDS[fault.kind].alone:
            others = [other for other in planned if other.number < fault.number]
            assert all(other.at_s + other.for_s <= fault.at_s for other in others)
        assert fault.at_s + fault.for_s + KINDS[fault.kind].leaves_s <= 5.0 + needed + 0.002


def test_time_that_is_left_is_filled_with_more_of_them() -> None:
    planned = schedule(3, ("kill-worker", "kill-api"), KINDS, 0.0, 60.0, LEASE_S)
    kind = KINDS["kill-worker"]
    assert len(planned) == int(60.0 // (kind.heals_s + kind.leaves_s))
    assert len({fault.draw(3).bits(64) for fault in planned}) == len(planned), "each has draws of its own"


def test_a_zombie_outlives_its_lease() -> None:
    (fault,) = schedule(1, ("freeze-worker",), KINDS, 0.0, 12.0, LEASE_S)
    assert fault.for_s > LEASE_S


def test_what_does_not_fit_is_refused_with_the_time_it_takes() -> None:
    with pytest.raises(ScheduleError, match=r"take \d+ s, and 3 s of the load are left.*--duration"):
        schedule(1, QUICK, KINDS, 5.0, 8.0, LEASE_S)
