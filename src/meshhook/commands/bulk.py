"""``meshhook runs bulk``: replay, cancel or discard many runs, and watch it done."""

from __future__ import annotations

import asyncio
import sys
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from meshhook import operations
from meshhook.commands.answers import DEFAULT, Project, ask, say_json, table
from meshhook.commands.dead_letters import ErrorType, Node, Since, Until, Workflow
from meshhook.commands.options import DATABASE, Json, with_settings
from meshhook.config import Loaded
from meshhook.db.connect import Database
from meshhook.dead_letters import LetterFilter
from meshhook.errors import ConfigError
from meshhook.operations import Operation, OperationWanted

Dry = Annotated[bool, typer.Option("--dry-run", help="Only count what it would go over.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask first.")]
Detach = Annotated[bool, typer.Option("--detach", help="Do not wait for its end; workers do it all the same.")]

_LOOK_S = 0.3

group = typer.Typer(help="Replay, cancel or discard many runs.", no_args_is_help=True)


@group.command()
@with_settings(*DATABASE)
def replay(
    loaded: Loaded,
    workflow: Workflow = None,
    error_type: ErrorType = None,
    node: Node = None,
    since: Since = None,
    until: Until = None,
    same_version: Annotated[
        bool, typer.Option("--same-version", help="Of the versions they had, not of those published.")
    ] = False,
    dry_run: Dry = False,
    yes: Yes = False,
    detach: Detach = False,
    project: Project = DEFAULT,
    as_json: Json = False,
) -> None:
    """Begin failed runs again, those on the list of dead letters.

    Example: meshhook runs bulk replay --workflow orders --error-type call
    """
    filter = LetterFilter(workflow=workflow, error_type=error_type, node=node, since=since, until=until)
    wanted = OperationWanted(
        kind="replay", filter=filter, version="same" if same_version else "published", dry_run=dry_run
    )
    _do(loaded, wanted, yes, detach, project, as_json)


@group.command()
@with_settings(*DATABASE)
def cancel(
    loaded: Loaded,
    workflow: Workflow = None,
    since: Since = None,
    until: Until = None,
    reason: Annotated[str | None, typer.Option(help="Why; it stands in the journals.", show_default=False)] = None,
    dry_run: Dry = False,
    yes: Yes = False,
    detach: Detach = False,
    project: Project = DEFAULT,
    as_json: Json = False,
) -> None:
    """Cancel runs that are not finished; --since and --until are about when they were accepted.

    Example: meshhook runs bulk cancel --workflow orders --reason "wrong price list"
    """
    filter = LetterFilter(workflow=workflow, since=since, until=until)
    wanted = OperationWanted(kind="cancel", filter=filter, reason=reason, dry_run=dry_run)
    _do(loaded, wanted, yes, detach, project, as_json)


@group.command()
@with_settings(*DATABASE)
def discard(
    loaded: Loaded,
    workflow: Workflow = None,
    error_type: ErrorType = None,
    node: Node = None,
    since: Since = None,
    until: Until = None,
    dry_run: Dry = False,
    yes: Yes = False,
    detach: Detach = False,
    project: Project = DEFAULT,
    as_json: Json = False,
) -> None:
    """Take failed runs off the list of dead letters. The runs themselves stay.

    Example: meshhook runs bulk discard --error-type expression --until 2026-11-01
    """
    filter = LetterFilter(workflow=workflow, error_type=error_type, node=node, since=since, until=until)
    _do(loaded, OperationWanted(kind="discard", filter=filter, dry_run=dry_run), yes, detach, project, as_json)


def _do(loaded: Loaded, wanted: OperationWanted, yes: bool, detach: bool, project: str, as_json: bool) -> None:
    """Count, ask, begin, and show how far it is until it is over."""
    if wanted.dry_run or not yes:
        found = ask(loaded, lambda database, project_id: operations.preview(database, project_id, wanted), project)
        if wanted.dry_run and as_json:
            say_json(found)
            return
        count = f"{'more than ' if found.more else ''}{found.matched:,} run{'' if found.matched == 1 else 's'}"
        if wanted.dry_run:
            typer.echo(f"This would {wanted.kind} {count}, such as {', '.join(map(str, found.runs)) or 'none'}.")
            return
        if not sys.stdin.isatty():
            raise ConfigError(f"This would {wanted.kind} {count}, and there is nobody to ask. Say --yes to do it.")
        typer.confirm(f"{wanted.kind.capitalize()} {count}?", abort=True, err=True)

    async def act(database: Database, project_id: int) -> Operation:
        begun = await operations.begin(database, project_id, wanted)
        return begun if detach else await watched(database, project_id, begun, quiet=as_json)

    _say(ask(loaded, act, project), as_json)


async def watched(database: Database, project_id: int, begun: Operation, *, quiet: bool) -> Operation:
    """An operation as it is when it is over; until then its progress is shown on standard error, where somebody looks."""
    screen = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=screen, disable=quiet or not screen.is_terminal, transient=True) as progress:
        task = progress.add_task(begun.kind, total=begun.expected)
        now = begun
        while now.state == "working":
            await asyncio.sleep(_LOOK_S)
            now = await operations.operation(database, project_id, str(begun.id))
            progress.update(task, completed=now.matched, total=max(now.expected, now.matched))
    return now


def _say(found: Operation, as_json: bool) -> None:
    if as_json:
        say_json(found)
        return
    if found.state == "working":
        typer.echo(f"{found.id} has begun. See how far it is: meshhook operation show {found.id}")
        return
    typer.echo(f"{found.state}: {found.kind} of {found.done:,} runs, {found.refused:,} refused.")
    if found.refusals:
        rows = ((it.problem, it.count, it.detail, ", ".join(map(str, it.runs))) for it in found.refusals)
        table("refused as", "runs", "because", "such as", rows=rows, empty="")
