"""`timers`: thousands of runs asleep until the same moment; when has the last one woken, and has any woken early?"""

from __future__ import annotations

from typing import Any

from meshproof.bench.engine import Bench, light_job, live, now_us, publish, send, until_drained
from meshproof.sql import statement

SCENARIO = "timer_herd"


async def timers(bench: Bench) -> dict[str, Any]:
    """Put them to sleep, wait for the moment, and read when each has fired."""
    wanted = bench.scale.timers
    bench.display.step(f"{wanted:,} timers due in the same moment")
    await publish(bench, SCENARIO)
    before_us = now_us()
    report = await send(bench, light_job(bench, SCENARIO, seconds=bench.scale.build_s_max, requests_max=wanted))
    asleep = await live(bench)
    await until_drained(bench)
    (row,) = await bench.reader.fetch(statement("bench_timers"), f"{before_us // 1_000:012x}" + "0" * 20)
    bench.lost += max(0, report.accepted - row["timers"])
    bench.display.note(
        f"{asleep:,} asleep; the last fired {row['last_us'] / 1e6:.2f} s after its time, {row['early']:,} early"
    )
    return {
        "timers": row["timers"],
        "asleep": asleep,
        "early": row["early"],
        "first_fired_s": row["first_us"] / 1e6,
        "last_fired_s": row["last_us"] / 1e6,
        "accepted": report.accepted,
    }
