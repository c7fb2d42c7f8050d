"""The commands of the profiles that take their time, and of those that are several runs."""

from __future__ import annotations

import json
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any, NamedTuple, NoReturn

import typer

from meshproof import evidence, scenarios
from meshproof.command import (
    EXIT_CODES,
    USAGE,
    AsJson,
    Database,
    Out,
    Scenario,
    Seed,
    Target,
    Workers,
    checked,
    console,
    fail,
    finish,
    keep,
    tell,
)
from meshproof.display import Display
from meshproof.judge.verdicts import Verdict, read, worst
from meshproof.load.generator import processes_for
from meshproof.measure import rounds
from meshproof.measure.junit import Told
from meshproof.profiles import faults, scale, soak, stress, whole
from meshproof.profiles.session import cores
from meshproof.profiles.settings import EMBEDDED, RunSettings
from meshproof.reaper import Reaper
from meshproof.series_table import show_series

Quick = Annotated[bool, typer.Option(help="A look, not for the record.")]
GENERATED_RATE = 20_000.0
SMOKE_RATE = 50.0
SMOKE_FAULTS = ("kill-worker",)
SMOKE_SLACK = 1.2


class Steps(NamedTuple):
    """The steps of a stress run, unless it is told otherwise."""

    start: float
    factor: float
    step_s: float
    warmup_s: float


