"""One watcher: of a stream that never ends, or of runs that he starts."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Final

from meshproof import scenarios
from meshproof.draw import Draw
from meshproof.sse import Parser
from meshproof.tape import Key, Reading
from meshproof.told import Stored, faults_of

READ_BYTES: Final = 256 * 1024
SLOW_BYTES: Final = 1024
SLOW_PAUSE_S: Final = 0.05
SLOW_WINDOW_BYTES: Final = 8 * 1024
RETRY_S: Final = 0.3
Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass(frozen=True)
class Address:
    """Where the engine is, and what every request to it carries."""

    host: str
    port: int
    headers: Mapping[str, str] = field(default_factory=dict)

    @asynccontextmanager
    async def ask(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        headers: Mapping[str, str] = MappingProxyType({}),
        *,
        slow: bool = False,
    ) -> AsyncIterator[tuple[int, asyncio.StreamReader]]:
        """The status of an answer, and what reads the rest of it. By HTTP/1.0, so that it comes as it is, without chunks."""
        reader, writer = await (self._connect_slowly() if slow else self._connect())
        try:
            writer.write(self.request(method, path, headers, body))
            head = await reader.readuntil(b"\r\n\r\n")
            yield int(head.split()[1]), reader
        finally:
            writer.transport.abort()

    def request(self, method: str, path: str, headers: Mapping[str, str], body: bytes = b"") -> bytes:
        """A request as it is sent."""
        given = {**self.headers, **headers, **({"content-length": str(len(body))} if body else {})}
        lines = [f"{name}: {value}" for name, value in given.items()]
        return (
            "\r\n".join([f"{method} {path} HTTP/1.0", f"host: {self.host}:{self.port}", *lines, "", ""]).encode() + body
        )

    async def _connect(self) -> Connection:
        return await asyncio.open_connection(self.host, self.port, limit=READ_BYTES)

    async def _connect_slowly(self) -> Connection:
        window = socket.socket()
        window.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SLOW_WINDOW_BYTES)
        window.setblocking(False)
        await asyncio.get_running_loop().sock_connect(window, (self.host, self.port))
        return await asyncio.open_connection(sock=window, limit=SLOW_BYTES)


class Tap(asyncio.Protocol):
    """Sends a request, and gives on what is answered as it comes; a stream reader would copy it twice.

    ``began`` is called once, when the answer is 200; ``ended`` is done when the connection is over, and says the status.
    """

    def __init__(self, request: bytes, began: Callable[[], None], take: Callable[[bytes], None]) -> None:
        self._request, self._began, self._take = request, began, take
        self._head: bytes | None = b""
        self._status = 0
        self.ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.write(self._request)  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        if self._head is None:
            if self._status == 200:
                self._take(data)
            return
        head, found, rest = (self._head + data).partition(b"\r\n\r\n")
        self._head = None if found else head
        if found:
            self._status = int(head.split()[1])
            if self._status == 200:
                self._began()
                self._take(rest)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.ended.done():
            self.ended.set_result(self._status)


@dataclass
class Watcher:
    """One reader of one stream.

    `quit_every_s`: how long it stays connected, in the middle; 0 is for ever. `slow`: it takes little, and pauses, until told to
    hurry.
    """

    number: int
    address: Address
    path: str
    reading: Reading
    quit_every_s: float = 0.0
    slow: bool = False
    connections: int = 0
    refused: int = 0
    began: asyncio.Event = field(default_factory=asyncio.Event)
    _hurried: bool = False
    _since_us: int = 0

    def hurry(self) -> None:
        """From now on it is not slow."""
        self._hurried = True

    async def run(self) -> None:
        """Watch until cancelled, connecting again whenever the stream ends."""
        draw = Draw("watcher", self.number)
        while True:
            stay_s = self.quit_every_s * (0.5 + draw.below(1000) / 1000) if self.quit_every_s else None
            with suppress(OSError, asyncio.IncompleteReadError, TimeoutError):
                async with asyncio.timeout(stay_s):
                    await self._follow()
            await asyncio.sleep(0 if stay_s else RETRY_S)

    async def _follow(self) -> None:
        cursor = {"last-event-id": self.reading.last_id} if self.reading.last_id else {}
        if self.slow:
            await self._follow_slowly(cursor)
            return
        tap = Tap(self.address.request("GET", self.path, cursor), self._connected, self._take)
        transport, _ = await asyncio.get_running_loop().create_connection(
            lambda: tap, self.address.host, self.address.port
        )
        try:
            self.refused += await tap.ended not in (0, 200)
        finally:
            transport.abort()

    async def _follow_slowly(self, cursor: Mapping[str, str]) -> None:
        async with self.address.ask("GET", self.path, headers=cursor, slow=True) as (status, reader):
            if status != 200:
                self.refused += 1
                return
            self._connected()
            while chunk := await reader.read(READ_BYTES if self._hurried else SLOW_BYTES):
                self._take(chunk)
                if not self._hurried:
                    await asyncio.sleep(SLOW_PAUSE_S)

    def _connected(self) -> None:
        self.connections += 1
        self.reading.begin()
        self._since_us = time.time_ns() // 1_000

    def _take(self, chunk: bytes) -> None:
        self.reading.feed(chunk, time.time_ns() // 1_000, self._since_us)
        if self.reading.last_id:
            self.began.set()


@dataclass
class Starter:
    """Starts a run and watches it to its end, again and again, until it is `enough`: somebody who tries his workflow."""

    number: int
    address: Address
    endpoint: str
    scenario: str
    enough: bool = False
    runs: dict[str, list[Key]] = field(default_factory=dict)
    """What was seen of each run."""
    unended: list[str] = field(default_factory=list)
    lag_us: list[int] = field(default_factory=list)
    """From the commit to the arrival, of what was committed while it was connected."""

    async def run(self) -> None:
        """Start and watch until it is enough."""
        scenario = scenarios.load(self.scenario)
        while not self.enough:
            with suppress(OSError, asyncio.IncompleteReadError):
                if (run_id := await self._start(scenario.payload(self.number, len(self.runs)))) is not None:
                    self.runs[run_id] = []
                    await self._follow(run_id)

    def faults(self, stored: Stored) -> list[str]:
        """What is wrong with what it saw of its runs."""
        found = [f"the stream of run {run_id} did not say that it had ended" for run_id in self.unended]
        return found + [fault for run_id, seen in self.runs.items() for fault in faults_of(seen, stored.of_run(run_id))]

    async def _start(self, body: bytes) -> str | None:
        async with self.address.ask("POST", f"/hooks/{self.endpoint}", body, {"content-type": "application/json"}) as (
            status,
            reader,
        ):
            if status == 202:
                return str(json.loads(await reader.read())["run_id"])
        await asyncio.sleep(RETRY_S)
        return None

    async def _follow(self, run_id: str) -> None:
        async with self.address.ask("GET", f"/api/v1/runs/{run_id}/stream") as (_, reader):
            parser, since_us = Parser(), time.time_ns() // 1_000
            while chunk := await reader.read(READ_BYTES):
                now_us = time.time_ns() // 1_000
                for event in parser.feed(chunk):
                    if event.name == "end":
                        return
                    told = json.loads(event.data)
                    self.runs[run_id].append((told["run_id"], told["seq"]))
                    at_us = round(datetime.fromisoformat(told["at"]).timestamp() * 1_000_000)
                    if at_us >= since_us:
                        self.lag_us.append(now_us - at_us)
        self.unended.append(run_id)
