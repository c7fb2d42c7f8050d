"""One process of an exploration: a job comes on standard input, a line goes out for each second, and the result at the end."""

from __future__ import annotations

import sys
import time
from typing import Final

import msgspec

from meshproof.explore.explorer import SHRUNK_MAX, Counterexample, Found, explore_one
from meshproof.explore.stage import Stage

PROGRESS_S: Final = 0.5


class Job(msgspec.Struct):
    """Seeds from ``first`` on, every ``step``-th of them, ``count`` in all, in a database of its own."""

    dsn: str
    first: int
    step: int
    count: int
    patch: str | None = None


class Said(msgspec.Struct):
    """How far it is. ``counterexamples`` comes with the last line."""

    schedules: int
    violations: int
    counterexamples: list[Counterexample] | None = None


def work(job: Job) -> None:
    """Play the schedules of a job."""
    found, told_at = Found(), time.monotonic()
    with Stage(job.dsn, job.patch) as stage:
        say(Said(0, 0))
        for number in range(job.count):
            explore_one(stage, job.first + number * job.step, found, SHRUNK_MAX)
            if time.monotonic() - told_at > PROGRESS_S:
                told_at = time.monotonic()
                say(Said(found.schedules, found.violations))
    say(Said(found.schedules, found.violations, found.counterexamples))


def say(said: Said) -> None:
    """Tell whoever started this."""
    sys.stdout.buffer.write(msgspec.json.encode(said) + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    work(msgspec.json.decode(sys.stdin.buffer.readline(), type=Job))
