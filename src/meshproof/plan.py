"""The plan: every attempt of a run, computed from the seed before anything is sent.

Pure: the same arguments give the same plan, byte for byte, on every machine. The digest of a plan covers the time, the
kind and the payload of every attempt. What it does not cover is the namespace — the prefix that keeps the delivery ids
and the workflows of two runs of one plan apart.

Two models of load share it. Open: attempts have a time, whatever becomes of those before (`rate` > 0), at a constant mean rate,
along a `course`, or as in a recorded `trace`. Closed: exactly
so many runs are in flight at any time, and the next attempt starts when one ends (`levels`); attempts then have an
order and no time.
"""

from __future__ import annotations

import math
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from hashlib import sha256
from itertools import accumulate, chain, repeat
from typing import Any, Literal, NamedTuple

from meshproof import scenarios
from meshproof.draw import Draw
from meshproof.load import shape, trace
from meshproof.load.shape import Piece

Kind = Literal["first", "redelivery", "conflict", "prepared"]
Arrivals = Literal["poisson", "constant"]

# A conflict is an earlier delivery id with the payload of an index no first delivery ever has.
CONFLICT_INDEX = 1 << 40
# What is put in beside the load has numbers of its own. It is a quarter more than is to stand, since workers begin with it at once.
PREPARED_N = 1 << 40
SPARE = 1.25
# It is put in after this part of the steady phase.
ALONE_SHARE = 0.2
# How far back a redelivery may reach, in deliveries of its scenario. Half of them follow at once: that is the race.
RECENT = 1_000
RACING = 4


class Attempt(NamedTuple):
    """One request to send."""

    n: int
    """Its number, unique over the run and rising with time."""
    at_us: int
    """When to send it, in microseconds from the start; 0 in a closed level."""
    scenario: str
    i: int
    """With the seed and the scenario this makes the payload."""
    kind: Kind
    delivery: int
    """The number of the delivery it belongs to: a redelivery or a conflict has that of an earlier attempt."""

    def payload(self, seed: int) -> bytes:
        """The body to send."""
        return scenarios.load(self.scenario).payload(seed, self.i)


@dataclass(frozen=True)
class Level:
    """One level of the closed model."""

    in_flight: int
    """How many runs are in flight, exactly."""
    attempts: int
    """How many are sent in all; the first `in_flight` of them fill the level up."""


