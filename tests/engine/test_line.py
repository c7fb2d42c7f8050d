"""The line of runs that wait for room. By a clock of numbers."""

from __future__ import annotations

from uuid import UUID, uuid4

from hypothesis import given
from hypothesis import strategies as st

from meshhook.line import Line


def runs(count: int) -> list[UUID]:
    return [uuid4() for _ in range(count)]


def test_first_come_first_called_and_nobody_beyond_the_room() -> None:
    line, some = Line(1.0), runs(5)
    for run_id in some:
        line.wait_s(run_id)
    assert line.call(0, 0.0) == []
    assert line.call(2, 0.0) == some[:2]
    assert line.call(2, 0.0) == []
    assert line.call(3, 0.0) == some[2:3]
    assert [line.is_next(run_id) for run_id in some] == [True] * 3 + [False] * 2


def test_who_asks_again_keeps_the_place() -> None:
    line, some = Line(1.0), runs(3)
    for run_id in [*some, some[0]]:
        line.wait_s(run_id)
    assert line.call(3, 0.0) == some


def test_a_longer_line_comes_uncalled_more_slowly_and_never_too_late() -> None:
    line = Line(1.0)
    waits = [line.wait_s(run_id) for run_id in runs(10_000)]
    assert waits == sorted(waits)
    assert 1.0 <= waits[0] < 1.1
    assert waits[-1] == 60.0


@given(st.lists(st.integers(0, 9)), st.integers(1, 3))
def test_everybody_is_called_once_whatever_becomes_of_the_others(asked: list[int], room: int) -> None:
    some, line, called, now = runs(10), Line(1.0), [], 0.0
    for number in asked:
        line.wait_s(some[number])
    while len(line):
        called += line.call(room, now)
        now += 1  # nobody comes: each place is given to the next
    assert called == [some[number] for number in dict.fromkeys(asked)]
