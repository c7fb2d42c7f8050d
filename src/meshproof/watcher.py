"""One watcher: of a stream that never ends, or of runs that he starts."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator, Mapping
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
            given = {**self.headers, **headers, **({"content-length": str(len(body))} if body else {})}
            lines = [f"{name}: {value}" for name, value in given.items()]
            request = "\r\n".join([f"{method} {path} HTTP/1.0", f"host: {self.host}:{self.port}", *lines, "", ""])
            writer.write(request.encode() + body)
            head = await reader.readuntil(b"\r\n\r\n")
            yield int(head.split()[1]), reader
        finally:
            writer.transport.abort()

    async def _connect(self) -> Connection:
        return await asyncio.open_connection(self.host, self.port, limit=READ_BYTES)

    async def _connect_slowly(self) -> Connection:
        window = socket.socket()
        window.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SLOW_WINDOW_BYTES)
        window.setblocking(False)
        await asyncio.get_running_loop().sock_connect(window, (self.host, self.port))
        return await asyncio.open_connection(sock=window, limit=SLOW_BYTES)


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
        async with self.address.ask("GET", self.path, headers=cursor, slow=self.slow) as (status, reader):
            if status != 200:
                self.refused += 1
                return
            self.connections += 1
            self.reading.begin()
            since_us = time.time_ns() // 1_000
            while chunk := await reader.read(READ_BYTES if self._is_quick() else SLOW_BYTES):
                self.reading.feed(chunk, time.time_ns() // 1_000, since_us)
                if self.reading.last_id:
                    self.began.set()
                if not self._is_quick():
                    await asyncio.sleep(SLOW_PAUSE_S)

    def _is_quick(self) -> bool:
        return not self.slow or self._hurried


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
