"""The parts that every profile is told in: calibrate, start, drive, drain, export, judge."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from rich.text import Text

from meshproof import analysis, clocks, floor, phases, report, scenario_file, scenarios, stored, summary
from meshproof.database import ERRORS, Reader, endpoint_ids
from meshproof.display import Display
from meshproof.judge import judge
from meshproof.judge.verdicts import Verdicts
from meshproof.ledger import LineWriter, read_document, write_document
from meshproof.load import audience, status_pages
from meshproof.load.courier import Courier
from meshproof.load.generator import Calibration, Generator, GeneratorError, calibrate, certificate_of
from meshproof.load.open_loop import CONNECTIONS_MAX, connections_for
from meshproof.load.prober import Prober
from meshproof.load.process import Job
from meshproof.load.stagehand import Stagehand
from meshproof.observe import Observer
from meshproof.phases import Phase
from meshproof.plan import Plan
from meshproof.profiles.settings import RunSettings
from meshproof.reaper import Reaper
from meshproof.rest import Api
from meshproof.sink import Sink, is_wanted
from meshproof.sql import statement
from meshproof.supervise import Incidents
from meshproof.target import Embedded, Remote, Target, TargetError, free_port, prepare, prepared
from meshproof.versions import versions

WATCH_S = 0.2
T = TypeVar("T")


@dataclass
class Session:
    """One run under way: its folder, its engine, and whoever looks at it."""

    settings: RunSettings
    plan: Plan
    folder: Path
    reaper: Reaper
    incidents: Incidents
    target: Target
    reader: Reader
    endpoints: list[int] | None
    display: Display
    calibration: Calibration | None
    sink: Sink | None = None
    """Where the calls of the workflows go, if they make any."""
    apis: dict[str, Api] = field(default_factory=dict)
    """The API of each project there is work in."""
    stagehand: Stagehand | None = None
    """Who changes the engine while deliveries arrive."""
    front: tuple[str, int] | None = None
    """Where the senders send to, when it is not the target itself: a proxy before it."""
    generator: Generator | None = None
    """Whoever sends, while it does."""

    def check(self) -> None:
        """Raise when the engine or the sink cannot be kept running any more."""
        self.target.check()
        if self.sink is not None:
            self.sink.check()

    def pids(self) -> dict[str, list[int]]:
        """The processes of each role, the engine's and the sink's."""
        return {**self.target.pids(), **({} if self.sink is None else {"sink": self.sink.pids})}


@dataclass(frozen=True)
class Result:
    """What came of a run."""

    folder: Path
    verdicts: Verdicts
    summary: dict[str, Any]
    report: Path


async def write_plan(settings: RunSettings, plan: Plan, display: Display, more: dict[str, Any] | None = None) -> None:
    """Put the plan on record before anything is started; `more` is what is planned beside the load."""
    display.step("Planning every request", "planning")
    document = await asyncio.to_thread(plan.document)
    document |= {"settings": settings.document(), "bounds": settings.bounds, "command": settings.command()}
    document |= more or {}
    write_document(settings.out / "plan.json", document)
    scenario_file.keep(settings.out, plan.members())
    display.planned(document)
    for change in document.get("adapted", ()):
        display.say(Text("  ", "dim") + Text(change, "dim"))
    display.note(f"{document['attempts']:,} requests, digest {document['digest'][:16]}")


@asynccontextmanager
async def session(
    settings: RunSettings,
    plan: Plan,
    display: Display,
    reaper: Reaper,
    fit: Callable[[Target], Awaitable[None]] | None = None,
    trial: Plan | None = None,
) -> AsyncIterator[Session]:
    """Start the engine (or find it), set the scenarios up, and calibrate the generator.

    `fit` may change the target before it is started. `trial` is what the generator is calibrated for, where it is not the plan.
    """
    async with AsyncExitStack() as stack:
        incidents = Incidents(settings.out / "incidents.ndjson")
        stack.callback(incidents.close)
        display.step("Starting MeshHook" if settings.embedded else f"Looking for {settings.target}", "starting")
        target = _target(settings, incidents, reaper, measured=display.live.wanted)
        stack.push_async_callback(target.stop)
        if fit is not None:
            await fit(target)
        await target.start()
        display.live.begin(plan, incidents, settings.target, target.scraped)
        display.hear(incidents)
        leads = settings.slice.is_first
        sink = await _sink(settings, plan, target, incidents, reaper, stack) if leads else None
        calls_to = None if sink is None else sink.address
        apis = await prepare(target, plan, calls_to) if leads else await prepared(target, plan)
        done = stack.enter_context(LineWriter(settings.out / "sent" / "acts.ndjson"))
        restart = target.restart if isinstance(target, Embedded) else None
        # Of several machines one does what is done once.
        stagehand = Stagehand(plan, apis, calls_to, done, restart) if leads else None
        if stagehand is not None:
            await stagehand.set_up()
        reader = Reader(target.dsn)
        stack.push_async_callback(reader.close)
        made_of = await versions(reader) if settings.embedded else await versions(reader, target.api)
        write_document(settings.out / "versions.json", made_of)
        if not settings.embedded:
            await _note_clocks(settings, reader)
        # A database of our own holds nothing but this run; whatever else turns up there is a finding.
        paths = [plan.place(name) for name in plan.members()]
        endpoints = None if settings.embedded else await endpoint_ids(reader, paths)
        calibration = await _calibration(settings, trial or part_of(plan, settings), display)
        yield Session(
            settings=settings,
            plan=plan,
            folder=settings.out,
            reaper=reaper,
            incidents=incidents,
            target=target,
            reader=reader,
            endpoints=endpoints,
            display=display,
            calibration=calibration,
            sink=sink,
            apis=apis,
            stagehand=stagehand if leads else None,
        )


def part_of(plan: Plan, settings: RunSettings) -> Plan:
    """A plan with the rate of the share that is sent from here, to calibrate the generator for."""
    return (
        replace(plan, rate=plan.peak_per_s / settings.slice.of, course=(), trace=None)
        if settings.slice.is_part
        else plan
    )


async def _note_clocks(settings: RunSettings, reader: Reader) -> None:
    """Put into the plan by how much the clocks of this machine and of the database may differ."""
    document = read_document(settings.out / "plan.json")
    document["bounds"]["clock_skew_us"] = await clocks.skew_us(reader)
    write_document(settings.out / "plan.json", document)


async def _calibration(settings: RunSettings, plan: Plan, display: Display) -> Calibration | None:
    if not settings.calibrated or settings.calibration is not None:
        return settings.calibration
    display.step("Calibrating the generator against a server that does nothing")
    calibration = await calibrate(plan, settings.generators)
    display.note(f"{calibration.per_s:,.0f} requests/s, {calibration.cpu_share:.0%} of a core")
    return calibration


async def _sink(
    settings: RunSettings, plan: Plan, target: Target, incidents: Incidents, reaper: Reaper, stack: AsyncExitStack
) -> Sink | None:
    """Start the sink where a workflow of the plan makes calls. Raises TargetError where they could not reach it."""
    if not is_wanted([scenarios.load(name).definition for name in plan.members()]):
        return None
    if isinstance(target, Remote) and not target.is_here:
        raise TargetError(
            f"The workflows of {plan.scenario} make calls to a server of the suite on this machine's loopback, which an engine"
            f" on {target.host} cannot reach. Take a scenario without calls, such as mixed."
        )
    sink = Sink(
        free_port(), folder=settings.out / "effects", logs=settings.out / "logs", reaper=reaper, incidents=incidents
    )
    stack.push_async_callback(sink.stop)
    await sink.start()
    return sink


def _target(settings: RunSettings, incidents: Incidents, reaper: Reaper, *, measured: bool) -> Target:
    if settings.embedded:
        return Embedded(
            workers=settings.workers,
            apis=settings.apis,
            incidents=incidents,
            reaper=reaper,
            logs=settings.out / "logs",
            settings=settings.engine_settings,
            package=settings.engine_package,
            counted=True,
            measured=measured,
        )
    assert settings.database is not None
    return Remote(settings.target, settings.database, settings.api_key, settings.owned)


@dataclass
class Driven:
    """What driving left behind."""

    start_us: int
    certificates: list[dict[str, Any]]


async def drive(
    run: Session, what: str, beside: Callable[[int], Awaitable[None]] | None = None, *, stepped: bool = False
) -> Driven:
    """Send the plan while looking on, then wait until no run is live; the certificate goes on record.

    Where the load is `stepped`, the plan is how it begins, and `beside` tells the generator of the session how it goes on.

    `beside` goes on beside the sending from its start, which it is told (microseconds); both must end before the waiting begins.
    """
    host, port = run.front or (run.target.host, run.target.port)
    job = Job(
        run.plan,
        host,
        port,
        str(run.folder / "sent"),
        processes=run.settings.generators,
        # How high steps will go is not known yet.
        connections=CONNECTIONS_MAX if stepped else connections_for(_each_sends_per_s(run)),
        dsn=run.target.dsn,
        stepped=stepped,
        tls=run.target.tls,
        slice=run.settings.slice,
    )
    run.display.step("Making requests ready")
    async with Generator(job, on_start=run.reaper.watch) as generator, AsyncExitStack() as beside_it:
        # Of several machines one looks into the database, for all.
        leads = run.settings.slice.is_first
        observer = Observer(
            run.folder / "samples",
            run.reader if leads else None,
            run.endpoints,
            pids=lambda: {**run.pids(), "generator": generator.pids},
            progress=lambda: generator.progress,
        )
        run.display.step(what, "load")
        run.generator = generator
        house = None
        if leads:
            await beside_it.enter_async_context(bystanders(run))
            house = await _audience(run, beside_it)
        run.display.watch(observer, run.incidents, run.plan)
        start_us = generator.start(run.settings.start_at_us)
        observer.phase = lambda: phases.at(now_us(), start_us, run.plan)
        observer.start()
        work = _both(generator.done(), None if run.stagehand is None else run.stagehand.play(start_us))
        certificates = await _unless_target_fails(run, _both(work, None if beside is None else beside(start_us)))
        observer.phase = lambda: "drain"
        if leads:
            run.display.step("Waiting for the last runs", "drain")
            await drain(run)
            await status_pages.read(run.plan, run.apis, run.folder)
        if house is not None:
            run.display.step("Waiting until all was told to those who watch")
            await house.close()
        await observer.stop()
    run.display.watch(None, run.incidents, run.plan)
    driven = Driven(start_us, certificates)
    write_document(
        run.folder / "generator.json", certificate_of(certificates, run.calibration, target_per_s(run, driven))
    )
    return driven


def _each_sends_per_s(run: Session) -> float:
    """What each process of the generator sends at most."""
    return run.plan.peak_per_s / run.settings.slice.of / run.settings.generators


@asynccontextmanager
async def bystanders(run: Session) -> AsyncIterator[None]:
    """Whoever goes about the engine beside the load."""
    async with _courier(run), _prober(run):
        yield


@asynccontextmanager
async def _courier(run: Session) -> AsyncIterator[None]:
    """Somebody who brings the runs what comes to them from outside, until there is nothing more to wait for."""
    reader = Reader(run.target.dsn)
    with LineWriter(run.folder / "sent" / "signals.ndjson") as sent:
        under_way = asyncio.create_task(Courier(run.plan, run.apis, reader, sent).run())
        try:
            yield
        finally:
            under_way.cancel()
            await asyncio.wait([under_way])
            await reader.close()
    if not under_way.cancelled():
        under_way.result()


async def _audience(run: Session, beside_it: AsyncExitStack) -> audience.House | None:
    """Those who watch live streams, where anybody does; they have subscribed when this returns."""
    if not audience.is_wanted(run.plan):
        return None
    run.display.step("Letting those in who watch")
    reader = Reader(run.target.dsn)
    beside_it.push_async_callback(reader.close)
    house = audience.House(run.plan, run.apis, reader, run.folder / "samples")
    await house.open()
    return house


@asynccontextmanager
async def _prober(run: Session) -> AsyncIterator[None]:
    """Somebody who asks in the name of each project for what belongs to another; nobody when there is but one."""
    if len(run.apis) < 2:
        yield
        return
    reader = Reader(run.target.dsn)
    with LineWriter(run.folder / "samples" / "replies.ndjson") as replies:
        stop = asyncio.Event()
        under_way = asyncio.create_task(Prober(run.plan, run.apis, reader, replies).run(stop))
        try:
            yield
        finally:
            stop.set()
            await under_way
            await reader.close()


def target_per_s(run: Session, driven: Driven) -> float:
    """The rate the generator has to be twice as fast as: the planned one, or in the closed model what was reached."""
    if not run.plan.levels:
        return run.plan.peak_per_s / run.settings.slice.of
    levels = [level for certificate in driven.certificates for level in certificate["levels"]]
    seconds = sum(level["ended_us"] - level["started_us"] for level in levels) / 1e6
    sent = sum(certificate["tally"]["sent"] for certificate in driven.certificates)
    return float(sent / seconds) if seconds else 0.0


async def drain(run: Session) -> None:
    """Wait until no run is live, or until the bound; who is late is for the judge to say."""
    await until_idle(run.reader, run.endpoints, run.settings.bounds["drain_s"], run.check)


async def until_idle(
    reader: Reader, endpoints: list[int] | None, seconds: float, check: Callable[[], None] = lambda: None
) -> None:
    """Wait until no run of these endpoints is live, for so long at most; `check` is called meanwhile, and may raise."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        check()
        try:
            (row,) = await reader.fetch(statement("live"), endpoints)
        except ERRORS:
            row = None
        if row is not None and row[0] == 0:
            return
        await asyncio.sleep(WATCH_S)


