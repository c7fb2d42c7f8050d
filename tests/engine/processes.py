"""Real processes of the engine for tests: started like a user starts them, killed like a kernel kills them."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from contextlib import suppress
from typing import Any, Self

import aiohttp

READY_S_MAX = 120.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Running:
    """One ``meshhook`` process (``serve`` or ``work``) on a database, while the block lasts."""

    def __init__(self, command: str, dsn: str, **settings: Any) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._command = command
        chosen = {"database_url": dsn, "port": self.port, "log_format": "json", **settings}
        self._env = {name: value for name, value in os.environ.items() if not name.startswith("MESHHOOK_")}
        self._env |= {f"MESHHOOK_{name.upper()}": str(value) for name, value in chosen.items()}
        self.log = b""

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def start(self) -> None:
        self.process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "meshhook", self._command, "--stop-with-stdin"),
            env=self._env,
            stdin=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        self._reading = asyncio.create_task(self._read())
        await self.until(self._is_up)

    async def __aexit__(self, *_: object) -> None:
        with suppress(ProcessLookupError):
            self.process.kill()
        await self.ended()

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    async def ended(self) -> int:
        code = await self.process.wait()
        await self._reading
        return code

    async def until(self, condition: Any) -> None:
        """Wait until ``await condition()`` is true; an error when the process ends or it takes too long."""
        async with asyncio.timeout(READY_S_MAX):
            while not await condition():
                assert self.process.returncode is None, self.log.decode()
                await asyncio.sleep(0.01)

    async def _is_up(self) -> bool:
        if self._command == "work":
            return b'"working"' in self.log
        try:
            async with aiohttp.ClientSession() as session, session.get(f"{self.url}/readyz") as answer:
                return answer.status == 200
        except aiohttp.ClientError:
            return False

    async def _read(self) -> None:
        assert self.process.stderr is not None
        while line := await self.process.stderr.readline():
            self.log += line
