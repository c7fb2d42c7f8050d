"""What a stream tells, kept once for all who watch it. Pure.

Hundreds of watchers of one stream are told the same bytes. What the first of them got is parsed and kept; what another got is
compared with it, which costs next to nothing, and parsed only from where it differs. So a watcher can be judged event by event on
a machine that the engine needs for itself.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime

import msgspec
import numpy as np

from meshproof.sse import Parser

Key = tuple[str, int]
"""A run and the number of one of its events."""


class Told(msgspec.Struct):
    """What a watcher needs to know of an event."""

    run_id: str
    seq: int
    at: datetime


_told = msgspec.json.Decoder(Told)
_END = b"\n\n"
_DATA = b"\ndata: "


@dataclass
class Tape:
    """Every event that anybody was told on one stream, in the order in which the first was told it."""

    text: bytearray = field(default_factory=bytearray)
    ends: list[int] = field(default_factory=lambda: [0])
    """Where event *n* ends; event 0 is before the first."""
    keys: list[Key] = field(default_factory=list)
    at_us: array[int] = field(default_factory=lambda: array("q"))
    """When each was committed, in microseconds of Unix time."""
    numbers: dict[bytes, int] = field(default_factory=dict)

    def number(self, frame: bytes) -> int:
        """Which event a frame is, from 1; it is added where nobody was told it before."""
        if (known := self.numbers.get(frame)) is not None:
            return known
        told = _told.decode(frame.partition(_DATA)[2])
        self.text += frame
        self.ends.append(len(self.text))
        self.keys.append((told.run_id, told.seq))
        self.at_us.append(round(told.at.timestamp() * 1_000_000))
        self.numbers[frame] = len(self.keys)
        return len(self.keys)


class Reading:
    """What one watcher was told, as stretches of a tape; and when.

    ``last_id`` is what to connect again with. ``notices`` counts what the stream said about itself.
    """

    def __init__(self, tape: Tape) -> None:
        self.tape = tape
        self.last_id = ""
        self.count = 0
        self.notices: Counter[str] = Counter()
        self._rest = b""
        self._place = 0
        """Up to which letter of the tape the last event goes, and what of the next is here."""
        self._stretches: list[tuple[int, int]] = []
        self._arrivals: list[tuple[int, int, int, int]] = []

    def begin(self) -> None:
        """A new connection: what the last one left unfinished is void."""
        self._rest = b""
        self._place = self.tape.ends[bisect_right(self.tape.ends, self._place) - 1]

    def feed(self, chunk: bytes, now_us: int, since_us: int) -> None:
        """Take what came. ``since_us``: when this connection was made."""
        data, position = self._rest + chunk, 0
        self._rest = b""
        while position < len(data):
            position += self._compare(data, position, now_us, since_us)
            # Different, or nobody was told more yet: the block it is in has to be read, from its beginning.
            begun = self.tape.ends[bisect_right(self.tape.ends, self._place) - 1]
            if position < len(data) and begun < self._place:
                data, position = bytes(self.tape.text[begun : self._place]) + data[position:], 0
                self._place = begun
            end = data.find(_END, position) + len(_END)
            if end < len(_END):
                self._rest = data[position:]
                return
            self._read(data[position:end], now_us, since_us)
            position = end

    @property
    def keys(self) -> list[Key]:
        """Every event, in the order in which it was told."""
        return [key for begin, end in self._stretches for key in self.tape.keys[begin:end]]

    def lag_us(self) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        """From the commit of each event to its arrival, of those that were committed while he was connected."""
        committed = np.frombuffer(self.tape.at_us, dtype=np.int64)
        parts = [
            now_us - of[of >= since_us]
            for begin, end, now_us, since_us in self._arrivals
            for of in (committed[begin:end],)
        ]
        return np.concatenate(parts) if parts else np.empty(0, dtype=np.int64)

    def _compare(self, data: bytes, position: int, now_us: int, since_us: int) -> int:
        """How many bytes are as on the tape."""
        size = min(len(data) - position, len(self.tape.text) - self._place)
        same = _same(data[position : position + size], self.tape.text[self._place : self._place + size])
        begin = bisect_right(self.tape.ends, self._place) - 1
        self._place += same
        self._note(begin, bisect_right(self.tape.ends, self._place) - 1, now_us, since_us)
        return same

    def _read(self, block: bytes, now_us: int, since_us: int) -> None:
        """Take one block: an event of the journal, or what the stream says about itself."""
        if block.startswith(b"id: ") and _DATA in block:
            number = self.tape.number(block)
            self._place = self.tape.ends[number]
            self._note(number - 1, number, now_us, since_us)
            return
        parser = Parser(self.last_id)
        for event in parser.feed(block):
            self.notices[event.name] += 1
        self.last_id = parser.last_id

    def _note(self, begin: int, end: int, now_us: int, since_us: int) -> None:
        if begin == end:
            return
        self.count += end - begin
        if self._stretches and self._stretches[-1][1] == begin:
            self._stretches[-1] = (self._stretches[-1][0], end)
        else:
            self._stretches.append((begin, end))
        self._arrivals.append((begin, end, now_us, since_us))
        frame = self.tape.text[self.tape.ends[end - 1] : self.tape.ends[end]]
        self.last_id = frame[len(b"id: ") : frame.index(b"\n")].decode()


def _same(one: bytes, other: bytearray) -> int:
    """How many letters they have in common, of as many."""
    if one == other:
        return len(one)
    low, high = 0, len(one)
    while high - low > 1:
        middle = (low + high) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle
    return low
