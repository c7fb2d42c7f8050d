"""`run driven -- COMMAND`: another driver sends — k6, Locust, or whatever plays a plan; the suite does all the rest.

It plans, sets the scenarios up, looks on while the command runs, waits for the last runs, brings the ledgers of the driver
together, and judges. The command finds in its environment:

    MESHPROOF_PLAN      the folder with plan.json and requests.ndjson
    MESHPROOF_TARGET    the address of the engine; LOCUST_HOST is the same
    K6_OUT              where k6 is to write: k6.json in that folder
"""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from pathlib import Path
from typing import Final

from meshproof.display import Display
from meshproof.load import k6, status_pages
from meshproof.merge import MergeError, merge
from meshproof.observe import Observer
from meshproof.plan_file import write_requests
from meshproof.profiles.load import plan_of
from meshproof.profiles.session import Result, Session, bystanders, conclude, drain, save_stored, session, write_plan
from meshproof.profiles.settings import RunSettings
from meshproof.reaper import Reaper
from meshproof.target import TargetError

K6: Final = "k6.json"
LOCUST: Final = "locust"
REQUESTS: Final = "requests.ndjson"


async def run(settings: RunSettings, command: list[str], display: Display, reaper: Reaper) -> Result:
    """Plan, let the command drive, drain, merge, save, judge. Raises TargetError when the command leaves no ledger."""
    plan = plan_of(settings)
    await write_plan(settings, plan, display)
    await asyncio.to_thread(write_requests, plan, settings.out / REQUESTS)
    async with session(settings, plan, display, reaper) as under_way:
        await accompany(under_way, command)
        display.step("Bringing the ledgers together")
        try:
            merge(settings.out, ledgers(settings.out))
        except (MergeError, k6.K6Error) as error:
            raise TargetError(f"{error} What the command said is in {log_of(settings.out)}.") from error
        await save_stored(under_way)
        display.step("Stopping MeshHook" if settings.embedded else "Leaving the target as it is")
    return await conclude(settings.out, display)


async def accompany(run: Session, command: list[str]) -> None:
    """Look on while the command drives, and until the last runs are over."""
    observer = Observer(run.folder / "samples", run.reader, run.endpoints, pids=run.pids, progress=None)
    async with bystanders(run):
        run.display.step(f"{Path(command[0]).name} sends {run.plan.scenario}")
        run.display.watch(observer, run.incidents, run.plan)
        observer.phase = lambda: "steady"
        observer.start()
        code = await drive(run, command)
        observer.phase = lambda: "drain"
        run.display.note("" if code == 0 else f"it ended with exit code {code}")
        run.display.step("Waiting for the last runs")
        await drain(run)
        await status_pages.read(run.plan, run.apis, run.folder)
        await observer.stop()
    run.display.watch(None, run.incidents, run.plan)


async def drive(run: Session, command: list[str]) -> int:
    """Run the command to its end; returns its exit code. Raises TargetError when it cannot be started."""
    log = log_of(run.folder)
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as said:
        try:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                env=environment(run),
                start_new_session=True,
            )
        except OSError as error:
            raise TargetError(f"{command[0]} cannot be started: {error}.") from error
        run.reaper.watch(process.pid)
        try:
            return await process.wait()
        finally:
            with suppress(ProcessLookupError):
                process.terminate()


def environment(run: Session) -> dict[str, str]:
    """What the command finds in its environment."""
    scheme = "https" if run.target.tls else "http"
    url = f"{scheme}://{run.target.host}:{run.target.port}"
    folder = run.folder.absolute()
    return {
        **os.environ,
        "MESHPROOF_PLAN": str(folder),
        "MESHPROOF_TARGET": url,
        "LOCUST_HOST": url,
        "K6_OUT": f"json={folder / K6}",
    }


def ledgers(folder: Path) -> list[Path]:
    """What the driver has left. Raises MergeError when there is nothing."""
    found = [folder / name for name in (K6, LOCUST) if (folder / name).exists()]
    if not found:
        raise MergeError(
            f"The command left neither {K6} nor {LOCUST} in {folder}: it has sent nothing that is on record."
        )
    return found


def log_of(folder: Path) -> Path:
    """What the command says."""
    return folder / "logs" / "driver.log"
