"""The hunt: every mutant through its trial, the engine as it is through all of these trials, some of them at a time.

How many run at once is bounded by the cores and by the memory that is free: each has a Postgres, an API, workers, a generator, and
at its end a judge. A trial that came to nothing is made again with more load: on a slow machine a small one may be too small.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
import psutil

from meshproof.judge.invariant import VALIDITY
from meshproof.judge.verdicts import Verdict
from meshproof.mutants.mutant import Mutant
from meshproof.mutants.one import Finding, Job, Outcome

MEMORY_EACH: Final = 800 * 1024 * 1024
TRIAL_S_MAX: Final = 240.0
# Half of its time a trial waits: for leases that run out, for processes that start, for the next request of a small load.
EACH_CORE: Final = 2
SIZES: Final = (1.0, 3.0)
# No figure is taken from a trial, and several share the machine: it does not matter how punctual the generator was.
NOT_ASKED: Final = frozenset({"validity.generator"})


@dataclass(frozen=True)
class Hunted:
    """One engine that went through one trial."""

    trial: str
    mutant: Mutant | None
    """None: the engine as it is."""
    folder: Path
    outcome: Outcome

    @property
    def failures(self) -> list[Finding]:
        """What does not hold, what only makes a run unfair left out."""
        return [
            finding
            for finding in self.outcome.findings
            if finding.verdict is Verdict.FAIL and not finding.name.startswith(f"{VALIDITY}.")
        ]

    @property
    def catch(self) -> Finding | None:
        """The invariant that has caught the mutant: one that is there for it, and fails. Unknown is no catch."""
        if self.mutant is None or self.outcome.error:
            return None
        failures = {finding.name: finding for finding in self.failures}
        return next((failures[name] for name in self.mutant.caught_by if name in failures), None)

    @property
    def asked(self) -> list[Finding]:
        """What was found that counts here."""
        return [finding for finding in self.outcome.findings if finding.name not in NOT_ASKED]

    @property
    def is_open(self) -> bool:
        """Whether more load may tell more: a mutant that is not caught; of the engine as it is, what could not be proved. A
        failure of the engine as it is stays one.
        """
        if self.mutant is not None:
            return self.catch is None
        return not self.is_clean and not self.failures

    @property
    def is_clean(self) -> bool:
        """Whether every invariant was proved, and the run was a fair test."""
        return self.outcome.error is None and not self.asked


def side_by_side(cores: int) -> int:
    """How many trials may run at once on this machine, as it is now."""
    return max(1, min(EACH_CORE * cores, psutil.virtual_memory().available // MEMORY_EACH))


async def hunt(
    mutants: Sequence[Mutant],
    seed: int,
    out: Path,
    at_once: int,
    on_done: Callable[[Hunted], None] = lambda _: None,
    run: Callable[[Job], Awaitable[Outcome]] | None = None,
) -> list[Hunted]:
    """Run all of them; the engine as it is first, since without it the others prove nothing. ``run`` does one job, by default in a
    process of its own.
    """
    run = run or in_a_process
    trials = list(dict.fromkeys(mutant.trial for mutant in mutants))
    jobs: list[tuple[str, Mutant | None]] = [(trial, None) for trial in trials]
    jobs += [(mutant.trial, mutant) for mutant in mutants]
    free = asyncio.Semaphore(at_once)

    async def one(trial: str, mutant: Mutant | None) -> Hunted:
        folder = out / (f"clean-{trial}" if mutant is None else mutant.name)
        planted = () if mutant is None else (mutant.name,)
        for size in SIZES:
            async with free:
                hunted = Hunted(trial, mutant, folder, await run(Job(trial, planted, seed, str(folder), size)))
            if not hunted.is_open:
                break
        on_done(hunted)
        return hunted

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(*job)) for job in jobs]
    return [task.result() for task in tasks]


def document(hunted: Iterable[Hunted]) -> dict[str, Any]:
    """What `meshproof mutants --json` prints."""
    everything = list(hunted)
    return {
        "mutants": [
            {"name": one.mutant.name, "caught": one.catch is not None, "by": one.catch.name if one.catch else None}
            for one in everything
            if one.mutant is not None
        ],
        "clean": "pass" if all_clean(everything) else "fail",
    }


def all_clean(hunted: Iterable[Hunted]) -> bool:
    """Whether the engine as it is has passed everything it went through."""
    return all(one.is_clean for one in hunted if one.mutant is None)


async def in_a_process(job: Job) -> Outcome:
    """Do a job in a process of its own, and end that whatever comes of it."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "meshproof.mutants.one",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
        limit=16 * 1024 * 1024,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    saying = asyncio.create_task(process.stderr.read())
    try:
        process.stdin.write(msgspec.json.encode(job) + b"\n")
        await process.stdin.drain()
        async with asyncio.timeout(TRIAL_S_MAX * job.size):
            line = await process.stdout.readline()
    except TimeoutError:
        return Outcome([], f"not done within {TRIAL_S_MAX * job.size:g} s")
    finally:
        # With its standard input it ends, and its reaper ends what it has started.
        with suppress(OSError):
            process.stdin.close()
        said = await saying
        await process.wait()
    if not line:
        last = said.decode(errors="replace").strip().splitlines()[-1:] or ["nothing"]
        return Outcome([], f"the process of the trial ended with exit code {process.returncode}; it said: {last[0]}")
    return msgspec.json.decode(line, type=Outcome)
