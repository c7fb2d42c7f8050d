"""`run all`: every profile and every scenario, one after the other, and what all of them together prove.

Scenarios come from their folder: who adds a file adds a run. Those that can share an engine are driven together by `everything`;
in the quick one they have no run of their own besides.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from meshproof import scenarios
from meshproof.analysis.scaling import Measured
from meshproof.display import Display
from meshproof.faults import MIX, QUICK
from meshproof.load.generator import calibrate, processes_for
from meshproof.profiles import concurrency, faults, load, scale, series, soak, stress
from meshproof.profiles.series import Part
from meshproof.profiles.session import cores
from meshproof.profiles.settings import RunSettings
from meshproof.reaper import Reaper

BLENDS: Final = ("everything", "smoke")
# Two hundred runs have to start while nearly all of it stands, however fast it is worked off.
QUICK_BACKLOG: Final = 30_000
QUICK_RATE_BESIDE: Final = 300.0
QUICK_SIZES: Final = (1, 2, 3, 4, 6, 8)
SOAK_S: Final = {True: 60.0, False: 1_800.0}


async def run(settings: RunSettings, display: Display, reaper: Reaper, *, quick: bool) -> dict[str, Any]:
    """Everything, then what it says together."""
    scaling = scale_settings(settings, quick=quick)
    display.step("Calibrating the generator against a server that does nothing")
    calibration = await calibrate(concurrency.plan_of(scaling), scaling.generators)
    display.note(f"{calibration.per_s:,.0f} requests/s")
    scaling = replace(scaling, calibration=calibration)
    others, sizes = parts_of(settings, quick=quick), scale.parts_of(scaling)
    parts = [*others[:-1], *sizes, others[-1]]
    played = await series.play(parts, settings.out, display, reaper)
    by_name = {part["name"]: part for part in played}
    measured = [
        Measured(size, part["summary"]["completed_per_s"])
        for part, (_, size) in zip((by_name[part.name] for part in sizes), scale.sizes_in_order(scaling), strict=True)
        if part["summary"] and part["summary"]["completed_per_s"]
    ]
    families = series.coverage(settings.out, played)
    scaled = scale.told(scaling, measured)
    short = [f"the family {name} was never asked anything" for name, found in families.items() if not found["facts"]]
    more = {"families": families, "scale": scaled, "shortcomings": [*short, *scaled["shortcomings"]]}
    return series.conclude(settings.out, "all", played, more)


def alone(*, quick: bool) -> list[str]:
    """The scenarios that have a run of their own: in the quick one, those that are not driven with others."""
    together = set(scenarios.load("everything").members) if quick else set()
    beside = {member for name in scenarios.names() for member in _beside(name, quick=quick)}
    return [name for name in scenarios.names() if name not in BLENDS and name not in together | beside]


def _beside(name: str, *, quick: bool) -> set[str]:
    """What is driven with a scenario besides itself: what its backlog is of, and in the quick one those it is blended with."""
    scenario = scenarios.load(name)
    if name in BLENDS:
        return set()
    of_backlog = {scenario.backlog.scenario} if scenario.backlog else set()
    return (of_backlog | (set(scenario.blend) if quick else set())) - {name}


def parts_of(settings: RunSettings, *, quick: bool) -> list[Part]:
    """Every run but those of scaling; the soak is the last."""
    parts = [
        _load(settings, "everything", quick=quick),
        *(_load(settings, name, quick=quick) for name in alone(quick=quick)),
    ]
    duration = 2.0 if quick else 8.0
    levels = (5, 50, 500) if quick else concurrency.LEVELS
    parts.append(
        Part(
            "concurrency",
            f"concurrency: {', '.join(f'{level:,}' for level in levels)} runs in flight",
            _of(settings, "concurrency", "mixed", duration_s=duration, levels=levels, generators=1),
            concurrency.run,
        )
    )
    kinds = QUICK if quick else MIX
    breaking = _of(
        settings,
        "faults",
        "http_call",
        rate=60.0,
        warmup_s=2.0,
        duration_s=faults.duration_for(settings.seed, kinds, slack=faults.SLACK),
        faults=kinds,
        workers=2,
        lease_s=faults.LEASE_S,
        lead_s=faults.LEAD_S,
        calm_s=faults.CALM_S,
    )
    parts.append(Part("faults", f"faults: {len(kinds)} kinds", breaking, faults.run))
    steps = {"rate": 1_000.0, "factor": 2.0, "step_s": 3.0, "warmup_s": 2.0}
    steps = steps if quick else {"rate": 500.0, "factor": 1.4, "step_s": 15.0, "warmup_s": 5.0}
    climbing = _of(settings, "stress", "pipeline", **steps, generators=processes_for(cores(), 20_000.0))
    parts.append(Part("stress", "stress: up until it breaks, and down again", climbing, stress.run))
    lasting = _of(settings, "soak", "mixed", rate=100.0 if quick else 150.0, warmup_s=5.0, duration_s=SOAK_S[quick])
    parts.append(Part("soak", f"soak: {SOAK_S[quick] / 60:g} minutes", lasting, soak.run))
    return parts


def scale_settings(settings: RunSettings, *, quick: bool) -> RunSettings:
    """Those of the runs of scaling."""
    return _of(
        settings,
        "scale",
        "pipeline",
        duration_s=2.0 if quick else 10.0,
        levels=(scale.IN_FLIGHT,),
        sizes=QUICK_SIZES,
        rounds=1 if quick else 3,
        held_out=3,
        at=settings.out,
    )


def _load(settings: RunSettings, name: str, *, quick: bool) -> Part:
    scenario = scenarios.load(name)
    rate = (QUICK_RATE_BESIDE if scenario.backlog else 60.0 if name in BLENDS else 40.0) if quick else 100.0
    duration_s = (20.0 if scenario.backlog else 12.0) if quick else 60.0
    if name in BLENDS and quick:
        duration_s = 20.0
    backlog = QUICK_BACKLOG if quick and scenario.backlog else None
    made = _of(settings, "load", name, rate=rate, warmup_s=2.0, duration_s=duration_s, backlog=backlog, floored=False)
    return Part(f"load-{name}", f"load: {name}", made, load.run)


def _of(settings: RunSettings, profile: str, scenario: str, **more: Any) -> RunSettings:
    """The settings of one run; `at` is its folder where that is not named after it."""
    name = f"load-{scenario}" if profile == "load" else profile
    out = more.pop("at", settings.out / name)
    return replace(
        settings,
        profile=profile,
        scenario=scenario,
        out=out,
        namespace=f"{settings.namespace}{name.replace('-', '')}",
        **more,
    )
