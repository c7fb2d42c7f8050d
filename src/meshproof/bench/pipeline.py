"""`floor`, `pipeline` and both with delivery keys: in turn, so that a noisy minute hits them alike."""

from __future__ import annotations

from statistics import median
from typing import Any

from meshproof import floor
from meshproof.bench.engine import CONNECTIONS, Bench, Span, at, light_job, span
from meshproof.bench.figures import bootstrap, row
from meshproof.sql import statement
from meshproof.stats import Histogram


async def interleaved(bench: Bench) -> dict[str, Any]:
    """Floor and pipeline in turn, without and with delivery keys."""
    floors: dict[bool, list[float]] = {False: [], True: []}
    spans: dict[bool, list[Span]] = {False: [], True: []}
    for number in range(bench.scale.rounds):
        bench.display.step(f"Floor and pipeline, round {number + 1} of {bench.scale.rounds}")
        for keyed in (False, True):
            measured = await floor.measure(bench.target.dsn, keyed=keyed, seconds=bench.scale.floor_s)
            floors[keyed].append(measured.runs_per_s)
            namespace = f"b{number}" if keyed else None
            spans[keyed].append(await span(bench, light_job(bench, namespace=namespace)))
        bench.display.note(
            f"floor {floors[False][-1]:,.0f}/s, pipeline {spans[False][-1].completed_per_s:,.0f}/s;"
            f" with keys {floors[True][-1]:,.0f}/s, {spans[True][-1].completed_per_s:,.0f}/s"
        )
    return {
        "floor": _floor_row(floors[False]),
        "floor_keyed": _floor_row(floors[True]),
        "pipeline": await pipeline_row(bench, spans[False], floors[False]),
        "pipeline_keyed": await pipeline_row(bench, spans[True], floors[True]),
    }


async def pipeline_row(bench: Bench, spans: list[Span], floors: list[float]) -> dict[str, Any]:
    """The medians of all rounds; the ratio is taken within each round."""
    accept, queue, finish = Histogram(), Histogram(), Histogram()
    for one in spans:
        accept.merge(Histogram.decode(one.report.accept))
        for stage in await _stages(bench, one):
            queue.add([stage["queue_us"]])
            finish.add([stage["finish_us"]])
    rates = [one.completed_per_s for one in spans]
    ratios = [rate / low for rate, low in zip(rates, floors, strict=True)]
    runs = sum(one.accepted for one in spans)
    measured = row(
        settings={"connections": CONNECTIONS, "rounds": len(spans), "seconds": bench.scale.seconds},
        attempted=sum(one.report.sent for one in spans),
        acknowledged=sum(one.report.accepted for one in spans),
        refused=sum(one.report.refused for one in spans),
        unknown=sum(one.report.failed for one in spans),
        runs=runs,
        lost=bench.lost,
        accepted_per_s=median(one.report.accepted / one.report.seconds for one in spans),
        completed_per_s=median(rates),
        accept_ms=accept.milliseconds(),
        queue_ms=queue.milliseconds(),
        cpu_ms_per_run=sum(one.spent["cpu_ms"] for one in spans) / runs,
        wal_bytes_per_run=sum(one.spent["wal_bytes"] for one in spans) / runs,
        transactions_per_run=sum(one.spent["transactions"] for one in spans) / runs,
        rss_bytes_max=dict(bench.rss_bytes_max),
        floor_runs_per_s=median(floors),
        floor_ratio=median(ratios),
    )
    return measured | {
        "runs_per_s": median(rates),
        "runs_per_s_rounds": rates,
        "runs_per_s_interval": bootstrap(rates),
        "floor_ratio_interval": bootstrap(ratios),
        "finish_ms": finish.milliseconds(),
        "histograms": {"accept_ms": accept.encode(), "queue_ms": queue.encode(), "finish_ms": finish.encode()},
        "generator_cpu_share": median(one.report.cpu_share for one in spans),
    }


async def _stages(bench: Bench, one: Span) -> list[Any]:
    # Run ids begin with the millisecond they were made in, a little before their commit.
    least, greatest = (f"{at_us // 1_000:012x}" for at_us in (one.from_us - 5_000_000, one.to_us + 1_000_000))
    bounds = (least + "0" * 20, greatest + "0" * 20)
    return await bench.reader.fetch(statement("bench_runs"), *bounds, at(one.from_us), at(one.to_us))


def _floor_row(rates: list[float]) -> dict[str, Any]:
    return {"runs_per_s": median(rates), "runs_per_s_rounds": rates, "runs_per_s_interval": bootstrap(rates)}
