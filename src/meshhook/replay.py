"""Whether a run can be repeated: the machine, given the same start and the same definition, must produce the same events. Pure."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from meshhook import machine
from meshhook.model import Definition
from meshhook.verify import Difference, Record

_encode = msgspec.json.Encoder().encode


def is_repeatable(record: Record) -> bool:
    """Whether a run can be repeated: one that ended by a fault of the engine can't, for no machine repeats that."""
    last = record.events()[-1]
    return not (last["type"] == "run.failed" and last["error"].get("type") == "engine")


def divergence(record: Record, definition: Definition) -> Difference | None:
    """The first event in which a repetition differs from the journal, byte for byte; ``None`` when none does.

    Leases are left out: who held a run and for how long is not the workflow's doing. A live run is compared as far as it is.

    Raises:
        JournalError: the journal does not begin with ``run.accepted``.
    """
    first, *journaled = [event for event in record.events() if not event["type"].startswith("lease.")]
    repeated = _repeat(record, definition, first)
    for event in journaled:
        expected = next(repeated, None)
        if expected != _encode(event):
            return Difference(record.id, "a repetition gives the same events", _text(expected), _text(_encode(event)))
    surplus = next(repeated, None) if record.finished_at is not None else None
    if surplus is not None:
        return Difference(record.id, "a repetition gives the same events", _text(surplus), "the end of the journal")
    return None


def _repeat(record: Record, definition: Definition, accepted: dict[str, object]) -> Iterator[bytes]:
    state = machine.fold([accepted])
    for events in machine.advance(definition, state, str(record.id)):
        yield from (event.json for event in events)


def _text(event: bytes | None) -> str:
    if event is None:
        return "nothing more"
    text = event.decode()
    return text if len(text) <= 500 else text[:400] + " … " + text[-90:]
