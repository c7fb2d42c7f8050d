"""``meshhook endpoint``: where webhooks come in."""

from __future__ import annotations

from typing import Annotated

import typer

from meshhook import catalog
from meshhook.commands.answers import DEFAULT, Project, ask, say_json, table
from meshhook.commands.options import DATABASE, Json, with_settings
from meshhook.config import Loaded

app = typer.Typer(help="Make and list endpoints: where webhooks come in.", no_args_is_help=True)


@app.command()
@with_settings(*DATABASE)
def create(
    loaded: Loaded,
    path: Annotated[str, typer.Argument(help="Path below /hooks/.")],
    workflow: Annotated[str, typer.Argument(help="Workflow whose published version runs.")],
    method: Annotated[list[str], typer.Option(help="Method it takes; may be repeated.")] = ["POST"],  # noqa: B006
    project: Project = DEFAULT,
    as_json: Json = False,
) -> None:
    """Make an endpoint, or lead it to another workflow.

    Example: meshhook endpoint create shop/orders orders --method POST --method PUT
    """
    saved = ask(
        loaded,
        lambda database, project_id: catalog.save_endpoint(
            database, project_id, path.removeprefix("/hooks/"), workflow, method
        ),
        project,
    )
    if as_json:
        say_json(saved)
    else:
        typer.echo(f"{', '.join(saved.methods)} /hooks/{saved.path} now starts {saved.workflow}.")


@app.command("list")
@with_settings(*DATABASE)
def list_(loaded: Loaded, project: Project = DEFAULT, as_json: Json = False) -> None:
    """List the endpoints of a project.

    Example: meshhook endpoint list
    """
    found = ask(loaded, catalog.endpoints, project)
    if as_json:
        say_json({"items": found})
        return
    rows = ((f"/hooks/{it.path}", it.workflow, ", ".join(it.methods), it.created_at) for it in found)
    empty = "No endpoints yet. Make one: meshhook endpoint create PATH WORKFLOW"
    table("path", "workflow", "methods", "made", rows=rows, empty=empty)
