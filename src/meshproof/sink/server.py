"""The sink: where the calls of workflows go. It answers as its script says (script.py), and writes down every request.

`python -m meshproof.sink.server --port P --folder DIR` serves until its standard input ends. Its ledger is one file a process,
`DIR/<process id>.ndjson`. A line is with the kernel before a byte of the answer leaves: whatever is killed, the sink has seen
what it has seen. The requests of one turn of the loop share one write.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import resource
import socket
import struct
import sys
import time
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from hashlib import sha256
from itertools import count
from pathlib import Path
from typing import Final

import httptools
import uvloop

from meshproof.ledger import LineWriter
from meshproof.sink.script import Answer, ScriptError, parse

KEYS_MAX: Final = 1_000_000
"""So many keys are remembered with the number of their attempts; the oldest is forgotten for a newer one."""
PIECES: Final = 5
"""A slow body comes in so many pieces."""
LINGER_NOT: Final = struct.pack("ii", 1, 0)
BACKLOG: Final = 8_192
HEAD: Final = b"HTTP/1.1 %d Scripted\r\ncontent-type: application/json\r\n%bcontent-length: %d\r\n\r\n"


class Book:
    """What the sink knows of all its connections together: the ledger, and how often each key was seen."""

    def __init__(self, ledger: LineWriter) -> None:
        self._ledger = ledger
        self._seen: OrderedDict[str, int] = OrderedDict()
        self._then: list[Callable[[], None]] = []
        self._connections = count()
        self._loop = asyncio.get_running_loop()

    def connection(self) -> int:
        """The number of a new connection."""
        return next(self._connections)

    def attempt(self, key: str) -> int:
        """How often this key has come, this time included."""
        number = self._seen.pop(key, 0) + 1
        self._seen[key] = number
        if len(self._seen) > KEYS_MAX:
            self._seen.popitem(last=False)
        return number

    def write(self, line: dict[str, object], then: Callable[[], None]) -> None:
        """Put a request on record at the end of this turn of the loop, and go on then."""
        self._ledger.add_json(line)
        if not self._then:
            self._loop.call_soon(self._flush)
        self._then.append(then)

    def _flush(self) -> None:
        self._ledger.flush()
        waiting, self._then = self._then, []
        for then in waiting:
            then()


class SinkProtocol(asyncio.Protocol):
    """One connection. A sender that sends the next request before it has its answer gets the answers mixed up: none does."""

    def __init__(self, book: Book) -> None:
        self._book = book
        self._number = book.connection()
        self._parser = httptools.HttpRequestParser(self)
        self._loop = asyncio.get_running_loop()
        self.on_message_begin()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._transport.abort()

    def on_message_begin(self) -> None:
        self._path, self._key, self._script = b"", "", ""
        self._hash, self._length = sha256(), 0

    def on_url(self, url: bytes) -> None:
        self._path += url

    def on_header(self, name: bytes, value: bytes) -> None:
        match name.lower():
            case b"idempotency-key":
                self._key = value.decode("latin-1").strip('"')
            case b"sink-script":
                self._script = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        self._hash.update(body)
        self._length += len(body)

    def on_message_complete(self) -> None:
        attempt = self._book.attempt(self._key)
        try:
            answers = parse(self._script)
            answer = answers[min(attempt, len(answers)) - 1]
        except ScriptError:
            answer = Answer("answer", 400)
        digest = self._hash.hexdigest()
        line: dict[str, object] = {
            "at_us": time.time_ns() // 1_000,
            "key": self._key,
            "attempt": attempt,
            "hash": digest,
            "bytes": self._length,
            "path": self._path.decode("latin-1"),
            "connection": self._number,
            "answer": answer.told,
            "wait_ms": answer.wait_ms + answer.slow_ms,
        }
        act = partial(self._act, answer, b'{"receipt":"%b"}' % digest.encode())
        self._book.write(line, partial(self._wait, answer.wait_ms / 1_000, act) if answer.wait_ms else act)

    def _wait(self, seconds: float, act: Callable[[], None]) -> None:
        self._loop.call_later(seconds, act)

    def _act(self, answer: Answer, body: bytes) -> None:
        after = b"" if answer.after_s is None else b"retry-after: %d\r\n" % answer.after_s
        head = HEAD % (answer.status or 200, after, len(body))
        match answer.what:
            case "hang":
                pass
            case "reset":
                # Without this it would be an orderly end of the connection.
                self._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NOT)
                self._transport.abort()
            case "cut":
                self._transport.write(head + body[: len(body) // 2])
                self._transport.close()
            case _ if answer.slow_ms:
                self._transport.write(head)
                self._dribble(body, -(-len(body) // PIECES), answer.slow_ms / 1_000 / PIECES)
            case _:
                self._transport.write(head + body)

    def _dribble(self, body: bytes, size: int, pause_s: float) -> None:
        self._transport.write(body[:size])
        if (rest := body[size:]) and not self._transport.is_closing():
            self._loop.call_later(pause_s, self._dribble, rest, size, pause_s)


async def serve(port: int, folder: Path) -> None:
    """Serve until standard input ends."""
    loop = asyncio.get_running_loop()
    with LineWriter(folder / f"{os.getpid()}.ndjson") as ledger:
        book = Book(ledger)
        server = await loop.create_server(lambda: SinkProtocol(book), "127.0.0.1", port, backlog=BACKLOG)
        gc.freeze()
        sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
        sys.stdout.flush()
        await loop.run_in_executor(None, sys.stdin.read)
        server.close()


def main() -> None:
    """The process."""
    parser = argparse.ArgumentParser(description="A server that answers as it is told, and writes down every request.")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--folder", type=Path, required=True)
    asked = parser.parse_args()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    uvloop.run(serve(asked.port, asked.folder))


if __name__ == "__main__":
    main()
