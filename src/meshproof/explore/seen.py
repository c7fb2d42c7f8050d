"""What is committed, as one snapshot shows it."""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any, Final, NamedTuple
from uuid import UUID

import msgspec

from meshproof.explore.machine import Event

FUNCTION: Final = files(__package__).joinpath("seen.sql").read_text(encoding="utf-8")
STATEMENT: Final = "SELECT * FROM meshproof.seen($1, $2, $3, $4)"


class Task(NamedTuple):
    """A row of the queue; ``due`` in seconds of the schedule."""

    run: UUID
    epoch: int
    owner: str | None
    due: int
    signaled: bool
    queue: int


class StoredRun(NamedTuple):
    """A row of the runs."""

    id: UUID
    epoch: int
    status: str
    finished: bool


class Row(NamedTuple):
    """A row of a journal; ``seq`` is the number of its first event."""

    run: UUID
    seq: int
    epoch: int
    events: list[Event]


class Told(NamedTuple):
    """A row of an inbox."""

    run: UUID
    number: int
    kind: str
    body: dict[str, Any]


class Wait(NamedTuple):
    """A step that waits for an event."""

    run: UUID
    node: str


@dataclass(frozen=True)
class Seen:
    """Everything of one schedule that is committed."""

    tasks: dict[UUID, Task] = field(default_factory=dict)
    runs: dict[UUID, StoredRun] = field(default_factory=dict)
    journal: dict[UUID, list[Row]] = field(default_factory=dict)
    signals: list[Told] = field(default_factory=list)
    waits: set[Wait] = field(default_factory=set)

    @staticmethod
    def of(tasks: str, runs: str, journal: str, signals: str, waits: str) -> Seen:
        """The rows of seen.sql."""
        rows: dict[UUID, list[Row]] = {}
        for row in _rows(journal):
            rows.setdefault(row.run, []).append(row)
        return Seen(
            {task.run: task for task in _tasks(tasks)},
            {run.id: run for run in _runs(runs)},
            rows,
            _signals(signals),
            set(_waits(waits)),
        )


_tasks = msgspec.json.Decoder(list[Task]).decode
_runs = msgspec.json.Decoder(list[StoredRun]).decode
_rows = msgspec.json.Decoder(list[Row]).decode
_signals = msgspec.json.Decoder(list[Told]).decode
_waits = msgspec.json.Decoder(list[Wait]).decode