async def export(run: Session, times: list[Phase]) -> None:
    """Save what the database holds, and the phases."""
    phases.write(run.folder, times)
    await save_stored(run)


async def save_stored(run: Session) -> None:
    """Save what the database holds."""
    run.display.step("Reading what is stored", "saving")
    runs = await stored.export(run.reader, run.folder / "stored", run.endpoints)
    run.display.note(f"{runs:,} runs")


async def measure_floor(run: Session) -> None:
    """Measure the floor on the same server, which is then done with; only on a server of our own."""
    if run.settings.embedded and run.settings.floored:
        run.display.step("Measuring the floor of this server")
        measured = await floor.measure(run.target.dsn, keyed=True)
        write_document(run.folder / "floor.json", asdict(measured))
        run.display.note(f"{measured.runs_per_s:,.0f} runs/s")


async def conclude(folder: Path, display: Display) -> Result:
    """Judge the evidence of a folder, and write summary and report."""
    display.step("Judging", "judging")
    scenario_file.adopt_kept(folder)
    await asyncio.to_thread(analysis.write, folder)
    verdicts = await asyncio.to_thread(judge, folder, display.held)
    display.judged(verdicts)
    document = await asyncio.to_thread(summary.summarise, folder, verdicts)
    return Result(folder, verdicts, document, await asyncio.to_thread(report.write, folder))


def now_us() -> int:
    """Microseconds of Unix time."""
    return time.time_ns() // 1_000


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


async def _both(work: Awaitable[T], beside: Awaitable[None] | None) -> T:
    """What the work gives, once both have ended."""
    if beside is None:
        return await work
    task = asyncio.ensure_future(beside)
    try:
        done = await work
        await task
        return done
    finally:
        task.cancel()


async def _unless_target_fails(run: Session, work: Awaitable[list[dict[str, Any]]]) -> list[dict[str, Any]]:
    task = asyncio.ensure_future(work)
    try:
        while not task.done():
            run.check()
            await asyncio.wait([task], timeout=WATCH_S)
        return task.result()
    except GeneratorError:
        raise
    finally:
        task.cancel()
