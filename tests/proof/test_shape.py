"""Loads have the shape they were asked for, and recorded ones are played as they were."""

from __future__ import annotations

import shlex
from itertools import chain, repeat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshproof.load import trace
from meshproof.load.shape import SHAPES, Piece, Shape, moments, peak_per_s, pieces
from meshproof.plan import Plan
from meshproof.profiles import load
from meshproof.profiles.settings import RunSettings


def evenly() -> chain[float]:
    return chain((0.0,), repeat(1.0))


def counted(at_us: list[int], from_s: float, to_s: float) -> int:
    return sum(from_s * 1e6 <= at < to_s * 1e6 for at in at_us)


def test_a_piece_knows_when_so_many_have_arrived() -> None:
    ramp = Piece(10.0, 0.0, 20.0)  # 100 in all; half of the area of a triangle is at √½ of its length
    assert ramp.arrivals == 100.0
    assert ramp.seconds_for(50.0) == pytest.approx(10.0 * 0.5**0.5)
    assert Piece(10.0, 20.0, 0.0).seconds_for(75.0) == pytest.approx(5.0)
    assert Piece(4.0, 5.0, 5.0).seconds_for(10.0) == pytest.approx(2.0)


@given(st.sampled_from(sorted(SHAPES)), st.floats(5.0, 5_000.0), st.sampled_from([0.0, 1.5]), st.floats(2.0, 60.0))
def test_the_rate_asked_for_is_the_mean_of_every_shape(
    shape: Shape, rate: float, warmup_s: float, duration_s: float
) -> None:
    course = pieces(shape, rate, warmup_s, duration_s)
    steady = course[1:] if warmup_s else course
    assert sum(piece.arrivals for piece in steady) == pytest.approx(rate * duration_s)
    assert sum(piece.seconds for piece in course) == pytest.approx(warmup_s + duration_s)


def test_the_shapes_are_what_they_are_called() -> None:
    def thirds(shape: Shape) -> list[int]:
        at_us = [at for at in moments(pieces(shape, 300.0, 0.0, 30.0), evenly()) if at is not None]
        assert at_us == sorted(at_us)
        return [counted(at_us, 3.0 * part, 3.0 * (part + 1)) for part in range(10)]

    assert len(set(thirds("constant"))) == 1
    ramp = thirds("ramp")
    assert ramp == sorted(ramp)
    assert ramp[-1] > 9 * ramp[0]
    waves = [Piece(1.0, 300.0, 300.0)]
    assert peak_per_s(waves) == 300.0
    assert peak_per_s(pieces("sine", 300.0, 0.0, 30.0)) == pytest.approx(540.0)
    assert peak_per_s(pieces("spike", 300.0, 0.0, 30.0)) == pytest.approx(300.0 / 1.4 * 5)
    at_us = [at for at in moments(pieces("spike", 300.0, 0.0, 30.0), evenly()) if at is not None]
    assert counted(at_us, 13.5, 16.5) == pytest.approx(5 * counted(at_us, 0.0, 3.0), rel=0.01)


def test_a_piece_that_is_not_known_yet_is_waited_for_and_nothing_is_lost() -> None:
    known: list[Piece | None] = [Piece(1.0, 2.0, 2.0), None, None, Piece(1.0, 4.0, 4.0)]
    whole = [piece for piece in known if piece is not None]
    halting = list(moments(known, evenly()))
    assert halting.count(None) == 2
    assert [at for at in halting if at is not None] == list(moments(whole, evenly())) == [
        0, 500_000, 1_000_000, 1_250_000, 1_500_000, 1_750_000,
    ]  # fmt: skip


def test_poisson_arrivals_follow_a_shape_too() -> None:
    course = pieces("ramp", 2_000.0, 0.0, 10.0)
    at_us = [
        attempt.at_us
        for attempt in Plan("load", "simple", 3, "t", rate=2_000.0, duration_s=10.0, course=course).attempts()
    ]
    assert len(at_us) == pytest.approx(20_000, rel=0.03)
    # The first half of a ramp from 0.1 to 1.9 has 0.55 of the mean.
    assert counted(at_us, 0.0, 5.0) == pytest.approx(0.275 * 20_000, rel=0.05)


TRACE = """# somebody's access log
2026-11-23T17:20:01.250Z,GET,/hooks/a
2026-11-23T17:20:01.000Z,GET,/hooks/a

2026-11-23T17:20:03.000+00:00 POST
"""


def test_a_trace_is_played_from_its_first_moment_on_however_it_was_written(tmp_path: Path) -> None:
    forms = {
        "iso": TRACE,
        "seconds": "100.25\n100.0\n102\n",
        "ledger": '{"n":1,"intended_us":100250000}\n{"n":0,"intended_us":100000000}\n{"n":2,"intended_us":102000000}\n',
    }
    for name, text in forms.items():
        path = tmp_path / name
        path.write_text(text)
        assert trace.read(str(path)) == (0, 250_000, 2_000_000), name
    assert trace.peak_per_s((0, 250_000, 2_000_000)) == 2.0
    plan = Plan("load", "simple", 1, "t", duration_s=5.0, trace=str(tmp_path / "iso"), speed=2.0)
    assert [attempt.at_us for attempt in plan.attempts()] == [0, 125_000, 1_000_000]


@pytest.mark.parametrize(
    ("text", "why"), [("1.0\n", "has 1 requests"), ("1\nsoon\n", "Line 2"), ("0\n9999999\n", "7 days")]
)
def test_what_is_no_trace_is_refused_with_its_reason(tmp_path: Path, text: str, why: str) -> None:
    path = tmp_path / "trace"
    path.write_text(text)
    with pytest.raises(trace.TraceError, match=why):
        trace.read(str(path))


def test_the_command_names_shape_and_trace() -> None:
    settings = RunSettings(
        "load", "simple", seed=1, out=Path("out"), rate=50.0, duration_s=4.0, shape="sine", namespace="n"
    )
    words = shlex.split(settings.command())
    assert words[words.index("--shape") + 1] == "sine"
    assert load.plan_of(settings).peak_per_s == pytest.approx(90.0)
    replayed = RunSettings("load", "simple", seed=1, out=Path("out"), trace="a b.log", speed=3.0, namespace="n")
    assert "a b.log" in shlex.split(replayed.command())
