"""A recorded trace: the moments at which somebody else's requests came, to be played again as they were.

A line a request, in any of these forms; the first moment counts as the start, and empty lines and comments (`#`) are left out:

    12.034                          seconds, from whenever
    2026-11-23T17:20:01.250Z        a time, as ISO 8601 writes it; what follows behind a blank or a comma is not read
    {"intended_us": 1795434365851}  the ledger of a run of ours: `--trace build/load/sent/0.attempts.ndjson`
"""

from __future__ import annotations

import json
from bisect import bisect_left
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Final

LONGEST_S: Final = 7 * 86_400.0


class TraceError(ValueError):
    """The file is no trace that can be played; the message says which line, and why."""


@lru_cache(maxsize=2)
def read(path: str) -> tuple[int, ...]:
    """The moments of a trace in microseconds from its first one, in order. Raises TraceError."""
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise TraceError(f"The trace {path} cannot be read: {error}.") from error
    times = sorted(
        _seconds(path, number, line)
        for number, line in enumerate(lines, start=1)
        if line.strip() and not line.startswith("#")
    )
    if len(times) < 2:
        raise TraceError(f"The trace {path} has {len(times)} requests; it takes two at least.")
    if times[-1] - times[0] > LONGEST_S:
        raise TraceError(f"The trace {path} covers more than {LONGEST_S / 86_400:g} days. Cut it, or give --speed.")
    return tuple(round((time - times[0]) * 1e6) for time in times)


def peak_per_s(moments_us: tuple[int, ...]) -> float:
    """The most requests within any second that begins with one of them."""
    return float(max(bisect_left(moments_us, at + 1_000_000) - index for index, at in enumerate(moments_us)))


def _seconds(path: str, number: int, line: str) -> float:
    try:
        if line.lstrip().startswith("{"):
            return float(json.loads(line)["intended_us"]) / 1e6
        word = line.replace(",", " ").split()[0].strip('"')
        try:
            return float(word)
        except ValueError:
            stamp = datetime.fromisoformat(word)
            return (stamp if stamp.tzinfo else stamp.replace(tzinfo=UTC)).timestamp()
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise TraceError(
            f"Line {number} of the trace {path} is no moment: {line[:60]!r}. Seconds, ISO 8601 times and lines of a"
            " ledger of ours (intended_us) are."
        ) from error
