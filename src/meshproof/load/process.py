"""One generator process: takes a job on standard input, sends its share of the plan, and certifies itself.

The parent writes the job, waits for `ready`, and writes the moment to start at, the same for all processes. What comes
back are lines of JSON: `ready`, `progress` four times a second, and `done` with the certificate. When standard input
ends, the parent is gone, and this process goes too. A load that goes by steps hears of them there.
"""

from __future__ import annotations

import asyncio
import gc
import os
import resource
import sys
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import msgspec
import uvloop

from meshproof.load.closed_loop import ClosedLoop
from meshproof.load.finished import Finished
from meshproof.load.open_loop import OpenLoop
from meshproof.load.recorder import RECENT_MAX, Clock, Recorder
from meshproof.load.request import Requests, SteppedRequests
from meshproof.load.shape import Piece
from meshproof.load.slicing import WHOLE, Slice
from meshproof.load.steps import StepMeter, Steps
from meshproof.plan import Plan
from meshproof.stats import Histogram

PROGRESS_S = 0.1


class Job(msgspec.Struct):
    """What one process has to do."""

    plan: Plan
    host: str
    port: int
    folder: str
    """Where the ledger of sent requests goes."""
    process: int = 0
    processes: int = 1
    slice: Slice = WHOLE
    """The share of the plan that is sent from this machine, by all of its processes."""
    dsn: str | None = None
    """The database to see runs finish in; only the closed model asks."""
    in_flight_max: int = 4_096
    timeout_s: float = 15.0
    level_s_max: float = 120.0
    tls: bool = False
    connections: int = 16
    """How many connections to open before the start."""
    stepped: bool = False
    """Whether the course of the plan is only how it begins: the parent says how it goes on (`piece`), and when it ends (`end`)."""


async def main() -> None:
    """Take the job, make its requests ready, wait for the start, send."""
    lines = await _standard_input()
    if not (line := await lines.readline()):
        return
    job = msgspec.json.decode(line, type=Job)
    _raise_file_limit()
    scheduling = _go_first()
    steps = Steps(job.plan.course)
    requests = _requests(job, steps)
    requests.fill()
    # Nothing here makes cycles, and a full collection in mid-run would be a schedule lag of our own making.
    gc.collect()
    gc.freeze()
    gc.disable()
    _say({"ready": os.getpid()})
    if not (line := await lines.readline()):
        return
    recorder = Recorder(Path(job.folder), job.process, Clock(msgspec.json.decode(line)["start_us"]))
    meter = StepMeter().starts(recorder.clock.start_ns, job.plan.course) if job.stepped else None
    listening = asyncio.create_task(_listen(lines, steps, meter))
    certificate = {**await _send(job, requests, recorder, meter), "scheduling": scheduling}
    recorder.close()
    listening.cancel()
    _say({"done": certificate})


def _requests(job: Job, steps: Steps) -> Requests:
    host = f"{job.host}:{job.port}"
    process, processes = job.slice.share(job.process, job.processes)
    if job.stepped:
        return SteppedRequests(job.plan, host, steps, process, processes)
    return Requests(job.plan, host, process, processes)


async def _send(job: Job, requests: Requests, recorder: Recorder, meter: StepMeter | None) -> dict[str, Any]:
    if job.plan.levels:
        return await _send_closed(job, requests, recorder)
    loop = OpenLoop(
        job.plan, requests, recorder, job.host, job.port, job.in_flight_max, job.timeout_s, meter, tls=job.tls
    )
    progress = asyncio.create_task(_progress(recorder, loop))
    await loop.run(job.connections)
    progress.cancel()
    return {
        "process": job.process,
        "tally": dict(recorder.tally),
        "lag": Histogram.of(recorder.lag_us).encode(),
        "cpu_share": loop.cpu_share,
        "unsent": loop.unsent,
        "steps": [] if meter is None else [step.document() for step in meter.done],
        "levels": [],
        "transactions": 0,
    }


async def _send_closed(job: Job, requests: Requests, recorder: Recorder) -> dict[str, Any]:
    finished = Finished(job.dsn) if job.dsn else None
    loop = ClosedLoop(
        job.plan, requests, recorder, job.host, job.port, finished, job.timeout_s, job.level_s_max, tls=job.tls
    )
    progress = asyncio.create_task(_progress(recorder, loop))
    await loop.run()
    progress.cancel()
    if finished is not None:
        await finished.close()
    return {
        "process": job.process,
        "tally": dict(recorder.tally),
        "lag": None,
        "cpu_share": loop.cpu_share,
        "unsent": sum(held.unsent for held in loop.held),
        "levels": [asdict(held) for held in loop.held],
        "transactions": loop.transactions,
    }


async def _progress(recorder: Recorder, loop: OpenLoop | ClosedLoop) -> None:
    told = 0
    while True:
        await asyncio.sleep(PROGRESS_S)
        recent, recorder.recent_us = recorder.recent_us, []
        lag = recorder.lag_us[told : told + RECENT_MAX]
        told = len(recorder.lag_us)
        seen = {**recorder.tally, "in_flight": loop.in_flight, "recent_us": recent, "recent_lag_us": list(lag)}
        if isinstance(loop, ClosedLoop):
            seen["level"] = loop.held[-1].level if loop.held else None
            seen["transactions"] = loop.transactions
        _say({"progress": seen})


async def _standard_input() -> asyncio.StreamReader:
    reader = asyncio.StreamReader(limit=64 * 1024 * 1024)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    return reader


async def _listen(lines: asyncio.StreamReader, steps: Steps, meter: StepMeter | None) -> None:
    while line := await lines.readline():
        message = msgspec.json.decode(line)
        if "end" in message:
            steps.end()
        elif meter is not None:
            piece = msgspec.convert(message["piece"], Piece)
            steps.add(piece)
            meter.add(piece)
    os._exit(1)


def _say(message: dict[str, Any]) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(message) + b"\n")
    sys.stdout.flush()


def _go_first() -> str:
    """Be scheduled before the engine where that is allowed; returns how this process is scheduled now.

    Real senders are other machines, and do not wait until the engine gives them the processor. Without this, a busy
    core makes requests late by 5 to 20 ms, with it by 1 ms.
    """
    with suppress(OSError, AttributeError):
        os.sched_setscheduler(0, os.SCHED_RR | os.SCHED_RESET_ON_FORK, os.sched_param(1))
        return "real-time"
    return "ordinary"


def _raise_file_limit() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 65_536 if hard == resource.RLIM_INFINITY else min(hard, 65_536)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


if __name__ == "__main__":
    uvloop.run(main())
