"""`drain_200k`: a backlog built while the worker is stopped; how fast is it worked off, and does the door still answer?"""

from __future__ import annotations

import asyncio
from typing import Any

from meshproof.bench.engine import DRAIN_S_MAX, Bench, begin, end, light_job, live, now_us, send
from meshproof.load.light import Report
from meshproof.stats import Histogram


async def drain_backlog(bench: Bench) -> dict[str, Any]:
    """Stop the workers, build a backlog, start them again: how fast is it gone, and how does the door do meanwhile?"""
    bench.display.step(f"Building a backlog of {bench.scale.backlog:,} runs")
    await bench.target.stop_workers()
    built = await send(bench, light_job(bench, seconds=bench.scale.build_s_max, requests_max=bench.scale.backlog))
    backlog = await live(bench)
    bench.display.note(f"{backlog:,} runs at {built.accepted / built.seconds:,.0f}/s")
    bench.display.step("Draining it while the door answers 20 requests a second")
    before_us = now_us()
    await bench.target.start_workers()
    door = await begin(bench, light_job(bench, seconds=DRAIN_S_MAX, rate=20.0))
    samples = [(now_us(), backlog)]
    while samples[-1][1] > 200 and now_us() - before_us < DRAIN_S_MAX * 1e6:
        await asyncio.sleep(0.25)
        samples.append((now_us(), await live(bench)))
    drained_us = samples[-1][0]
    door.terminate()
    report = await end(door)
    # The time a worker process takes to start is no part of draining.
    first_us = next((at for at, left in samples if left < backlog), before_us)
    drained = next((left for at, left in samples if at == first_us), backlog) - samples[-1][1]
    seconds = (drained_us - first_us) / 1e6
    per_s = drained / seconds if seconds > 0 else None
    bench.display.note(f"{per_s or 0:,.0f}/s")
    return {
        "backlog": backlog,
        "built_per_s": built.accepted / built.seconds,
        "drained_per_s": per_s,
        "seconds": seconds,
        "door": _door(report),
    }


def _door(report: Report) -> dict[str, Any]:
    return {
        "sent": report.sent,
        "accepted": report.accepted,
        "refused": report.refused,
        "failed": report.failed,
        "accept_ms": Histogram.decode(report.accept).milliseconds(),
    }
