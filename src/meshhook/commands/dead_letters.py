"""``meshhook dead-letters``: look after runs that failed."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import typer
from rich.text import Text

from meshhook import dead_letters as list_of
from meshhook import replaying
from meshhook.commands.answers import DEFAULT, Project, ask, console, facts, pretty, say_json, table
from meshhook.commands.options import DATABASE, Json, with_settings
from meshhook.config import Loaded
from meshhook.db.connect import Database
from meshhook.dead_letters import DeadLetter, DeadLetterPage, LetterFilter

Id = Annotated[str, typer.Argument(help="Id of the run.")]
Workflow = Annotated[str | None, typer.Option(help="Only runs of this workflow.")]
ErrorType = Annotated[str | None, typer.Option(help="Only errors of this type, such as call.")]
Node = Annotated[str | None, typer.Option(help="Only those that failed in this step.")]
Since = Annotated[datetime | None, typer.Option(help="Only what is not older (UTC).", show_default=False)]
Until = Annotated[datetime | None, typer.Option(help="Only what is older (UTC).", show_default=False)]

app = typer.Typer(help="Look after runs that failed.", no_args_is_help=True)


def register(root: typer.Typer) -> None:
    root.add_typer(app, name="dead-letters")


@app.command("list")
@with_settings(*DATABASE)
def list_(
    loaded: Loaded,
    workflow: Workflow = None,
    error_type: ErrorType = None,
    node: Node = None,
    since: Since = None,
    until: Until = None,
    limit: Annotated[int, typer.Option(help="Dead letters to list, at most.", min=1)] = 50,
    cursor: Annotated[str | None, typer.Option(help="`next` of a list before.", show_default=False)] = None,
    project: Project = DEFAULT,
    as_json: Json = False,
) -> None:
    """List failed runs that nobody has dealt with yet, newest first.

    Example: meshhook dead-letters list --workflow orders --error-type call
    """
    wanted = LetterFilter(workflow=workflow, error_type=error_type, node=node, since=since, until=until)

    async def read(database: Database, project_id: int) -> DeadLetterPage:
        items: list[DeadLetter] = []
        after = cursor
        while True:
            size = min(limit - len(items), list_of.PAGE_MAX)
            page = await list_of.letters(database, project_id, wanted, cursor=after, limit=size)
            items += page.items
            after = page.next
            if after is None or len(items) >= limit:
                return DeadLetterPage(items=items, next=after)

    page = ask(loaded, read, project)
    if as_json:
        say_json(page)
        return
    rows = ((it.run_id, it.workflow, it.failed_at, it.node, it.error_type, it.reason) for it in page.items)
    table("run", "workflow", "failed", "step", "error", "reason", rows=rows, empty="No dead letters.")
    if page.next is not None:
        console().print(Text(f"\nThere are more: --cursor {page.next}", style="dim"))


@app.command()
@with_settings(*DATABASE)
def show(loaded: Loaded, id: Id, project: Project = DEFAULT, as_json: Json = False) -> None:
    """Show why a run failed, and how far it had come.

    Example: meshhook dead-letters show 0192f0c1-…
    """
    found = ask(loaded, lambda database, project_id: list_of.letter(database, project_id, id), project)
    if as_json:
        say_json(found)
        return
    facts(
        [
            ("run", found.run_id),
            ("workflow", found.workflow),
            ("failed", found.failed_at),
            ("in step", found.node),
            ("last step done", found.last_step),
            ("error", found.error_type),
            ("reason", found.reason),
            ("all of it", pretty(found.error)),
        ]
    )
    console().print(Text(f"\nFrom its start: meshhook dead-letters replay {found.run_id}", style="dim"))
    if found.resume_from is not None:
        more = f"From the step:  meshhook runs resume-from {found.run_id} {found.resume_from}"
        console().print(Text(more, style="dim"))


@app.command()
@with_settings(*DATABASE)
def replay(loaded: Loaded, id: Id, project: Project = DEFAULT, as_json: Json = False) -> None:
    """Begin a failed run again as a new one, of the published version.

    Example: meshhook dead-letters replay 0192f0c1-…
    """

    async def again(database: Database, project_id: int) -> replaying.Begun:
        await list_of.letter(database, project_id, id)
        return await replaying.replay(database, project_id, id)

    begun = ask(loaded, again, project)
    if as_json:
        say_json(begun)
    else:
        typer.echo(f"{begun.run_id} is started. See what becomes of it: meshhook runs show {begun.run_id}")


@app.command()
@with_settings(*DATABASE)
def discard(loaded: Loaded, id: Id, project: Project = DEFAULT) -> None:
    """Take a failed run off the list. The run itself stays.

    Example: meshhook dead-letters discard 0192f0c1-…
    """
    ask(loaded, lambda database, project_id: list_of.discard(database, project_id, id), project)
    typer.echo(f"{id} is no dead letter any more.")
