"""`bloat`: a transaction is held open while the engine works at full speed; what does that do to the queue?

Nothing that was deleted since can be removed while it is open, from any table of the server. A queue is where that hurts: what
was done lies dead in front of what is to be done. Measured before, at the begin and the end of the time it is open, and after; and
what looks into the queue cost that is full of dead rows: at all of it, and from the front on, in turns.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack
from statistics import median
from typing import Any

from meshproof.bench.engine import Bench, finished, light_job, span
from meshproof.database import Reader
from meshproof.sql import statement

EDGE_SHARE = 0.2
"""Of the time it is open, so much at its begin and at its end is looked at."""


async def bloat(bench: Bench) -> dict[str, Any]:
    """The three phases, one after the other."""
    seconds = bench.scale.bloat_s
    bench.display.step(f"A transaction held open for {seconds:,.0f} s under load")
    before = await _phase(bench, bench.scale.warm_s + bench.scale.seconds)
    async with AsyncExitStack() as stack:
        holder = Reader(bench.target.dsn)
        stack.push_async_callback(holder.close)
        held = await stack.enter_async_context(holder.snapshot())
        await held.fetch(statement("bench_dead"))
        under = await _phase(bench, bench.scale.warm_s + seconds)
        looks = await _looks(bench)
    after = await _phase(bench, bench.scale.warm_s + bench.scale.seconds)
    row = {"held_s": seconds, "before": before["all"], "held_begin": under["begin"], "held_end": under["end"]}
    row |= {"after": after["all"], "dead_max": under["dead_max"], "bytes_max": under["bytes_max"]}
    row |= {"dead_after": after["dead_max"], "looks": looks}
    bench.display.note(
        f"{row['dead_max']:,} dead rows; {before['all']['completed_per_s']:,.0f}/s before,"
        f" {under['end']['completed_per_s']:,.0f}/s at the end, {after['all']['completed_per_s']:,.0f}/s after"
    )
    return row


async def _phase(bench: Bench, seconds: float) -> dict[str, Any]:
    """Load for so long, and what became of it: at its begin, at its end, and in all."""
    sampling = asyncio.create_task(_sample(bench.target.dsn))
    measured = await span(bench, light_job(bench, seconds=seconds))
    sampling.cancel()
    dead, size = await sampling
    edge_us = round((measured.to_us - measured.from_us) * EDGE_SHARE)
    return {
        "begin": await _window(bench, measured.from_us, measured.from_us + edge_us),
        "end": await _window(bench, measured.to_us - edge_us, measured.to_us),
        "all": await _window(bench, measured.from_us, measured.to_us),
        "dead_max": dead,
        "bytes_max": size,
    }


async def _looks(bench: Bench) -> dict[str, Any]:
    """Pages and milliseconds of a look of either kind: medians of five, interleaved."""
    plans: dict[str, list[dict[str, Any]]] = {"all": [], "front": []}
    for _ in range(5):
        for kind, seen in plans.items():
            ((text,),) = await bench.reader.fetch(statement(f"bench_look_{kind}"))
            seen.append(json.loads(text)[0]["Plan"])
    return {
        kind: {
            "pages": round(median(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] for plan in seen)),
            "ms": median(plan["Actual Total Time"] for plan in seen),
        }
        for kind, seen in plans.items()
    }


async def _window(bench: Bench, from_us: int, to_us: int) -> dict[str, Any]:
    """Runs finished a second, and how long runs accepted then waited for their first claim."""
    ended, _ = await finished(bench, from_us, to_us)
    (waited,) = await bench.reader.fetch(statement("bench_start"), _least(from_us), _least(to_us))
    return {"completed_per_s": ended / ((to_us - from_us) / 1e6), "start_ms": dict(waited)}


def _least(at_us: int) -> str:
    """The least run id of a moment."""
    return f"{at_us // 1_000:012x}" + "0" * 20


async def _sample(dsn: str) -> tuple[int, int]:
    """The most dead rows and bytes that were seen until it is cancelled."""
    reader, dead, size = Reader(dsn), 0, 0
    try:
        while True:
            (row,) = await reader.fetch(statement("bench_dead"))
            dead, size = max(dead, row["dead"]), max(size, row["bytes"])
            await asyncio.sleep(0.5)
    except asyncio.CancelledError:
        return dead, size
    finally:
        await reader.close()
