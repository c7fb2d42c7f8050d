"""How many runs a turn takes: as many as fit into the time that others may have to wait for it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from meshhook.portion import LEAST, TURN_S, Portion


def turns(portion: Portion, count: int, *, run_s: float, trip_s: float = 0.0) -> None:
    """So many turns with work for more than fit, each run of which takes so long."""
    for _ in range(count):
        portion.took(portion.runs, portion.runs, portion.runs * run_s + 4 * trip_s, trip_s)


def test_where_all_is_quick_a_turn_takes_all_it_may() -> None:
    portion = Portion(500, 0.25)
    turns(portion, 5, run_s=0.000_1)
    assert portion.runs == 500


@given(run_ms=st.floats(0.25, TURN_S / LEAST * 1_000), trip_ms=st.floats(0, 100))
def test_a_turn_lasts_as_long_as_others_may_wait_whatever_the_way_to_the_database_takes(
    run_ms: float, trip_ms: float
) -> None:
    portion = Portion(500, 0.25)
    turns(portion, 5, run_s=run_ms / 1_000, trip_s=trip_ms / 1_000)
    assert LEAST <= portion.runs <= 500
    assert TURN_S / 3 < portion.runs * run_ms / 1_000 <= TURN_S * 1.001


def test_a_slow_moment_is_soon_forgotten() -> None:
    portion = Portion(500, 0.25)
    turns(portion, 1, run_s=1.0)
    assert portion.runs == LEAST
    turns(portion, 4, run_s=0.000_05)
    assert portion.runs == 500


def test_a_busy_machine_does_not_hold_a_worker_to_a_few_runs_a_turn() -> None:
    portion = Portion(500, 0.25)
    portion.took(500, 1, 0.3, 0.0)
    while portion.runs < LEAST:
        portion.took(portion.runs, portion.runs, 0.12, 0.0)
    portion.took(portion.runs, portion.runs, 10.0, 0.0)
    assert portion.runs >= LEAST


def test_a_few_slow_runs_say_nothing_of_many() -> None:
    portion = Portion(500, 0.25)
    portion.took(3, 3, 5.0, 0.0)
    assert portion.runs == 500


def test_what_there_was_no_time_for_is_not_claimed_again_at_once() -> None:
    portion = Portion(500, 0.25)
    portion.took(500, 7, 0.3, 0.0)
    assert portion.runs == 7
    portion.took(7, 7, 0.01, 0.0)
    assert portion.runs == 14
