"""`run load --slice i/N`: one share of a plan, sent from here. What the shares have sent is judged together, by `judge --sent`.

The first slice sets the scenarios up and looks on, for all; the others wait for it, and send.
"""

from __future__ import annotations

from meshproof import phases
from meshproof.display import Display
from meshproof.profiles.load import phases_of, plan_of
from meshproof.profiles.session import drive, now_us, session, write_plan
from meshproof.profiles.settings import RunSettings
from meshproof.reaper import Reaper


async def run(settings: RunSettings, display: Display, reaper: Reaper) -> int:
    """Plan, drive, save; returns how many requests were sent."""
    plan = plan_of(settings)
    await write_plan(settings, plan, display)
    async with session(settings, plan, display, reaper) as under_way:
        index, of = settings.slice
        driven = await drive(
            under_way, f"Sending slice {index}/{of} of {settings.scenario} at {plan.peak_per_s / of:,.4g}/s"
        )
        phases.write(settings.out, phases_of(plan, driven, now_us()))
        display.step("Leaving the target as it is")
    return sum(certificate["tally"]["sent"] for certificate in driven.certificates)
