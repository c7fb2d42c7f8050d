"""``meshhook runs watch``: what happens, line by line, as it commits."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import Annotated, Any, Final, get_args
from uuid import UUID

import msgspec
import typer
from rich.console import Console
from rich.text import Text

from meshhook.commands.answers import DEFAULT, Project, ask, console, shown, status
from meshhook.commands.options import DATABASE, Json, with_settings
from meshhook.config import Loaded
from meshhook.db.connect import Database
from meshhook.db.hearing import hear
from meshhook.errors import DatabaseError
from meshhook.feed import Feed
from meshhook.frames import Frame, data_of
from meshhook.model import RunStatus
from meshhook.sources import FeedSource, RunSource, Source
from meshhook.store import Store
from meshhook.watching import Filter, RunOf

_BUSY_S: Final = 0.05
_IDLE_S: Final = 0.2
_RETRY_S: Final = 1.0
_REST_MAX: Final = 300
_HEAD: Final = ("run_id", "workflow", "run_status", "epoch", "at", "seq", "type")

Id = Annotated[str | None, typer.Argument(help="Id of one run; without it, all runs of the project.")]


@with_settings(*DATABASE)
def watch(
    loaded: Loaded,
    id: Id = None,
    workflow: Annotated[list[str] | None, typer.Option(help="Only runs of this workflow. Can be repeated.")] = None,
    status_: Annotated[
        list[str] | None, typer.Option("--status", help="Only events that leave a run so. Can be repeated.")
    ] = None,
    type_: Annotated[
        list[str] | None, typer.Option("--type", help="Only events of this type. Can be repeated.")
    ] = None,
    project: Project = DEFAULT,
    as_json: Json = False,
) -> None:
    """Show events as they commit: of one run until it has ended, or of all runs until Ctrl-C. Connects again by itself.

    With an id, the exit code is 1 when the run did not complete. With --json, one event a line.

    Example: meshhook runs watch --workflow orders --type run.failed
    """
    if wrong := sorted({*(status_ or ())} - {*get_args(RunStatus)}):
        raise typer.BadParameter(f"{wrong[0]!r} is none of {', '.join(get_args(RunStatus))}.", param_hint="--status")
    show = _print_json if as_json else _printer(console(), of_one_run=id is not None)

    async def follow(database: Database, project_id: int) -> str:
        feed = Feed(database, await Store(database).shards())
        source: Source
        if id is not None:
            await feed.run_page(project_id, id, 0, 1)  # refuses an id there is no run for
            source = RunSource(feed, RunOf(project_id, UUID(id)), 0)
        else:
            wanted = Filter(project_id, _set(workflow), _set(status_), _set(type_))
            source = FeedSource(feed, wanted, await feed.end())
        return await _follow(source, database.dsn, show)

    with suppress(KeyboardInterrupt):
        if ask(loaded, follow, project) != "completed":
            raise typer.Exit(1)


async def _follow(source: Source, dsn: str, show: Callable[[Frame], None]) -> str:
    """Show everything from ``source.at`` on. Returns where the run stands when it has ended."""
    woken = asyncio.Event()
    listening = asyncio.create_task(hear(dsn, {"meshhook_tasks": lambda _: woken.set()}))
    told_of_outage = False
    try:
        while True:
            try:
                batch = await source.read()
                told_of_outage = False
            except DatabaseError as error:
                if not told_of_outage:
                    Console(stderr=True).print(Text(f"{error}; trying again", style="yellow"))
                told_of_outage = True
                await asyncio.sleep(_RETRY_S)
                continue
            source.at = batch.upto
            for frame in batch.frames:
                show(frame)
            if batch.ended:
                return batch.status
            if not batch.more:
                await _pause(woken, busy=bool(batch.frames))
    finally:
        listening.cancel()


async def _pause(woken: asyncio.Event, *, busy: bool) -> None:
    if busy:
        await asyncio.sleep(_BUSY_S)
        return
    with suppress(TimeoutError):
        async with asyncio.timeout(_IDLE_S):
            await woken.wait()
    woken.clear()


def _set(values: list[Any] | None) -> frozenset[str] | None:
    return frozenset(values) if values else None


def _print_json(frame: Frame) -> None:
    typer.echo(data_of(frame))


def _printer(screen: Console, *, of_one_run: bool) -> Callable[[Frame], None]:
    def show(frame: Frame) -> None:
        event = msgspec.json.decode(data_of(frame))
        rest = {name: value for name, value in event.items() if name not in _HEAD}
        text = msgspec.json.encode(rest).decode() if rest else ""
        run = () if of_one_run else ((f"{event['run_id']}  {shown(event['workflow'])}  ", "dim"),)
        line = Text.assemble(
            (f"{shown(datetime.fromisoformat(event['at']))[11:]}  ", "dim"),
            *run,
            (f"{event['seq']:>3} ", "dim"),
            (event["type"], _style(event["run_status"], str(event["type"]))),
            "  ",
            shown(text if len(text) <= _REST_MAX else text[:_REST_MAX] + " …"),
        )
        screen.print(line, soft_wrap=True)

    return show


def _style(word: str, type: str) -> str:
    """The colour of where the run stands, for events about the run; the others stay plain."""
    return f"bold {status(word).style}" if type.startswith("run.") else ""
