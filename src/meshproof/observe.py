"""What is seen while the run goes on, once a second: processes, database, queue, and samples of the runs themselves.

Every figure is written down as it is read, counters as counters; differences and rates are for whoever reads the file.
Runs are sampled to be held against the end: what was seen once must still be there, and must have begun like that.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from meshproof.database import ERRORS, Reader, shard_of
from meshproof.draw import Draw
from meshproof.ledger import LineWriter
from meshproof.load.generator import Progress
from meshproof.phases import Kind
from meshproof.sql import statement
from meshproof.stats import Histogram
from meshproof.usage import Meter, machine_busy_s

INTERVAL_S = 1.0
# Counting takes at most this part of the time of one connection, however many rows there are.
COUNTING_SHARE_MAX = 0.3
NEWEST_RUNS = 200
NEW_RUNS_EACH = 20
SEEN_AGAIN_EACH = 40
SEEN_RUNS_MAX = 5_000
POSTGRES_17 = 170_000
ENDED = ("completed", "failed", "cancelled", "absent")


class Observer:
    """Looks once a second until it is stopped."""

    def __init__(
        self,
        folder: Path,
        reader: Reader | None,
        endpoints: list[int] | None,
        pids: Callable[[], dict[str, list[int]]],
        progress: Callable[[], Progress] | None,
    ) -> None:
        """`reader` is None when somebody else looks into the database.

        `endpoints` as in `stored.export`; `pids` and `progress` are asked at every look; without
        `progress` somebody else sends, who tells nothing before the end.
        """
        self._reader = reader
        self._endpoints = endpoints
        self._pids = pids
        self._progress = progress
        self._meter = Meter()
        self._observations = LineWriter(folder / "observe.ndjson")
        self._counts = LineWriter(folder / "counts.ndjson")
        self._seen = LineWriter(folder / "seen.ndjson")
        self._known: dict[str, str] = {}
        """Every sampled run, and its latest status."""
        self._draw = Draw("observer")
        self._count_at = 0.0
        self._version: int | None = None
        self._generator_transactions = 0
        self._stop = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.phase: Callable[[], Kind] = lambda: "warm-up"
        """What the run is doing now; written beside every observation."""
        self.looks_in = reader is not None
        """Whether it looks into the database as well."""
        self.is_told = progress is not None
        """Whether the senders tell how far they are."""
        self.accepts = Histogram()
        """Every accept latency so far, for the display alone."""
        self.latest: dict[str, Any] = {}
        """The last observation."""
        self.on_look: Callable[[dict[str, Any]], None] = lambda _: None
        self.on_progress: Callable[[dict[str, Any], Progress], None] = lambda _, __: None
        """Hears of every look as well, with what the generator measured since the one before."""

    def start(self) -> None:
        """Begin to look."""
        self._task = asyncio.create_task(self._run())

    async def look(self) -> dict[str, Any]:
        """One observation, written down; what could not be read is left out."""
        line: dict[str, Any] = {"at_us": time.time_ns() // 1_000, "phase": self.phase()}
        progress = self._progress() if self._progress is not None else Progress()
        line |= {"sent": progress.sent, "ok": progress.ok, "new": progress.new}
        line |= {"fail": progress.fail, "unknown": progress.unknown}
        line |= {"in_flight": progress.in_flight, "level": progress.level}
        self.accepts.add(progress.recent_us)
        line["accept_recent_us"] = _recent(progress.recent_us)
        self._generator_transactions = progress.transactions
        line["roles"] = self._meter.read({**self._pids(), "suite": [os.getpid()]})
        line["machine_busy_s"] = round(machine_busy_s(), 2)
        if self._reader is not None:
            with suppress(*ERRORS):
                if time.monotonic() >= self._count_at:
                    line |= await self._look_at_runs(self._reader)
                line["database"] = await self._look_at_database(self._reader)
        self._observations.add_json(line)
        for writer in (self._observations, self._counts, self._seen):
            writer.flush()
        self.latest = line
        self.on_look(line)
        self.on_progress(line, progress)
        return line

    async def stop(self) -> None:
        """One last look, and the end."""
        self._stop.set()
        if self._task is not None:
            await self._task
        await self.look()
        for writer in (self._observations, self._counts, self._seen):
            writer.close()

    async def _run(self) -> None:
        while not self._stop.is_set():
            began = time.monotonic()
            await self.look()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), max(0.0, INTERVAL_S - (time.monotonic() - began)))

    async def _look_at_runs(self, reader: Reader) -> dict[str, Any]:
        """Counts and samples, in one snapshot."""
        began = time.monotonic()
        async with reader.snapshot() as connection:
            counts = dict(await connection.fetchrow(statement("counts"), self._endpoints) or {})
            newest = await connection.fetch(statement("newest"), self._endpoints, NEWEST_RUNS)
            run_ids = self._choose([row[0] for row in newest])
            seen = []
            if run_ids:
                shards = [shard_of(run_id) for run_id in run_ids]
                seen = await connection.fetch(statement("seen"), shards, run_ids, min(run_ids), max(run_ids))
        took = time.monotonic() - began
        self._count_at = began + took / COUNTING_SHARE_MAX
        self._counts.add_json(counts)
        for row in seen:
            self._known[row["run_id"]] = row["status"]
            self._seen.add_json({"at_us": counts["at_us"], **dict(row)})
        return {name: counts[name] for name in ("accepted", "queued", "leased", "waiting", "terminal")}

    def _choose(self, newest: list[str]) -> list[str]:
        """Some of the newest runs, all that were seen alive, and some that were seen finished."""
        chosen = {self._draw.pick(newest) for _ in range(NEW_RUNS_EACH if newest else 0)}
        alive = [run_id for run_id, status in self._known.items() if status not in ENDED]
        chosen.update(alive[:SEEN_AGAIN_EACH])
        if self._known:
            known = list(self._known)
            chosen.update(self._draw.pick(known) for _ in range(SEEN_AGAIN_EACH))
        if len(self._known) >= SEEN_RUNS_MAX:
            chosen &= self._known.keys()
        return sorted(chosen)

    async def _look_at_database(self, reader: Reader) -> dict[str, Any]:
        (row,) = await reader.fetch(statement("load"))
        load = {name: json.loads(value) if isinstance(value, str) else value for name, value in row.items()}
        version = await self._server_version(reader)
        (row,) = await reader.fetch(statement("checkpoints" if version >= POSTGRES_17 else "checkpoints_before_17"))
        own = reader.transactions + self._generator_transactions
        return {**load, "checkpoints": row["checkpoints"], "own_transactions": own}

    async def _server_version(self, reader: Reader) -> int:
        if self._version is None:
            (row,) = await reader.fetch("SELECT current_setting('server_version_num')::int AS version")
            self._version = int(row["version"])
        return self._version


def _recent(values_us: list[int]) -> dict[str, int] | None:
    """Percentiles of the accept latencies since the last look, for the display alone."""
    if not values_us:
        return None
    ordered = sorted(values_us)
    return {
        name: ordered[min(len(ordered) - 1, int(len(ordered) * share))] for name, share in (("p50", 0.5), ("p99", 0.99))
    }
