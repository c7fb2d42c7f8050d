"""Events as frames of a server-sent event stream, and the cursors that stand in their ``id``. Pure.

A frame is a few lines of text and an empty one (HTML, section 9.2). Events of the journal carry no ``event:`` line, so that
``EventSource.onmessage`` gets all of them; what the stream says about itself does: ``lagged``, ``reset``, ``end``.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

import msgspec

HEARTBEAT: Final = b":\n\n"
_TYPE: Final = re.compile(rb'\{"type" ?: ?"([a-z._]+)"')
_CURSOR: Final = re.compile(r"(\d{1,18})\.(\d{1,9})\.(\d{1,9})")
_LINE_ENDS: Final = bytes.maketrans(b"\r\n", b"  ")
_events: Final = msgspec.json.Decoder(list[msgspec.Raw])


class Position(NamedTuple):
    """A place in the feed: everything up to ``event`` of journal row ``ordinal`` of ``place`` has been told."""

    place: int
    ordinal: int = 1
    event: int = 0

    def __str__(self) -> str:
        return f"{self.place}.{self.ordinal}.{self.event}"

    @classmethod
    def parse(cls, text: str) -> Position | None:
        """The position a cursor stands for; ``None``: it is none of ours."""
        found = _CURSOR.fullmatch(text)
        return None if found is None else cls(*map(int, found.groups()))


class Written(NamedTuple):
    """One journal row, and what is known of its run. ``position`` is before its first event; none in a run's own stream.

    ``finished``: the run has ended by the time this was read. ``events`` is a JSON array.
    """

    position: Position | None
    run_id: UUID
    project_id: int
    workflow: str
    seq: int
    epoch: int
    at: datetime
    status: str | None
    finished: bool
    events: str


class Frame(NamedTuple):
    """One event, ready to be sent. ``order`` grows within a stream: a position in the feed, or ``seq`` in that of a run."""

    order: Position | int
    type: str
    text: bytes


def frames_of(written: Written) -> list[Frame]:
    """Every event of a journal row."""
    position, at = written.position, msgspec.json.encode(written.at).decode()
    head = (
        f'{{"run_id":"{written.run_id}","workflow":"{written.workflow}","run_status":"{written.status or "queued"}",'
        f'"epoch":{written.epoch},"at":{at},"seq":'
    ).encode()
    lead = b"id: " if position is None else b"id: %d.%d." % (position.place, position.ordinal)
    made: list[Frame] = []
    for index, raw in enumerate(_events.decode(written.events)):
        event = bytes(raw)
        if b"\n" in event or b"\r" in event:
            # A line end is a letter of no JSON string, but may stand between the parts of what a sender sent.
            event = event.translate(_LINE_ENDS)
        type, seq = _TYPE.match(event), written.seq + index
        order = seq if position is None else Position(position.place, position.ordinal, index + 1)
        number = seq if position is None else index + 1
        text = b"%b%d\ndata: %b%d,%b\n\n" % (lead, number, head, seq, event[1:])
        made.append(Frame(order, type[1].decode() if type else "", text))
    return made


def data_of(frame: Frame) -> bytes:
    """The event of a frame, as JSON."""
    return frame.text.split(b"\ndata: ", 1)[1].rstrip(b"\n")


def mark(order: Position | int) -> bytes:
    """Sets the cursor of the reader, and shows nothing: what was told up to here was not for him."""
    return f":\nid: {order}\n\n".encode()


def notice(name: str, order: Position | int, **members: object) -> bytes:
    """What the stream says about itself."""
    return f"event: {name}\nid: {order}\ndata: ".encode() + msgspec.json.encode(members) + b"\n\n"


def retry(ms: int) -> bytes:
    """How long to wait before connecting again."""
    return f"retry: {ms}\n\n".encode()
