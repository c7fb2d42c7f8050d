"""``meshhook schedule``: runs that start by the clock."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from meshhook import schedules
from meshhook.commands.answers import DEFAULT, Project, ask, facts, read_text, say_json, table
from meshhook.commands.options import DATABASE, Json, with_settings
from meshhook.config import Loaded
from meshhook.cron import zone_of
from meshhook.db.connect import Database
from meshhook.errors import ConfigError
from meshhook.schedules import NEXT_MAX, Schedule
from meshhook.timetable import Shown, Timetable, upcoming

app = typer.Typer(help="Make, change and watch schedules: runs that start by the clock.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="Name of the schedule.")]
Cron = Annotated[
    str | None, typer.Option(help="Five fields: minute, hour, day, month, weekday; or six, seconds first.")
]
Every = Annotated[int | None, typer.Option("--every", metavar="SECONDS", help="Instead of --cron: so often.")]
Zone = Annotated[str | None, typer.Option("--timezone", help="Whose clock: Europe/Zurich; UTC when left out.")]
Input = Annotated[Path | None, typer.Option(help="File with the input of its runs, as JSON; - is standard input.")]
Overlap = Annotated[str | None, typer.Option(help="While the run before is live: allow, skip or queue.")]
Missed = Annotated[str | None, typer.Option(help="What came too late: skip, once or all.")]
MissedMax = Annotated[int | None, typer.Option(help="Of --missed all, so many at most.")]
Grace = Annotated[int | None, typer.Option("--grace", metavar="SECONDS", help="Later than this is missed.")]
Jitter = Annotated[int | None, typer.Option("--jitter", metavar="SECONDS", help="Spread starts over so long.")]
Starts = Annotated[str | None, typer.Option("--starts-at", metavar="MOMENT", help="No tick before, as RFC 3339.")]
Ends = Annotated[str | None, typer.Option("--ends-at", metavar="MOMENT", help="No tick after, as RFC 3339.")]


@app.command()
@with_settings(*DATABASE)
def create(
    loaded: Loaded,
    name: Name,
    workflow: Annotated[str, typer.Argument(help="Workflow whose published version runs.")],
    cron: Cron = None,
    every: Every = None,
    timezone: Zone = None,
    input: Input = None,
    overlap: Overlap = None,
    missed: Missed = None,
    missed_max: MissedMax = None,
    grace: Grace = None,
    jitter: Jitter = None,
    starts_at: Starts = None,
    ends_at: Ends = None,
    project: Project = DEFAULT,
    as_json: Json = False,
) -> None:
    """Make a schedule.

    Example: meshhook schedule create nightly report --cron '30 2 * * *' --timezone Europe/Zurich
    """
    told = _told(cron, every, timezone, input, overlap, missed, missed_max, grace, jitter, starts_at, ends_at)
    timetable = _timetable(told)
    saved = ask(
        loaded,
        lambda database, project_id: schedules.save(database, project_id, name, workflow, timetable, must_be_new=True),
        project,
    )
    _say_next(saved, as_json)


@app.command()
@with_settings(*DATABASE)
def update(
    loaded: Loaded,
    name: Name,
    workflow: Annotated[str | None, typer.Option(help="Workflow whose published version runs.")] = None,
    cron: Cron = None,
    every: Every = None,
    timezone: Zone = None,
    input: Input = None,
    overlap: Overlap = None,
    missed: Missed = None,
    missed_max: MissedMax = None,
    grace: Grace = None,
    jitter: Jitter = None,
    starts_at: Starts = None,
    ends_at: Ends = None,
    project: Project = DEFAULT,
    as_json: Json = False,
) -> None:
    """Change a schedule; what is not named stays as it is.

    Example: meshhook schedule update nightly --cron '0 3 * * *'
    """
    told = _told(cron, every, timezone, input, overlap, missed, missed_max, grace, jitter, starts_at, ends_at)

    async def change(database: Database, project_id: int) -> Schedule:
        before = await schedules.schedule(database, project_id, name)
        kept = {field: getattr(before, field) for field in Timetable.__struct_fields__}
        if "cron" in told or "every_s" in told:
            kept |= {"cron": None, "every_s": None}
        timetable = _timetable(msgspec.to_builtins(kept) | told)
        return await schedules.save(database, project_id, name, workflow or before.workflow, timetable)

    _say_next(ask(loaded, change, project), as_json)


@app.command("list")
@with_settings(*DATABASE)
def list_(loaded: Loaded, project: Project = DEFAULT, as_json: Json = False) -> None:
    """List the schedules of a project.

    Example: meshhook schedule list
    """
    found = ask(loaded, schedules.schedules, project)
    if as_json:
        say_json({"items": found})
        return
    rows = ((it.name, it.workflow, _when(it), _state(it), it.ticks_fired, it.last_tick_at) for it in found)
    empty = "No schedules yet. Make one: meshhook schedule create NAME WORKFLOW --cron '0 3 * * *'"
    table("name", "workflow", "when", "next", "fired", "last", rows=rows, empty=empty)


@app.command()
@with_settings(*DATABASE)
def show(loaded: Loaded, name: Name, project: Project = DEFAULT, as_json: Json = False) -> None:
    """Show what a schedule was told, and where it stands.

    Example: meshhook schedule show nightly
    """
    found = ask(loaded, lambda database, project_id: schedules.schedule(database, project_id, name), project)
    if as_json:
        say_json(found)
        return
    facts(
        [
            ("schedule", found.name),
            ("workflow", found.workflow),
            ("when", _when(found)),
            ("next", _state(found)),
            ("held", found.held_at),
            ("overlap", found.overlap),
            ("missed ticks", f"{found.missed} (more than {found.grace_s} s late)"),
            ("starts, ends", f"{found.starts_at or 'at once'}, {found.ends_at or 'never'}"),
            ("input", msgspec.json.encode(found.input).decode()),
            ("last tick", found.last_tick_at),
            ("last run", found.last_run_id),
            ("last error", found.last_error),
            ("ticks", f"{found.ticks_fired} fired, {found.ticks_skipped} skipped, {found.ticks_missed} missed"),
        ]
    )


@app.command()
@with_settings(*DATABASE)
def pause(loaded: Loaded, name: Name, project: Project = DEFAULT, as_json: Json = False) -> None:
    """Let a schedule start nothing until it is resumed; what passes meanwhile is not made up for.

    Example: meshhook schedule pause nightly
    """
    _say_next(_do(loaded, schedules.pause, name, project), as_json)


@app.command()
@with_settings(*DATABASE)
def resume(loaded: Loaded, name: Name, project: Project = DEFAULT, as_json: Json = False) -> None:
    """Let a schedule go on, with the next tick after now.

    Example: meshhook schedule resume nightly
    """
    _say_next(_do(loaded, schedules.resume, name, project), as_json)


@app.command()
@with_settings(*DATABASE)
def delete(loaded: Loaded, name: Name, project: Project = DEFAULT) -> None:
    """Take a schedule away; its runs stay.

    Example: meshhook schedule delete nightly
    """
    _do(loaded, schedules.delete, name, project)
    typer.echo(f"{name} is deleted.")


@app.command("next")
@with_settings(*DATABASE)
def next_(
    loaded: Loaded,
    name: Name,
    count: Annotated[int, typer.Option("--count", "-n", help="Ticks to print.", min=1, max=NEXT_MAX)] = 10,
    after: Annotated[str | None, typer.Option(metavar="MOMENT", help="Ticks after this moment, as RFC 3339.")] = None,
    project: Project = DEFAULT,
    as_json: Json = False,
) -> None:
    """Print the next ticks on the clock of their time zone and in UTC; summer time and changes of clocks are marked.

    Example: meshhook schedule next nightly --after 2026-10-24T00:00:00Z
    """
    moment = None if after is None else _moment("--after", after)

    async def read(database: Database, project_id: int) -> list[Shown]:
        found = await schedules.schedule(database, project_id, name)
        return upcoming(found, moment or await schedules.now(database), count)

    found = ask(loaded, read, project)
    if as_json:
        say_json({"items": found})
        return
    rows = (
        (it.local.strftime("%a %Y-%m-%d %H:%M:%S %z"), it.at.strftime("%Y-%m-%d %H:%M:%SZ"), it.note) for it in found
    )
    table("local", "UTC", "", rows=rows, empty="It will not tick any more.")


def _do(loaded: Loaded, action: Callable[[Database, int, str], Awaitable[Any]], name: str, project: str) -> Any:
    return ask(loaded, lambda database, project_id: action(database, project_id, name), project)


def _told(
    cron: str | None,
    every_s: int | None,
    timezone: str | None,
    input: Path | None,
    overlap: str | None,
    missed: str | None,
    missed_max: int | None,
    grace_s: int | None,
    jitter_s: int | None,
    starts_at: str | None,
    ends_at: str | None,
) -> dict[str, Any]:
    """What was given on the command line, as fields of a timetable."""
    given = {
        "cron": cron,
        "every_s": every_s,
        "timezone": timezone,
        "overlap": overlap,
        "missed": missed,
        "missed_max": missed_max,
        "grace_s": grace_s,
        "jitter_s": jitter_s,
        "starts_at": starts_at,
        "ends_at": ends_at,
    }
    told = {field: value for field, value in given.items() if value is not None}
    return told if input is None else told | {"input": _json(input)}


def _timetable(told: dict[str, Any]) -> Timetable:
    try:
        return msgspec.convert(told, Timetable)
    except msgspec.ValidationError as error:
        raise ConfigError(f"The schedule can't be as you say: {error}.") from None


def _json(file: Path) -> Any:
    try:
        return msgspec.json.decode(read_text(file))
    except (msgspec.DecodeError, RecursionError) as error:
        raise ConfigError(f"{file} is no JSON: {error}") from None


def _moment(option: str, text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise ConfigError(f"{option} is {text!r}; it must be a moment with an offset, like 2026-10-24T00:00:00Z.")
    return moment


def _when(schedule: Schedule) -> str:
    if schedule.every_s is not None:
        return f"every {schedule.every_s} s"
    return f"{schedule.cron} ({schedule.timezone})"


def _state(schedule: Schedule) -> Any:
    return "paused" if schedule.paused_at is not None else schedule.next_at or "ended"


def _say_next(schedule: Schedule, as_json: bool) -> None:
    if as_json:
        say_json(schedule)
    elif schedule.paused_at is not None:
        typer.echo(f"{schedule.name} is paused. Let it go on: meshhook schedule resume {schedule.name}")
    elif schedule.next_at is None:
        typer.echo(f"{schedule.name} will not tick any more: its end is over.")
    else:
        local = schedule.next_at.astimezone(zone_of(schedule.timezone))
        typer.echo(f"{schedule.name} runs {schedule.workflow} next at {local:%a %Y-%m-%d %H:%M:%S %z}.")
