"""`run scale`: the same work for 1, 2, 4 … processes; speed-up, efficiency, and what the Universal Scalability Law makes of it.

Each size is a run of its own, on an engine and a database of its own, that keeps so many runs in flight; sizes alternate within
rounds, so that an hour in which the machine is slow is no property of a size. Every run is proved like any other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any, Final

from meshproof.analysis.scaling import Fit, Measured, ScalingError, band, fit, speed_ups
from meshproof.display import Display
from meshproof.load.generator import calibrate
from meshproof.profiles import concurrency, series
from meshproof.profiles.series import Part
from meshproof.profiles.session import cores
from meshproof.profiles.settings import RunSettings
from meshproof.reaper import Reaper

IN_FLIGHT: Final = 200
CURVE_POINTS: Final = 40
ONE: Final = {"workers": "worker", "apis": "API process"}
MANY: Final = {"workers": "workers", "apis": "API processes"}


async def run(settings: RunSettings, display: Display, reaper: Reaper) -> dict[str, Any]:
    """Every size in every round, then the law."""
    display.step("Calibrating the generator against a server that does nothing")
    calibration = await calibrate(concurrency.plan_of(settings), settings.generators)
    display.note(f"{calibration.per_s:,.0f} requests/s")
    parts = parts_of(replace(settings, calibration=calibration))
    played = await series.play(parts, settings.out, display, reaper)
    measured = [
        Measured(size, part["summary"]["completed_per_s"])
        for (_, size), part in zip(sizes_in_order(settings), played, strict=True)
        if part["summary"] and part["summary"]["completed_per_s"]
    ]
    return series.conclude(settings.out, "scale", played, told(settings, measured))


def sizes_in_order(settings: RunSettings) -> list[tuple[int, int]]:
    """Round and size of each run: up in one round, down in the next."""
    return [
        (number, size)
        for number in range(settings.rounds)
        for size in (settings.sizes if number % 2 == 0 else tuple(reversed(settings.sizes)))
    ]


def parts_of(settings: RunSettings) -> list[Part]:
    """The runs."""
    return [
        Part(
            name=f"{settings.scaled}-{size}-round-{number + 1}",
            title=f"{size} {ONE[settings.scaled] if size == 1 else MANY[settings.scaled]}, round {number + 1} of {settings.rounds}",
            settings=replace(
                settings,
                profile="concurrency",
                out=settings.out / f"{settings.scaled}-{size}-round-{number + 1}",
                workers=size if settings.scaled == "workers" else settings.workers,
                apis=size if settings.scaled == "apis" else settings.apis,
                floored=False,
                namespace=f"{settings.namespace}s{size}r{number}",
            ),
            run=concurrency.run,
        )
        for number, size in sizes_in_order(settings)
    ]


def told(settings: RunSettings, measured: Sequence[Measured]) -> dict[str, Any]:
    """What the sizes say together."""
    machine = cores()
    document: dict[str, Any] = {
        "of": MANY[settings.scaled],
        "scenario": settings.scenario,
        "in_flight": settings.levels[0],
        "cores": machine,
        "sizes": speed_ups(measured) if measured else [],
        "caution": caution(machine, settings),
        "shortcomings": [],
        "law": None,
    }
    try:
        found = fit(measured, settings.held_out)
    except (ScalingError, ValueError) as error:
        document["shortcomings"] = [f"no law could be fitted: {error}"]
        return document
    return document | {"law": _law(found, max(each.size for each in measured))}


def caution(machine: int, settings: RunSettings) -> str | None:
    """What nobody should take these sizes for."""
    beyond = [size for size in settings.sizes if size > machine]
    if not beyond:
        return None
    return (
        f"This machine has {machine} cores, which Postgres and the generator use as well. Sizes above {machine} show contention:"
        " how processes stand in each other's way, and not how they scale where each has a core of its own."
    )


def _law(found: Fit, largest: int) -> dict[str, Any]:
    sizes = [1 + (largest - 1) * step / (CURVE_POINTS - 1) for step in range(CURVE_POINTS)]
    return {
        **asdict(found.law),
        "best_size": found.law.best_size,
        "intervals": found.intervals,
        "held_out": found.held_out,
        "predicted": found.predicted,
        "predicted_interval": found.predicted_interval,
        "measured": found.measured,
        "holds": found.holds,
        "curve": [[size, *values] for size, values in zip(sizes, band(found, sizes), strict=True)],
    }
