"""Whether one run, as it is stored, is what its journal says. Pure: ``census`` reads the runs, here they are judged."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from meshhook import machine
from meshhook.errors import JournalError
from meshhook.ids import shard_of
from meshhook.model import TERMINAL, State

_decode = msgspec.json.Decoder().decode


class Written(NamedTuple):
    """One journal row: ``events`` is a JSON array."""

    seq: int
    epoch: int
    claimed_at: datetime | None
    at: datetime
    events: str


class Place(NamedTuple):
    """The place of a live run in the queue."""

    epoch: int
    owner: str | None


@dataclass(frozen=True, slots=True)
class Record:
    """One run with everything that is stored of it, out of one snapshot. ``status`` is ``None`` when the run itself is missing."""

    shard: int
    id: UUID
    status: str | None
    finished_at: datetime | None
    epoch: int
    version_id: int
    place: Place | None
    journal: list[Written] = field(default_factory=list)

    def events(self) -> list[dict[str, Any]]:
        """Every event, in order."""
        return [event for row in self.journal for event in _decode(row.events)]


class Difference(NamedTuple):
    """What is wrong with a run: the rule it breaks, what its journal says, and what was found."""

    id: UUID
    rule: str
    expected: object
    found: object


def differences(record: Record) -> Iterator[Difference]:
    """Everything in which a stored run differs from its journal; nothing when all is well."""
    if record.status is None:
        yield from _orphans(record)
        return
    if record.shard != shard_of(record.id):
        yield Difference(record.id, "a run lives in the shard of its id", shard_of(record.id), record.shard)
    yield from _sequence(record)
    yield from _epochs(record)
    try:
        state = machine.fold(record.events())
    except JournalError as error:
        yield Difference(record.id, "the journal folds", "a state", str(error))
        return
    yield from _state(record, state)
    yield from _queue(record, state)


def _orphans(record: Record) -> Iterator[Difference]:
    if record.journal:
        found = f"{len(record.journal)} journal rows alone"
        yield Difference(record.id, "a journal belongs to a run", "a row in runs", found)
    if record.place is not None:
        yield Difference(record.id, "a place in the queue belongs to a run", "a row in runs", "a task alone")


def _sequence(record: Record) -> Iterator[Difference]:
    next_seq = 1
    for row in record.journal:
        if row.seq != next_seq:
            yield Difference(record.id, "events are numbered without a gap", next_seq, row.seq)
        next_seq = row.seq + len(_decode(row.events))
        if next_seq == row.seq:
            yield Difference(record.id, "a journal row holds events", "one or more", f"none at {row.seq}")


def _epochs(record: Record) -> Iterator[Difference]:
    epoch, at = -1, None
    for row in record.journal:
        if row.epoch < epoch:
            yield Difference(record.id, "epochs only rise", f"{epoch} or more at event {row.seq}", row.epoch)
        if at is not None and row.at < at:
            yield Difference(record.id, "the journal goes forward in time", f"{at} or later at event {row.seq}", row.at)
        if (row.claimed_at is None) != (row.epoch == 0):
            yield Difference(record.id, "who writes has claimed", f"claimed_at at event {row.seq}", row.claimed_at)
        if row.claimed_at is not None and row.claimed_at > row.at:
            yield Difference(record.id, "claiming comes before writing", f"{row.at} or before", row.claimed_at)
        epoch, at = row.epoch, row.at
    if record.journal and record.epoch != max(epoch, 0):
        yield Difference(record.id, "a run has the epoch of its last writer", epoch, record.epoch)


def _state(record: Record, state: State) -> Iterator[Difference]:
    finished_at = record.journal[-1].at if state.status in TERMINAL else None
    for rule, expected, found in (
        ("a run stands where its journal ends", state.status, record.status),
        ("a run finished when its last event was written", finished_at, record.finished_at),
        ("a run is pinned to the version it was accepted with", state.version_id, record.version_id),
    ):
        if expected != found:
            yield Difference(record.id, rule, expected, found)


def _queue(record: Record, state: State) -> Iterator[Difference]:
    if record.place is None:
        if state.status not in TERMINAL:
            yield Difference(record.id, "a live run is in the queue", "one task", "none")
    elif state.status in TERMINAL:
        yield Difference(record.id, "a finished run is not in the queue", "no task", "one")
    elif record.place != (record.epoch, state.owner):
        expected = f"epoch {record.epoch}, owner {state.owner}"
        found = f"epoch {record.place.epoch}, owner {record.place.owner}"
        yield Difference(record.id, "the queue knows who holds a run", expected, found)
