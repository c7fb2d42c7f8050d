"""What is done beside the work does not take the time of the work."""

from __future__ import annotations

import pytest

from meshhook.app import pause_s


@pytest.mark.parametrize(
    ("took_s", "pause"),
    [(0.0, 0.1), (0.001, 0.1), (0.062, 0.558), (0.5, 4.5), (30.0, 5.0)],
)
def test_what_is_slow_is_done_for_a_tenth_of_the_time_at_most(took_s: float, pause: float) -> None:
    assert pause_s(0.1, took_s) == pytest.approx(pause)


def test_what_is_done_rarely_stays_rare() -> None:
    assert pause_s(30.0, 10.0) == 30.0
