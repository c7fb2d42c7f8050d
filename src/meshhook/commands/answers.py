"""How commands ask the database, and how they answer: tables for people, JSON for programs."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from meshhook import audit, keys
from meshhook.commands.options import run, with_database
from meshhook.config import Loaded
from meshhook.db.connect import Database, connect_once
from meshhook.db.migrate import pending
from meshhook.errors import ConfigError, MeshHookError, Refusal, SchemaError

R = TypeVar("R")

Project = Annotated[str, typer.Option("--project", help="Project to look at.")]
DEFAULT = "default"

_STATUS = {"completed": "green", "failed": "red", "running": "yellow", "waiting": "magenta", "queued": "cyan"}
_VALUE_MAX = 2_000
_WIDTH_PIPED = 200  # a table in a file is not cut to the width of a terminal that is not there


def ask(loaded: Loaded, question: Callable[[Database, int], Awaitable[R]], project: str = DEFAULT) -> R:
    """What ``question`` finds out, asked with an open database and the id of the project.

    Raises:
        MeshHookError: what the question raised; a refusal says only what it has to say to a person.
    """
    try:
        return run(_ask(loaded, question, project))
    except Refusal as refusal:
        raise MeshHookError(refusal.detail) from refusal


async def _ask(loaded: Loaded, question: Callable[[Database, int], Awaitable[R]], project: str) -> R:
    dsn = with_database(loaded.settings).database_url
    await _check_schema(dsn)
    database = Database(dsn, size=2, name="meshhook-cli")
    await database.connect()
    try:
        with audit.acting_as(audit.cli_actor()):
            return await question(database, await keys.project(database, project))
    finally:
        await database.close()


async def _check_schema(dsn: str) -> None:
    connection = await connect_once(dsn)
    try:
        if missing := await pending(connection):
            raise SchemaError(f"The database lacks {', '.join(missing)}. Run `meshhook migrate` first.")
    finally:
        await connection.close()


def read_text(file: Path) -> str:
    """The text of a file, or of standard input when it is ``-``.

    Raises:
        ConfigError: it can't be read, or is not UTF-8.
    """
    try:
        raw = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
        return raw.decode()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} can't be read: {error}") from error


def say_json(value: Any) -> None:
    """One line of JSON."""
    typer.echo(msgspec.json.encode(value))


def say_pretty(value: Any) -> None:
    """JSON for people: indented."""
    typer.echo(msgspec.json.format(msgspec.json.encode(value), indent=2))


def pretty(value: Any) -> str | None:
    """JSON, indented; what is longer than a screen is cut, for --json has all of it."""
    if value is None:
        return None
    text = msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
    return text if len(text) <= _VALUE_MAX else f"{text[:_VALUE_MAX]}\n… {len(text):,} letters; --json shows all"


def table(*columns: str, rows: Iterable[Iterable[Any]], empty: str) -> None:
    """Rows under headings, or the sentence ``empty``."""
    made = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        made.add_column(column, overflow="fold")
    for row in rows:
        made.add_row(*(cell if isinstance(cell, Text) else Text(shown(cell)) for cell in row))
    console().print(made if made.row_count else Text(empty))


def facts(pairs: Iterable[tuple[str, Any]]) -> None:
    """Names and values, one a line."""
    made = Table(box=None, pad_edge=False, show_header=False)
    made.add_column(style="bold")
    made.add_column(overflow="fold")
    for name, value in pairs:
        made.add_row(name, value if isinstance(value, Text) else Text(shown(value)))
    console().print(made)


def console() -> Console:
    """Where answers go."""
    made = Console(highlight=False)
    return made if made.is_terminal else Console(highlight=False, width=_WIDTH_PIPED)


def status(word: str) -> Text:
    """The status of a run, in its colour."""
    return Text(word, style=_STATUS.get(word, ""))


def shown(value: Any) -> str:
    """A value for people. What senders chose may hold anything, so that nothing of it reaches the terminal as a command."""
    match value:
        case None:
            return "–"
        case datetime():
            return value.strftime("%Y-%m-%d %H:%M:%S.%f")[:-3] + "Z"
        case _:
            return "".join(
                letter if letter.isprintable() or letter == "\n" else repr(letter)[1:-1] for letter in str(value)
            )
