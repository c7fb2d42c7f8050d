"""Processes under supervision: one that dies is put on record and started again at once, as systemd would."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from meshproof.ledger import LineWriter
from meshproof.reaper import Reaper

STOP_S_MAX = 20.0
# A process that cannot start at all is no incident but a fault; five quick deaths in a row are taken for that.
QUICK_S = 2.0
QUICK_DEATHS_MAX = 5
RESTART_PAUSE_S = 0.1
LOG_TAIL_BYTES = 2_000
ENDING = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)


class ProcessError(RuntimeError):
    """A process of the target cannot be kept running; the message holds the end of its log."""


class Incidents:
    """What happened to the processes of the target, as it happens."""

    def __init__(self, path: Path) -> None:
        self._lines = LineWriter(path)
        self.unseen: list[str] = []
        """What nobody was shown yet; emptied by whoever shows it."""
        self.counts: Counter[str] = Counter()
        """How much happened, by role."""
        self.faults: Counter[str] = Counter()
        """How often each kind of fault was begun."""
        self.under_way: Counter[str] = Counter()
        """How many of each kind are under way."""
        self.on_incident: Callable[[str, int | None, str], None] = lambda role, pid, what: None
        """Hears of everything at once."""
        self.on_fault: Callable[[str, str | None, bool], None] = lambda kind, target, begun: None
        """Hears of each fault that begins or is healed."""

    def add(self, role: str, pid: int | None, what: str, since_us: int | None = None) -> None:
        """Put something on record now; `since_us` when it has gone on from then until now."""
        line = {"at_us": time.time_ns() // 1_000, "role": role, "pid": pid, "what": what}
        self._lines.add_json(line if since_us is None else {**line, "since_us": since_us})
        self._lines.flush()
        self.counts[role] += 1
        self.unseen.append(f"{role} {what}" if pid is None else f"{role} (process {pid}) {what}")
        self.on_incident(role, pid, what)

    def fault_began(self, kind: str, target: str | None = None) -> None:
        """A fault is being made, of this target."""
        self.faults[kind] += 1
        self.under_way[kind] += 1
        self.on_fault(kind, target, True)

    def fault_ended(self, kind: str, target: str | None = None) -> None:
        """It is healed, as far as it can be."""
        self.under_way[kind] -= 1
        self.on_fault(kind, target, False)

    def close(self) -> None:
        """Close the file."""
        self._lines.close()


class Supervised:
    """One process that is kept running until it is told to stop."""

    def __init__(
        self,
        role: str,
        argv: list[str],
        *,
        environment: dict[str, str],
        folder: Path,
        log: Path,
        reaper: Reaper,
        incidents: Incidents,
        on_line: Callable[[bytes], None] | None = None,
    ) -> None:
        """`on_line` gets what the process prints, a line at a time; its log is what it says on standard error."""
        self.role = role
        self._argv = argv
        self._environment = environment
        self._folder = folder
        self.log = log
        self._reaper = reaper
        self._incidents = incidents
        self._on_line = on_line
        self._process: asyncio.subprocess.Process | None = None
        self._stopping = False
        self._struck = False
        self._watching: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """Its process id; None while there is none."""
        alive = self._process is not None and self._process.returncode is None
        return self._process.pid if alive and self._process is not None else None

    async def start(self) -> None:
        """Start it, and keep it running from now on."""
        await self._spawn()
        self._watching = asyncio.create_task(self._keep_running())

    def check(self) -> None:
        """Raise ProcessError if it could not be kept running."""
        if self._watching is not None and self._watching.done() and not self._watching.cancelled():
            self._watching.result()

    def strike(self, number: signal.Signals) -> int:
        """Send it a signal on purpose; returns its process id. Raises ProcessError while there is no process.

        If it ends of that, it is started again like any other, and the record says that somebody wanted it.
        """
        if self._process is None or self._process.returncode is not None:
            raise ProcessError(f"There is no {self.role} to send {number.name} to at the moment.")
        self._struck = self._struck or number in ENDING
        self._process.send_signal(number)
        return self._process.pid

    async def stop(self) -> None:
        """Ask it to end, kill it after a bound, and wait for it."""
        self._stopping = True
        process = self._process
        if process is not None and process.returncode is None:
            process.terminate()
            # One that is frozen hears of nothing until it goes on.
            process.send_signal(signal.SIGCONT)
            try:
                await asyncio.wait_for(process.wait(), STOP_S_MAX)
            except TimeoutError:
                self._incidents.add(self.role, process.pid, f"did not stop within {STOP_S_MAX:g} s and was killed")
                process.kill()
                await process.wait()
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)

    async def _spawn(self) -> None:
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self._argv,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE if self._on_line else log,
                stderr=log,
                env=self._environment,
                cwd=self._folder,
                start_new_session=True,
            )
        self._reaper.watch(self._process.pid)

    async def _keep_running(self) -> None:
        quick_deaths = 0
        while True:
            assert self._process is not None
            started = time.monotonic()
            await self._read_lines()
            code = await self._process.wait()
            if self._stopping:
                return
            struck, self._struck = self._struck, False
            ended = "was ended on purpose" if struck else "ended unexpectedly"
            self._incidents.add(self.role, self._process.pid, f"{ended} ({_manner(code)})")
            quick = time.monotonic() - started < QUICK_S and not struck
            quick_deaths = quick_deaths + 1 if quick else 0
            if quick_deaths >= QUICK_DEATHS_MAX:
                raise ProcessError(f"{self.role} dies as soon as it is started. The end of {self.log}:\n{self._tail()}")
            await asyncio.sleep(RESTART_PAUSE_S * quick_deaths)
            await self._spawn()
            self._incidents.add(self.role, self._process.pid, "started again")

    async def _read_lines(self) -> None:
        assert self._process is not None
        if self._on_line is None or self._process.stdout is None:
            return
        while line := await self._process.stdout.readline():
            self._on_line(line)

    def _tail(self) -> str:
        with self.log.open("rb") as log:
            log.seek(max(0, os.fstat(log.fileno()).st_size - LOG_TAIL_BYTES))
            return log.read().decode(errors="replace")


def _manner(code: int) -> str:
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
