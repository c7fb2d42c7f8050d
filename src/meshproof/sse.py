"""Reading a stream of server-sent events: the part of the HTML standard (section 9.2.6) that a watcher needs. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Event:
    """One event: its name (``message`` unless the stream says otherwise), its data, and the cursor that stands behind it."""

    name: str
    data: str
    id: str


@dataclass(slots=True)
class Parser:
    """Bytes in, events out, however the bytes are cut. ``last_id`` is what to reconnect with, ``retry_ms`` when."""

    last_id: str = ""
    retry_ms: int | None = None
    comments: int = 0
    _rest: bytes = b""
    _id: str | None = None
    _name: str = ""
    _data: list[str] = field(default_factory=list)

    def feed(self, chunk: bytes) -> list[Event]:
        """The events that ended with this chunk."""
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        found: list[Event] = []
        for line in lines:
            if not line:
                self._end(found)
            else:
                self._take(line.decode())
        return found

    def _take(self, line: str) -> None:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            self._data.append(value)
        elif name == "id":
            self._id = value  # it counts when its event is whole: the next connection would skip it otherwise
        elif name == "event":
            self._name = value
        elif name == "retry" and value.isdecimal():
            self.retry_ms = int(value)
        elif not name:
            self.comments += 1

    def _end(self, found: list[Event]) -> None:
        if self._id is not None:
            self.last_id, self._id = self._id, None
        if self._data:
            found.append(Event(self._name or "message", "\n".join(self._data), self.last_id))
        self._name, self._data = "", []
