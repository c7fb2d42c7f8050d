"""``meshhook run``: start a run by hand, and wait for its end if wanted."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Final

import typer

from meshhook import history, manual
from meshhook.accept import Accepted
from meshhook.commands.answers import DEFAULT, Project, ask, read_text, say_json, say_pretty
from meshhook.commands.options import DATABASE, Json, with_settings
from meshhook.config import Loaded
from meshhook.db.connect import Database
from meshhook.delivery import dedupe_key
from meshhook.history import RunDetail
from meshhook.model import TERMINAL
from meshhook.store import Store

_LOOK_S_MIN: Final = 0.02
_LOOK_S_MAX: Final = 1.0


def register(app: typer.Typer) -> None:
    app.command("run")(start)


@with_settings(*DATABASE, "dedupe_hours")
def start(
    loaded: Loaded,
    workflow: Annotated[str, typer.Argument(help="Workflow whose published version runs.")],
    input: Annotated[
        Path | None, typer.Option(help="File with the input, as JSON; - is standard input.", show_default=False)
    ] = None,
    key: Annotated[
        str | None, typer.Option(help="The same key with the same input starts one run alone.", show_default=False)
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait for its end, and print its output.")] = False,
    project: Project = DEFAULT,
    as_json: Json = False,
) -> None:
    """Start a run of a workflow; with --wait, exit code 1 when the run fails.

    Example: meshhook run orders --input order.json --wait
    """
    body = b"" if input is None else read_text(input).encode()
    keep = timedelta(hours=loaded.settings.dedupe_hours)

    async def begin(database: Database, project_id: int) -> tuple[Accepted, RunDetail | None]:
        made = await manual.start(Store(database), project_id, workflow, body, dedupe_key(key, None), keep=keep)
        return made, await end_of(database, project_id, made.run_id) if wait else None

    made, ended = ask(loaded, begin, project)
    if ended is None:
        _say_started(made, as_json)
    else:
        say_ended(ended, as_json)
        raise typer.Exit(0 if ended.status == "completed" else 1)


async def end_of(database: Database, project_id: int, run_id: str) -> RunDetail:
    """The run once it has ended; looked for rarely when it takes long."""
    pause_s = _LOOK_S_MIN
    while (run := await history.run(database, project_id, run_id)).status not in TERMINAL:
        await asyncio.sleep(pause_s)
        pause_s = min(_LOOK_S_MAX, 1.5 * pause_s)
    return run


def _say_started(made: Accepted, as_json: bool) -> None:
    if as_json:
        say_json(made._asdict())
    elif made.duplicate:
        typer.echo(f"{made.run_id} was started earlier with this key.")
    else:
        typer.echo(f"{made.run_id} is started. See what becomes of it: meshhook runs show {made.run_id}")


def say_ended(run: RunDetail, as_json: bool) -> None:
    if as_json:
        say_json(run)
        return
    typer.echo(f"{run.id} {run.status}", err=True)
    say_pretty(run.output if run.error is None else run.error)
