"""`meshproof bench`: how fast, against the floor of the same server in the same session.

    floor, pipeline, keyed floor, keyed pipeline, floor, …    interleaved, so that a noisy minute hits them alike
    open_1000      1,000 requests a second at their own times
    drain_200k     a backlog built while the workers are stopped, and worked off
    signatures     signed deliveries, looked at and not
    http_call      calls to a sink that answers at once: steps a second
    in_flight      thousands of calls that take a second each, side by side in one worker: memory
    timers         thousands of timers due in the same moment: when has the last one fired?
    bloat          full speed while a transaction is held open: does the queue stay fast?
    overload       three times what the engine can carry

One engine, two cores for everything, generator, sink and Postgres included. Completed runs are counted in the database. Nothing is
judged here; but a run that was acknowledged and is not stored fails the benchmark. Rows can be chosen; a row that is measured
against another brings it along.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from pathlib import Path
from typing import Any, Final

from meshproof.bench import bloat, calls, drain, in_flight, open_loop, overload, pipeline, signatures, timers
from meshproof.bench.engine import SCENARIO, Bench, Scale, now_us, publish
from meshproof.bench.figures import bootstrap
from meshproof.bench.table import table
from meshproof.database import Reader
from meshproof.display import Display
from meshproof.evidence import prepare as prepare_folder
from meshproof.ledger import write_document
from meshproof.reaper import Reaper
from meshproof.sink import Sink
from meshproof.supervise import Incidents
from meshproof.target import Embedded, free_port
from meshproof.versions import versions

__all__ = ["FULL", "NAMES", "QUICK", "Scale", "bootstrap", "run", "table"]

_BASE: Final = "pipeline"
_AGAINST_BASE: Final = "overload"
_ROWS: Final[dict[str, Callable[[Bench], Awaitable[dict[str, Any]]]]] = {
    "open_1000": lambda bench: open_loop.open_loop(bench, 1_000.0),
    "drain_200k": drain.drain_backlog,
    "signatures": signatures.signatures,
    "http_call": calls.http_call,
    "in_flight": in_flight.in_flight,
    "timers": timers.timers,
    "bloat": bloat.bloat,
}
NAMES: Final = (_BASE, *_ROWS, _AGAINST_BASE)
"""The rows that can be chosen, in the order they are measured; `pipeline` is measured with both floors and with keys."""

FULL = Scale(
    rounds=5, floor_s=3.0, warm_s=1.5, seconds=6.0, open_s=15.0, backlog=200_000, overload_s=20.0,
    in_flight=5_000, timers=10_000, bloat_s=30.0,
)  # fmt: skip
QUICK = Scale(
    rounds=2, floor_s=2.0, warm_s=1.0, seconds=3.0, open_s=5.0, backlog=30_000, overload_s=8.0,
    in_flight=5_000, timers=10_000, bloat_s=10.0,
)  # fmt: skip


async def run(
    out: Path, scale: Scale, display: Display, reaper: Reaper, names: Collection[str] = NAMES
) -> dict[str, Any]:
    """Measure these rows and write `bench.json` into the folder."""
    logs = prepare_folder(reaper.folder / "bench")
    incidents = Incidents(logs / "incidents.ndjson")
    # As many calls as there are to be; they all go to one host.
    settings = {
        "outbound_allow": "127.0.0.0/8",
        "calls_max": str(scale.in_flight),
        "calls_per_host_max": "0",
        "circuit_failures": "0",
    }
    target = Embedded(
        workers=1, incidents=incidents, reaper=reaper, logs=logs / "logs", settings=settings, measured=True
    )
    sink = Sink(free_port(), folder=logs / "effects", logs=logs / "logs", reaper=reaper, incidents=incidents)
    reader = Reader(target.dsn)
    started_us = now_us()
    try:
        display.step("Starting MeshHook: one API process, one worker, Postgres")
        await target.start()
        await sink.start()
        bench = Bench(scale, target, reader, reaper, incidents, display, sink, logs / "effects")
        await publish(bench, SCENARIO)
        rows = await measure(bench, names)
        made_with = await versions(reader)
        document: dict[str, Any] = {"started_us": started_us, "machine": made_with.pop("machine"), **made_with}
        document |= {"lost": bench.lost, "rows": rows}
    finally:
        await reader.close()
        await target.stop()
        await sink.stop()
        incidents.close()
    write_document(out / "bench.json", document)
    return document


async def measure(bench: Bench, names: Collection[str]) -> dict[str, Any]:
    """These rows, one after the other."""
    rows: dict[str, Any] = {}
    if _BASE in names or _AGAINST_BASE in names:
        rows |= await pipeline.interleaved(bench)
    for name, row in _ROWS.items():
        if name in names:
            rows[name] = await row(bench)
    if _AGAINST_BASE in names:
        rows[_AGAINST_BASE] = await overload.overload(bench, rows[_BASE]["completed_per_s"])
    return rows
