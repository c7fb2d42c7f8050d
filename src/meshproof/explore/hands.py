"""Runs in the hands of a worker: what it was given, and what it is about to write."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from uuid import UUID

from meshproof.explore.machine import Choice, Event, Machine
from meshproof.explore.times import LEASE_S, NEVER_S, SLEEP_S


@dataclass(slots=True)
class Taken:
    """One run, and what is to become of it.

    ``epoch`` is the one to write under; ``until`` when its lease ends; ``due`` when it wants attention next, None at its end.
    """

    run: UUID
    epoch: int
    machine: Machine
    owner: str | None
    claimed_s: int
    due_s: int
    signaled: bool
    lane: int | None
    until: int
    leased: bool = False
    pending: list[Event] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    due: int | None = None
    seq: int = 0
    was_waiting: bool = False
    put_back: bool = False

    @property
    def is_entry(self) -> bool:
        """Whether it stands at the entry of its workflow: it is not to be worked on but to get in line."""
        return self.lane is not None and self.lane < 0

    def begin(self) -> None:
        """Get ready for one write."""
        self.seq, self.was_waiting = self.machine.events + 1, self.machine.waiting
        self.pending, self.numbers, self.put_back = [], [], False

    def note(self, event: Event) -> None:
        """Something that is not the machine's, to be written."""
        self.machine.events += 1
        self.pending.append(event)

    def receive(self, number: int, kind: str, body: dict[str, object]) -> None:
        """Something lay in the inbox."""
        self.numbers.append(number)
        self.pending += self.machine.receive(kind, body)

    def advance(self, choice: Choice, worker: str, now_s: int, new_id: Callable[[], UUID]) -> None:
        """Go on, and decide what becomes of the run."""
        self.pending += self.machine.advance(choice, new_id)
        if self.machine.ended is not None:
            self.due = None
        elif choice is Choice.LEASE:
            if not self.leased:
                self.note({"type": "lease.taken", "owner": worker})
                self.leased, self.until = True, max(self.until, self.claimed_s + LEASE_S)
            self.due = self.until
        else:
            if self.leased:
                self.note({"type": "lease.released", "owner": worker})
                self.leased = False
            self.due = (
                NEVER_S if self.machine.is_idle else now_s + SLEEP_S if choice is Choice.SLEEP else self.claimed_s
            )
