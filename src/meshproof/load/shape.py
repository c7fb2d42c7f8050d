"""The shape of an open load: its rate over time, and the moments that follow from it.

A shape is a row of pieces, in each of which the rate goes in a straight line from one value to another. Moments come of it by
the time change of a Poisson process: a process of rate 1 is stretched by the integral of the rate, so each piece gets as many
arrivals as it must, and the gaps stay those of independent senders (Lewis and Shedler 1979; inverted here, since the integral of
a straight line can be).

Pure: the same pieces and gaps give the same moments, to the microsecond.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Literal

Shape = Literal["constant", "ramp", "spike", "sine"]

RAMP_FROM: Final = 0.1
"""A ramp goes from this part of the mean to as far above it."""
SPIKE_HEIGHT: Final = 5.0
SPIKE_SHARE: Final = 0.1
"""A spike is so many times the rate around it, for this part of the time, in the middle."""
SWING: Final = 0.8
WAVES: Final = 4
PIECES_A_WAVE: Final = 32
"""A sine swings by this part of its mean, so many times; drawn in straight lines, which are off by less than half a per cent."""


@dataclass(frozen=True)
class Piece:
    """Some seconds in which the rate goes in a straight line from one value to another. Rates are per second."""

    seconds: float
    from_per_s: float
    to_per_s: float

    @property
    def arrivals(self) -> float:
        """How many there are on average."""
        return (self.from_per_s + self.to_per_s) / 2 * self.seconds

    def seconds_for(self, arrivals: float) -> float:
        """When so many have arrived, counted from its begin."""
        slope = (self.to_per_s - self.from_per_s) / self.seconds
        # The root of slope/2 t² + from t = arrivals, in the form that also holds for a slope of nothing.
        root = math.sqrt(max(0.0, self.from_per_s**2 + 2 * slope * arrivals))
        return 2 * arrivals / (self.from_per_s + root) if arrivals else 0.0


def pieces(shape: Shape, mean_per_s: float, warmup_s: float, duration_s: float) -> tuple[Piece, ...]:
    """A load of this shape, with this mean over the steady phase; the warm-up is at the rate that begins with."""
    steady = SHAPES[shape](mean_per_s, duration_s)
    before = steady[0].from_per_s
    return (Piece(warmup_s, before, before), *steady) if warmup_s else steady


def _constant(mean_per_s: float, seconds: float) -> tuple[Piece, ...]:
    return (Piece(seconds, mean_per_s, mean_per_s),)


def _ramp(mean_per_s: float, seconds: float) -> tuple[Piece, ...]:
    return (Piece(seconds, mean_per_s * RAMP_FROM, mean_per_s * (2 - RAMP_FROM)),)


def _spike(mean_per_s: float, seconds: float) -> tuple[Piece, ...]:
    around = mean_per_s / (1 - SPIKE_SHARE + SPIKE_SHARE * SPIKE_HEIGHT)
    beside_s, spike_s = seconds * (1 - SPIKE_SHARE) / 2, seconds * SPIKE_SHARE
    high = around * SPIKE_HEIGHT
    return (Piece(beside_s, around, around), Piece(spike_s, high, high), Piece(beside_s, around, around))


def _sine(mean_per_s: float, seconds: float) -> tuple[Piece, ...]:
    count = WAVES * PIECES_A_WAVE
    rates = [mean_per_s * (1 + SWING * math.sin(2 * math.pi * WAVES * number / count)) for number in range(count + 1)]
    return tuple(Piece(seconds / count, rates[number], rates[number + 1]) for number in range(count))


SHAPES: Final[dict[Shape, Callable[[float, float], tuple[Piece, ...]]]] = {
    "constant": _constant,
    "ramp": _ramp,
    "spike": _spike,
    "sine": _sine,
}


def moments(course: Iterable[Piece | None], gaps: Iterator[float]) -> Iterator[int | None]:
    """When requests are due, in microseconds from the start. `gaps` are those of a process of rate 1.

    Where the course gives None, its next piece is not known yet: None comes out too, and the next call asks again.
    """
    began_s = 0.0
    due = next(gaps)
    for piece in course:
        if piece is None:
            yield None
            continue
        while due < piece.arrivals:
            yield int((began_s + piece.seconds_for(due)) * 1e6)
            due += next(gaps)
        due -= piece.arrivals
        began_s += piece.seconds


def peak_per_s(course: Iterable[Piece]) -> float:
    """The highest rate of all."""
    return max(max(piece.from_per_s, piece.to_per_s) for piece in course)
