"""Hundreds of watchers of live streams: does each see every event once and in order, and how long after its commit?

Some follow a workflow, a few the whole project, some start a run and watch it to its end, again and again. Some drop their
connection and go on with their cursor, some read slowly while things are sent. What they saw is held against the stored journals:
nothing missing, nothing twice, nothing out of order, nothing of others.

    python -m meshproof.watchers --watchers 200 --rate 1000 --seconds 15

starts an engine of its own, sends, watches, and prints what came of it as JSON. Exit code 1: something was not exact.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
import uvloop

from meshproof import scenarios
from meshproof.database import Reader
from meshproof.draw import Draw
from meshproof.load.light import LightJob, Report
from meshproof.reaper import Reaper
from meshproof.rest import Api
from meshproof.sql import statement
from meshproof.stats import Histogram
from meshproof.supervise import Incidents
from meshproof.tape import Reading, Tape
from meshproof.target import Embedded
from meshproof.told import Stored, faults_of
from meshproof.watcher import Address, Starter, Watcher

SCENARIO: Final = "pipeline"
OWN_SCENARIO: Final = "naps"
OWN: Final = "watched-own"
WHOLE: Final = "/api/v1/stream"
CATCH_UP_S_MAX: Final = 60.0
POLL_S: Final = 0.05


class Crowd:
    """Many watchers at once: of streams that never end, and of runs."""

    def __init__(self, watchers: Sequence[Watcher], starters: Sequence[Starter] = ()) -> None:
        self.watchers = watchers
        self.starters = starters
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self, timeout_s: float = 30.0) -> None:
        """Let all begin; returns when each has its first cursor, so that nothing from now on may be missed."""
        self._tasks = [asyncio.create_task(watcher.run()) for watcher in self.watchers]
        async with asyncio.timeout(timeout_s):
            for watcher in self.watchers:
                await watcher.began.wait()
        self._tasks += [asyncio.create_task(starter.run()) for starter in self.starters]

    async def settle(self, timeout_s: float = CATCH_UP_S_MAX) -> int:
        """Nobody is slow any more, and no more runs are started; when all were watched to the end, how many that were."""
        for watcher in self.watchers:
            watcher.hurry()
        for starter in self.starters:
            starter.enough = True
        async with asyncio.timeout(timeout_s):
            await asyncio.gather(*self._tasks[len(self.watchers) :])
        return sum(len(starter.runs) for starter in self.starters)

    async def caught_up(self, stored: Stored, timeout_s: float = CATCH_UP_S_MAX) -> bool:
        """Wait until each has seen as many events as there are for him."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while any(watcher.reading.count < len(stored.of_path(watcher.path)) for watcher in self.watchers):
                    await asyncio.sleep(POLL_S)
                return True
        return False

    async def stop(self) -> None:
        """End all."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def verdict(self, stored: Stored) -> dict[str, Any]:
        """Faults of every watcher, and the lag of those that read as fast as they can."""
        faults = {
            str(number): found
            for number, found in (
                *(
                    (watcher.number, faults_of(watcher.reading.keys, stored.of_path(watcher.path)))
                    for watcher in self.watchers
                ),
                *((starter.number, starter.faults(stored)) for starter in self.starters),
            )
            if found
        }
        watched, started = Histogram(), Histogram()
        for watcher in self.watchers:
            if not watcher.slow:
                watched.add(watcher.reading.lag_us())
        for starter in self.starters:
            started.add(starter.lag_us)
        notices: Counter[str] = sum((watcher.reading.notices for watcher in self.watchers), Counter())
        paths = Counter("whole" if watcher.path == WHOLE else "workflow" for watcher in self.watchers)
        return {
            "watchers": {**paths, "run": len(self.starters), "slow": sum(watcher.slow for watcher in self.watchers)},
            "connections": sum(watcher.connections for watcher in self.watchers),
            "refused": sum(watcher.refused for watcher in self.watchers),
            "events": sum(watcher.reading.count for watcher in self.watchers),
            "runs_watched": sum(len(starter.runs) for starter in self.starters),
            "notices": dict(notices),
            "lag_ms": watched.milliseconds(),
            "lag_of_runs_ms": started.milliseconds(),
            "faults": faults,
        }


@dataclass(frozen=True)
class Scale:
    """How many watchers of how many workflows, and what is sent. Who watches neither the whole nor runs watches a workflow."""

    watchers: int = 200
    workflows: int = 20
    rate: float = 1_000.0
    seconds: float = 30.0
    whole_share: float = 0.05
    run_share: float = 0.2
    quitting_share: float = 0.25
    quit_every_s: float = 3.0
    slow_share: float = 0.02


def crowd_of(api: Api, scale: Scale) -> Crowd:
    """The watchers of a scale; those of workflows are spread over them, and who quits or is slow is drawn from all of them."""
    whole, of_runs = round(scale.watchers * scale.whole_share), round(scale.watchers * scale.run_share)
    of_streams = scale.watchers - of_runs
    paths = [WHOLE if number < whole else path_of(name_of(number % scale.workflows)) for number in range(of_streams)]
    draw = Draw("crowd")
    paths.sort(key=lambda _: draw.unit())
    quitting, slow = round(of_streams * scale.quitting_share), round(of_streams * scale.slow_share)
    tapes = {path: Tape() for path in paths}
    door = Address(api.host, api.port, {} if api.key is None else {"authorization": f"Bearer {api.key}"})
    watchers = [
        Watcher(
            number,
            door,
            path,
            Reading(tapes[path]),
            quit_every_s=scale.quit_every_s if number < quitting else 0.0,
            slow=of_streams - number <= slow,
        )
        for number, path in enumerate(paths)
    ]
    return Crowd(watchers, [Starter(of_streams + number, door, OWN, OWN_SCENARIO) for number in range(of_runs)])


def name_of(workflow: int) -> str:
    """The name of a workflow, and of its endpoint."""
    return f"watched-{workflow}"


def path_of(workflow: str) -> str:
    """The stream of a workflow."""
    return f"{WHOLE}?workflow={workflow}"


async def measure(api: Api, dsn: str, scale: Scale) -> dict[str, Any]:
    """Publish, watch, send, wait for the end, and judge. The engine is running, and nothing else uses it."""
    names = [name_of(number) for number in range(scale.workflows)]
    for name, scenario in [*((name, SCENARIO) for name in names), (OWN, OWN_SCENARIO)]:
        await api.publish(name, scenarios.load(scenario).definition)
        await api.bind(name, name)
    crowd, reader = crowd_of(api, scale), Reader(dsn)
    try:
        await crowd.start()
        report = await send(api, names, scale)
        await finished(reader, report.accepted + await crowd.settle())
        stored = await stored_events(reader, [*names, OWN])
        caught_up = await crowd.caught_up(stored)
        verdict = crowd.verdict(stored)
    finally:
        await crowd.stop()
        await reader.close()
    sent = {"attempted": report.sent, "accepted": report.accepted, "seconds": report.seconds}
    return {**verdict, "caught_up": caught_up, "sent": sent, "exact": caught_up and not verdict["faults"]}


async def send(api: Api, names: list[str], scale: Scale) -> Report:
    """Send to all endpoints in turn, from a process of its own."""
    job = LightJob(api.host, api.port, ",".join(names), SCENARIO, scale.seconds, connections=256, rate=scale.rate)
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


async def stored_events(reader: Reader, names: list[str]) -> Stored:
    """Every event in the journals of these workflows, which are all there are."""
    stored = Stored()
    for name, run_id, seq in await reader.fetch(statement("watched_events"), names):
        stored.add(path_of(name), (str(run_id), seq))
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
            found = await measure(target.api, target.dsn, scale)
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
        ("whole-share", float),
        ("run-share", float),
        ("quitting-share", float),
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
