"""`in_flight`: thousands of calls that take a second each, from one worker; how much memory does it take?

The runs are accepted while the worker is stopped, and wait for it all together. How many calls were in flight at once is counted by
the sink, from the second each of them was with it.
"""

from __future__ import annotations

import asyncio
from itertools import accumulate
from typing import Any

from meshproof.bench.engine import DRAIN_S_MAX, Bench, finished, light_job, live, now_us, publish, send
from meshproof.ledger import read_lines

SCENARIO = "slow_call"
SAMPLE_S = 0.05


async def in_flight(bench: Bench) -> dict[str, Any]:
    """Let the worker loose on all of them, and watch its memory."""
    wanted = bench.scale.in_flight
    bench.display.step(f"{wanted:,} calls of a second each, in one worker")
    await publish(bench, SCENARIO)
    await bench.target.stop_workers()
    accepted = await send(bench, light_job(bench, SCENARIO, seconds=bench.scale.build_s_max, requests_max=wanted))
    runs = await live(bench)
    before_us = now_us()
    await bench.target.start_workers()
    rss_max = await _watch(bench, before_us)
    done, _ = await finished(bench, before_us, now_us())
    seen_us = sorted(
        line["at_us"] for path in bench.effects.glob("*") for line in read_lines(path) if line["path"] == "/slow"
    )
    most = at_once(seen_us, 1_000_000)
    bench.display.note(f"{most:,} at once, {rss_max / 1e6:,.0f} MB, {done:,} of {runs:,} done")
    bench.lost += max(0, accepted.accepted - runs)
    return {
        "calls": runs,
        "done": done,
        "in_flight_max": most,
        "worker_rss_bytes_max": rss_max,
        "requests": len(seen_us),
        "seconds": (seen_us[-1] - seen_us[0]) / 1e6 + 1 if seen_us else None,
    }


def at_once(begun_us: list[int], lasting_us: int) -> int:
    """How many were in flight at the same time, at most."""
    changes = sorted([(at, 1) for at in begun_us] + [(at + lasting_us, -1) for at in begun_us])
    return max(accumulate(change for _, change in changes), default=0)


async def _watch(bench: Bench, before_us: int) -> int:
    rss_max = 0
    while await live(bench) and now_us() - before_us < DRAIN_S_MAX * 1e6:
        rss_max = max(rss_max, bench.meter.read({"worker": bench.target.pids()["worker"]})["worker"]["rss_bytes"])
        await asyncio.sleep(SAMPLE_S)
    return rss_max
