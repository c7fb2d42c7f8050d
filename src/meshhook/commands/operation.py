"""``meshhook operation``: what is being done to many runs at once."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

import typer

from meshhook import operations
from meshhook.commands.answers import DEFAULT, Project, ask, facts, pretty, say_json, table
from meshhook.commands.options import DATABASE, Json, with_settings
from meshhook.config import Loaded
from meshhook.operations import Operation

Id = Annotated[str, typer.Argument(help="Id of the operation.")]

app = typer.Typer(help="Look at what is done to many runs at once, and stop it.", no_args_is_help=True)


@app.command("list")
@with_settings(*DATABASE)
def list_(
    loaded: Loaded,
    limit: Annotated[int, typer.Option(help="Operations to list, at most.", min=1, max=operations.PAGE_MAX)] = 50,
    before: Annotated[UUID | None, typer.Option(help="`before` of a list before.", show_default=False)] = None,
    project: Project = DEFAULT,
    as_json: Json = False,
) -> None:
    """List operations, newest first.

    Example: meshhook operation list
    """
    page = ask(
        loaded,
        lambda database, project_id: operations.operations(database, project_id, before=before, limit=limit),
        project,
    )
    if as_json:
        say_json(page)
        return
    rows = ((it.id, it.kind, it.state, _far(it), it.refused, it.actor, it.began_at) for it in page.items)
    table("id", "what", "state", "done", "refused", "by", "began", rows=rows, empty="No operations.")


@app.command()
@with_settings(*DATABASE)
def show(loaded: Loaded, id: Id, project: Project = DEFAULT, as_json: Json = False) -> None:
    """Show how far an operation is, and what was refused for which reason.

    Example: meshhook operation show 0192f0c1-…
    """
    _say(ask(loaded, lambda database, project_id: operations.operation(database, project_id, id), project), as_json)


@app.command()
@with_settings(*DATABASE)
def stop(loaded: Loaded, id: Id, project: Project = DEFAULT, as_json: Json = False) -> None:
    """End an operation after the batch it is at; what was done stays done.

    Example: meshhook operation stop 0192f0c1-…
    """
    _say(ask(loaded, lambda database, project_id: operations.stop(database, project_id, id), project), as_json)


def _say(found: Operation, as_json: bool) -> None:
    if as_json:
        say_json(found)
        return
    facts(
        [
            ("operation", found.id),
            ("what", found.kind),
            ("filter", pretty(found.filter)),
            ("by", found.actor),
            ("state", found.state),
            ("done", _far(found)),
            ("refused", found.refused),
            ("because", pretty(found.refusals) if found.refusals else None),
            ("began", found.began_at),
            ("finished", found.finished_at),
        ]
    )


def _far(found: Operation) -> str:
    return f"{found.done:,} of {max(found.expected, found.matched):,}"
