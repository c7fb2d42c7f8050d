"""``meshhook key``: API keys."""

from __future__ import annotations

from typing import Annotated

import typer

from meshhook import keys
from meshhook.commands.answers import DEFAULT, Project, ask, say_json, table
from meshhook.commands.options import DATABASE, Json, with_settings
from meshhook.config import Loaded
from meshhook.db.connect import Database

Name = Annotated[str, typer.Argument(help="What to call the key: who or what has it.")]

app = typer.Typer(help="Make, list and revoke API keys.", no_args_is_help=True)


@app.command()
@with_settings(*DATABASE)
def create(
    loaded: Loaded,
    name: Name,
    project: Annotated[str, typer.Option(help="Project the key opens.")] = DEFAULT,
    new_project: Annotated[bool, typer.Option("--new-project", help="Make the project when there is none.")] = False,
    as_json: Json = False,
) -> None:
    """Make an API key and print it. It is shown this once: only its hash is stored.

    Example: export MESHHOOK_KEY=$(meshhook key create deploy)
    """

    async def make(database: Database, default_id: int) -> str:
        if new_project:
            return await keys.create_key(database, await keys.save_project(database, project), name)
        return await keys.create_key(database, await keys.project(database, project), name)

    key = ask(loaded, make)
    if as_json:
        say_json({"name": name, "project": project, "key": key})
    else:
        typer.echo(key)
        typer.echo("Keep it: it is not shown again. Send it as `Authorization: Bearer …`.", err=True)


@app.command("list")
@with_settings(*DATABASE)
def list_(loaded: Loaded, project: Project = DEFAULT, as_json: Json = False) -> None:
    """List the keys of a project; the keys themselves are not known.

    Example: meshhook key list
    """
    found = ask(loaded, keys.keys, project)
    if as_json:
        say_json({"items": found})
        return
    rows = ((it.name, it.project, it.created_at, it.revoked_at) for it in found)
    table("name", "project", "made", "revoked", rows=rows, empty="No keys yet. Make one: meshhook key create NAME")


@app.command()
@with_settings(*DATABASE)
def revoke(loaded: Loaded, name: Name, project: Project = DEFAULT, as_json: Json = False) -> None:
    """Let a key open nothing any more; running servers know within two seconds.

    Example: meshhook key revoke deploy
    """
    ask(loaded, lambda database, project_id: keys.revoke_key(database, project_id, name), project)
    if as_json:
        say_json({"name": name, "project": project, "revoked": True})
    else:
        typer.echo(f"The key {name} opens nothing any more.")
