"""The generator as the suite sees it: processes that are made ready, started at one moment, and certified.

`calibrate` measures what the generator itself can do, against a server that does nothing: a generator that cannot reach
twice the rate there is no witness of what the engine did with it.
"""

from __future__ import annotations

import asyncio
import math
import os
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec

from meshproof.load.process import Job
from meshproof.plan import Level, Plan
from meshproof.stats import Histogram

# All processes hear of the start before it comes.
START_AHEAD_S = 0.25
# Far below what one process can do, so that it stays on time.
RATE_PER_PROCESS = 3_000
CALIBRATION_S = 2.0
CALIBRATION_FACTOR = 2.5
CALIBRATION_IN_FLIGHT = 64
CALIBRATION_CLOSED_ATTEMPTS = 12_000


class GeneratorError(RuntimeError):
    """A generator process ended before it was done; its evidence is incomplete."""


@dataclass
class Progress:
    """What the generator has done so far, over all its processes."""

    sent: int = 0
    ok: int = 0
    new: int = 0
    """Of those acknowledged, the ones that were not answered with the run of an earlier delivery."""
    fail: int = 0
    unknown: int = 0
    in_flight: int = 0
    level: int | None = None
    transactions: int = 0
    """What looking for finished runs has cost the database."""
    recent_us: list[int] = field(default_factory=list)
    """Accept latencies since the last time they were taken."""
    recent_lag_us: list[int] = field(default_factory=list)
    """How late requests were handed over, likewise."""


def processes_for(cores: int, rate: float) -> int:
    """How many generator processes there are: as many as the rate takes, on cores beyond the two the engine needs."""
    return max(1, min(cores - 2, math.ceil(rate / RATE_PER_PROCESS)))


class Generator:
    """The processes that send a plan. `async with` ends them, also when they are not done."""

    def __init__(self, job: Job, on_start: Callable[[int], None] = lambda _: None) -> None:
        """`on_start` hears of the process id of each process, so that somebody else can see to its end too."""
        self._jobs = [msgspec.structs.replace(job, process=number) for number in range(job.processes)]
        self._on_start = on_start
        self._processes: list[asyncio.subprocess.Process] = []
        self._progress = [Progress() for _ in self._jobs]
        self._done: list[asyncio.Task[dict[str, Any]]] = []
        self.start_us = 0

    @property
    def pids(self) -> list[int]:
        """The processes that were started."""
        return [process.pid for process in self._processes]

    @property
    def progress(self) -> Progress:
        """All processes together."""
        total = Progress()
        for part in self._progress:
            total.sent += part.sent
            total.ok += part.ok
            total.new += part.new
            total.fail += part.fail
            total.unknown += part.unknown
            total.in_flight += part.in_flight
            total.level = part.level
            total.transactions += part.transactions
            total.recent_us += part.recent_us
            total.recent_lag_us += part.recent_lag_us
            part.recent_us, part.recent_lag_us = [], []
        return total

    async def __aenter__(self) -> Self:
        try:
            for job in self._jobs:
                await self._launch(job)
            for process in self._processes:
                if "ready" not in await _read(process):
                    raise GeneratorError("A generator process did not become ready.")
        except BaseException:
            await self._end()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self._end()

    def start(self, at_us: int = 0) -> int:
        """Start sending at a moment, or in a moment when that is over; returns it in microseconds of Unix time."""
        self.start_us = max(at_us, time.time_ns() // 1_000 + round(START_AHEAD_S * 1e6))
        for number, process in enumerate(self._processes):
            assert process.stdin is not None
            process.stdin.write(msgspec.json.encode({"start_us": self.start_us}) + b"\n")
            self._done.append(asyncio.create_task(self._follow(number, process)))
        return self.start_us

    def tell(self, message: dict[str, Any]) -> None:
        """Tell every process how a load that goes by steps goes on."""
        for process in self._processes:
            assert process.stdin is not None
            process.stdin.write(msgspec.json.encode(message) + b"\n")

    async def done(self) -> list[dict[str, Any]]:
        """Wait for every process; returns their certificates. Raises GeneratorError if one dies."""
        return list(await asyncio.gather(*self._done))

    async def _launch(self, job: Job) -> None:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "meshproof.load.process",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            start_new_session=True,
            limit=1024 * 1024,
        )
        self._processes.append(process)
        self._on_start(process.pid)
        assert process.stdin is not None
        process.stdin.write(msgspec.json.encode(job) + b"\n")
        await process.stdin.drain()

    async def _follow(self, number: int, process: asyncio.subprocess.Process) -> dict[str, Any]:
        while True:
            message = await _read(process)
            if "done" in message:
                certificate: dict[str, Any] = message["done"]
                self._note(number, {**certificate["tally"], "transactions": certificate["transactions"]})
                return certificate
            if "progress" in message:
                self._note(number, message["progress"])

    def _note(self, number: int, seen: dict[str, Any]) -> None:
        untaken = self._progress[number]
        now = self._progress[number] = Progress(**seen)
        now.recent_us = untaken.recent_us + now.recent_us
        now.recent_lag_us = untaken.recent_lag_us + now.recent_lag_us

    async def _end(self) -> None:
        for task in self._done:
            task.cancel()
        for process in self._processes:
            assert process.stdin is not None
            process.stdin.close()
        await asyncio.gather(*self._done, *(process.wait() for process in self._processes), return_exceptions=True)


