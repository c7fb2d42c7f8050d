"""`run load`: an open load for a while, whatever the engine makes of it: at a constant mean rate, of a shape, or as recorded."""

from __future__ import annotations

from functools import partial

from meshproof.display import Display
from meshproof.load import backlog
from meshproof.phases import Phase
from meshproof.plan import Plan
from meshproof.profiles.flames import flames
from meshproof.profiles.session import (
    Driven,
    Result,
    Session,
    conclude,
    drive,
    export,
    measure_floor,
    now_us,
    session,
    write_plan,
)
from meshproof.profiles.settings import RunSettings
from meshproof.reaper import Reaper

HOW = {"constant": "", "ramp": ", in a ramp", "spike": ", with a spike", "sine": ", in waves"}


async def run(settings: RunSettings, display: Display, reaper: Reaper) -> Result:
    """Plan, drive, drain, save, judge."""
    plan = plan_of(settings)
    await write_plan(settings, plan, display)
    async with session(settings, plan, display, reaper) as under_way:
        seconds = settings.warmup_s + settings.duration_s
        said = f"Sending {settings.scenario} at {settings.rate:,.4g}/s for {seconds:g} s{HOW[settings.shape]}"
        async with flames(under_way):
            driven = await drive(under_way, said, beside=partial(put_backlog_in, under_way))
        await export(under_way, phases_of(plan, driven, now_us()))
        await measure_floor(under_way)
        display.step("Stopping MeshHook" if settings.embedded else "Leaving the target as it is")
    return await conclude(settings.out, display)


async def put_backlog_in(run: Session, start_us: int) -> None:
    """When its time has come, put in the backlog of the plan, if it has one."""
    if backlog.is_planned(run.plan):
        runs = await backlog.put_in(run.plan, run.target.dsn, run.folder / "sent", start_us)
        run.display.note(f"{runs:,} runs of a backlog were put in")


def plan_of(settings: RunSettings) -> Plan:
    """The plan of these settings."""
    return Plan(
        profile=settings.profile,
        scenario=settings.scenario,
        seed=settings.seed,
        namespace=settings.namespace,
        rate=settings.rate,
        warmup_s=settings.warmup_s,
        duration_s=settings.duration_s,
        arrivals=settings.arrivals,
        backlog=settings.backlog,
        course=settings.course,
        trace=settings.trace,
        speed=settings.speed,
    )


def phases_of(plan: Plan, driven: Driven, drained_us: int) -> list[Phase]:
    """The phases follow from the plan: nothing the engine does can move them."""
    steady_us = driven.start_us + round(plan.warmup_s * 1e6)
    end_us = steady_us + round(plan.duration_s * 1e6)
    return [
        Phase("warm-up", driven.start_us, steady_us),
        Phase("steady", steady_us, end_us),
        Phase("drain", end_us, max(drained_us, end_us)),
    ]
