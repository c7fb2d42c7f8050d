"""`meshproof bench`: how fast, against the floor of the same server in the same session.

    floor, pipeline, keyed floor, keyed pipeline, floor, pipeline, …    interleaved, so that a noisy minute hits them
    alike open_1000      1,000 requests a second at their own times: how long does a run take when nothing is full?
    drain_200k     a backlog built while the workers are stopped: how fast is it worked off, and does the door still
    answer? overload       three times what the engine can carry: does it go on finishing runs, and refuse the rest
    politely?

One engine, two cores for everything, generator and Postgres included. Completed runs are counted in the database.
Nothing is judged here; but a run that was acknowledged and is not stored fails the benchmark.
"""

from __future__ import annotations

import asyncio
import sys
import time
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import msgspec
import numpy as np
from rich.table import Table

from meshproof import floor, stored
from meshproof.database import Reader, endpoint_ids
from meshproof.display import Display
from meshproof.evidence import prepare as prepare_folder
from meshproof.figures import open_evidence
from meshproof.ledger import write_document
from meshproof.load.generator import Calibration
from meshproof.load.light import LightJob, Report
from meshproof.phases import Phase
from meshproof.plan import Plan
from meshproof.profiles import session
from meshproof.profiles.settings import RunSettings
from meshproof.reaper import Reaper
from meshproof.sql import statement
from meshproof.stats import Histogram
from meshproof.summary import KEYS
from meshproof.supervise import Incidents
from meshproof.target import Embedded, prepare
from meshproof.usage import Meter
from meshproof.versions import commit, versions

NAMESPACE = "bench"
SCENARIO = "pipeline"
ENDPOINT = f"{NAMESPACE}-{SCENARIO}"
CONNECTIONS = 64
OVERLOAD_CONNECTIONS = 4_000
BUILD_S_MAX = 60.0
DRAIN_S_MAX = 120.0
# Backends report their statistics once a second at most.
STATISTICS_S = 1.2
RESAMPLES = 10_000
ENGINE = ("api", "worker", "postgres")


@dataclass(frozen=True)
class Scale:
    """How long the parts take."""

    rounds: int
    floor_s: float
    warm_s: float
    seconds: float
    open_s: float
    backlog: int
    overload_s: float


FULL = Scale(rounds=5, floor_s=3.0, warm_s=1.5, seconds=6.0, open_s=15.0, backlog=200_000, overload_s=20.0)
QUICK = Scale(rounds=2, floor_s=2.0, warm_s=1.0, seconds=3.0, open_s=5.0, backlog=30_000, overload_s=8.0)


@dataclass
class Span:
    """What was measured while the light generator was at work."""

    report: Report
    from_us: int
    to_us: int
    finished: int
    """Runs finished between the two."""
    accepted: int
    """Runs accepted while it was at work, warm-up included."""
    spent: dict[str, float] = field(default_factory=dict)
    """Processor milliseconds, WAL bytes and transactions, for all those runs."""

    @property
    def completed_per_s(self) -> float:
        """Runs finished a second."""
        return self.finished / ((self.to_us - self.from_us) / 1e6)


@dataclass
class Bench:
    """The engine being measured."""

    scale: Scale
    target: Embedded
    reader: Reader
    reaper: Reaper
    incidents: Incidents
    display: Display
    meter: Meter = field(default_factory=Meter)
    rss_bytes_max: dict[str, int] = field(default_factory=dict)
    lost: int = 0


async def run(out: Path, scale: Scale, display: Display, reaper: Reaper) -> dict[str, Any]:
    """Measure every row and write `bench.json` into the folder."""
    logs = prepare_folder(reaper.folder / "bench")
    incidents = Incidents(logs / "incidents.ndjson")
    target = Embedded(workers=1, incidents=incidents, reaper=reaper, logs=logs / "logs")
    reader = Reader(target.dsn)
    try:
        display.step("Starting MeshHook: one API process, one worker, Postgres")
        await target.start()
        await prepare(target, Plan("bench", SCENARIO, 0, NAMESPACE, rate=1.0, duration_s=1.0))
        bench = Bench(scale, target, reader, reaper, incidents, display)
        rows = await interleaved(bench)
        rows["open_1000"] = await open_loop(bench, 1_000.0)
        rows["drain_200k"] = await drain_backlog(bench)
        rows["overload"] = await overload(bench, rows["pipeline"]["completed_per_s"])
        made_with = await versions(reader)
        document: dict[str, Any] = {"machine": made_with.pop("machine"), **made_with, "lost": bench.lost, "rows": rows}
    finally:
        await reader.close()
        await target.stop()
        incidents.close()
    write_document(out / "bench.json", document)
    return document


