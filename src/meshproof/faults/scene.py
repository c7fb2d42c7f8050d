"""What a fault can reach: the processes of an engine of our own, its database, the sink, and the wires between them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

from meshproof.faults.eye import Eye
from meshproof.faults.proxy import Proxy
from meshproof.sink import Sink
from meshproof.supervise import Supervised
from meshproof.target import Embedded

BACK_S_MAX: Final = 45.0
POLL_S: Final = 0.02


@dataclass
class Scene:
    """Everything of one run that a fault may touch."""

    target: Embedded
    eye: Eye
    sink: Sink | None = None
    wires: dict[str, Proxy] = field(default_factory=dict)
    """The proxies, by the wire they are in: `database`, `api`."""

    def worker(self, number: int) -> Supervised:
        """The worker of this number, counted round those there are."""
        workers = self.target.processes("worker")
        return workers[number % len(workers)]

    async def api_is_back(self) -> bool:
        """Whether deliveries are accepted."""
        return await self.target.api.ready()

    async def worker_is_back(self, pid: int | None) -> bool:
        """Whether the worker of this process id has said that it lives."""
        return pid is not None and any(worker.pid == pid for worker in await self.eye.workers())


async def until(condition: Callable[[], Awaitable[bool]], seconds: float = BACK_S_MAX) -> bool:
    """Wait for a condition, for so long at most; returns whether it came true."""
    deadline = time.monotonic() + seconds
    while not await condition():
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(POLL_S)
    return True
