"""What must be true of one schedule, by what its actors were told. A model of its own: it never looks at the tables."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

from meshproof.explore.machine import Event
from meshproof.explore.moves import require
from meshproof.explore.plan import Delivery, Plan
from meshproof.explore.seen import Seen
from meshproof.explore.times import START, at

FIRST_ID = int(START.timestamp() * 1000) << 80 | 0x7 << 76 | 0x2 << 62


CHILD: Final = {"kind": "steps", "size": 1}
"""What a run is to do that another one starts."""


class Lease(NamedTuple):
    """Who holds a run, and until when."""

    worker: str
    epoch: int
    until: int


class Sent(NamedTuple):
    """An event that is committed, and when it was sent."""

    id: str
    at: int


@dataclass
class Known:
    """A run that was stored, as its writers know it."""

    name: str
    delivery: Delivery
    accepted_at: int
    journal: list[Event]
    epoch: int = 0
    due: int = 0
    ended: str | None = None
    is_in_line: bool = False
    """It was placed in the lane of its key."""


@dataclass
class World:
    """One schedule. ``taken`` are the runs that a transaction still open has claimed, ``poked`` the signals that were poked,
    ``read`` those that are in a journal.
    """

    shard: int
    plan: Plan
    endpoint: int
    project: int
    now_s: int = 0
    runs: dict[UUID, Known] = field(default_factory=dict)
    keys: dict[str, tuple[UUID, str]] = field(default_factory=dict)
    leases: dict[UUID, Lease] = field(default_factory=dict)
    taken: dict[UUID, str] = field(default_factory=dict)
    events: list[Sent] = field(default_factory=list)
    poked: set[int] = field(default_factory=set)
    read: set[int] = field(default_factory=set)
    seen: Seen = field(default_factory=Seen)
    _names: dict[UUID, str] = field(default_factory=dict)

    @property
    def now(self) -> datetime:
        """The time of the schedule, as the database is told it."""
        return at(self.now_s)

    @property
    def live(self) -> list[UUID]:
        """The runs that have not ended."""
        return [id for id, run in self.runs.items() if run.ended is None]

    def new_id(self) -> UUID:
        """A run id that was not used before."""
        id = UUID(int=FIRST_ID + len(self._names) + 1)
        self._names[id] = f"r{len(self._names) + 1}"
        return id

    def name(self, run: UUID) -> str:
        """What a run is called in a story."""
        return self._names.get(run, str(run))

    @staticmethod
    def started(parent: UUID, node: str) -> Event:
        """What the journal of a run begins with that another one has started."""
        return {"type": "run.accepted", "trigger": CHILD, "parent": [str(parent), node]}

    def store(self, run: UUID, delivery: Delivery, accepted_at: int, accepted: Event) -> None:
        """A delivery was accepted, and that is committed."""
        self.runs[run] = Known(self.name(run), delivery, accepted_at, [accepted], due=accepted_at)
        if delivery.dedupe is not None:
            self.keys[delivery.dedupe] = (run, delivery.body)

    def answer(self, delivery: Delivery) -> tuple[str, UUID | None]:
        """What a delivery must be answered with now."""
        first = self.keys.get(delivery.dedupe) if delivery.dedupe is not None else None
        if first is None:
            return "new", None
        return ("duplicate" if first[1] == delivery.body else "key-reused"), first[0]

    def check_claim(self, worker: str, run: UUID, *, epoch: int, signaled: bool, events: int) -> None:
        """A worker was given a run."""
        known, name = self.runs.get(run), self.name(run)
        require(known is not None, "accepted-once", f"{worker} claimed {name}, which nobody was told of")
        assert known is not None
        require(known.ended is None, "terminal-immutable", f"{worker} claimed {name}, which has ended")
        other = self.taken.get(run)
        require(
            other is None, "one-holder", f"{worker} claimed {name}, which {other} has claimed and not committed yet"
        )
        lease = self.leases.get(run)
        require(
            lease is None or lease.until <= self.now_s,
            "one-holder",
            f"{worker} claimed {name} at {self.now_s} s, under a lease of {lease and lease.worker} until {lease and lease.until} s",
        )
        require(
            epoch == known.epoch,
            "epoch-grows",
            f"{name} was claimed at epoch {epoch}; its last writer had {known.epoch}",
        )
        require(
            signaled or known.due <= self.now_s,
            "not-early",
            f"{worker} claimed {name} at {self.now_s} s, and it is due at {known.due} s",
        )
        require(
            events == len(known.journal),
            "whole-journal",
            f"{worker} was given {events} of {len(known.journal)} events of {name}",
        )
        self.taken[run] = worker

    def check_lane(self, worker: str, run: UUID) -> None:
        """A worker was given a run out of its lane, or under a lease that ran out: there it had its slot all the time."""
        mine = self.runs[run]
        beside = {
            other: known
            for other, known in self.runs.items()
            if known.is_in_line and known.delivery.key == mine.delivery.key
        }
        busy = [known.name for other, known in beside.items() if other in self.taken or other in self.leases]
        require(
            len(busy) <= self.plan.slots,
            "slots",
            f"{worker} was given {mine.name}: {', '.join(busy)} of its key are under way, and {self.plan.slots} may be",
        )
        first = [
            known.name
            for other, known in beside.items()
            if known.epoch == 0 and other < run and other not in self.taken and known.ended is None
        ]
        require(
            mine.epoch > 0 or not first,
            "lane-order",
            f"{worker} was given {mine.name} to start; {', '.join(first)} of the same key came first, and stands in line",
        )

    def may_write(self, run: UUID, epoch: int) -> bool:
        """Whether a write under a lease must be taken: nobody has written since."""
        known = self.runs[run]
        return known.ended is None and known.epoch == epoch

    def wrote(self, run: UUID, epoch: int, events: list[Event], due: int | None) -> None:
        """A write is committed; ``due`` is None when the run has ended."""
        known = self.runs[run]
        known.epoch = epoch
        known.journal += events
        if due is None:
            known.ended = events[-1]["type"].removeprefix("run.")
        else:
            known.due = due

    def wanted_event(self, run: UUID, received: list[str]) -> Sent | None:
        """The event that a run which waits must have been told of, after those it has received; None if there is none yet."""
        known = self.runs[run]
        fitting = [sent for sent in self.events if sent.at >= known.accepted_at]
        behind = max((number for number, sent in enumerate(fitting) if sent.id in received), default=-1)
        return next(iter(fitting[behind + 1 :]), None)
