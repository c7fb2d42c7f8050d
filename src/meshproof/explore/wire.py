"""The wire to Postgres, by the message: what is asked goes out in one piece, and the answer is read when it is asked for.

A schedule has to hold an answer back, to see whether one is there, to send several statements in one trip, and to have
cheap trips, for it is little else. So this speaks the protocol itself: blocking, in text, and no more of it than that takes.
https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-EXT-QUERY
"""

from __future__ import annotations

import json
import select
import socket
import struct
from collections import deque
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

Row = tuple[Any, ...]
Asked = tuple[str, Sequence[object]]
"""A statement and its values."""

PROTOCOL: Final = 196_608
CHUNK: Final = 65_536
_HEAD: Final = struct.Struct(">cI")
_SHORT: Final = struct.Struct(">h")
_INT: Final = struct.Struct(">i")


class ServerError(Exception):
    """A statement was refused; ``code`` is its SQLSTATE."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Wire:
    """One connection through the socket of a server that trusts it. ``pid`` is the process that serves it."""

    def __init__(self, dsn: str, settings: dict[str, str]) -> None:
        parts = urlsplit(dsn)
        asked = {name: values[0] for name, values in parse_qs(parts.query).items()}
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(f"{asked['host']}/.s.PGSQL.{asked.get('port', '5432')}")
        self._poll = select.poll()
        self._poll.register(self._socket, select.POLLIN)
        self._names: dict[str, bytes] = {}
        self._parsed = 0
        self._decoders: dict[str, list[Callable[[str], Any]]] = {}
        self._pending: deque[str] = deque()
        self._buffer = b""
        self.pid = 0
        self._start({"user": asked.get("user", "postgres"), "database": parts.path[1:], "TimeZone": "UTC", **settings})

    def send(self, *asked: Asked) -> None:
        """Ask for these statements, one after the other in one trip. After one that is refused the rest is left out."""
        out: list[bytes] = []
        for sql, values in asked:
            name = self._names.get(sql)
            if name is None:
                self._parsed += 1
                name = self._names[sql] = b"s%d\0" % self._parsed
                out += (_message(b"P", name + sql.encode() + b"\0\0\0"), _message(b"D", b"S" + name))
            out += (_message(b"B", b"\0" + name + b"\0\0" + _bound(values) + b"\0\0"), b"E\0\0\0\x09\0\0\0\0\0")
            self._pending.append(sql)
        out.append(b"S\0\0\0\x04")
        self._socket.sendall(b"".join(out))

    def has_answer(self, timeout_s: float) -> bool:
        """Whether an answer is there, or comes within this time."""
        return bool(self._buffer or self._poll.poll(timeout_s * 1000))

    def receive(self) -> list[list[Row]]:
        """The rows of each statement that was asked for. Raises ServerError."""
        results: list[list[Row]] = []
        rows: list[Row] = []
        refused: ServerError | None = None
        while True:
            kind, body = self._message()
            match kind:
                case b"D":
                    rows.append(_row(body, self._decoders[self._pending[0]]))
                case b"T":
                    self._decoders[self._pending[0]] = _decoders(body)
                case b"C":
                    self._pending.popleft()
                    results.append(rows)
                    rows = []
                case b"E":
                    refused = refused or _error(body)
                case b"Z":
                    if refused is None:
                        return results
                    if self._pending and self._pending[0] not in self._decoders:
                        self._names.clear()  # which of them the server has read by now is not known
                    self._pending.clear()
                    raise refused

    def run(self, script: str) -> None:
        """Run statements that give nothing back. Raises ServerError."""
        self._socket.sendall(_message(b"Q", script.encode() + b"\0"))
        refused: ServerError | None = None
        while (answer := self._message())[0] != b"Z":
            if answer[0] == b"E":
                refused = _error(answer[1])
        if refused is not None:
            raise refused

    def close(self) -> None:
        """Break the connection off, whatever is under way."""
        self._socket.close()

    def _start(self, settings: dict[str, str]) -> None:
        pairs = b"".join(f"{name}\0{value}\0".encode() for name, value in settings.items())
        self._socket.sendall(_INT.pack(len(pairs) + 9) + _INT.pack(PROTOCOL) + pairs + b"\0")
        while (answer := self._message())[0] != b"Z":
            kind, body = answer
            if kind == b"K":
                self.pid = _INT.unpack_from(body)[0]
            elif kind == b"E":
                raise _error(body)
            elif kind == b"R" and _INT.unpack_from(body)[0] != 0:
                raise ServerError(
                    "28000", "The server asks for a password. Explore on a server that trusts its own socket."
                )

    def _message(self) -> tuple[bytes, bytes]:
        buffer = self._buffer
        while len(buffer) < 5 or len(buffer) <= (size := _HEAD.unpack_from(buffer)[1]):
            more = self._socket.recv(CHUNK)
            if not more:
                raise ServerError("08006", "The server has closed the connection.")
            buffer += more
        self._buffer = buffer[size + 1 :]
        return buffer[:1], buffer[5 : size + 1]


def _message(kind: bytes, body: bytes) -> bytes:
    return _HEAD.pack(kind, len(body) + 4) + body


def _bound(values: Sequence[object]) -> bytes:
    out = [_SHORT.pack(len(values))]
    for value in values:
        if value is None:
            out.append(b"\xff\xff\xff\xff")
        else:
            text = _text(value).encode()
            out += (_INT.pack(len(text)), text)
    return b"".join(out)


def _text(value: object) -> str:
    match value:
        case str():
            return value
        case bool():
            return "t" if value else "f"
        case datetime():
            return value.isoformat()
        case timedelta():
            return f"{value.total_seconds()} s"
        case bytes():
            return f"\\x{value.hex()}"
        case list() | tuple():
            return "{" + ",".join(map(_item, value)) + "}"
        case _:
            return str(value)


def _item(value: object) -> str:
    if value is None:
        return "NULL"
    return '"' + _text(value).replace("\\", "\\\\").replace('"', '\\"') + '"'


def _row(body: bytes, decoders: list[Callable[[str], Any]]) -> Row:
    row: list[Any] = []
    at = 2
    for decode in decoders:
        (size,) = _INT.unpack_from(body, at)
        at += 4
        if size < 0:
            row.append(None)
        else:
            row.append(decode(body[at : at + size].decode()))
            at += size
    return tuple(row)


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


_BY_TYPE: Final[dict[int, Callable[[str], Any]]] = {
    16: "t".__eq__,
    20: int,
    21: int,
    23: int,
    114: json.loads,
    1184: _moment,
    2950: UUID,
}
"""By the number of its type in pg_type; what is not here stays text."""


def _decoders(body: bytes) -> list[Callable[[str], Any]]:
    """How to read the columns that a RowDescription tells of."""
    (count,) = _SHORT.unpack_from(body)
    found, at = [], 2
    for _ in range(count):
        at = body.index(b"\0", at) + 1
        (type_id,) = _INT.unpack_from(body, at + 6)
        found.append(_BY_TYPE.get(type_id, str))
        at += 18
    return found


def _error(body: bytes) -> ServerError:
    fields = {part[:1]: part[1:].decode() for part in body.split(b"\0") if part}
    return ServerError(fields.get(b"C", "XX000"), fields.get(b"M", "The server gave no reason."))
