"""`bloat`: a transaction is held open while the engine works at full speed; what does that do to the queue?

Nothing that was deleted since can be removed while it is open, from any table of the server. A queue is where that hurts: what
was done lies dead in front of what is to be done. Measured before, at the begin and the end of the time it is open, and after; what
looks into the queue cost that is full of dead rows: at all of it, and from the front on, in turns; and all the while, at a number
of moments, the dead rows, what is taken a second, and what a look from the front costs, as claims have to make it.

What is stored meanwhile stays: some gigabytes in ten minutes. It ends early when the disk runs short.
"""

from __future__ import annotations

import asyncio
import json
import shutil
from contextlib import AsyncExitStack
from statistics import median
from time import monotonic
from typing import Any, Final

from meshproof.bench.engine import Bench, finished, light_job, span
from meshproof.database import Reader
from meshproof.sql import statement

EDGE_SHARE = 0.2
"""Of the time it is open, so much at its begin and at its end is looked at."""

MOMENTS: Final = 30
FREE_BYTES_MIN: Final = 4 * 1024**3
"""With less left on the disk of the database nothing more is sent."""


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
    row = {"held_s": seconds if not under["is_short"] else under["seconds"], "is_disk_short": under["is_short"]}
    row |= {
        "before": before["all"],
        "held_begin": under["begin"],
        "held_end": under["end"],
        "over_time": under["moments"],
    }
    row |= {"after": after["all"], "dead_max": under["dead_max"], "bytes_max": under["bytes_max"]}
    row |= {"dead_after": after["dead_max"], "looks": looks}
    bench.display.note(
        f"{row['dead_max']:,} dead rows; {before['all']['completed_per_s']:,.0f}/s before,"
        f" {under['end']['completed_per_s']:,.0f}/s at the end, {after['all']['completed_per_s']:,.0f}/s after"
    )
    return row


async def _phase(bench: Bench, seconds: float) -> dict[str, Any]:
    """Load for so long, and what became of it: at its begin, at its end, and in all."""
    sampling = asyncio.create_task(_sample(bench.target.dsn, max(1.0, seconds / MOMENTS)))
    is_short = False

    def is_enough() -> bool:
        nonlocal is_short
        is_short = is_short or shutil.disk_usage(bench.target.folder).free < FREE_BYTES_MIN
        return is_short

    measured = await span(bench, light_job(bench, seconds=seconds), enough=is_enough)
    sampling.cancel()
    moments = await sampling
    edge_us = round((measured.to_us - measured.from_us) * EDGE_SHARE)
    return {
        "begin": await _window(bench, measured.from_us, measured.from_us + edge_us),
        "end": await _window(bench, measured.to_us - edge_us, measured.to_us),
        "all": await _window(bench, measured.from_us, measured.to_us),
        "seconds": (measured.to_us - measured.from_us) / 1e6,
        "is_short": is_short,
        "dead_max": max((moment["dead"] for moment in moments), default=0),
        "bytes_max": max((moment["bytes"] for moment in moments), default=0),
        "moments": moments,
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


async def _sample(dsn: str, pause_s: float) -> list[dict[str, Any]]:
    """The queue at one moment after the other, until it is cancelled."""
    reader, moments = Reader(dsn), []
    began = at = monotonic()
    taken: int | None = None
    try:
        while True:
            (row,) = await reader.fetch(statement("bench_dead"))
            ((text,),) = await reader.fetch(statement("bench_look_front"))
            look, now = json.loads(text)[0]["Plan"], monotonic()
            moments.append(
                {
                    "at_s": now - began,
                    "dead": row["dead"],
                    "bytes": row["bytes"],
                    "taken_per_s": None if taken is None else (row["taken"] - taken) / (now - at),
                    "look_pages": look["Shared Hit Blocks"] + look["Shared Read Blocks"],
                    "look_ms": look["Actual Total Time"],
                }
            )
            at, taken = now, row["taken"]
            await asyncio.sleep(pause_s)
    except asyncio.CancelledError:
        return moments
    finally:
        await reader.close()
