"""A TCP proxy between two parts, and the weather on the line: what networks do to those who trust them.

    engine ──► 127.0.0.1:port ──► proxy ──► Unix socket of Postgres
    sender ──► 127.0.0.1:port ──► proxy ──► API

It forwards bytes and understands none of them. All it keeps of a connection is who has to speak: when bytes went up last, a reply
is due, and the connection is in the middle of something.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from meshproof.draw import Draw

CHUNK_BYTES: Final = 64 * 1024
LINGER_NOT: Final = struct.pack("ii", 1, 0)
"""With this a socket is reset when it is closed, and not ended in an orderly way."""

Connect = Callable[[], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]


@dataclass(eq=False)
class Weather:
    """What happens to the bytes of every connection while it lasts. Each is somebody's own, and several may last at once."""

    latency_s: float = 0.0
    jitter_s: float = 0.0
    """On top of the latency, up to so much, drawn anew for every piece; order is kept."""
    bytes_per_s: float = 0.0
    """0 is as fast as it goes."""
    silent: bool = False
    """Nothing gets through in either direction, and nobody is told: a black hole. What was sent arrives when it is over."""
    cut_replies: int = 0
    """So many replies are cut in their middle, and their connection is reset."""


class Line:
    """One connection through the proxy."""

    def __init__(self, down: asyncio.StreamWriter, up: asyncio.StreamWriter) -> None:
        self.down = down
        """To the one who opened it."""
        self.up = up
        self.is_due = False
        """Whether a reply is due: bytes went up, and none has come back since."""
        self.is_half_open = False

    def reset(self) -> None:
        """Break it on both sides."""
        for side in (self.down, self.up):
            reset(side)


class Proxy:
    """One proxy on a port of its own. `async with` serves, and breaks every connection at the end."""

    def __init__(self, port: int, connect: Connect, draw: Draw) -> None:
        """`connect` opens the way to the other side."""
        self.port = port
        self._connect = connect
        self._draw = draw
        self._lines: set[Line] = set()
        self._serving: set[asyncio.Task[None]] = set()
        self._clear = asyncio.Event()
        self._clear.set()
        self._weathers: list[Weather] = []
        self._server: asyncio.Server | None = None
        self.counts: Counter[str] = Counter()
        """What has happened to bytes and connections: `delayed`, `held`, `cut`, `reset`, `half_open`; those in the middle of
        something only."""

    @property
    def connections(self) -> int:
        """How many connections go through it."""
        return len(self._lines)

    @property
    def due(self) -> int:
        """On how many connections a reply is due."""
        return sum(line.is_due for line in self._lines)

    async def start(self) -> None:
        """Serve from now on."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)

    async def close(self) -> None:
        """Break everything."""
        if self._server is not None:
            self._server.close()
        for weather in list(self._weathers):
            self.end(weather)
        for line in list(self._lines):
            line.reset()
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    def begin(self, weather: Weather) -> None:
        """This weather as well, from now on."""
        self._weathers.append(weather)
        if weather.silent:
            self._clear.clear()
            self.counts["held"] += self.due

    def end(self, weather: Weather) -> None:
        """This weather is over; what others have begun goes on."""
        if weather in self._weathers:
            self._weathers.remove(weather)
        if not any(other.silent for other in self._weathers):
            self._clear.set()

    def reset_half_open(self) -> None:
        """Reset what was left half open: whoever opened it would wait for ever."""
        for line in list(self._lines):
            if line.is_half_open:
                line.reset()

    def reset_all(self) -> int:
        """Reset every connection; returns on how many of them a reply was due."""
        due = self.due
        self.counts["reset"] += due
        for line in list(self._lines):
            line.reset()
        return due

    def leave_half_open(self) -> int:
        """End the far side of every connection without telling the near one; returns on how many a reply was due."""
        due = self.due
        self.counts["half_open"] += due
        for line in self._lines:
            line.is_half_open = True
            reset(line.up)
        return due

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            up_reader, up_writer = await self._connect()
        except OSError:
            reset(writer)
            return
        line = Line(writer, up_writer)
        self._lines.add(line)
        try:
            await asyncio.gather(
                self._pump(line, reader, up_writer, is_reply=False), self._pump(line, up_reader, writer, is_reply=True)
            )
        finally:
            self._lines.discard(line)
            for side in (writer, up_writer):
                side.close()

    async def _pump(
        self, line: Line, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, is_reply: bool
    ) -> None:
        with suppress(OSError):
            while data := await reader.read(CHUNK_BYTES):
                if not is_reply:
                    line.is_due = True
                await self._pass_weather(len(data))
                if is_reply and line.is_due and self._cuts():
                    self._cut(line, data)
                    return
                line.is_due = line.is_due and not is_reply
                writer.write(data)
                await writer.drain()
        if line.is_half_open:
            # The one who opened it hears nothing of this, until it is reset.
            return
        with suppress(OSError, RuntimeError):
            writer.close()

    async def _pass_weather(self, size: int) -> None:
        wait_s = 0.0
        for weather in self._weathers:
            wait_s += weather.latency_s + self._draw.unit() * weather.jitter_s
            if weather.bytes_per_s:
                wait_s += size / weather.bytes_per_s
        if wait_s:
            self.counts["delayed"] += 1
            await asyncio.sleep(wait_s)
        if not self._clear.is_set():
            self.counts["held"] += 1
            await self._clear.wait()

    def _cuts(self) -> bool:
        """Whether the reply that is coming is to be cut."""
        for weather in self._weathers:
            if weather.cut_replies > 0:
                weather.cut_replies -= 1
                return True
        return False

    def _cut(self, line: Line, data: bytes) -> None:
        self.counts["cut"] += 1
        line.down.write(data[: len(data) // 2])
        line.reset()


def reset(writer: asyncio.StreamWriter) -> None:
    """End a connection at once, and not in an orderly way where it is TCP."""
    sock = writer.get_extra_info("socket")
    if sock is not None and sock.family != socket.AF_UNIX:
        with suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NOT)
    writer.transport.abort()


def to_unix_socket(path: str) -> Connect:
    """A way to a Unix socket."""
    return lambda: asyncio.open_unix_connection(path)


def to_port(host: str, port: int) -> Connect:
    """A way to a TCP port."""
    return lambda: asyncio.open_connection(host, port)
