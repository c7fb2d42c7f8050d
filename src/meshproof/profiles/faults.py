"""`run faults`: a load, and faults that come and go in it; then everything heals, and must be as it was."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import dataclass
from math import ceil

from meshproof.display import Display
from meshproof.faults import KINDS
from meshproof.faults.conductor import Conductor
from meshproof.faults.eye import Eye
from meshproof.faults.roll_call import RollCall
from meshproof.faults.scene import Scene
from meshproof.faults.schedule import Planned, needed_s, schedule
from meshproof.faults.wires import Wires
from meshproof.plan import Plan
from meshproof.profiles.load import phases_of
from meshproof.profiles.session import Result, Session, conclude, drive, export, now_us, session, write_plan
from meshproof.profiles.settings import RunSettings
from meshproof.reaper import Reaper
from meshproof.target import Embedded, Target

# Before the first fault the backlog is what it is without any; after the last one everybody must be seen to work again.
LEAD_S = 3.0
CALM_S = 6.0
# Restarts take longer where other work goes on. What time is left is for a second turn.
SLACK = 1.5
# Short, since a frozen worker must be frozen for longer.
LEASE_S = 4.0


async def run(settings: RunSettings, display: Display, reaper: Reaper) -> Result:
    """Plan load and faults, drive, break and heal, drain, save, judge."""
    plan, planned = plan_of(settings), faults_of(settings)
    await write_plan(settings, plan, display, {"faults": [fault.document() for fault in planned]})
    async with AsyncExitStack() as stack:
        wires = await stack.enter_async_context(Wires(wires_of(planned), settings.seed))
        under_way = await stack.enter_async_context(
            session(settings, plan, display, reaper, lambda target: wires.fit(own(target)))
        )
        under_way.front = wires.front
        broken = await stack.enter_async_context(Broken.of(under_way, wires, planned))
        seconds = settings.warmup_s + settings.duration_s
        how_many = "one fault" if len(planned) == 1 else f"{len(planned)} faults"
        what = f"Sending {settings.scenario} at {settings.rate:,g}/s for {seconds:g} s, with {how_many}"
        driven = await drive(under_way, what, broken.conductor.play)
        await broken.save()
        await export(under_way, phases_of(plan, driven, now_us()))
        display.step("Stopping MeshHook")
    return await conclude(settings.out, display)


def plan_of(settings: RunSettings) -> Plan:
    """The load: an open one, at a constant mean rate."""
    return Plan(
        profile=settings.profile,
        scenario=settings.scenario,
        seed=settings.seed,
        namespace=settings.namespace,
        rate=settings.rate,
        warmup_s=settings.warmup_s,
        duration_s=settings.duration_s,
        arrivals=settings.arrivals,
    )


def faults_of(settings: RunSettings) -> tuple[Planned, ...]:
    """The faults. Raises ScheduleError when they do not fit into the load."""
    from_s = settings.warmup_s + settings.lead_s
    return schedule(settings.seed, settings.faults, KINDS, from_s, end_s(settings), settings.lease_s)


def end_s(settings: RunSettings) -> float:
    """When the engine has to be whole again, from the start of the load."""
    return settings.warmup_s + settings.duration_s - settings.calm_s


def duration_for(seed: int, faults: tuple[str, ...], slack: float) -> float:
    """How many seconds the load must go on for these faults to have a place, each once; `slack` is for a slow machine."""
    return float(ceil(LEAD_S + slack * needed_s(seed, faults, KINDS, LEASE_S) + CALM_S))


def wires_of(planned: tuple[Planned, ...]) -> set[str]:
    """The wires that these faults need a proxy in."""
    return {wire for fault in planned if (wire := KINDS[fault.kind].wire) is not None}


def own(target: Target) -> Embedded:
    """The target, which is one of our own: nothing is done to anybody else's."""
    assert isinstance(target, Embedded)
    return target


@dataclass
class Broken:
    """Whoever breaks and watches the engine beside the load."""

    session: Session
    conductor: Conductor
    roll_call: RollCall
    eye: Eye

    @classmethod
    def of(cls, under_way: Session, wires: Wires, planned: tuple[Planned, ...]) -> Broken:
        """For a session that is under way."""
        eye = Eye(under_way.target.dsn)
        scene = Scene(own(under_way.target), eye, under_way.sink, wires.proxies)
        conductor = Conductor(
            planned, KINDS, under_way.plan.seed, scene, under_way.incidents, end_s(under_way.settings)
        )
        return cls(under_way, conductor, RollCall(under_way.folder / "samples" / "workers.ndjson", scene), eye)

    async def save(self) -> None:
        """Put what was hit on record."""
        await self.roll_call.stop()
        await self.conductor.write(self.session.folder / "faults.ndjson")

    async def __aenter__(self) -> Broken:
        self.roll_call.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.eye.close()
