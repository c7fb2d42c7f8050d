"""One engine in one trial, in a process of its own: takes a job on standard input, prints what came of it.

The parent may run several side by side, and end any of them: what a process has started, its reaper ends with it.
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress
from pathlib import Path

import msgspec
from rich.console import Console

from meshproof import evidence
from meshproof.database import Reader
from meshproof.display import Display
from meshproof.judge import judge
from meshproof.judge.verdicts import Result, Verdict
from meshproof.load.generator import GeneratorError
from meshproof.mutants import planted
from meshproof.mutants.faults import FaultError, Scene
from meshproof.mutants.patch import PatchError, scratch
from meshproof.mutants.trials import TRIALS, TrialSettings
from meshproof.profiles import load
from meshproof.profiles.session import Session, drive, export, now_us, session, write_plan
from meshproof.reaper import Reaper
from meshproof.rest import ApiError
from meshproof.supervise import ProcessError
from meshproof.target import Embedded, TargetError

ERRORS = (ApiError, ProcessError, GeneratorError, TargetError, FaultError, PatchError, evidence.EvidenceError)


class Job(msgspec.Struct, frozen=True):
    """What to run."""

    trial: str
    mutants: tuple[str, ...]
    """What is planted, all of it in one engine; nothing: the engine as it is."""
    seed: int
    out: str
    """The folder of the evidence."""
    size: float = 1.0
    """How many times as long as usual the load goes on."""


class Finding(msgspec.Struct, frozen=True):
    """One invariant that does not hold."""

    name: str
    verdict: Verdict
    sentence: str
    why: str | None
    """The first counterexample."""
    run_id: str | None = None


class Outcome(msgspec.Struct, frozen=True):
    """What came of it."""

    findings: list[Finding]
    """Every invariant that fails or is unknown."""
    error: str | None = None
    """Why the run did not come to its end, if it did not."""


async def run(job: Job) -> Outcome:
    """Plant the bug, drive the engine through the trial, and judge."""
    trial = TRIALS[job.trial]
    with Reaper() as reaper, Display(Console(stderr=True), quiet=True) as display:
        package = reaper.folder / "engine"
        package.mkdir()
        scratch(package, [patch for name in job.mutants for patch in planted.MUTANTS[name].patches])
        settings = TrialSettings(
            profile="load",
            scenario=trial.scenario,
            seed=job.seed,
            out=evidence.prepare(Path(job.out)),
            workers=trial.workers,
            rate=trial.rate,
            duration_s=trial.seconds * job.size,
            calibrated=False,
            engine_package=package,
            trial=trial,
        )
        plan = load.plan_of(settings)
        await write_plan(settings, plan, display)
        async with session(settings, plan, display, reaper) as under_way:
            faults = asyncio.create_task(_strike(under_way, settings))
            try:
                driven = await drive(under_way, trial.name)
                await faults
            finally:
                faults.cancel()
            await export(under_way, load.phases_of(plan, driven, now_us()))
    verdicts = await asyncio.to_thread(judge, settings.out)
    return Outcome([_finding(result) for result in verdicts.results if result.verdict is not Verdict.PASS])


async def _strike(run: Session, settings: TrialSettings) -> None:
    if settings.trial is None or settings.trial.fault is None:
        return
    assert isinstance(run.target, Embedded)
    reader = Reader(run.target.dsn)
    try:
        await settings.trial.fault.strike(Scene(run.target, reader, run.incidents))
    finally:
        await reader.close()


def _finding(result: Result) -> Finding:
    first = result.examples[0] if result.examples else None
    return Finding(
        result.name,
        result.verdict,
        result.sentence,
        None if first is None else first.why,
        None if first is None else first.run_id,
    )


async def main() -> None:
    """Do the job that stands on standard input; the end of it is the end of this process too."""
    lines = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    line = await lines.readline()
    if not line:
        return
    work = asyncio.create_task(_outcome(msgspec.json.decode(line, type=Job)))
    parent = asyncio.create_task(lines.read())
    await asyncio.wait([work, parent], return_when=asyncio.FIRST_COMPLETED)
    if not work.done():
        work.cancel()
        with suppress(asyncio.CancelledError):
            await work
        return
    parent.cancel()
    sys.stdout.buffer.write(msgspec.json.encode(work.result()) + b"\n")
    sys.stdout.buffer.flush()


async def _outcome(job: Job) -> Outcome:
    try:
        return await run(job)
    except ERRORS as error:
        return Outcome([], f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    asyncio.run(main())
