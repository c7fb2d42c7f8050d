"""By how much the clock of this machine and that of the database may differ."""

from __future__ import annotations

import time
from typing import Final

from meshproof.database import Reader

SAMPLES: Final = 7


async def skew_us(reader: Reader) -> int:
    """A bound in microseconds: the clocks differ by no more.

    The database reads its clock between our asking and its answer, so each answer bounds the difference from both sides
    (F. Cristian, Probabilistic clock synchronization, 1989); of several answers the bounds hold together. Raises database.ERRORS.
    """
    samples = []
    for _ in range(SAMPLES):
        asked_us = time.time_ns() // 1_000
        (row,) = await reader.fetch("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS at_us")
        samples.append((asked_us, int(row["at_us"]), time.time_ns() // 1_000 + 1))
    return bound_us(samples)


def bound_us(samples: list[tuple[int, int, int]]) -> int:
    """The bound that samples of (asked, told, answered) give together, in their unit. Samples that contradict each other mean
    that a clock was set meanwhile; the widest of them counts then."""
    least = max(told - answered for _, told, answered in samples)
    most = min(told - asked for asked, told, _ in samples)
    if least > most:
        return max(max(abs(told - answered), abs(told - asked)) for asked, told, answered in samples)
    return max(abs(least), abs(most))
