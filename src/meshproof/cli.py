"""The commands of the suite. Exit codes: 0 pass, 1 violated, 2 usage, 3 unknown or invalid."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.table import Table

from meshproof import bench, long_runs, offers, scenario_file, scenarios
from meshproof.clean_command import clean_target
from meshproof.command import (
    EXIT_CODES,
    PASS,
    USAGE,
    VIOLATED,
    AsJson,
    Database,
    Out,
    Owned,
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
from meshproof.driver_commands import (
    Namespace,
    SliceOption,
    StartAt,
    agree_on,
    finish_slice,
    judge_again,
    moment_named,
    namespace_named,
    run_driven,
    slice_named,
)
from meshproof.examples import add_examples
from meshproof.explore import run as explore
from meshproof.faults import KINDS, MIX, QUICK
from meshproof.faults.schedule import ScheduleError
from meshproof.live.option import add_live_options
from meshproof.load import trace as traces
from meshproof.load.generator import processes_for
from meshproof.load.shape import SHAPES, Shape
from meshproof.measure import recording
from meshproof.measure.commands import register
from meshproof.measure.junit import Told
from meshproof.mutants import hunt, planted
from meshproof.mutants import table as mutants_table
from meshproof.own.option import add_workflow_option
from meshproof.plan import Arrivals
from meshproof.profiles import concurrency, faults, load
from meshproof.profiles.session import cores
from meshproof.profiles.settings import EMBEDDED, RunSettings
from meshproof.reaper import Reaper

LOAD_RATE = 300.0
LOAD_WARMUP_S = 5.0
LOAD_DURATION_S = 35.0
LEVEL_S = 8.0
FAULTS_RATE = 60.0

HELP = """Drive a MeshHook, watch it, and prove from independent ledgers what became of every webhook.

