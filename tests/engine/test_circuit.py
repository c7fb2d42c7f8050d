"""The breaker of one host, by a clock of numbers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshhook.circuit import PAUSE_S_MAX, TRIES, WINDOW_S, Circuit


def fail(circuit: Circuit, now: float, times: int) -> bool:
    return [circuit.note(now, now, failed=True) for _ in range(times)][-1]


def test_it_opens_when_enough_calls_failed_and_they_were_nearly_all() -> None:
    circuit = Circuit(5, 10.0)
    assert not fail(circuit, 0.0, 4)
    assert circuit.wait_s(0.0) == 0.0
    assert fail(circuit, 1.0, 1)
    assert circuit.state(1.0) == "open"
    assert circuit.wait_s(3.0) == 8.0
    healthy = Circuit(5, 10.0)
    for _ in range(20):
        healthy.note(0.0, 0.0, failed=False)
    assert not fail(healthy, 0.0, 79)
    assert fail(healthy, 0.0, 1)


def test_failures_long_ago_are_forgotten() -> None:
    circuit = Circuit(5, 10.0)
    fail(circuit, 0.0, 4)
    assert not fail(circuit, WINDOW_S, 4)
    assert circuit.state(WINDOW_S) == "closed"


def test_a_few_at_a_time_try_a_host_that_was_left_alone() -> None:
    circuit = Circuit(1, 10.0)
    fail(circuit, 0.0, 1)
    assert circuit.state(10.0) == "half-open"
    assert [circuit.wait_s(10.0) for _ in range(TRIES + 1)] == [0.0] * TRIES + [10.0]
    assert [circuit.note(11.0, 10.0, failed=True) for _ in range(TRIES)] == [False] * (TRIES - 1) + [True]
    assert circuit.wait_s(11.0) == 20.0  # twice as long
    assert circuit.wait_s(31.0) == 0.0
    circuit.note(32.0, 31.0, failed=False)
    assert circuit.state(32.0) == "closed"
    fail(circuit, 33.0, 1)
    assert circuit.wait_s(33.0) == 10.0  # and from the beginning


def test_one_answer_among_the_tries_is_enough() -> None:
    circuit = Circuit(1, 10.0)
    fail(circuit, 0.0, 1)
    assert [circuit.wait_s(10.0) for _ in range(TRIES)] == [0.0] * TRIES
    circuit.note(11.0, 10.0, failed=True)
    circuit.note(11.0, 10.0, failed=False)
    assert circuit.state(11.0) == "closed"


@pytest.mark.parametrize(("pause_s", "most"), [(1.0, PAUSE_S_MAX), (100.0, 100.0)])
def test_a_host_that_stays_down_is_asked_again_and_again(pause_s: float, most: float) -> None:
    circuit, now = Circuit(1, pause_s), 0.0
    fail(circuit, now, 1)
    for _ in range(100):
        now += circuit.wait_s(now)
        for _ in range(TRIES):
            assert circuit.wait_s(now) == 0.0
            circuit.note(now, now, failed=True)
        assert 0.0 < circuit.wait_s(now) <= most


def test_who_tried_and_is_never_heard_of_again_does_not_keep_it_shut() -> None:
    circuit = Circuit(1, 10.0)
    fail(circuit, 0.0, 1)
    assert [circuit.wait_s(10.0) for _ in range(TRIES)] == [0.0] * TRIES
    assert circuit.wait_s(19.0) == 1.0
    assert circuit.wait_s(20.0) == 0.0


def test_calls_that_were_under_way_when_it_opened_say_nothing_new() -> None:
    circuit = Circuit(1, 10.0)
    circuit.note(5.0, 1.0, failed=True)
    assert not circuit.note(6.0, 2.0, failed=True)
    assert not circuit.note(6.0, 2.0, failed=False)
    assert circuit.wait_s(6.0) == 9.0


def test_without_a_number_of_failures_it_never_opens() -> None:
    circuit = Circuit(0, 10.0)
    assert not fail(circuit, 0.0, 1_000)
    assert circuit.wait_s(0.0) == 0.0


@given(st.lists(st.tuples(st.floats(0, 30), st.booleans(), st.floats(0, 20)), max_size=60), st.integers(1, 5))
def test_it_is_never_shut_for_longer_than_its_longest_pause(
    calls: list[tuple[float, bool, float]], failures: int
) -> None:
    circuit, now = Circuit(failures, 1.0), 0.0
    for passed, failed, took in calls:
        now += passed
        wait_s = circuit.wait_s(now)
        assert 0.0 <= wait_s <= PAUSE_S_MAX
        if wait_s == 0.0:
            circuit.note(now, now - took, failed=failed)
