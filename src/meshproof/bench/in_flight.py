"""`in_flight`: thousands of calls that take a second each, from one worker; how much memory does it take?

The runs are accepted while the worker is stopped, and wait for it all together. How many calls were in flight at once is told
by both sides. The worker's own gauge counts a call until its answer was read: so many it holds, and that is what takes memory.
The sink counts the very second each call was with it: so many at once are no more than are begun within a second, which is bounded
by what it costs the one thread of the worker to begin one.
"""

from __future__ import annotations

import asyncio
import re
import urllib.request
from bisect import bisect_left
from contextlib import suppress
from itertools import accumulate
from typing import Any

from meshproof.bench.engine import DRAIN_S_MAX, Bench, finished, light_job, live, now_us, publish, send
from meshproof.ledger import read_lines

SCENARIO = "slow_call"
SAMPLE_S = 0.1


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
    rss_max, held_max, used = await _watch(bench, before_us)
    done, _ = await finished(bench, before_us, now_us())
    seen_us = sorted(
        line["at_us"] for path in bench.effects.glob("*") for line in read_lines(path) if line["path"] == "/slow"
    )
    most = at_once(seen_us, 1_000_000)
    first_s = bisect_left(seen_us, seen_us[0] + 1_000_000) if seen_us else 0
    bench.display.note(
        f"{held_max:,} held by the worker, {most:,} at once at the sink, {rss_max / 1e6:,.0f} MB, {done:,} of {runs:,} done"
    )
    bench.lost += max(0, accepted.accepted - runs)
    return {
        "calls": runs,
        "done": done,
        "held_max": held_max,
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


async def _watch(bench: Bench, before_us: int) -> tuple[int, int, list[tuple[int, float]]]:
    """The most memory and the most calls the worker had, and the processor seconds it had taken at which times."""
    rss_max, held_max, used = 0, 0, []
    while await live(bench) and now_us() - before_us < DRAIN_S_MAX * 1e6:
        usage = bench.meter.read({"worker": bench.target.pids()["worker"]})["worker"]
        rss_max = max(rss_max, usage["rss_bytes"])
        used.append((now_us(), usage["cpu_s"]))
        held_max = max(held_max, await asyncio.to_thread(_held, bench))
        await asyncio.sleep(SAMPLE_S)
    return rss_max, held_max, used


def _held(bench: Bench) -> int:
    """How many calls the worker has under way, by its own gauge; 0 while it does not tell."""
    held = 0
    for role, address in bench.target.scraped():
        if role == "worker":
            with suppress(OSError), urllib.request.urlopen(f"http://{address}/metrics", timeout=1) as told:
                found = re.search(rb"^meshhook_worker_calls_in_flight (\S+)", told.read(), re.MULTILINE)
                held += int(float(found[1])) if found else 0
    return held
