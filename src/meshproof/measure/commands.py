"""The commands `compare`, `baseline` and `history`."""

from __future__ import annotations

import json
from dataclasses import asdict
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.text import Text

from meshproof.command import PASS, USAGE, VIOLATED, console, fail
from meshproof.measure import baselines, compare, history, history_page, interleave, metrics, rounds, tables
from meshproof.measure.compare import Comparison, Word
from meshproof.measure.metrics import Better

UNUSABLE: Final = USAGE
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, and nothing else.")]
HistoryFile = Annotated[Path, typer.Option("--file", help="The DuckDB file.")]
Anyway = Annotated[
    bool, typer.Option("--anyway", help="Compare what should not be: other machine, other plan, no fair test.")
]
Only = Annotated[
    list[str] | None,
    typer.Option(help="Only these figures, such as `completed_per_s` or `*_ms.p99`; may be given several times."),
]
HISTORY: Final = Path("build/history.duckdb")
PRINCIPAL: Final = (
    "completed_per_s", "*runs_per_s", "*floor_ratio", "end_to_end_ms.p50", "end_to_end_ms.p99", "accept_ms.p99", "cpu_ms_per_run",
    "wal_bytes_per_run", "transactions_per_run", "rss_bytes_max.worker",
)  # fmt: skip
"""What `history show` shows unless it is told."""

