"""Server-sent events out of bytes, as the HTML standard reads them (section 9.2.6). Pure.

Lines end at CR and LF alone: what else Unicode takes for the end of a line may stand in the JSON of an event.
"""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from meshhook.client.operation import Event

_END: Final = re.compile(rb"\r\n|\n|\r")
_LINE_BYTES_MAX: Final = 16 * 1024 * 1024


class Parser:
    """Reads a stream that comes in pieces. ``last_id``: what to resume behind; ``retry_s``: when, as the server wants it."""

    def __init__(self, last_id: str = "") -> None:
        self.last_id = last_id
        self.retry_s: float | None = None
        self._rest = b""
        self._id = last_id
        self._name = ""
        self._data: list[str] = []

    def feed(self, piece: bytes) -> list[Event]:
        """The events that are whole now.

        Raises:
            ValueError: this is no stream of ours: a line is longer than any event, or an event is no JSON.
        """
        text = self._rest + piece
        held = b"\r" if text.endswith(b"\r") else b""  # a line feed may follow, and would end another line
        *lines, rest = _END.split(text.removesuffix(held))
        if len(rest) > _LINE_BYTES_MAX:
            raise ValueError("a line of the stream is longer than any event")
        self._rest = rest + held
        return [event for line in lines if (event := self._line(line.decode("utf-8", "replace"))) is not None]

    def _line(self, line: str) -> Event | None:
        if not line:
            return self._dispatched()
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        match field:
            case "id" if "\0" not in value:
                self._id = value
            case "event":
                self._name = value
            case "data":
                self._data.append(value)
            case "retry" if value.isascii() and value.isdecimal():
                self.retry_s = int(value) / 1000
        return None

    def _dispatched(self) -> Event | None:
        self.last_id = self._id
        data, name = self._data, self._name
        self._data, self._name = [], ""
        return Event(id=self.last_id, name=name, data=_object("\n".join(data))) if data else None


def _object(text: str) -> dict[str, Any]:
    try:
        value = msgspec.json.decode(text) if text else {}
    except msgspec.DecodeError as error:
        raise ValueError(f"an event of the stream is no JSON: {error}") from error
    return value if isinstance(value, dict) else {"value": value}
