"""An exploration: a Postgres of its own with the engine's schema, and a process for each core, each with a database of its own."""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path
from typing import Any

import asyncpg
import msgspec

from meshproof.display import Display
from meshproof.explore.process import Job, Said
from meshproof.reaper import Reaper
from meshproof.supervise import Incidents, ProcessError
from meshproof.target import Embedded, TargetError

STOP_S_MAX = 10.0


async def run(
    schedules: int, seed: int, processes: int, patch: str | None, display: Display, reaper: Reaper
) -> dict[str, Any]:
    """Play so many schedules, from this seed on. ``patch`` is SQL that plants a bug first.

    Raises:
        ProcessError: a process ended before its time.
        TargetError: Postgres refuses the patch.
    """
    processes = min(processes, schedules)
    incidents = Incidents(reaper.folder / "incidents.jsonl")
    engine = Embedded(workers=0, incidents=incidents, reaper=reaper, logs=reaper.folder / "logs")
    display.step("Starting Postgres, with the schema of the engine")
    try:
        await engine.start_database()
        if patch is not None:
            await _try(patch, engine.dsn)
        jobs = [
            Job(
                await _own_database(engine.dsn, number),
                first=seed + number,
                step=processes,
                count=len(range(number, schedules, processes)),
                patch=patch,
            )
            for number in range(processes)
        ]
        display.step(f"Playing {schedules:,} schedules from seed {seed} on, {processes} at once")
        return await _play(jobs, reaper)
    finally:
        await engine.stop()
        incidents.close()


async def _play(jobs: list[Job], reaper: Reaper) -> dict[str, Any]:
    ready = asyncio.Barrier(len(jobs) + 1)
    playing = [asyncio.create_task(_play_one(job, ready, reaper)) for job in jobs]
    try:
        waiting = asyncio.create_task(ready.wait())
        await asyncio.wait([waiting, *playing], return_when=asyncio.FIRST_COMPLETED)
        began = time.monotonic()
        done = await asyncio.gather(*playing)
        seconds = time.monotonic() - began
        waiting.cancel()
    finally:
        for one in playing:
            one.cancel()
    schedules = sum(said.schedules for said in done)
    counterexamples = [one for said in done for one in said.counterexamples or []]
    return {
        "schedules": schedules,
        "violations": sum(said.violations for said in done),
        "schedules_per_s": round(schedules / seconds, 1),
        "seconds": round(seconds, 2),
        "processes": len(jobs),
        "counterexamples": sorted(counterexamples, key=lambda one: one.seed),
    }


async def _play_one(job: Job, ready: asyncio.Barrier, reaper: Reaper) -> Said:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "meshproof.explore.process",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    reaper.watch(process.pid)
    assert process.stdin is not None
    assert process.stdout is not None
    said = Said(0, 0)
    try:
        process.stdin.write(msgspec.json.encode(job) + b"\n")
        await process.stdin.drain()
        if await process.stdout.readline():
            await ready.wait()
        async for line in process.stdout:
            said = msgspec.json.decode(line, type=Said)
        code = await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if said.counterexamples is None:
        raise ProcessError(f"A process of the exploration ended with exit code {code}; what it said is above.")
    return said


async def _try(patch: str, dsn: str) -> None:
    """Have Postgres take the patch, and take it back: what is wrong with it is said once, before anything is played."""
    connection = await asyncpg.connect(dsn)
    try:
        attempt = connection.transaction()
        await attempt.start()
        try:
            await connection.execute(patch)
        except asyncpg.PostgresError as error:
            raise TargetError(f"Postgres refuses the SQL of --patch: {error}.") from error
        finally:
            await attempt.rollback()
    finally:
        await connection.close()


async def _own_database(dsn: str, number: int) -> str:
    """A copy of the database, for one process."""
    name = f"explore_{number}"
    connection = await asyncpg.connect(dsn.replace("///meshhook?", "///postgres?"))
    try:
        await connection.execute(f"CREATE DATABASE {name} TEMPLATE meshhook")
    finally:
        await connection.close()
    return dsn.replace("///meshhook?", f"///{name}?")


def patch_of(path: Path | None) -> str | None:
    """The SQL in a file, if there is one."""
    return path.read_text(encoding="utf-8") if path is not None else None