baseline_app = typer.Typer(no_args_is_help=True)
history_app = typer.Typer(no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands to those of the suite."""
    app.command("compare")(compare_rounds)
    app.add_typer(baseline_app, name="baseline", help="Keep rounds to compare others with.")
    app.add_typer(history_app, name="history", help="Every run that was recorded, and when its figures changed.")


def compare_rounds(
    a: Annotated[str, typer.Argument(help="Folder of a run or of several, summary.json, bench.json or a baseline.")],
    b: Annotated[str, typer.Argument(help="The same, to be compared with A.")],
    run: Annotated[bool, typer.Option("--run", help="A and B are commands, to be run in turn.")] = False,
    number: Annotated[int, typer.Option("--rounds", min=1, max=1000, help="With --run: how often each.")] = 6,
    out: Annotated[Path, typer.Option(help="With --run: folder for the rounds, A/01, B/01, A/02, …")] = Path(
        "build/compare"
    ),
    only: Only = None,
    least: Annotated[
        float, typer.Option(min=0, max=10, help="The least relative difference that matters.")
    ] = compare.LEAST,
    anyway: Anyway = False,
    as_json: AsJson = False,
) -> None:
    """Say for each figure whether B is better, worse or no different. Exit codes: 0 not worse, 1 worse, 2 can't be told."""
    try:
        places = (Path(a), Path(b))
        if run:
            said = console(stderr=True)
            places = interleave.run((a, b), number, out, lambda line: said.print(Text(line, "dim"), soft_wrap=True))
        one, other = (rounds.read(place) for place in places)
    except (rounds.RoundsError, interleave.CommandError) as error:
        fail(UNUSABLE, str(error))
    told = picked(compare.compare(one, other, least), only)
    if told.obstacles and not anyway:
        fail(UNUSABLE, f"These should not be compared: {'. And '.join(told.obstacles)}. --anyway does it all the same.")
    if as_json:
        typer.echo(json.dumps(document(told), indent=2))
    else:
        for obstacle in told.obstacles:
            console().print(Text(f"! {obstacle}", "yellow"), soft_wrap=True)
        console().print(tables.comparison(told))
    raise SystemExit(code(told))


def picked(told: Comparison, only: list[str] | None) -> Comparison:
    """The comparison of the figures asked for; ends the command when there is none of that name."""
    if not only:
        return told
    names = [one.metric for one in told.figures]
    for pattern in only:
        if not any(fnmatchcase(name, pattern) for name in names):
            likely = " or ".join(metrics.close_to(pattern, names))
            fail(
                UNUSABLE,
                f"--only {pattern}: both sides tell no such figure.{f' Did you mean {likely}?' if likely else ''}",
            )
    chosen = [one for one in told.figures if any(fnmatchcase(one.metric, pattern) for pattern in only)]
    return Comparison(chosen, told.paired, told.obstacles, told.notes)


def document(told: Comparison) -> dict[str, Any]:
    """A comparison as JSON data."""
    return {
        "verdict": {PASS: "no worse", VIOLATED: "worse", UNUSABLE: "unusable"}[code(told)],
        "interleaved": told.paired,
        "figures": [asdict(one) for one in told.figures],
        "obstacles": told.obstacles,
        "notes": told.notes,
    }


def code(told: Comparison) -> int:
    """The exit code: what could be told decides; where nothing could, the comparison is of no use."""
    if told.of(Word.WORSE):
        return VIOLATED
    return PASS if told.of(Word.SAME) or told.of(Word.BETTER) else UNUSABLE


@baseline_app.command("save")
def save_baseline(
    file: Annotated[Path, typer.Argument(help="Where to, such as baselines/load.json.")],
    places: Annotated[list[Path], typer.Argument(help="Folders of runs; at least five rounds are worth something.")],
) -> None:
    """Keep rounds as a baseline: `meshproof compare baselines/load.json build/load` compares with it."""
    try:
        found = [one for place in places for one in rounds.read(place)]
        baselines.save(file, found)
    except (rounds.RoundsError, baselines.BaselineError) as error:
        fail(USAGE, str(error))
    except OSError as error:
        fail(USAGE, f"{file} can't be written: {error.strerror}.")
    console().print(f"{file}: {len(found)} rounds of {found[0].about.machine}", highlight=False, soft_wrap=True)


@history_app.command("add")
def add_to_history(
    places: Annotated[list[Path], typer.Argument(help="Folders of runs, summary.json or bench.json files.")],
    file: HistoryFile = HISTORY,
) -> None:
    """Add runs that were not recorded when they were made (`--history` does it then)."""
    try:
        documents = {id(one.document): one.document for place in places for one in rounds.read(place)}
        with history.opened(file) as store:
            added = sum(store.add(one) for one in documents.values())
    except (rounds.RoundsError, history.HistoryError) as error:
        fail(USAGE, str(error))
    console().print(
        f"{file}: {added} added, {len(documents) - added} were there already", highlight=False, soft_wrap=True
    )


@history_app.command("list")
def list_history(file: HistoryFile = HISTORY, as_json: AsJson = False) -> None:
    """List the series there are: runs of one plan on one machine."""
    found = _series(file, None)
    if as_json:
        typer.echo(json.dumps([_told(one, []) for one in found], indent=2))
    else:
        console().print(tables.runs(found))


@history_app.command("show")
def show_history(
    file: HistoryFile = HISTORY,
    name: Annotated[str | None, typer.Option("--series", help="Only this one: PROFILE/SCENARIO, `*` for any.")] = None,
    only: Only = None,
    page: Annotated[Path | None, typer.Option(help="Write charts as one HTML file, too.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show how figures went over the runs, and mark where they changed."""
    found = _series(file, name)
    if not found:
        fail(USAGE, f"{file} has no series {name}. `meshproof history list` shows those there are.")
    chosen = [(one, _chosen(one, only)) for one in found]
    if page is not None:
        history_page.write(page, chosen)
    if as_json:
        typer.echo(json.dumps([_told(one, names) for one, names in chosen], indent=2))
        return
    for one, names in chosen:
        console().print(tables.lines(one, names))
        console().print()
    if page is not None:
        console().print(f"{page}", highlight=False, soft_wrap=True)


def _series(file: Path, name: str | None) -> list[history.Series]:
    try:
        with history.opened(file, create=False) as store:
            return [one for one in store.series() if name is None or fnmatchcase(one.name, name)]
    except history.HistoryError as error:
        fail(USAGE, str(error))


def _chosen(series: history.Series, only: list[str] | None) -> list[str]:
    names = [name for name in series.metrics() if any(fnmatchcase(name, pattern) for pattern in only or PRINCIPAL)]
    if only:
        return names
    return [name for name in names if metrics.better(name) is not Better.NEITHER]


def _told(series: history.Series, names: list[str]) -> dict[str, Any]:
    return {
        "profile": series.profile,
        "scenario": series.scenario,
        "plan": series.plan,
        "machine": series.machine,
        "runs": [
            {
                "started_us": run.started_us,
                "commit": run.commit,
                "verdict": run.verdict,
                "figures": {name: run.figures[name] for name in names if name in run.figures},
            }
            for run in series.runs
        ],
        "changes": [
            {
                "metric": name,
                "started_us": run.started_us,
                "commit": run.commit,
                **asdict(change),
                "relative": change.relative,
            }
            for name in names
            for run, change in series.changes(name)
        ],
    }
