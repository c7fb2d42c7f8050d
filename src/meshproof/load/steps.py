"""Steps of an open load that become known one after the other, and what the generator was like in each of them.

In a stress run the next rate depends on what became of the last one. Which moments a step has, once its rate is known, and what is
sent in them follows from the seed alone, as in every open load: nothing waits for a reply.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from time import perf_counter_ns, process_time_ns
from typing import Any, Self

from meshproof.load.shape import Piece
from meshproof.stats import Histogram


class Steps:
    """The pieces of a course, as far as they are known. None stands for one that is not known yet."""

    def __init__(self, known: tuple[Piece, ...]) -> None:
        self._coming = deque(known)
        self._ended = False

    def add(self, piece: Piece) -> None:
        """One more is known."""
        self._coming.append(piece)

    def end(self) -> None:
        """There are no more."""
        self._ended = True

    def __iter__(self) -> Iterator[Piece | None]:
        return self

    def __next__(self) -> Piece | None:
        if self._coming:
            return self._coming.popleft()
        if self._ended:
            raise StopIteration
        return None


@dataclass
class Step:
    """What the generator did in one step."""

    number: int
    sent: int
    unsent: int
    """Due while as much was in flight as may be: the engine, or whoever reads its replies, was slow."""
    in_flight_max: int
    cpu_share: float
    """Processor time over wall time, in cores."""
    lag_p99_ms: float

    def document(self) -> dict[str, Any]:
        """As it stands in the certificate."""
        return asdict(self)


class StepMeter:
    """Divides what the generator does by the steps that it is in."""

    def __init__(self) -> None:
        self.done: list[Step] = []
        self._ends_ns: deque[int] = deque()
        self._in_flight_max = 0
        self._open(0, 0)

    def starts(self, begin_ns: int, pieces: tuple[Piece, ...]) -> Self:
        """Steps begin here, the first of them known."""
        self._last_ns = begin_ns
        self._began_ns = begin_ns
        for piece in pieces:
            self.add(piece)
        return self

    def add(self, piece: Piece) -> None:
        """One more step, behind the others."""
        self._last_ns += round(piece.seconds * 1e9)
        self._ends_ns.append(self._last_ns)

    def look(self, now_ns: int, lag_us: Any, unsent: int, in_flight: int) -> None:
        """See where things are; `lag_us` are all lags so far, `unsent` all that was not sent."""
        self._in_flight_max = max(self._in_flight_max, in_flight)
        while self._ends_ns and now_ns >= self._ends_ns[0]:
            self._ends_ns.popleft()
            self.close(lag_us, unsent)

    def close(self, lag_us: Any, unsent: int) -> None:
        """The step is over."""
        lags = Histogram.of(lag_us[self._lags :])
        wall_ns, cpu_ns = perf_counter_ns(), process_time_ns()
        self.done.append(
            Step(
                number=len(self.done),
                sent=lags.count,
                unsent=unsent - self._unsent,
                in_flight_max=self._in_flight_max,
                cpu_share=(cpu_ns - self._cpu_ns) / max(1, wall_ns - self._wall_ns),
                lag_p99_ms=lags.percentile_us(99) / 1_000,
            )
        )
        self._open(len(lag_us), unsent)

    def _open(self, lags: int, unsent: int) -> None:
        self._lags, self._unsent, self._in_flight_max = lags, unsent, 0
        self._wall_ns, self._cpu_ns = perf_counter_ns(), process_time_ns()
