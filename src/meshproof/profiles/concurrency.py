"""`run concurrency`: exactly so many runs in flight, level after level."""

from __future__ import annotations

from meshproof.display import Display
from meshproof.phases import Phase
from meshproof.plan import Level, Plan
from meshproof.profiles.session import (
    Driven,
    Result,
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

LEVELS = (5, 50, 500, 5_000)
# A level is so many runs, so that the plan does not depend on the machine: as many as an engine that takes 20 ms a
# run and 2,500 runs/s at most would do in the duration asked for, and enough to fill the level up.
RUN_S = 0.02
RUNS_PER_S_MAX = 2_500


async def run(settings: RunSettings, display: Display, reaper: Reaper) -> Result:
    """Plan, drive, drain, save, judge."""
    plan = plan_of(settings)
    await write_plan(settings, plan, display)
    async with session(settings, plan, display, reaper) as under_way:
        levels = ", ".join(f"{level:,}" for level in settings.levels)
        driven = await drive(under_way, f"Keeping {levels} runs of {settings.scenario} in flight, level after level")
        await export(under_way, phases_of(driven, now_us()))
        await measure_floor(under_way)
        display.step("Stopping MeshHook" if settings.embedded else "Leaving the target as it is")
    return await conclude(settings.out, display)


def plan_of(settings: RunSettings) -> Plan:
    """The plan of these settings."""
    return Plan(
        profile="concurrency",
        scenario=settings.scenario,
        seed=settings.seed,
        namespace=settings.namespace,
        duration_s=settings.duration_s,
        levels=tuple(Level(level, attempts_for(level, settings.duration_s)) for level in settings.levels),
    )


def attempts_for(level: int, duration_s: float) -> int:
    """How many attempts a level has."""
    return level + round(duration_s * min(level / RUN_S, RUNS_PER_S_MAX))


def phases_of(driven: Driven, drained_us: int) -> list[Phase]:
    """A level is steady from when it was full until its last run was sent."""
    phases: list[Phase] = []
    end_us = driven.start_us
    for level in (level for certificate in driven.certificates for level in certificate["levels"]):
        number, filled_us, last_us = level["level"], level["filled_us"], level["last_sent_us"]
        phases.append(Phase("warm-up", level["started_us"], filled_us, number))
        phases.append(Phase("steady", filled_us, max(filled_us, last_us), number))
        phases.append(Phase("drain", max(filled_us, last_us), level["ended_us"], number))
        end_us = level["ended_us"]
    phases.append(Phase("drain", end_us, max(drained_us, end_us)))
    return phases