# The rows -------------------------------------------------------------------------------------------------------------


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


async def open_loop(bench: Bench, rate: float) -> dict[str, Any]:
    """Latencies at a rate far below what the engine can carry, from the intended sending."""
    out = prepare_folder(bench.reaper.folder / "open")
    settings = RunSettings(
        "load", SCENARIO, seed=1, out=out, rate=rate, warmup_s=2.0, duration_s=bench.scale.open_s, namespace="open"
    )
    plan = Plan("load", SCENARIO, 1, "open", rate=rate, warmup_s=2.0, duration_s=bench.scale.open_s)
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
    steady_us = driven.start_us + 2_000_000
    with open_evidence(out) as evidence:
        assert evidence is not None
        figures = evidence.figures([Phase("steady", steady_us, steady_us + round(bench.scale.open_s * 1e6))])
    (certificate,) = driven.certificates
    row = _row(**asdict(figures), settings={"rate": rate, "seconds": bench.scale.open_s})
    row |= {"generator_lag_ms": Histogram.decode(certificate["lag"]).milliseconds()}
    row |= {"generator_cpu_share": certificate["cpu_share"], "unsent": certificate["unsent"]}
    bench.display.note(f"end to end {_ms(figures.end_to_end_ms)}")
    return row


async def drain_backlog(bench: Bench) -> dict[str, Any]:
    """Stop the workers, build a backlog, start them again: how fast is it gone, and how does the door do meanwhile?"""
    bench.display.step(f"Building a backlog of {bench.scale.backlog:,} runs")
    await bench.target.stop_workers()
    built = await send(bench, light_job(bench, seconds=BUILD_S_MAX, requests_max=bench.scale.backlog))
    backlog = await live(bench)
    bench.display.note(f"{backlog:,} runs at {built.accepted / built.seconds:,.0f}/s")
    bench.display.step("Draining it while the door answers 20 requests a second")
    before_us = _now_us()
    await bench.target.start_workers()
    door = await begin(bench, light_job(bench, seconds=DRAIN_S_MAX, rate=20.0))
    samples = [(_now_us(), backlog)]
    while samples[-1][1] > 200 and _now_us() - before_us < DRAIN_S_MAX * 1e6:
        await asyncio.sleep(0.25)
        samples.append((_now_us(), await live(bench)))
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


async def overload(bench: Bench, best_per_s: float) -> dict[str, Any]:
    """Offer three times the best rate, and count what is finished meanwhile."""
    rate = 3 * best_per_s
    bench.display.step(f"Offering {rate:,.0f}/s, three times what it carries")
    job = light_job(bench, seconds=bench.scale.overload_s, rate=rate, connections=OVERLOAD_CONNECTIONS)
    measured = await span(bench, job)
    report = measured.report
    bench.display.note(f"{measured.completed_per_s:,.0f}/s finished")
    return {
        "offered_per_s": rate,
        "sent_per_s": report.sent / report.seconds,
        "accepted_per_s": report.accepted / report.seconds,
        "refused_per_s": report.refused / report.seconds,
        "refused_without_retry_after": report.refused_without_retry_after,
        "failed": report.failed,
        "unsent": report.unsent,
        "completed_per_s": measured.completed_per_s,
        "of_best": measured.completed_per_s / best_per_s,
        **{f"{name}_per_run": spent / measured.accepted for name, spent in measured.spent.items() if measured.accepted},
        "accept_ms": Histogram.decode(report.accept).milliseconds(),
        "generator_cpu_share": report.cpu_share,
    }


# How it is measured
# -----------------------------------------------------------------------------------------------------