def add_to(run_app: typer.Typer) -> None:
    """Make them known."""
    run_app.command("stress")(run_stress)
    run_app.command("soak")(run_soak)
    run_app.command("scale")(run_scale)
    run_app.command("smoke")(run_smoke)
    run_app.command("all")(run_all)


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
    profile: Annotated[bool, typer.Option(help="Write flame graphs of API and workers (py-spy).")] = False,
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
        flames="flamegraph" if profile else None,
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
    if 0 < top <= settings.rate and not settings.rates:
        fail(
            USAGE, f"--top {top:g} is not above the first step, {settings.rate:g}/s: the load has to rise. See --start."
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


def run_soak(
    scenario: Scenario = "mixed",
    duration: Annotated[str, typer.Option(help="How long, such as 30m or 4h.")] = "30m",
    rate: Annotated[float, typer.Option(min=0.1, max=100_000, help="Requests a second, on average.")] = 150.0,
    warmup: Annotated[float, typer.Option(min=0, help="Seconds before, which no figure comes from.")] = 30.0,
    seed: Seed = 1,
    target: Target = EMBEDDED,
    database: Database = None,
    workers: Workers = 1,
    out: Out = Path("build/soak"),
    as_json: AsJson = False,
) -> None:
    """Keep an ordinary load up for long: does anything grow that must not?"""
    seconds = soak.seconds_of(duration)
    if seconds is None or seconds < 10:
        fail(USAGE, f"--duration {duration} is no length of at least 10 s, such as 90s, 30m or 4h.")
    settings = RunSettings(
        profile="soak",
        scenario=scenario,
        seed=seed,
        out=out,
        target=target,
        database=database,
        api_key=os.environ.get("MESHPROOF_API_KEY"),
        workers=workers,
        rate=rate,
        duration_s=seconds,
        warmup_s=warmup,
        generators=processes_for(cores(), rate),
    )
    checked(settings)
    finish(lambda display, reaper: soak.run(settings, display, reaper), as_json=as_json)


def run_scale(
    of: Annotated[str, typer.Option(help="`workers` or `apis`: of what there are more and more.")] = "workers",
    scenario: Scenario = "pipeline",
    sizes: Annotated[str, typer.Option(help="How many, one size after the other.")] = "1,2,3,4,6,8",
    held_out: Annotated[int, typer.Option(help="The size that is left out of the fit, and predicted by it.")] = 3,
    rounds: Annotated[int | None, typer.Option(min=1, max=50, help="How often each size is measured; 3.")] = None,
    duration: Annotated[float | None, typer.Option(min=0.5, help="About how many seconds a size takes; 10.")] = None,
    in_flight: Annotated[int, typer.Option(min=1, max=10_000, help="How many runs are in flight.")] = scale.IN_FLIGHT,
    quick: Quick = False,
    seed: Seed = 1,
    workers: Workers = 1,
    out: Out = Path("build/scale"),
    as_json: AsJson = False,
) -> None:
    """The same work for more and more processes: speed-up, efficiency, and the Universal Scalability Law."""
    numbers = sizes_of(sizes)
    if of not in ("workers", "apis"):
        fail(USAGE, f"--of {of} is neither workers nor apis.")
    if held_out not in numbers[1:]:
        fail(USAGE, f"--held-out {held_out} is none of the sizes after the first: {sizes}.")
    settings = RunSettings(
        profile="scale",
        scenario=scenario,
        seed=seed,
        out=out,
        workers=workers,
        duration_s=duration or (3.0 if quick else 10.0),
        levels=(in_flight,),
        scaled="apis" if of == "apis" else "workers",
        sizes=numbers,
        rounds=rounds or (1 if quick else 3),
        held_out=held_out,
    )
    checked_series(settings)
    finish_series(lambda display, reaper: scale.run(settings, display, reaper), out, as_json=as_json)


def run_smoke(
    seed: Seed = 1,
    out: Out = Path("build/smoke"),
    as_json: AsJson = False,
) -> None:
    """A little of everything and one killed worker in 20 seconds, for CI."""
    settings = RunSettings(
        profile="smoke",
        scenario="smoke",
        seed=seed,
        out=out,
        workers=2,
        rate=SMOKE_RATE,
        duration_s=faults.duration_for(seed, SMOKE_FAULTS, slack=SMOKE_SLACK),
        warmup_s=1.0,
        faults=SMOKE_FAULTS,
        lease_s=faults.LEASE_S,
        lead_s=faults.LEAD_S,
        calm_s=faults.CALM_S,
    )
    checked(settings)
    finish(lambda display, reaper: faults.run(settings, display, reaper), as_json=as_json)


def run_all(
    quick: Annotated[bool, typer.Option(help="Less than a quarter of an hour; else some hours.")] = False,
    seed: Seed = 1,
    out: Out = Path("build/all"),
    as_json: AsJson = False,
) -> None:
    """Every profile and every scenario, one after the other: one verdict on all of them, one page to all reports."""
    settings = RunSettings(profile="all", scenario="everything", seed=seed, out=out)
    checked_series(settings)
    finish_series(lambda display, reaper: whole.run(settings, display, reaper, quick=quick), out, as_json=as_json)


def sizes_of(text: str) -> tuple[int, ...]:
    """The sizes in a list of numbers."""
    words = text.split(",")
    numbers = tuple(int(word) for word in words if word.strip().isdigit() and 0 < int(word) <= 64)
    if len(numbers) != len(words) or list(numbers) != sorted(set(numbers)):
        fail(USAGE, f"--sizes {text} is no list of rising numbers from 1 to 64, such as 1,2,3,4,6,8.")
    return numbers


def checked_series(settings: RunSettings) -> None:
    """Rule out what can be wrong with a series, and empty its folder."""
    try:
        scenarios.load(settings.scenario)
        evidence.prepare_series(settings.out)
    except (scenarios.UnknownScenarioError, evidence.EvidenceError) as error:
        fail(USAGE, str(error))


def finish_series(run: Callable[[Display, Reaper], Awaitable[dict[str, Any]]], out: Path, *, as_json: bool) -> NoReturn:
    """Run a series, say what came of it, and exit with the code of its worst run."""
    document = tell(run, as_json=as_json)
    if as_json:
        typer.echo(json.dumps(document, indent=2))
    else:
        show_series(console(), document)
        console().print(f"{out / 'report.html'}", highlight=False, soft_wrap=True)
    bounds = keep([told for part in document["parts"] if (told := told_of(part, out / part["name"]))], as_json=as_json)
    raise SystemExit(EXIT_CODES[worst([Verdict(document["verdict"]), bounds])])


def told_of(part: dict[str, Any], folder: Path) -> Told | None:
    """What is kept of one run of a series; None of one that did not come to its end."""
    if part["summary"] is None:
        return None
    return Told(rounds.whole(part["summary"], folder), read((folder / "verdicts.json").read_bytes()), name=part["name"])
