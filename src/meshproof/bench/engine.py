"""The engine being measured, and how: who sends, what is counted in the database, what it has cost."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from meshproof.database import Reader
from meshproof.display import Display
from meshproof.load.light import LightJob, Report
from meshproof.plan import Plan
from meshproof.reaper import Reaper
from meshproof.sink import Sink
from meshproof.sql import statement
from meshproof.stats import Histogram
from meshproof.supervise import Incidents
from meshproof.target import Embedded, prepare
from meshproof.usage import Meter

NAMESPACE = "bench"
SCENARIO = "pipeline"
CONNECTIONS = 64
DRAIN_S_MAX = 120.0
ENGINE = ("api", "worker", "postgres")


@dataclass(frozen=True)
class Scale:
    """How long the parts take."""

    rounds: int
    floor_s: float
    warm_s: float
    seconds: float
    open_s: float
    backlog: int
    overload_s: float
    in_flight: int
    timers: int
    bloat_s: float
    """How long a transaction is held open."""
    open_warm_s: float = 2.0
    build_s_max: float = 60.0
    statistics_s: float = 1.2
    """Backends report their statistics once a second at most."""


@dataclass
class Span:
    """What was measured while the light generator was at work."""

    report: Report
    from_us: int
    to_us: int
    finished: int
    """Runs finished between the two."""
    accepted: int
    """Runs accepted while it was at work, warm-up included."""
    drained_us: int
    """When nothing was live any more."""
    spent: dict[str, float] = field(default_factory=dict)
    """Processor milliseconds, WAL bytes and transactions, for all those runs."""

    @property
    def completed_per_s(self) -> float:
        """Runs finished a second."""
        return self.finished / ((self.to_us - self.from_us) / 1e6)


@dataclass
class Bench:
    """The engine being measured."""

    scale: Scale
    target: Embedded
    reader: Reader
    reaper: Reaper
    incidents: Incidents
    display: Display
    sink: Sink
    effects: Path
    """The ledger of the sink."""
    meter: Meter = field(default_factory=Meter)
    rss_bytes_max: dict[str, int] = field(default_factory=dict)
    lost: int = 0


def place(scenario: str) -> str:
    """The endpoint of a scenario of the benchmark."""
    return f"{NAMESPACE}-{scenario}"


async def publish(bench: Bench, scenario: str) -> None:
    """Put a scenario of the benchmark in place; its calls go to the sink."""
    await prepare(bench.target, Plan("bench", scenario, 0, NAMESPACE, rate=1.0, duration_s=1.0), bench.sink.address)


def light_job(bench: Bench, scenario: str = SCENARIO, **changed: Any) -> LightJob:
    """A job of the light generator against the engine."""
    seconds = bench.scale.warm_s + bench.scale.seconds
    job = LightJob(bench.target.host, bench.target.port, place(scenario), scenario, seconds, CONNECTIONS)
    return msgspec.structs.replace(job, **changed)


async def begin(bench: Bench, job: LightJob) -> asyncio.subprocess.Process:
    """Start the light generator in a process of its own."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "meshproof.load.light",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    bench.reaper.watch(process.pid)
    assert process.stdin is not None
    process.stdin.write(msgspec.json.encode(job) + b"\n")
    return process


async def end(process: asyncio.subprocess.Process) -> Report:
    """Wait for a light generator, and for what it reports."""
    said, _ = await process.communicate()
    if process.returncode == -signal.SIGTERM:  # it was ended before it had begun to send
        return Report(accept=Histogram().encode())
    return msgspec.json.decode(said, type=Report)


async def send(bench: Bench, job: LightJob) -> Report:
    """Send, and report."""
    return await end(await begin(bench, job))


async def span(bench: Bench, job: LightJob, *, enough: Callable[[], bool] = lambda: False) -> Span:
    """Send until the job is done or it is ``enough``, wait until everything is finished, and count."""
    runs_before = (await finished(bench, 0, 0))[1]
    before = await load(bench)
    sender = await begin(bench, job)
    sending = asyncio.create_task(end(sender))
    while not sending.done():
        await asyncio.wait([sending], timeout=0.5)
        note_memory(bench)
        if enough():
            with suppress(ProcessLookupError):  # it has ended by itself
                sender.terminate()
    report = sending.result()
    await until_drained(bench)
    drained_us = now_us()
    await asyncio.sleep(bench.scale.statistics_s)
    after = await load(bench)
    from_us = report.from_us + round(bench.scale.warm_s * 1e6)
    ended, runs = await finished(bench, from_us, report.to_us)
    stored_runs = runs - runs_before
    bench.lost += max(0, report.accepted - stored_runs)
    spent = {name: after[name] - before[name] for name in after}
    return Span(report, from_us, report.to_us, ended, stored_runs, drained_us, spent)


async def live(bench: Bench) -> int:
    """How many runs are not finished."""
    (row,) = await bench.reader.fetch(statement("live"), None)
    return int(row[0])


async def until_drained(bench: Bench) -> None:
    """Wait until no run is live, or for a bound."""
    deadline = time.monotonic() + DRAIN_S_MAX
    while await live(bench) and time.monotonic() < deadline:
        await asyncio.sleep(0.05)


async def finished(bench: Bench, from_us: int, to_us: int) -> tuple[int, int]:
    """How many runs finished between two times, and how many there are."""
    (row,) = await bench.reader.fetch(statement("bench_finished"), at(from_us), at(to_us))
    return row["finished"], row["runs"]


async def load(bench: Bench) -> dict[str, float]:
    """What the engine has used so far."""
    (row,) = await bench.reader.fetch(statement("load"))
    usage = bench.meter.read(bench.target.pids())
    return {
        "cpu_ms": 1_000 * sum(usage[role]["cpu_s"] for role in ENGINE if role in usage),
        "wal_bytes": float(row["wal_bytes"]),
        "transactions": float(row["transactions"] - bench.reader.transactions),
    }


def note_memory(bench: Bench) -> None:
    """Note how much memory each role takes now."""
    for role, usage in bench.meter.read(bench.target.pids()).items():
        bench.rss_bytes_max[role] = max(bench.rss_bytes_max.get(role, 0), usage["rss_bytes"])


def at(at_us: int) -> datetime:
    """A time as the database takes it."""
    return datetime.fromtimestamp(at_us / 1e6, tz=UTC)


def now_us() -> int:
    """Microseconds of Unix time."""
    return time.time_ns() // 1_000