def light_job(bench: Bench, **changed: Any) -> LightJob:
    """A job of the light generator against the engine."""
    seconds = bench.scale.warm_s + bench.scale.seconds
    job = LightJob(bench.target.host, bench.target.port, ENDPOINT, SCENARIO, seconds, CONNECTIONS)
    return msgspec.structs.replace(job, **changed)


async def begin(bench: Bench, job: LightJob) -> asyncio.subprocess.Process:
    """Start the light generator in a process of its own."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "meshproof.load.light",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    bench.reaper.watch(process.pid)
    assert process.stdin is not None
    process.stdin.write(msgspec.json.encode(job) + b"\n")
    return process


async def end(process: asyncio.subprocess.Process) -> Report:
    """Wait for a light generator, and for what it reports."""
    said, _ = await process.communicate()
    return msgspec.json.decode(said, type=Report)


async def send(bench: Bench, job: LightJob) -> Report:
    """Send, and report."""
    return await end(await begin(bench, job))


async def span(bench: Bench, job: LightJob) -> Span:
    """Send, wait until everything is finished, and count."""
    runs_before = (await _finished(bench, 0, 0))[1]
    before = await _load(bench)
    sending = asyncio.create_task(send(bench, job))
    while not sending.done():
        await asyncio.wait([sending], timeout=0.5)
        _note_memory(bench)
    report = sending.result()
    await _until_drained(bench)
    await asyncio.sleep(STATISTICS_S)
    after = await _load(bench)
    from_us = report.from_us + round(bench.scale.warm_s * 1e6)
    finished, runs = await _finished(bench, from_us, report.to_us)
    stored_runs = runs - runs_before
    bench.lost += max(0, report.accepted - stored_runs)
    spent = {name: after[name] - before[name] for name in after}
    return Span(report, from_us, report.to_us, finished, stored_runs, spent)


async def pipeline_row(bench: Bench, spans: list[Span], floors: list[float]) -> dict[str, Any]:
    """The medians of all rounds; the ratio is taken within each round."""
    accept, queue, finish = Histogram(), Histogram(), Histogram()
    for one in spans:
        accept.merge(Histogram.decode(one.report.accept))
        for row in await _stages(bench, one):
            queue.add([row["queue_us"]])
            finish.add([row["finish_us"]])
    rates = [one.completed_per_s for one in spans]
    ratios = [rate / low for rate, low in zip(rates, floors, strict=True)]
    runs = sum(one.accepted for one in spans)
    row = _row(
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
    return row | {
        "runs_per_s": median(rates),
        "runs_per_s_rounds": rates,
        "runs_per_s_interval": bootstrap(rates),
        "floor_ratio_interval": bootstrap(ratios),
        "finish_ms": finish.milliseconds(),
        "generator_cpu_share": median(one.report.cpu_share for one in spans),
    }


def bootstrap(values: list[float]) -> list[float]:
    """The interval that holds 95 % of the medians of resampled rounds."""
    draws = np.random.default_rng(1).choice(values, size=(RESAMPLES, len(values)))
    low, high = np.percentile(np.median(draws, axis=1), [2.5, 97.5])
    return [float(low), float(high)]


async def live(bench: Bench) -> int:
    """How many runs are not finished."""
    (row,) = await bench.reader.fetch(statement("live"), None)
    return int(row[0])


async def _until_drained(bench: Bench) -> None:
    deadline = time.monotonic() + DRAIN_S_MAX
    while await live(bench) and time.monotonic() < deadline:
        await asyncio.sleep(0.05)


async def _finished(bench: Bench, from_us: int, to_us: int) -> tuple[int, int]:
    (row,) = await bench.reader.fetch(statement("bench_finished"), _at(from_us), _at(to_us))
    return row["finished"], row["runs"]


async def _stages(bench: Bench, one: Span) -> list[Any]:
    # Run ids begin with the millisecond they were made in, a little before their commit.
    least, greatest = (f"{at // 1_000:012x}" for at in (one.from_us - 5_000_000, one.to_us + 1_000_000))
    bounds = (least + "0" * 20, greatest + "0" * 20)
    return await bench.reader.fetch(statement("bench_runs"), *bounds, _at(one.from_us), _at(one.to_us))


async def _load(bench: Bench) -> dict[str, float]:
    (row,) = await bench.reader.fetch(statement("load"))
    usage = bench.meter.read(bench.target.pids())
    return {
        "cpu_ms": 1_000 * sum(usage[role]["cpu_s"] for role in ENGINE if role in usage),
        "wal_bytes": float(row["wal_bytes"]),
        "transactions": float(row["transactions"] - bench.reader.transactions),
    }


def _note_memory(bench: Bench) -> None:
    for role, usage in bench.meter.read(bench.target.pids()).items():
        bench.rss_bytes_max[role] = max(bench.rss_bytes_max.get(role, 0), usage["rss_bytes"])


def _at(at_us: int) -> datetime:
    return datetime.fromtimestamp(at_us / 1e6, tz=UTC)


def _now_us() -> int:
    return time.time_ns() // 1_000


# How it is written down
# -------------------------------------------------------------------------------------------------


def _row(**known: Any) -> dict[str, Any]:
    """A row in the keys of summary.json; what a benchmark does not say is null."""
    return dict.fromkeys(KEYS) | {"profile": "bench", "scenario": SCENARIO, "commit": commit()} | known


def _floor_row(rates: list[float]) -> dict[str, Any]:
    return {"runs_per_s": median(rates), "runs_per_s_rounds": rates, "runs_per_s_interval": bootstrap(rates)}


def _door(report: Report) -> dict[str, Any]:
    return {
        "sent": report.sent,
        "accepted": report.accepted,
        "refused": report.refused,
        "failed": report.failed,
        "accept_ms": Histogram.decode(report.accept).milliseconds(),
    }


def _interval(interval: list[float]) -> str:
    return f"{interval[0]:,.0f} to {interval[1]:,.0f}"


def _ms(figures: dict[str, float] | None) -> str:
    return f"p50 {figures['p50']:.1f} ms, p99 {figures['p99']:.1f} ms" if figures else "—"


def table(document: dict[str, Any]) -> Table:
    """The rows for people."""
    rows = document["rows"]
    grid = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="dim")
    for column in ("row", "runs/s", "of the floor", "what else"):
        grid.add_column(column)
    for name in ("floor", "floor_keyed"):
        grid.add_row(name, f"{rows[name]['runs_per_s']:,.0f}", "", _interval(rows[name]["runs_per_s_interval"]))
    for name in ("pipeline", "pipeline_keyed"):
        row = rows[name]
        low, high = row["floor_ratio_interval"]
        grid.add_row(
            name,
            f"{row['runs_per_s']:,.0f}",
            f"{row['floor_ratio']:.3f} ({low:.3f} to {high:.3f})",
            f"accept {_ms(row['accept_ms'])}; accepted to finished {_ms(row['finish_ms'])}",
        )
        memory = sum(row["rss_bytes_max"].get(role, 0) for role in ("api", "worker")) / 1e6
        grid.add_row(
            "",
            "",
            "",
            f"{row['cpu_ms_per_run']:.3f} ms of processor, {row['wal_bytes_per_run']:,.0f} bytes of WAL,"
            f" {row['transactions_per_run']:.4f} transactions a run; API and worker {memory:,.0f} MB;"
            f" generator {row['generator_cpu_share']:.0%} of a core",
        )
    row = rows["open_1000"]
    grid.add_row("open_1000", f"{row['completed_per_s']:,.0f}", "", f"end to end {_ms(row['end_to_end_ms'])}")
    row = rows["drain_200k"]
    answered = _ms(row["door"]["accept_ms"]) if row["door"] else "unknown"
    grid.add_row(
        "drain_200k", f"{row['drained_per_s'] or 0:,.0f}", "", f"{row['backlog']:,} runs; the door: {answered}"
    )
    row = rows["overload"]
    grid.add_row(
        "overload",
        f"{row['completed_per_s']:,.0f}",
        "",
        f"{row['of_best']:.2f} of the best, {row['offered_per_s']:,.0f}/s offered, {row['refused_per_s']:,.0f}/s refused,"
        f" {row['transactions_per_run']:.4f} transactions a run",
    )
    return grid
