"""`meshproof clean`: lists what runs of the suite left on an engine, and removes it when told to."""

from __future__ import annotations

import os
from typing import Annotated, Any

import msgspec
import typer
from rich.table import Table

from meshproof import clean, namespace
from meshproof.clean import CleanError, Removed, Trace
from meshproof.command import UNKNOWN, USAGE, Owned, console, fail, tell
from meshproof.display import Display
from meshproof.reaper import Reaper
from meshproof.rest import ApiError
from meshproof.target import Remote


def clean_target(
    target: Annotated[str, typer.Option(help="The address of the engine.")],
    database: Annotated[
        str | None, typer.Option(help="Its Postgres, with a role that may delete; without it workflows and runs stay.")
    ] = None,
    owned: Owned = None,
    wanted: Annotated[
        str | None, typer.Option("--namespace", help="Only what this run left; `namespace` in its plan.json.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Remove it; without this it is only listed.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print {found, removed}, and nothing else.")] = False,
) -> None:
    """List what runs of the suite left on an engine; with --yes, remove it. Nothing else is touched."""
    if wanted is not None and not namespace.is_valid(wanted):
        fail(USAGE, f"--namespace {wanted} is none. They look like {namespace.new()}.")

    async def story(display: Display, _: Reaper) -> tuple[list[Trace], list[Removed] | None]:
        display.step(f"Looking at {target}")
        api = Remote(target, database or "", os.environ.get("MESHPROOF_API_KEY"), owned).api
        try:
            found = await clean.find(api, database, wanted)
            display.note(f"{len(found)} runs of the suite left something" if found else "nothing is left there")
            return found, [await clean.remove(api, database, trace, display.step) for trace in found] if yes else None
        except (ApiError, CleanError) as error:
            fail(UNKNOWN, str(error))

    found, removed = tell(story, as_json=as_json)
    if as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode({"found": found, "removed": removed}), indent=2).decode())
    elif found:
        console().print(_table(found, removed))
        console().print(_said(found, removed, database), highlight=False, soft_wrap=True)


def _table(found: list[Trace], removed: list[Removed] | None) -> Table:
    shown: list[Any] = [*found] if removed is None else [*removed]
    columns = ("endpoints", "workflows", "runs", "live", "dead_letters")
    if removed is not None:
        columns = ("endpoints", "workflows", "runs", "cancelled", "dead_letters")
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="dim")
    for column in ("namespace", *(name.replace("_", " ") for name in columns)):
        table.add_column(column, justify="left" if column == "namespace" else "right")
    for one in shown:
        table.add_row(one.namespace, *(_number(getattr(one, name)) for name in columns))
    return table


def _number(value: list[str] | int | None) -> str:
    return "?" if value is None else f"{len(value) if isinstance(value, list) else value:,}"


def _said(found: list[Trace], removed: list[Removed] | None, database: str | None) -> str:
    if removed is None:
        return "Nothing was removed. --yes removes it."
    left = [name for one in removed for name in one.left]
    if not left:
        return "Removed."
    why = "the API removes none: give --database" if database is None else "they have live runs: run this again"
    return f"{len(left)} workflows stay with their runs; {why}."
