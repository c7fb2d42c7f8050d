"""The commands of the profiles that take their time: stress."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from meshproof.command import (
    USAGE,
    AsJson,
    Database,
    Out,
    Scenario,
    Seed,
    Target,
    Workers,
    checked,
    fail,
    finish,
)
from meshproof.load.generator import processes_for
from meshproof.profiles import stress
from meshproof.profiles.session import cores
from meshproof.profiles.settings import EMBEDDED, RunSettings

Quick = Annotated[bool, typer.Option(help="A look, not for the record.")]
GENERATED_RATE = 20_000.0


class Steps(NamedTuple):
    """The steps of a stress run, unless it is told otherwise."""

    start: float
    factor: float
    step_s: float
    warmup_s: float


def add_to(run_app: typer.Typer) -> None:
    """Make them known."""
    run_app.command("stress")(run_stress)


def run_stress(
    scenario: Scenario = "pipeline",
    start: Annotated[
        float | None, typer.Option(min=1, max=100_000, help="Requests a second of the first step; 500.")
    ] = None,
    factor: Annotated[float | None, typer.Option(min=1.05, max=10, help="From one rate to the next; 1.4.")] = None,
    step: Annotated[float | None, typer.Option(min=2, help="Seconds of a step; 15.")] = None,
    top: Annotated[float, typer.Option(min=0, help="Go no higher than this; else as far as the generator can.")] = 0.0,
    steps: Annotated[
        str | None, typer.Option(help="The rates of the way up, such as 500,1000,2000, in place of finding them.")
    ] = None,
    warmup: Annotated[float | None, typer.Option(min=1, help="Seconds before the first step; 5.")] = None,
    arrivals: Annotated[str, typer.Option(help="`poisson` (independent senders) or `constant`.")] = "poisson",
    quick: Quick = False,
    seed: Seed = 1,
    target: Target = EMBEDDED,
    database: Database = None,
    workers: Workers = 1,
    out: Out = Path("build/stress"),
    as_json: AsJson = False,
) -> None:
    """Raise the load until goodput stops following, then lower it again: what breaks, at what, and does it come back?"""
    if arrivals not in ("poisson", "constant"):
        fail(USAGE, f"--arrivals {arrivals} is neither poisson nor constant.")
    usual = Steps(1_000.0, 2.0, 3.0, 2.0) if quick else Steps(500.0, 1.4, 15.0, 5.0)
    settings = RunSettings(
        profile="stress",
        scenario=scenario,
        seed=seed,
        out=out,
        target=target,
        database=database,
        api_key=os.environ.get("MESHPROOF_API_KEY"),
        workers=workers,
        rate=start or usual.start,
        factor=factor or usual.factor,
        step_s=step or usual.step_s,
        rate_max=top,
        rates=rates_of(steps),
        warmup_s=warmup or usual.warmup_s,
        arrivals="poisson" if arrivals == "poisson" else "constant",
        generators=processes_for(cores(), GENERATED_RATE),
    )
    checked(settings)
    finish(lambda display, reaper: stress.run(settings, display, reaper), as_json=as_json)


def rates_of(steps: str | None) -> tuple[float, ...]:
    """The rates in a list of numbers."""
    if steps is None:
        return ()
    try:
        rates = tuple(map(float, steps.split(",")))
    except ValueError:
        rates = ()
    if len(rates) < 2 or list(rates) != sorted(set(rates)) or rates[0] <= 0:
        fail(USAGE, f"--steps {steps} is no list of at least two rising rates, such as 500,1000,2000.")
    return rates
