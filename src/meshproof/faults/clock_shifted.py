"""A worker whose wall clock is wrong, beside those whose clocks are right.

No privilege moves the clock of one process alone; a library that is loaded into it before all others does (`shifted_clock.c`, 40
lines, made by the C compiler of the machine).
"""

from __future__ import annotations

import asyncio
import re
import shutil
import sys
from datetime import datetime
from pathlib import Path
from typing import Final

from meshproof.faults.fault import Evidence, Fault
from meshproof.faults.scene import Scene, until
from meshproof.supervise import ProcessError

SOURCE: Final = Path(__file__).with_name("shifted_clock.c")
SHIFTS_S: Final = (60, 3_600)
"""From a minute, which is longer than a lease, to an hour."""
NEAR_S: Final = 20.0
"""So long may pass between a line of a log and the look at it."""
LOGGED_AT: Final = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)")


class ShiftClock(Fault):
    """One more worker for a while, whose clock is minutes to an hour ahead or behind."""

    lasts_s = (3.0, 4.0)
    heals_s = 2.5
    impossible = (
        None
        if sys.platform == "linux" and shutil.which("cc")
        else "the clock of one process alone is moved by a library that is loaded into it, which takes Linux and a C compiler (cc);"
        " leases and timers ask the clock of the database"
    )

    async def aim(self, scene: Scene) -> str:
        self.added, self.committed, self.held, self.seen_s = False, 0, 0, 0
        self.shift_s = self.draw.between(*SHIFTS_S) * (1 if self.draw.below(2) else -1)
        self.library = await compiled(scene.target.folder)
        return f"a worker more, {said(self.shift_s)}"

    async def begin(self, scene: Scene) -> None:
        await scene.target.add_workers(1, {"LD_PRELOAD": str(self.library), "MESHPROOF_SHIFT_S": str(self.shift_s)})
        self.added = True

    async def end(self, scene: Scene) -> None:
        if not self.added:
            return
        worker = scene.target.processes("worker")[-1]

        async def worked() -> bool:
            self.committed = sum(seen.committed for seen in await scene.eye.workers() if seen.pid == worker.pid)
            return self.committed > 0

        await until(worked, 20.0)
        self.seen_s = seen_shift_s(worker.log)
        seen = await scene.eye.aim(lambda seen: seen.held_by(worker.pid) > 0 or not seen.held)
        self.held = seen.held_by(worker.pid)
        await scene.target.remove_workers(1)

    async def evidence(self, scene: Scene) -> Evidence:
        return Evidence(
            self.committed > 0 and abs(self.seen_s - self.shift_s) < NEAR_S,
            f"its log is {said(self.seen_s)}; it did {self.committed} pieces of work by then, and held {self.held} runs"
            " when it was told to stop",
            {"shift_s": self.shift_s, "seen_s": self.seen_s, "worked": self.committed, "held": self.held},
        )


async def compiled(folder: Path) -> Path:
    """The library, made in this folder once. Raises ProcessError where the compiler refuses."""
    library = folder / "shifted_clock.so"
    if not library.exists():
        compiler = await asyncio.create_subprocess_exec(
            "cc",
            *("-shared", "-fPIC", "-O2", "-o", str(library), str(SOURCE)),
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        _, complaint = await compiler.communicate()
        if compiler.returncode:
            raise ProcessError(f"cc could not make {SOURCE.name}: {complaint.decode(errors='replace')}")
    return library


def seen_shift_s(log: Path) -> int:
    """By how much the moments in a log differ from when it was written: seconds, 0 where it holds none."""
    moments = LOGGED_AT.findall(log.read_bytes())
    if not moments:
        return 0
    return round(datetime.fromisoformat(moments[-1].decode()).timestamp() - log.stat().st_mtime)


def said(shift_s: int) -> str:
    """A shift in words."""
    return f"{abs(shift_s)} s {'ahead' if shift_s > 0 else 'behind'}" if shift_s else "right"