Exit codes: 0 pass, 1 violated, 2 wrong usage, 3 unknown or invalid. Only 0 proves anything.
"""

app = typer.Typer(help=HELP, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
run_app = typer.Typer(no_args_is_help=True)
app.add_typer(run_app, name="run", help="Drive an engine, then prove what became of it.")
long_runs.add_to(run_app)
app.command("clean")(clean_target)
register(app)
app.command("judge")(recording.offered(judge_again))
run_app.command("driven")(run_driven)
app.command("agree")(agree_on)


@run_app.command("load")
def run_load(
    scenario: Scenario = "mixed",
    rate: Annotated[float, typer.Option(min=0.1, max=100_000, help="Requests a second, on average.")] = LOAD_RATE,
    duration: Annotated[float, typer.Option(min=1, help="Seconds of the steady phase.")] = LOAD_DURATION_S,
    warmup: Annotated[
        float, typer.Option(min=0, help="Seconds before it, which no figure comes from.")
    ] = LOAD_WARMUP_S,
    arrivals: Annotated[str, typer.Option(help="`poisson` (independent senders) or `constant`.")] = "poisson",
    shape: Annotated[
        str, typer.Option(help="How the rate goes: constant, ramp, spike or sine; --rate is its mean.")
    ] = "constant",
    trace: Annotated[
        Path | None,
        typer.Option(help="Play recorded moments again; the file's rate and length count, unless cut short."),
    ] = None,
    speed: Annotated[float, typer.Option(min=0.001, max=1000, help="How many times as fast as recorded.")] = 1.0,
    backlog: Annotated[
        int | None, typer.Option(min=1, max=1_000_000, help="Runs of the backlog, where the scenario has one.")
    ] = None,
    floor: Annotated[bool, typer.Option(help="Measure at the end what the server takes at most.")] = True,
    profile: Annotated[bool, typer.Option(help="Write flame graphs of API and workers (py-spy).")] = False,
    speedscope: Annotated[bool, typer.Option(help="Write them for speedscope.app instead.")] = False,
    seed: Seed = 1,
    target: Target = EMBEDDED,
    database: Database = None,
    owned: Owned = None,
    slice: SliceOption = None,
    namespace: Namespace = None,
    start_at: StartAt = None,
    workers: Workers = 1,
    out: Out = Path("build/load"),
    as_json: AsJson = False,
) -> None:
    """Send at a rate, whatever the engine makes of it (open model)."""
    settings = RunSettings(
        profile="load",
        scenario=scenario,
        seed=seed,
        out=out,
        target=target,
        database=database,
        api_key=os.environ.get("MESHPROOF_API_KEY"),
        owned=owned,
        workers=workers,
        rate=rate,
        duration_s=duration,
        warmup_s=warmup,
        arrivals=arrivals_named(arrivals),
        shape=shape_named(shape),
        flames="speedscope" if speedscope else "flamegraph" if profile else None,
        backlog=backlog,
        floored=floor,
        slice=slice_named(slice, target == EMBEDDED, namespace),
        namespace=namespace_named(namespace),
        start_at_us=moment_named(start_at),
    )
    if trace is not None:
        settings = replayed(settings, trace, speed)
    settings = checked(replace(settings, generators=processes_for(cores(), load.plan_of(settings).peak_per_s)))
    if settings.slice.is_part:
        finish_slice(settings)
        return
    finish(lambda display, reaper: load.run(settings, display, reaper), as_json=as_json)


@run_app.command("concurrency")
def run_concurrency(
    scenario: Scenario = "mixed",
    levels: Annotated[str, typer.Option(help="How many runs in flight, one level after the other.")] = ",".join(
        map(str, concurrency.LEVELS)
    ),
    duration: Annotated[
        float, typer.Option(min=0.1, help="About how many seconds a level takes; it is made into a number of runs.")
    ] = LEVEL_S,
    seed: Seed = 1,
    target: Target = EMBEDDED,
    database: Database = None,
    owned: Owned = None,
    workers: Workers = 1,
    out: Out = Path("build/concurrency"),
    as_json: AsJson = False,
) -> None:
    """Keep exactly so many runs in flight, level after level (closed model)."""
    numbers = [level for level in levels.split(",") if level.strip().isdigit() and 0 < int(level) <= 100_000]
    if len(numbers) != len(levels.split(",")):
        fail(USAGE, f"--levels {levels} is no list of numbers from 1 to 100,000, such as 5,50,500.")
    settings = checked(
        RunSettings(
            profile="concurrency",
            scenario=scenario,
            seed=seed,
            out=out,
            target=target,
            database=database,
            api_key=os.environ.get("MESHPROOF_API_KEY"),
            owned=owned,
            workers=workers,
            duration_s=duration,
            levels=tuple(map(int, numbers)),
            # Exactly N in flight is kept by one process, or not at all.
            generators=1,
        )
    )
    finish(lambda display, reaper: concurrency.run(settings, display, reaper), as_json=as_json)


@run_app.command("faults")
def run_faults(
    scenario: Scenario = "http_call",
    names: Annotated[
        str,
        typer.Option("--faults", help=f"What is done to the engine: some of {', '.join(KINDS)}; `all`, or `quick`."),
    ] = "all",
    quick: Annotated[bool, typer.Option(help="Under a minute, with the most important faults.")] = False,
    rate: Annotated[float, typer.Option(min=0.1, max=100_000, help="Requests a second, on average.")] = FAULTS_RATE,
    duration: Annotated[
        float | None, typer.Option(min=1, help="Seconds of the steady phase; else as long as these faults take.")
    ] = None,
    warmup: Annotated[float, typer.Option(min=0, help="Seconds before it.")] = 2.0,
    arrivals: Annotated[str, typer.Option(help="`poisson` (independent senders) or `constant`.")] = "poisson",
    seed: Seed = 1,
    target: Target = EMBEDDED,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Worker processes.")] = 2,
    out: Out = Path("build/faults"),
    as_json: AsJson = False,
) -> None:
    """Break the engine while it works, heal it, and prove that nothing was lost (open model)."""
    if target != EMBEDDED:
        fail(USAGE, "Faults are made on an engine of the suite's own only: leave --target out.")
    asked = faults_named("quick" if quick and names == "all" else names)
    settings = RunSettings(
        profile="faults",
        scenario=scenario,
        seed=seed,
        out=out,
        workers=workers,
        rate=rate,
        duration_s=duration or faults.duration_for(seed, asked, slack=faults.SLACK),
        warmup_s=warmup,
        arrivals=arrivals_named(arrivals),
        generators=processes_for(cores(), rate),
        faults=asked,
        lease_s=faults.LEASE_S,
        lead_s=faults.LEAD_S,
        calm_s=faults.CALM_S,
    )
    try:
        faults.faults_of(settings)
    except ScheduleError as error:
        fail(USAGE, str(error))
    checked(settings)
    finish(lambda display, reaper: faults.run(settings, display, reaper), as_json=as_json)


@app.command("bench")
@recording.offered
def run_bench(
    quick: Annotated[
        bool, typer.Option(help="A minute and a half instead of five; for a look, not for the record.")
    ] = False,
    out: Annotated[Path, typer.Option(help="Folder for bench.json.")] = Path("build"),
    bloat_s: Annotated[
        float | None,
        typer.Option(min=1, help="How long the row `bloat` holds a transaction open; 600 for the real figure."),
    ] = None,
    rows: Annotated[
        str | None,
        typer.Option(help=f"Only these rows, separated by commas, of: {', '.join(bench.NAMES)}.", metavar="NAMES"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print bench.json, and nothing else.")] = False,
) -> None:
    """Measure the engine against the floor of its database, interleaved in one session."""
    scale = bench.QUICK if quick else bench.FULL
    scale = scale if bloat_s is None else replace(scale, bloat_s=bloat_s)
    names = bench.NAMES if rows is None else tuple(name.strip() for name in rows.split(","))
    if unknown := sorted(set(names) - set(bench.NAMES)):
        fail(USAGE, f"There is no row {unknown[0]!r}. There are {', '.join(bench.NAMES)}.")
    document = tell(lambda display, reaper: bench.run(out, scale, display, reaper, names), as_json=as_json)
    if as_json:
        typer.echo(json.dumps(document, indent=2))
    else:
        console().print(bench.table(document))
        console().print(f"{out / 'bench.json'}", highlight=False, soft_wrap=True)
    bounds = keep([Told(document)], as_json=as_json)
    if document["lost"]:
        fail(VIOLATED, f"{document['lost']:,} runs were acknowledged and are not stored.")
    raise SystemExit(EXIT_CODES[bounds])


@app.command("mutants")
def run_mutants(
    only: Annotated[
        list[str] | None, typer.Option(help="Only this mutant; may be given several times.", metavar="NAME")
    ] = None,
    listing: Annotated[bool, typer.Option("--list", help="List the mutants, and run nothing.")] = False,
    seed: Seed = 1,
    at_once: Annotated[
        int | None, typer.Option(min=1, max=64, help="How many runs at a time; two a core, as far as the memory goes.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for the evidence of each run.")] = Path("build/mutants"),
    as_json: Annotated[
        bool, typer.Option("--json", help="Print {mutants: [{name, caught, by}], clean}, and nothing else.")
    ] = False,
) -> None:
    """Plant bugs into scratch copies of the engine: the judge must catch each of them, and pass the engine as it is."""
    unknown = sorted(set(only or ()) - planted.MUTANTS.keys())
    if unknown:
        fail(USAGE, f"There is no mutant {unknown[0]!r}. `meshproof mutants --list` shows those there are.")
    chosen = [mutant for name, mutant in planted.MUTANTS.items() if not only or name in only]
    if listing:
        console().print(mutants_table.listed(chosen))
        return
    number = at_once or hunt.side_by_side(cores())

    async def story(display: Display, _: Reaper) -> list[hunt.Hunted]:
        display.step(f"Hunting {len(chosen)} mutants, {number} runs at a time")
        return await hunt.hunt(chosen, seed, out, number, lambda one: display.say(mutants_table.line(one)))

    hunted = tell(story, as_json=as_json)
    document = hunt.document(hunted)
    if as_json:
        typer.echo(json.dumps(document, indent=2))
    else:
        mutants_table.show(console(), hunted)
    if document["clean"] != "pass" or not all(mutant["caught"] for mutant in document["mutants"]):
        raise SystemExit(VIOLATED)


@app.command("explore")
def explore_schedules(
    schedules: Annotated[int, typer.Option(min=1, max=100_000_000, help="How many schedules to play.")] = 10_000,
    seed: Annotated[int, typer.Option(min=0, help="That of the first schedule; the next has the next number.")] = 1,
    processes: Annotated[int | None, typer.Option(min=1, max=64, help="Processes; one a core unless given.")] = None,
    patch: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="SQL that is run first, to plant a bug.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was found as JSON, and nothing else.")] = False,
) -> None:
    """Play schedules of the engine's own SQL, one move at a time; a seed tells who moves next."""
    bug = explore.patch_of(patch)
    document = tell(
        lambda display, reaper: explore.run(schedules, seed, processes or cores(), bug, display, reaper),
        as_json=as_json,
    )
    if as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode(document), indent=2))
    else:
        for counterexample in document["counterexamples"]:
            console().print(counterexample.text, highlight=False, markup=False, soft_wrap=True)
        console().print(
            f"{document['schedules']:,} schedules, {document['violations']:,} violations, "
            f"{document['schedules_per_s']:,} schedules a second",
            highlight=False,
        )
    raise SystemExit(VIOLATED if document["violations"] else PASS)