@dataclass(frozen=True)
class Plan:
    """What is going to be sent. Times are seconds, rates per second."""

    profile: str
    scenario: str
    seed: int
    namespace: str
    rate: float = 0.0
    warmup_s: float = 0.0
    duration_s: float = 0.0
    arrivals: Arrivals = "poisson"
    levels: tuple[Level, ...] = ()
    backlog: int | None = None
    """How many runs of the backlog of the scenario are to stand; None takes what the scenario says."""
    course: tuple[Piece, ...] = ()
    """How the rate goes, warm-up included, where it is not constant; `rate` is then its mean over the steady phase."""
    trace: str | None = None
    """A file with recorded moments, which are played again in place of drawn ones."""
    speed: float = 1.0
    """How many times as fast."""

    def attempts(self) -> Iterator[Attempt]:
        """Every attempt, in the order of `n`."""
        times = self._open_times() if not self.levels else self._closed_times()
        return _attempts(self.seed, self.scenario, times)

    def untimed(self) -> Iterator[Attempt]:
        """The same attempts without an end, before it is known when they are due."""
        return _attempts(self.seed, self.scenario, repeat(0))

    def prepared(self) -> Iterator[Attempt]:
        """What is put in all at once, at `prepared_at_s`, and not by the generator: the backlog."""
        backlog = scenarios.load(self.scenario).backlog
        if backlog is not None:
            for i in range(round(self.standing * SPARE)):
                yield Attempt(
                    PREPARED_N + i, round(self.prepared_at_s * 1e6), backlog.scenario, i, "prepared", PREPARED_N + i
                )

    @property
    def peak_per_s(self) -> float:
        """The highest rate that requests are due at; of a trace, over a second."""
        if self.trace is not None:
            return trace.peak_per_s(tuple(self._traced()))
        return shape.peak_per_s(self.course) if self.course else self.rate

    @property
    def standing(self) -> int:
        """How many runs of a backlog are to stand."""
        backlog = scenarios.load(self.scenario).backlog
        if backlog is None:
            return 0
        return backlog.runs if self.backlog is None else self.backlog

    @property
    def prepared_at_s(self) -> float:
        """When the backlog is put in; putting in 100,000 runs takes a while too."""
        return self.warmup_s + self.duration_s * ALONE_SHARE

    def delivery_id(self, attempt: Attempt) -> str:
        """What the attempt carries as `webhook-id`."""
        return f"{self.namespace}-{attempt.delivery:x}"

    def members(self) -> list[str]:
        """The scenarios that have runs."""
        return scenarios.load(self.scenario).members

    def projects(self) -> list[str]:
        """The projects that the workflows of its scenarios are in."""
        return sorted({scenarios.load(name).project for name in self.members()})

    def place(self, scenario: str) -> str:
        """The name of the workflow and of the endpoint of one of its scenarios."""
        return f"{self.namespace}-{scenario}"

    @cached_property
    def digest(self) -> str:
        """SHA-256 (hex) over the time, kind, delivery and payload of every attempt. Makes every payload once."""
        total = sha256()
        for attempt in chain(self.attempts(), self.prepared()):
            total.update(repr(tuple(attempt)).encode())
            total.update(sha256(attempt.payload(self.seed)).digest())
        return total.hexdigest()

    def document(self) -> dict[str, Any]:
        """The part of `plan.json` that the plan itself knows."""
        members = {name: scenarios.load(name) for name in self.members()}
        attempts = deliveries = 0
        for attempt in self.attempts():
            attempts += 1
            deliveries += attempt.kind == "first"
        return {
            "profile": self.profile,
            "scenario": self.scenario,
            "seed": self.seed,
            "namespace": self.namespace,
            "rate": self.rate,
            "arrivals": "closed" if self.levels else "trace" if self.trace else self.arrivals,
            "course": [asdict(piece) for piece in self.course] or None,
            "warmup_s": self.warmup_s,
            "duration_s": self.duration_s,
            "levels": self._level_ranges(),
            "attempts": attempts,
            "deliveries": deliveries,
            "digest": self.digest,
            "backlog": self._backlog(),
            **self._own(members.values()),
            "scenarios": {
                name: {
                    "workflow": self.place(name),
                    "endpoint": self.place(name),
                    "definition": member.definition,
                    "config": member.config,
                }
                for name, member in members.items()
            },
        }

    def _own(self, members: Iterable[scenarios.Scenario]) -> dict[str, Any]:
        """What is said of workflows that are tested as they are; nothing where there are none."""
        own = [member for member in members if not member.modelled]
        if not own:
            return {}
        return {
            "without_model": [member.name for member in own],
            "adapted": [change for member in own for change in member.adapted],
            "varies": [member.varies for member in own if member.varies],
        }

    def _backlog(self) -> dict[str, Any] | None:
        backlog = scenarios.load(self.scenario).backlog
        if backlog is None:
            return None
        put_in = sum(1 for _ in self.prepared())
        return {"scenario": backlog.scenario, "runs": self.standing, "put_in": put_in, "at_s": self.prepared_at_s}

    def _level_ranges(self) -> list[dict[str, int]]:
        ends = list(accumulate(level.attempts for level in self.levels))
        return [
            {
                "in_flight": level.in_flight,
                "attempts": level.attempts,
                "first_n": end - level.attempts,
                "last_n": end - 1,
            }
            for level, end in zip(self.levels, ends, strict=True)
        ]

    def _open_times(self) -> Iterator[int]:
        if self.trace is not None:
            yield from self._traced()
            return
        if self.course:
            yield from (at_us for at_us in shape.moments(self.course, self.gaps()) if at_us is not None)
            return
        end_us = round((self.warmup_s + self.duration_s) * 1_000_000)
        if self.arrivals == "constant":
            count = 0
            while (at_us := round(count * 1_000_000 / self.rate)) < end_us:
                yield at_us
                count += 1
            return
        draw = Draw(self.seed, "arrivals")
        at = 0.0
        while True:
            # Exponential gaps make a Poisson process: what independent senders look like from here.
            at -= math.log(1.0 - draw.unit()) / self.rate
            if (at_us := round(at * 1_000_000)) >= end_us:
                return
            yield at_us

    def gaps(self) -> Iterator[float]:
        """From one arrival to the next, of a process of rate 1."""
        if self.arrivals == "constant":
            return chain((0.0,), repeat(1.0))
        draw = Draw(self.seed, "arrivals")
        return (-math.log(1.0 - draw.unit()) for _ in repeat(None))

    def _traced(self) -> Iterator[int]:
        assert self.trace is not None
        end_us = round((self.warmup_s + self.duration_s) * 1_000_000)
        for moment_us in trace.read(self.trace):
            if (at_us := round(moment_us / self.speed)) >= end_us:
                return
            yield at_us

    def _closed_times(self) -> Iterator[int]:
        for level in self.levels:
            for _ in range(level.attempts):
                yield 0


def _attempts(seed: int, scenario: str, times: Iterator[int]) -> Iterator[Attempt]:
    blend = scenarios.load(scenario).blend
    members = [name for name, weight in sorted(blend.items()) for _ in range(weight)]
    shares = {name: (scenarios.load(name).redelivered, scenarios.load(name).conflicted) for name in blend}
    recent: dict[str, deque[tuple[int, int]]] = defaultdict(lambda: deque(maxlen=RECENT))
    next_index: dict[str, int] = defaultdict(int)
    delivery = 0
    for n, at_us in enumerate(times):
        draw = Draw(seed, "attempt", n)
        name = draw.pick(members)
        redelivered, conflicted = shares[name]
        fate = draw.unit()
        if fate < redelivered + conflicted and recent[name]:
            reach = RACING if draw.chance(0.5) else RECENT
            earlier, index = recent[name][-1 - draw.below(min(reach, len(recent[name])))]
            if fate < redelivered:
                yield Attempt(n, at_us, name, index, "redelivery", earlier)
            else:
                yield Attempt(n, at_us, name, CONFLICT_INDEX + n, "conflict", earlier)
            continue
        index = next_index[name]
        next_index[name] += 1
        recent[name].append((delivery, index))
        yield Attempt(n, at_us, name, index, "first", delivery)
        delivery += 1
