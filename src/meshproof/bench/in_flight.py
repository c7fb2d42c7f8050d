"""`in_flight`: thousands of calls that take a second each, from one worker; how much memory does it take?

The runs are accepted while the worker is stopped, and wait for it all together. How many calls were in flight at once is counted by
the sink, from the second each of them was with it; that an answer is sent, or read, later than that is not counted in.

So as many are at once as are begun within a second: what bounds it is what it costs the one thread of the worker to begin a call,
and what Postgres and the sink take of the processor meanwhile. Both figures stand in the row.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left
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
    rss_max, used = await _watch(bench, before_us)
    done, _ = await finished(bench, before_us, now_us())
    seen_us = sorted(
        line["at_us"] for path in bench.effects.glob("*") for line in read_lines(path) if line["path"] == "/slow"
    )
    most = at_once(seen_us, 1_000_000)
    first_s = bisect_left(seen_us, seen_us[0] + 1_000_000) if seen_us else 0
    bench.display.note(f"{most:,} at once, {rss_max / 1e6:,.0f} MB, {done:,} of {runs:,} done")
    bench.lost += max(0, accepted.accepted - runs)
    return {
        "calls": runs,
        "done": done,
        "in_flight_max": most,
        "begun_first_s": first_s,
        "worker_rss_bytes_max": rss_max,
        "worker_cpu_us_per_call": _spent_s(used, seen_us) * 1e6 / max(1, len(seen_us)),
        "requests": len(seen_us),
        "seconds": (seen_us[-1] - seen_us[0]) / 1e6 + 1 if seen_us else None,
    }


def at_once(begun_us: list[int], lasting_us: int) -> int:
    """How many were in flight at the same time, at most."""
    changes = sorted([(at, 1) for at in begun_us] + [(at + lasting_us, -1) for at in begun_us])
    return max(accumulate(change for _, change in changes), default=0)


def _spent_s(used: list[tuple[int, float]], seen_us: list[int]) -> float:
    """Processor seconds from the first call on: what the start of the worker took is not counted in."""
    before = [cpu_s for at_us, cpu_s in used if not seen_us or at_us <= seen_us[0]]
    return used[-1][1] - (before[-1] if before else used[0][1]) if used else 0.0


async def _watch(bench: Bench, before_us: int) -> tuple[int, list[tuple[int, float]]]:
    """The most memory the worker had, and the processor seconds it had taken at which times."""
    rss_max, used = 0, []
    while await live(bench) and now_us() - before_us < DRAIN_S_MAX * 1e6:
        usage = bench.meter.read({"worker": bench.target.pids()["worker"]})["worker"]
        rss_max = max(rss_max, usage["rss_bytes"])
        used.append((now_us(), usage["cpu_s"]))
        await asyncio.sleep(SAMPLE_S)
    return rss_max, used
