"""Where an engine stopped following its load, what was full first, and whether it came back by itself. Pure.

Goodput is runs finished a second. It follows the load when it is at least `FOLLOWS` of the runs that were offered. The knee is the
last step up at which it did; the first at which it did not is where it broke.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any, Final

from meshproof.analysis.climb import FOLLOWS

FULL: Final = 0.85
"""A part of the machine that is busy for this part of the time is taken for full."""
AS_BEFORE: Final = 0.95
"""On the way down a step is as good as on the way up when it does this part of the runs."""
WAL_WAITS: Final = ("IO:Wal", "LWLock:WAL", "IPC:CommitGroup")
LATE_P99_MS: Final = 5.0
GENERATOR_CPU: Final = 0.8


@dataclass(frozen=True)
class Step:
    """One step of the load, as the evidence has it. Rates are per second, of the part of the step after it had settled."""

    number: int
    way: str
    """`up` or `down`."""
    rate: float
    offered_per_s: float
    """Runs there should have been."""
    accepted_per_s: float
    goodput_per_s: float
    end_to_end_p99_ms: float | None
    cores: dict[str, float] = field(default_factory=dict)
    """Processor time of each role over wall time; `others` is what did not belong to the run."""
    waits: dict[str, float] = field(default_factory=dict)
    """For which part of the time somebody in the database waited for what."""
    lag_p99_ms: float = 0.0
    generator_cpu: float = 0.0
    unsent: int = 0

    @property
    def share(self) -> float:
        """Which part of what was offered got done."""
        return self.goodput_per_s / self.offered_per_s if self.offered_per_s else 1.0

    @property
    def follows(self) -> bool:
        """Whether goodput followed the load."""
        return self.share >= FOLLOWS

    @property
    def generator_kept_up(self) -> bool:
        """Whether the generator did its part; what is unsent because too much was in flight is the engine's doing."""
        return self.lag_p99_ms <= LATE_P99_MS and self.generator_cpu <= GENERATOR_CPU


@dataclass(frozen=True)
class Machine:
    """What the engine had."""

    cores: int
    apis: int
    workers: int


def broke_at(steps: Sequence[Step]) -> Step | None:
    """The first step on the way up at which goodput did not follow; None when it always did."""
    return next((step for step in steps if step.way == "up" and not step.follows), None)


def knee(steps: Sequence[Step]) -> Step | None:
    """The last step on the way up before it broke; None when the first did not follow already."""
    before = list(takewhile(lambda step: step.way == "up" and step.follows, steps))
    return before[-1] if before else None


def generator_broke_at(steps: Sequence[Step]) -> Step | None:
    """The first step at which the generator itself could not keep up, if that was before the engine broke."""
    for step in steps:
        if step.way != "up" or not step.follows:
            return None if step.generator_kept_up or step.way != "up" else step
        if not step.generator_kept_up:
            return step
    return None


def busy(step: Step, machine: Machine) -> dict[str, float]:
    """How full each part was in a step, as a part of what there is of it."""
    cores = step.cores
    wal = [share for what, share in step.waits.items() if what.partition(" ")[2].startswith(WAL_WAITS)]
    locks = [share for what, share in step.waits.items() if what.partition(" ")[2].startswith("Lock:")]
    parts = {
        "API processes": cores.get("api", 0.0) / machine.apis,
        "worker processes": cores.get("worker", 0.0) / machine.workers,
        "processors of the machine": sum(cores.values()) / machine.cores,
        "generator": step.generator_cpu,
        "write-ahead log": max(wal, default=0.0),
        "locks between sessions": max(locks, default=0.0),
    }
    return {name: round(share, 3) for name, share in sorted(parts.items(), key=lambda part: -part[1])}


def full_first(steps: Sequence[Step], machine: Machine) -> tuple[Step, list[str]] | None:
    """The first step on the way up in which something was full, and what, the fullest first."""
    for step in steps:
        full = [name for name, share in busy(step, machine).items() if share >= FULL]
        if step.way == "up" and full:
            return step, full
    return None


def hysteresis(steps: Sequence[Step]) -> list[dict[str, Any]]:
    """Each rate on the way up beside itself on the way down. `down_of_up` is 1 when nothing is left of the overload."""
    down = {step.rate: step for step in steps if step.way == "down"}
    return [
        {
            "rate": up.rate,
            "up_per_s": up.goodput_per_s,
            "down_per_s": down[up.rate].goodput_per_s,
            "down_of_up": _done(down[up.rate]) / _done(up) if _done(up) else None,
            "up_p99_ms": up.end_to_end_p99_ms,
            "down_p99_ms": down[up.rate].end_to_end_p99_ms,
        }
        for up in steps
        if up.way == "up" and up.rate in down
    ]


def _done(step: Step) -> float:
    """What was done of this step's own load: working off what waited from before is no merit of it."""
    return min(step.goodput_per_s, step.offered_per_s)


def recovered(steps: Sequence[Step], interventions: int) -> bool | None:
    """Whether the last step down was done as on the way up, with nobody's help; None when it was never overloaded."""
    down = [step for step in steps if step.way == "down"]
    if broke_at(steps) is None or not down:
        return None
    pairs = [pair for pair in hysteresis(steps) if pair["rate"] == down[-1].rate]
    return interventions == 0 and all((pair["down_of_up"] or 0.0) >= AS_BEFORE for pair in pairs)
