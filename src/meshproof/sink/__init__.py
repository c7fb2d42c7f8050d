"""The sink as the suite sees it: a supervised process of its own, which every outgoing call of the workflows goes to.

It shares nothing with the engine and outlives whatever is done to it, so its ledger (`effects/`) is a third witness beside what
was sent and what is stored. In definitions it stands as `http://sink.test`; the address takes the place of that when the workflow
is published.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Any, Final

import msgspec

from meshproof.reaper import Reaper
from meshproof.scenarios import SINK
from meshproof.supervise import Incidents, Supervised

READY_S_MAX: Final = 30.0


class Sink:
    """The sink process."""

    def __init__(self, port: int, *, folder: Path, logs: Path, reaper: Reaper, incidents: Incidents) -> None:
        """`folder` gets the ledger. The port is given: a sink that is started again is found where it was."""
        self.address = f"http://127.0.0.1:{port}"
        self._ready = asyncio.Event()
        logs.mkdir(parents=True, exist_ok=True)
        self._process = Supervised(
            "sink",
            [sys.executable, "-m", "meshproof.sink.server", "--port", str(port), "--folder", str(folder.absolute())],
            environment=dict(os.environ),
            folder=reaper.folder,
            log=logs / "sink.log",
            reaper=reaper,
            incidents=incidents,
            on_line=lambda _: self._ready.set(),
        )

    async def start(self) -> None:
        """Start it, and wait until it listens. Raises ProcessError or TimeoutError."""
        await self._process.start()
        async with asyncio.timeout(READY_S_MAX):
            await self._ready.wait()

    async def stop(self) -> None:
        """End it."""
        await self._process.stop()

    def check(self) -> None:
        """Raise ProcessError if it could not be kept running."""
        self._process.check()

    @property
    def process(self) -> Supervised:
        """Its process, kept running."""
        return self._process

    @property
    def pids(self) -> list[int]:
        """Its process, while there is one."""
        return [] if self._process.pid is None else [self._process.pid]


def is_wanted(definitions: list[dict[str, Any]]) -> bool:
    """Whether any of these workflows calls the sink."""
    return SINK.encode() in msgspec.json.encode(definitions)
