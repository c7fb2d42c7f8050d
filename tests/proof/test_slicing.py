"""Shares of a plan are disjoint and together the plan, whoever sends them."""

from __future__ import annotations

from dataclasses import asdict
from itertools import chain

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshproof.load.request import Requests
from meshproof.load.slicing import Slice, parse
from meshproof.plan import Plan

PLAN = Plan("load", "duplicates", 5, "mp00000000001", rate=100.0, duration_s=1.0)


@given(st.lists(st.integers(1, 4), min_size=1, max_size=5), st.integers(0, 200))
@settings(deadline=None)
def test_every_attempt_is_sent_by_one_process_of_one_slice(processes: list[int], n: int) -> None:
    """Machines with different numbers of cores have different numbers of processes."""
    senders = [
        (number, process)
        for number, each in enumerate(processes)
        for process in range(each)
        if n % (share := Slice(number, len(processes)).share(process, each))[1] == share[0]
    ]
    assert len(senders) == 1


def test_what_the_slices_send_is_the_plan_to_the_byte() -> None:
    whole = requests_of(Slice(), 1)
    assert len(whole) == sum(1 for _ in PLAN.attempts()) > 50
    parts = [requests_of(Slice(number, 3), 2) for number in range(3)]
    assert all(parts)
    assert sorted(chain.from_iterable(parts)) == sorted(whole)


def requests_of(slice: Slice, processes: int) -> list[bytes]:
    found = []
    for process in range(processes):
        requests = Requests(PLAN, "test", *slice.share(process, processes))
        while requests.peek() is not None:
            found.append(requests.take().request)
    return found


def test_slices_are_counted_from_0() -> None:
    assert [parse("0/2"), parse("11/12")] == [Slice(0, 2), Slice(11, 12)]
    for text in ("2/2", "1/0", "-1/2", "1", "a/b", "1/2/3", ""):
        with pytest.raises(ValueError, match="counted from 0"):
            parse(text)


def test_a_plan_comes_back_out_of_its_document() -> None:
    from meshproof.load.shape import pieces
    from meshproof.plan_file import PlanError, plan_of

    ramp = Plan(**{**asdict(PLAN), "levels": (), "course": pieces("ramp", 50.0, 0.5, 1.0)})
    for plan in (PLAN, ramp):
        again = plan_of(plan.document())
        assert again.digest == plan.digest
        assert again.namespace == plan.namespace
    with pytest.raises(PlanError):
        plan_of({**PLAN.document(), "arrivals": "trace"})