async def _read(process: asyncio.subprocess.Process) -> dict[str, Any]:
    assert process.stdout is not None
    line = await process.stdout.readline()
    if not line:
        raise GeneratorError(f"A generator process ended with exit code {await process.wait()} before it was done.")
    message: dict[str, Any] = msgspec.json.decode(line)
    return message


@dataclass(frozen=True)
class Calibration:
    """What the generator can do when the server does nothing."""

    per_s: float
    """Requests answered a second."""
    lag_p99_ms: float | None
    cpu_share: float


async def calibrate(plan: Plan, processes: int) -> Calibration:
    """Send a plan of the same kind to a null server: an open one at 2.5 times its rate, a closed one as fast as it
    goes."""
    if plan.levels:
        level = Level(CALIBRATION_IN_FLIGHT, CALIBRATION_CLOSED_ATTEMPTS)
        trial = replace(plan, levels=(level,), duration_s=0.0)
    else:
        rate = plan.peak_per_s * CALIBRATION_FACTOR
        trial = replace(
            plan, rate=rate, warmup_s=0.0, duration_s=CALIBRATION_S, arrivals="constant", course=(), trace=None
        )
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="meshproof-calibration-")))
        port = await stack.enter_async_context(NullServer())
        job = Job(trial, "127.0.0.1", port, str(folder), processes=processes, connections=CALIBRATION_IN_FLIGHT)
        generator = await stack.enter_async_context(Generator(job))
        start_us = generator.start()
        certificates = await generator.done()
        took_s = time.time() - start_us / 1e6
    answered = sum(certificate["tally"]["ok"] for certificate in certificates)
    lags = [Histogram.decode(certificate["lag"]) for certificate in certificates if certificate["lag"]]
    return Calibration(
        per_s=answered / max(took_s, trial.duration_s),
        lag_p99_ms=max((lag.percentile_us(99) / 1_000 for lag in lags), default=None),
        cpu_share=max(certificate["cpu_share"] for certificate in certificates),
    )


class NullServer:
    """A null server in a process of its own; entering gives its port."""

    async def __aenter__(self) -> int:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "meshproof.load.null_server",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        assert self._process.stdout is not None
        return int(await self._process.stdout.readline())

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        await self._process.wait()


def certificate_of(
    certificates: list[dict[str, Any]], calibration: Calibration | None, target_per_s: float
) -> dict[str, Any]:
    """The document `generator.json`; without a calibration it certifies nothing, and the judge says so."""
    processes = []
    for certificate in certificates:
        lag = Histogram.decode(certificate["lag"]).milliseconds() if certificate["lag"] else None
        processes.append(
            {
                "process": certificate["process"],
                "scheduling": certificate["scheduling"],
                "lag_ms": lag,
                "cpu_share": certificate["cpu_share"],
                "unsent": certificate["unsent"],
                "steps": certificate.get("steps") or None,
                "tally": certificate["tally"],
            }
        )
    return {
        "processes": processes,
        "target_per_s": target_per_s,
        "calibration_per_s": None if calibration is None else calibration.per_s,
        "calibration": None
        if calibration is None
        else {"lag_p99_ms": calibration.lag_p99_ms, "cpu_share": calibration.cpu_share},
        "cores": os.cpu_count(),
        "levels": [level for certificate in certificates for level in certificate["levels"]],
    }
