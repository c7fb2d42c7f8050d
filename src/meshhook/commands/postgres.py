"""``postgres``: the embedded Postgres on its own, in the foreground."""

from __future__ import annotations

import asyncio
import json
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from meshhook.commands.options import (
    Json,
    StopWithStdin,
    first_of,
    run,
    stop_on_signal,
    stop_when_stdin_closes,
    with_settings,
)
from meshhook.config import Loaded
from meshhook.db.embedded import FAST_S_MAX, IMMEDIATE_S_MAX, EmbeddedPostgres
from meshhook.errors import ConfigError, EmbeddedPostgresError

STDIN_GRACE_S = FAST_S_MAX + IMMEDIATE_S_MAX + 5.0


def register(app: typer.Typer) -> None:
    app.command()(postgres)


@with_settings()
def postgres(
    loaded: Loaded,
    data: Annotated[Path | None, typer.Option(help="Folder of its data; else data_dir of the settings.")] = None,
    options: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="A setting of Postgres; may be repeated.")
    ] = None,
    temporary: Annotated[bool, typer.Option("--temporary", help="In a folder that is removed at the end.")] = False,
    stop_with_stdin: StopWithStdin = False,
    as_json: Json = False,
) -> None:
    """Run the embedded Postgres until SIGTERM. Prints one line once it is ready."""
    if temporary and data:
        raise ConfigError("--temporary chooses a folder of its own; leave --data out.")
    folder = Path(tempfile.mkdtemp(prefix="meshhook-data-")) if temporary else data or loaded.settings.data_dir
    if stop_with_stdin:
        stop_when_stdin_closes(STDIN_GRACE_S)
    server = EmbeddedPostgres(folder, settings_of_postgres(options or []), temporary=temporary)
    run(keep(server, as_json))


async def keep(server: EmbeddedPostgres, as_json: bool) -> None:
    stop = stop_on_signal()
    async with server:
        facts = {"dsn": server.dsn, "pid": server.pid, "data": str(server.data_dir)}
        typer.echo(json.dumps(facts) if as_json else f"Postgres (process {server.pid}) is ready: {server.dsn}")
        if await first_of(stop.wait(), server.ended()) == 1:
            await asyncio.to_thread(server.stop)
            raise EmbeddedPostgresError(f"Postgres ended by itself. {server.log} says why.")


def settings_of_postgres(options: list[str]) -> dict[str, str]:
    pairs = [option.partition("=") for option in options]
    for name, equals, _ in pairs:
        if not name or not equals:
            raise ConfigError(f"--set {name} is not of the form NAME=VALUE.")
    return {name: value for name, _, value in pairs}
