"""Processor time and memory of the processes of each role, children included; of the suite, itself alone."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TypedDict

import psutil


class Usage(TypedDict):
    """What the processes of one role have used."""

    cpu_s: float
    """Processor time since the run began to be observed; it never falls, also when a process dies."""
    rss_bytes: int
    """Memory now. Of several processes that share it: their proportional shares, read at every fifth time."""
    processes: int
    fds: int
    """Open files, sockets among them; read at every fifth time."""
    fds_most: int
    """Those of the process that has most of them."""


# To add up the shares of a server's processes takes the kernel some milliseconds a process.
SHARES_EVERY = 5


class Meter:
    """Reads the processes of every role, again and again."""

    def __init__(self) -> None:
        self._reads = 0
        self._shares: dict[int, int] = {}
        self._fds: dict[int, list[int]] = {}
        self._known: dict[int, psutil.Process] = {}
        self._cpu_s: dict[str, dict[int, float]] = {}

    def read(self, roles: dict[str, list[int]]) -> dict[str, Usage]:
        """The usage of each role. A process that is gone keeps the processor time it had."""
        usage = {role: self._read_role(role, pids) for role, pids in roles.items()}
        self._reads += 1
        return usage

    def _read_role(self, role: str, pids: list[int]) -> Usage:
        cpu_s = self._cpu_s.setdefault(role, {})
        rss_bytes = processes = 0
        fds: list[int] = []
        for pid in pids:
            with suppress(psutil.Error):
                main = self._process(pid)
                # Everything is a child of the suite.
                alone = pid == os.getpid()
                family = [main] if alone else [main, *main.children(recursive=True)]
                processes += len(family)
                # What ended children have used is in the account of their parent.
                used_s = sum(map(_own_s, family)) + (0.0 if alone else _ended_children_s(main))
                cpu_s[pid] = max(cpu_s.get(pid, 0.0), used_s)
                rss_bytes += self._memory(pid, family)
                fds += self._files(pid, family)
        return {
            "cpu_s": sum(cpu_s.values()),
            "rss_bytes": rss_bytes,
            "processes": processes,
            "fds": sum(fds),
            "fds_most": max(fds, default=0),
        }

    def _memory(self, pid: int, family: list[psutil.Process]) -> int:
        if len(family) == 1:
            return int(family[0].memory_info().rss)
        if pid not in self._shares or self._reads % SHARES_EVERY == 0:
            self._shares[pid] = sum(map(_share, family))
        return self._shares[pid]

    def _files(self, pid: int, family: list[psutil.Process]) -> list[int]:
        if pid not in self._fds or self._reads % SHARES_EVERY == 0:
            self._fds[pid] = [_open_files(process) for process in family]
        return self._fds[pid]

    def _process(self, pid: int) -> psutil.Process:
        if pid not in self._known or not self._known[pid].is_running():
            self._known[pid] = psutil.Process(pid)
        return self._known[pid]


def machine_busy_s() -> float:
    """Processor time that all processors of the machine have spent on anybody's work, since it was started."""
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - getattr(times, "iowait", 0.0) - getattr(times, "guest", 0.0))


def _own_s(process: psutil.Process) -> float:
    with suppress(psutil.Error):
        times = process.cpu_times()
        return float(times.user + times.system)
    return 0.0


def _ended_children_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.children_user + times.children_system)


def _share(process: psutil.Process) -> int:
    with suppress(psutil.Error):
        full = process.memory_full_info()
        return int(getattr(full, "pss", full.rss))
    return 0


def _open_files(process: psutil.Process) -> int:
    with suppress(psutil.Error):
        return int(process.num_fds())
    return 0
