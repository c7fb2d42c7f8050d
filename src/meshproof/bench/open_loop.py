"""`open_1000`: so many requests a second at their own times; how long does a run take when nothing is full?"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from meshproof import stored
from meshproof.bench.engine import SCENARIO, Bench
from meshproof.bench.figures import ms, row
from meshproof.database import endpoint_ids
from meshproof.evidence import prepare as prepare_folder
from meshproof.figures import open_evidence
from meshproof.load.generator import Calibration
from meshproof.phases import Phase
from meshproof.plan import Plan
from meshproof.profiles import session
from meshproof.profiles.settings import RunSettings
from meshproof.stats import Histogram
from meshproof.target import prepare


async def open_loop(bench: Bench, rate: float) -> dict[str, Any]:
    """Latencies at a rate far below what the engine can carry, from the intended sending."""
    out = prepare_folder(bench.reaper.folder / "open")
    settings = RunSettings(
        "load",
        SCENARIO,
        seed=1,
        out=out,
        rate=rate,
        warmup_s=bench.scale.open_warm_s,
        duration_s=bench.scale.open_s,
        namespace="open",
    )
    plan = Plan("load", SCENARIO, 1, "open", rate=rate, warmup_s=bench.scale.open_warm_s, duration_s=bench.scale.open_s)
    await prepare(bench.target, plan)
    endpoints = await endpoint_ids(bench.reader, [plan.place(SCENARIO)])
    under_way = session.Session(
        settings,
        plan,
        out,
        bench.reaper,
        bench.incidents,
        bench.target,
        bench.reader,
        endpoints,
        bench.display,
        Calibration(0.0, None, 0.0),
    )
    driven = await session.drive(under_way, f"Open loop at {rate:,.0f}/s")
    bench.display.step("Reading what became of it")
    await stored.export(bench.reader, out / "stored", endpoints)
    steady_us = driven.start_us + round(bench.scale.open_warm_s * 1e6)
    steady = [Phase("steady", steady_us, steady_us + round(bench.scale.open_s * 1e6))]
    with open_evidence(out) as evidence:
        assert evidence is not None
        figures, histograms = evidence.figures(steady), evidence.histograms(steady)
    (certificate,) = driven.certificates
    measured = row(**asdict(figures), settings={"rate": rate, "seconds": bench.scale.open_s})
    measured |= {"histograms": histograms}
    measured |= {"generator_lag_ms": Histogram.decode(certificate["lag"]).milliseconds()}
    measured |= {"generator_cpu_share": certificate["cpu_share"], "unsent": certificate["unsent"]}
    bench.display.note(f"end to end {ms(figures.end_to_end_ms)}")
    return measured