@app.command("scenarios")
def list_scenarios(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """List what can be sent."""
    known = [scenarios.load(name) for name in scenarios.names()]
    if as_json:
        document = [
            {
                "name": scenario.name,
                "summary": scenario.summary,
                "nodes": len(scenario.definition["nodes"]),
                "blend": dict(scenario.blend) if len(scenario.blend) > 1 else None,
            }
            for scenario in known
        ]
        typer.echo(json.dumps(document, indent=2))
        return
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in ("scenario", "nodes", "what it sends"):
        table.add_column(column)
    for scenario in known:
        table.add_row(scenario.name, str(len(scenario.definition["nodes"])), scenario.summary)
    console().print(table)


# Every profile can be recorded, those of other files too.
recording.offer(run_app)


def arrivals_named(name: str) -> Arrivals:
    """How requests arrive."""
    chosen: dict[str, Arrivals] = {"poisson": "poisson", "constant": "constant"}
    if name not in chosen:
        fail(USAGE, f"--arrivals {name} is neither poisson nor constant.")
    return chosen[name]


def shape_named(name: str) -> Shape:
    """How the rate goes."""
    found = next((shape for shape in SHAPES if shape == name), None)
    if found is None:
        fail(USAGE, f"--shape {name} is none of {', '.join(SHAPES)}.")
    return found


def replayed(settings: RunSettings, trace: Path, speed: float) -> RunSettings:
    """The settings with the rate and the length of a trace; all of it is the steady phase but for the warm-up."""
    try:
        moments_us = traces.read(str(trace))
    except traces.TraceError as error:
        fail(USAGE, str(error))
    seconds = moments_us[-1] / 1e6 / speed + 0.001
    warmup_s = settings.warmup_s if settings.warmup_s < seconds / 2 else 0.0
    return replace(
        settings,
        trace=str(trace),
        speed=speed,
        rate=len(moments_us) / seconds,
        warmup_s=warmup_s,
        duration_s=seconds - warmup_s,
    )


def faults_named(names: str) -> tuple[str, ...]:
    """The faults in a list of names, each once, in the order given."""
    groups = {"all": MIX, "quick": QUICK}
    asked = tuple(dict.fromkeys(one for name in names.split(",") for one in groups.get(name.strip(), (name.strip(),))))
    if unknown := [name for name in asked if name not in KINDS]:
        fail(USAGE, f"There is no fault {unknown[0]!r}. There are: {', '.join(KINDS)}; and all, quick.")
    return asked


@app.command("offers")
def tell_offers() -> None:
    """Print as JSON what can be chosen: profiles, scenarios, faults, and the invariants that are held."""
    typer.echo(json.dumps(offers.document()))


add_workflow_option(run_app, scenario_file.adopt_workflow, lambda message: fail(USAGE, message))
add_live_options(run_app)  # when all its commands are there
add_examples(app)


def main() -> None:
    """The entry point of `meshproof`."""
    app()


if __name__ == "__main__":
    main()
