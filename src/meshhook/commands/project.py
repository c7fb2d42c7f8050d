"""``meshhook project``: projects, and what they may use. For operators: a key of a project can't change its limits."""

from __future__ import annotations

from typing import Annotated

import typer

from meshhook import keys
from meshhook.commands.answers import ask, say_json, table
from meshhook.commands.options import DATABASE, Json, with_settings
from meshhook.config import Loaded
from meshhook.db.connect import Database

app = typer.Typer(help="List projects, and limit what they may use.", no_args_is_help=True)


@app.command("list")
@with_settings(*DATABASE)
def list_(loaded: Loaded, as_json: Json = False) -> None:
    """List all projects with their limits.

    Example: meshhook project list
    """

    async def read(database: Database, _: int) -> list[keys.Project]:
        return await keys.projects(database)

    found = ask(loaded, read)
    if as_json:
        say_json({"items": found})
        return
    rows = ((it.name, it.backlog_max, it.created_at) for it in found)
    table("name", "live runs at most", "made", rows=rows, empty="No projects.")


@app.command()
@with_settings(*DATABASE)
def limit(
    loaded: Loaded,
    name: Annotated[str, typer.Argument(help="Name of the project.")],
    backlog_max: Annotated[
        int, typer.Option(help="Live runs it may have before deliveries get 429; 0 is no limit.", min=0)
    ],
    as_json: Json = False,
) -> None:
    """Limit the live runs of a project; running servers know within a second or two.

    Example: meshhook project limit default --backlog-max 10000
    """

    async def save(database: Database, _: int) -> keys.Project:
        return await keys.limit_project(database, name, backlog_max or None)

    saved = ask(loaded, save)
    if as_json:
        say_json(saved)
    elif saved.backlog_max is None:
        typer.echo(f"The project {saved.name} has no limit of live runs.")
    else:
        typer.echo(f"The project {saved.name} may have {saved.backlog_max:,} live runs.")
