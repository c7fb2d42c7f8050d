"""Plays the planned faults while the load goes on, and writes down what became of each (`faults.ndjson`)."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import asyncpg

from meshproof.faults.fault import Evidence, Fault
from meshproof.faults.scene import Scene
from meshproof.faults.schedule import Planned
from meshproof.ledger import LineWriter
from meshproof.supervise import Incidents, ProcessError

# What a fault may run into because another one, or the machine, was faster. It has not been made then, and that is on record.
FAILURES = (OSError, TimeoutError, ProcessError, asyncpg.PostgresError, asyncpg.InterfaceError)

HEALS_SLOWLY: Final = 3.0
"""A machine with other work takes so many times as long as planned, for all we know."""


@dataclass
class Played:
    """What became of one planned fault."""

    planned: Planned
    fault: Fault | None
    target: str = ""
    began_us: int | None = None
    ended_us: int | None = None
    skipped: str | None = None
    failed: str | None = None


class Conductor:
    """Begins every fault at its time and heals it; one at a time, but for those that leave room."""

    def __init__(
        self,
        planned: tuple[Planned, ...],
        kinds: dict[str, type[Fault]],
        seed: int,
        scene: Scene,
        incidents: Incidents,
        until_s: float,
    ) -> None:
        """No fault begins later than `until_s` from the start: the load that is left then is for the proof of liveness."""
        self._scene = scene
        self._incidents = incidents
        self._played = [
            Played(one, kinds[one.kind](one.draw(seed)), skipped=kinds[one.kind].impossible) for one in planned
        ]
        self._alone = asyncio.Lock()
        self._until_s = until_s
        self._last_us = 0

    async def play(self, start_us: int) -> None:
        """Play them all; returns when everything is healed. Broken off, it heals what is under way."""
        self._last_us = start_us + round(self._until_s * 1e6)
        async with asyncio.TaskGroup() as tasks:
            for played in self._played:
                tasks.create_task(self._play_one(played, start_us))

    async def write(self, path: Path) -> None:
        """Look back at every fault, and put it on record."""
        with LineWriter(path) as lines:
            for played in self._played:
                lines.add_json(await self._line(played))

    async def _play_one(self, played: Played, start_us: int) -> None:
        await asyncio.sleep(max(0.0, start_us / 1e6 + played.planned.at_s - time.time()))
        if played.skipped is not None:
            self._incidents.add("fault", None, f"{played.planned.kind} is skipped: {played.skipped}")
        elif played.fault is not None and played.fault.leaves_room:
            async with self._alone:
                pass  # it begins when nothing is broken
            await self._make(played, played.fault)
        elif played.fault is not None:
            async with self._alone:
                await self._make(played, played.fault)
                if played.began_us is not None:
                    await asyncio.sleep(played.fault.leaves_s)

    async def _make(self, played: Played, fault: Fault) -> None:
        late = "its turn came too late: those before it took longer than planned"
        # One that was to come again, in time that was left, is no loss; so it must be sure to have healed before the end.
        if (
            played.planned.turn
            and now_us() + HEALS_SLOWLY * (played.planned.for_s + fault.heals_s) * 1e6 > self._last_us
        ):
            played.skipped = late
            return
        if now_us() > self._last_us:
            played.failed = late
            return
        kind = played.planned.kind
        try:
            played.target = await fault.aim(self._scene)
            # On record before it happens: whatever breaks has its reason on record already.
            self._incidents.add("fault", None, f"{kind}: {played.target}")
            played.began_us = now_us()
            self._incidents.fault_began(kind, played.target)
            await fault.begin(self._scene)
            await asyncio.sleep(played.planned.for_s)
        except FAILURES as error:
            played.failed = f"{type(error).__name__}: {error}"
        finally:
            if played.began_us is not None:
                await self._heal(played, fault)

    async def _heal(self, played: Played, fault: Fault) -> None:
        try:
            await fault.end(self._scene)
        except FAILURES as error:
            played.failed = played.failed or f"{type(error).__name__}: {error}"
        played.ended_us = now_us()
        self._incidents.fault_ended(played.planned.kind, played.target)
        assert played.began_us is not None
        took_s = (played.ended_us - played.began_us) / 1e6
        self._incidents.add("fault", None, f"{played.planned.kind} is over after {took_s:.1f} s", played.began_us)

    async def _line(self, played: Played) -> dict[str, Any]:
        evidence = Evidence(False, "it was not begun")
        if played.fault is not None and played.ended_us is not None:
            try:
                evidence = await played.fault.evidence(self._scene)
            except (*FAILURES, AttributeError) as error:
                # What it would have remembered was never set: it did not come that far.
                played.failed = played.failed or f"{type(error).__name__}: {error}"
        return {
            **played.planned.document(),
            "target": played.target,
            "began_us": played.began_us,
            "ended_us": played.ended_us,
            "hit": evidence.hit and played.failed is None,
            "evidence": evidence.what,
            "figures": evidence.figures,
            "skipped": played.skipped,
            "failed": played.failed,
        }


def now_us() -> int:
    """Microseconds of Unix time."""
    return time.time_ns() // 1_000
