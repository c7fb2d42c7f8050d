"""Faults: what is done to a running engine on purpose, one file a fault, each with the evidence that it hit work in flight.

    schedule.py    which fault, when, for how long: drawn from the seed, beside the plan of the load
    conductor.py   plays that plan while the load goes on, heals, and writes faults.ndjson
    fault.py       what a fault is
    scene.py       what a fault can reach: processes, database, sink, wires
    eye.py         what is in flight, seen through a connection of its own
    proxy.py       the wire between two parts, and the weather on it

Only processes that the suite has started itself are touched, by their ids.
"""

from __future__ import annotations

from typing import Final

from meshproof.faults.clock_shifted import ShiftClock
from meshproof.faults.connections_taken import TakeConnections
from meshproof.faults.ended import KillApi, KillBoth, KillWorker, StopApi, StopBoth, StopWorker
from meshproof.faults.fault import Fault
from meshproof.faults.frozen import FreezeApi, FreezeSink, FreezeWorker
from meshproof.faults.network import Cut, HalfOpen, Reset, Silent, Slow, on_wire
from meshproof.faults.postgres_stopped import StopPostgres
from meshproof.faults.rolling_restart import RollingRestart
from meshproof.faults.sessions_cut import CutSessions
from meshproof.faults.skipped import DiskFull
from meshproof.faults.transaction_held import HoldTransaction
from meshproof.faults.workers_scaled import ScaleWorkers

KINDS: Final[dict[str, type[Fault]]] = {
    "kill-worker": KillWorker,
    "kill-api": KillApi,
    "kill-both": KillBoth,
    "stop-worker": StopWorker,
    "stop-api": StopApi,
    "stop-both": StopBoth,
    "freeze-worker": FreezeWorker,
    "freeze-api": FreezeApi,
    "freeze-sink": FreezeSink,
    "stop-postgres": StopPostgres,
    "cut-sessions": CutSessions,
    "take-connections": TakeConnections,
    "hold-transaction": HoldTransaction,
    "rolling-restart": RollingRestart,
    "scale-workers": ScaleWorkers,
    "slow-database": on_wire(Slow, "database"),
    "reset-database": on_wire(Reset, "database"),
    "silent-database": on_wire(Silent, "database"),
    "half-open-database": on_wire(HalfOpen, "database"),
    "cut-database": on_wire(Cut, "database"),
    "slow-api": on_wire(Slow, "api"),
    "reset-api": on_wire(Reset, "api"),
    "silent-api": on_wire(Silent, "api"),
    "half-open-api": on_wire(HalfOpen, "api"),
    "cut-api": on_wire(Cut, "api"),
    "disk-full": DiskFull,
    "shift-clock": ShiftClock,
}
"""Every fault by its name."""

QUICK: Final = ("kill-worker", "kill-api", "freeze-worker", "cut-sessions", "stop-postgres", "hold-transaction")
"""What a quick run makes."""

MIX: Final = tuple(KINDS)
"""What a run makes unless it is told otherwise."""
