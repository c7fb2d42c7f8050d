"""Hundreds of watchers of live streams: does each see every event once and in order, and how long after its commit?

Each watcher follows one workflow. Some drop their connection again and again and go on with their cursor, some read slowly. What
they saw is held against the stored journals: nothing missing, nothing twice, nothing out of order, nothing of others.

    python -m meshproof.watchers --watchers 200 --rate 1000 --seconds 30

starts an engine of its own, sends, watches, and prints what came of it as JSON. Exit code 1: something was not exact.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import socket
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import msgspec
import uvloop

from meshproof import scenarios
from meshproof.database import Reader
from meshproof.draw import Draw
from meshproof.load.light import LightJob, Report
from meshproof.reaper import Reaper
from meshproof.sql import statement
from meshproof.sse import Parser
from meshproof.stats import Histogram
from meshproof.supervise import Incidents
from meshproof.target import Embedded, Target

SCENARIO: Final = "pipeline"
READ_BYTES: Final = 64 * 1024
SLOW_BYTES: Final = 1024
SLOW_PAUSE_S: Final = 0.05
SLOW_WINDOW_BYTES: Final = 8 * 1024
RETRY_S: Final = 0.3
CATCH_UP_S_MAX: Final = 60.0
POLL_S: Final = 0.05

Key = tuple[str, int]
"""A run and the number of one of its events."""


class Told(msgspec.Struct):
    """What a watcher needs to know of an event."""

    run_id: str
    seq: int
    at: datetime


_told: Final = msgspec.json.Decoder(Told)


@dataclass
class Watcher:
    """One reader of one stream.

    `quit_every_s`: how long it stays connected, in the middle; 0 is for ever. `slow`: it takes little, and pauses.
    """

    number: int
    host: str
    port: int
    path: str
    quit_every_s: float = 0.0
    slow: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)
    seen: list[Key] = field(default_factory=list)
    lag_us: list[int] = field(default_factory=list)
    """From the commit to the arrival, of what was committed while it was connected."""
    notices: Counter[str] = field(default_factory=Counter)
    connections: int = 0
    refused: int = 0
    began: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        """Watch until cancelled, connecting again whenever the stream ends."""
        parser = Parser()
        draw = Draw("watcher", self.number)
        while True:
            parser = Parser(last_id=parser.last_id)
            stay_s = self.quit_every_s * (0.5 + draw.below(1000) / 1000) if self.quit_every_s else None
            with suppress(OSError, asyncio.IncompleteReadError, TimeoutError):
                async with asyncio.timeout(stay_s):
                    await self._follow(parser)
            await asyncio.sleep(0 if stay_s else RETRY_S)

    async def _follow(self, parser: Parser) -> None:
        reader, writer = await self._connect()
        try:
            cursor = {"last-event-id": parser.last_id} if parser.last_id else {}
            lines = [f"{name}: {value}" for name, value in {**self.headers, **cursor}.items()]
            # HTTP/1.0, so that the body comes as it is, without chunks.
            request = "\r\n".join([f"GET {self.path} HTTP/1.0", f"host: {self.host}:{self.port}", *lines, "", ""])
            writer.write(request.encode())
            head = await reader.readuntil(b"\r\n\r\n")
            if head.split()[1] != b"200":
                self.refused += 1
                return
            self.connections += 1
            connected_us = time.time_ns() // 1_000
            while chunk := await reader.read(SLOW_BYTES if self.slow else READ_BYTES):
                self._take(parser, chunk, connected_us)
                if self.slow:
                    await asyncio.sleep(SLOW_PAUSE_S)
        finally:
            writer.transport.abort()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if not self.slow:
            return await asyncio.open_connection(self.host, self.port)
        window = socket.socket()
        window.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SLOW_WINDOW_BYTES)
        window.setblocking(False)
        await asyncio.get_running_loop().sock_connect(window, (self.host, self.port))
        return await asyncio.open_connection(sock=window, limit=SLOW_BYTES)

    def _take(self, parser: Parser, chunk: bytes, connected_us: int) -> None:
        now_us = time.time_ns() // 1_000
        for event in parser.feed(chunk):
            if event.name != "message":
                self.notices[event.name] += 1
                continue
            told = _told.decode(event.data)
            self.seen.append((told.run_id, told.seq))
            at_us = round(told.at.timestamp() * 1_000_000)
            if at_us >= connected_us:
                self.lag_us.append(now_us - at_us)
        if parser.last_id:
            self.began.set()


def faults_of(seen: Sequence[Key], stored: set[Key]) -> list[str]:
    """What is wrong with what one watcher saw; `stored` is what it had to see. Empty: nothing is."""
    faults = []
    if twice := [key for key, count in Counter(seen).items() if count > 1]:
        faults.append(f"{len(twice)} events twice, such as {twice[0]}")
    if missing := stored - set(seen):
        faults.append(f"{len(missing)} events missing, such as {min(missing)}")
    if foreign := set(seen) - stored:
        faults.append(f"{len(foreign)} events that are not its own, such as {min(foreign)}")
    last: defaultdict[str, int] = defaultdict(int)
    for run_id, seq in seen:
        if seq < last[run_id]:
            faults.append(f"event {seq} of run {run_id} behind event {last[run_id]}")
            break
        last[run_id] = seq
    return faults


class Crowd:
    """Many watchers at once."""

    def __init__(self, watchers: Sequence[Watcher]) -> None:
        self.watchers = watchers
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self, timeout_s: float = 30.0) -> None:
        """Let all begin; returns when each has its first cursor, so that nothing from now on may be missed."""
        self._tasks = [asyncio.create_task(watcher.run()) for watcher in self.watchers]
        async with asyncio.timeout(timeout_s):
            for watcher in self.watchers:
                await watcher.began.wait()

    async def caught_up(self, stored: Mapping[str, set[Key]], timeout_s: float = CATCH_UP_S_MAX) -> bool:
        """Wait until each has seen as many events as `stored` has for its path."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while any(len(watcher.seen) < len(stored[watcher.path]) for watcher in self.watchers):
                    await asyncio.sleep(POLL_S)
                return True
        return False

    async def stop(self) -> None:
        """End all."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def verdict(self, stored: Mapping[str, set[Key]]) -> dict[str, Any]:
        """Faults of every watcher, and the lag of those that read as fast as they can."""
        faults = {
            watcher.number: found
            for watcher in self.watchers
            if (found := faults_of(watcher.seen, stored[watcher.path]))
        }
        lag = Histogram.of(us for watcher in self.watchers if not watcher.slow for us in watcher.lag_us)
        notices: Counter[str] = sum((watcher.notices for watcher in self.watchers), Counter())
        return {
            "watchers": len(self.watchers),
            "slow": sum(watcher.slow for watcher in self.watchers),
            "connections": sum(watcher.connections for watcher in self.watchers),
            "refused": sum(watcher.refused for watcher in self.watchers),
            "events": sum(len(watcher.seen) for watcher in self.watchers),
            "notices": dict(notices),
            "lag_ms": lag.milliseconds(),
            "faults": {str(number): found for number, found in sorted(faults.items())},
        }


@dataclass(frozen=True)
class Scale:
    """How many watchers of how many workflows, and what is sent."""

    watchers: int = 200
    workflows: int = 20
    rate: float = 1_000.0
    seconds: float = 30.0
    quitting_share: float = 0.25
    quit_every_s: float = 3.0
    slow_share: float = 0.02


def crowd_of(target: Target, scale: Scale, headers: Mapping[str, str] | None = None) -> Crowd:
    """The watchers of a scale, spread over its workflows."""
    quitting, slow = round(scale.watchers * scale.quitting_share), round(scale.watchers * scale.slow_share)
    return Crowd(
        [
            Watcher(
                number,
                target.api.host,
                target.api.port,
                f"/api/v1/stream?workflow={name_of(number % scale.workflows)}",
                quit_every_s=scale.quit_every_s if number < quitting else 0.0,
                slow=scale.watchers - number <= slow,
                headers=headers or {},
            )
            for number in range(scale.watchers)
        ]
    )


def name_of(workflow: int) -> str:
    """The name of a workflow, and of its endpoint."""
    return f"watched-{workflow}"


async def measure(target: Target, dsn: str, scale: Scale) -> dict[str, Any]:
    """Publish, watch, send, wait for the end, and judge. The target is running, and nothing else uses it."""
    names = [name_of(number) for number in range(scale.workflows)]
    for name in names:
        await target.api.publish(name, scenarios.load(SCENARIO).definition)
        await target.api.bind(name, name)
    crowd, reader = crowd_of(target, scale), Reader(dsn)
    try:
        await crowd.start()
        report = await send(target, names, scale)
        await finished(reader, report.accepted)
        stored = await stored_events(reader, names)
        caught_up = await crowd.caught_up(stored)
        verdict = crowd.verdict(stored)
    finally:
        await crowd.stop()
        await reader.close()
    sent = {"attempted": report.sent, "accepted": report.accepted, "seconds": report.seconds}
    return {**verdict, "caught_up": caught_up, "sent": sent, "exact": caught_up and not verdict["faults"]}


async def send(target: Target, names: list[str], scale: Scale) -> Report:
    """Send to all endpoints in turn, from a process of its own."""
    job = LightJob(
        target.api.host, target.api.port, ",".join(names), SCENARIO, scale.seconds, connections=256, rate=scale.rate
    )
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "meshproof.load.light"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    said, _ = await process.communicate(msgspec.json.encode(job) + b"\n")
    return msgspec.json.decode(said, type=Report)


async def finished(reader: Reader, runs: int, timeout_s: float = CATCH_UP_S_MAX) -> None:
    """Wait until so many runs have ended."""
    async with asyncio.timeout(timeout_s):
        while (await reader.fetch(statement("watched_finished")))[0][0] < runs:
            await asyncio.sleep(POLL_S)


async def stored_events(reader: Reader, names: list[str]) -> dict[str, set[Key]]:
    """Every event in the journals, by the path of the stream that has to tell it."""
    stored: dict[str, set[Key]] = {f"/api/v1/stream?workflow={name}": set() for name in names}
    for name, run_id, seq in await reader.fetch(statement("watched_events"), names):
        stored[f"/api/v1/stream?workflow={name}"].add((str(run_id), seq))
    return stored


async def main(scale: Scale, package: Path | None = None) -> int:
    """Measure with an engine of its own, from the folder `package` if there is one."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 65_536) if hard > 0 else 65_536, hard))
    with tempfile.TemporaryDirectory(prefix="meshproof-watchers-") as made, Reaper() as reaper:
        logs = Path(made)
        incidents = Incidents(logs / "incidents.ndjson")
        target = Embedded(workers=1, incidents=incidents, reaper=reaper, logs=logs / "logs", package=package)
        try:
            await target.start()
            found = await measure(target, target.dsn, scale)
        finally:
            await target.stop()
    sys.stdout.write(json.dumps(found, indent=2) + "\n")
    return 0 if found["exact"] else 1


def arguments() -> tuple[Scale, Path | None]:
    """What the command line says: the scale, and where the engine is."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    for name, kind in (
        ("watchers", int),
        ("workflows", int),
        ("rate", float),
        ("seconds", float),
        ("slow-share", float),
    ):
        attribute = name.replace("-", "_")
        parser.add_argument(f"--{name}", type=kind, default=getattr(Scale, attribute), dest=attribute)
    parser.add_argument("--package", type=Path, help="a folder with another engine in it, to compare the two")
    given = vars(parser.parse_args())
    package = given.pop("package")
    return Scale(**given), package


if __name__ == "__main__":
    sys.exit(uvloop.run(main(*arguments())))
