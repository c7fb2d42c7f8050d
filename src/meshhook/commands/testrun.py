"""``meshhook workflow try``: run a draft before anybody else gets it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
import typer

from meshhook import testruns
from meshhook.commands.answers import DEFAULT, Project, ask, read_text, say_json
from meshhook.commands.options import DATABASE, Json, with_settings
from meshhook.commands.run import end_of, say_ended
from meshhook.config import Loaded
from meshhook.db.connect import Database
from meshhook.errors import ConfigError
from meshhook.history import RunDetail
from meshhook.pinning import Pin
from meshhook.testruns import TestRunWanted


def register(app: typer.Typer) -> None:
    app.command("try")(start)


@with_settings(*DATABASE)
def start(
    loaded: Loaded,
    workflow: Annotated[str, typer.Argument(help="Workflow whose draft runs.")],
    input: Annotated[
        Path | None, typer.Option(help="File with the input, as JSON; - is standard input.", show_default=False)
    ] = None,
    from_run: Annotated[
        str | None, typer.Option(help="Start it with what this run was started with.", show_default=False)
    ] = None,
    file: Annotated[
        Path | None, typer.Option(help="Run this definition instead of the draft.", show_default=False)
    ] = None,
    pin: Annotated[
        list[str] | None,
        typer.Option(
            help="NODE=FILE or NODE:PORT=FILE: the node gives this JSON instead of doing its work. May be repeated.",
            show_default=False,
        ),
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait for its end, and print its output.")] = False,
    project: Project = DEFAULT,
    as_json: Json = False,
) -> None:
    """Try the draft of a workflow: a real run, but of no version; with --wait, exit code 1 when it fails.

    What it calls is called; pin a node to keep it from doing its work.

    Example: meshhook workflow try orders --input order.json --pin charge=charged.json --wait
    """
    wanted = TestRunWanted(
        input=msgspec.UNSET if input is None else _json(input),
        run_id=from_run,
        definition=msgspec.UNSET if file is None else _json(file),
        pins=dict(map(_pin, pin or [])),
    )

    async def begin(database: Database, project_id: int) -> tuple[str, RunDetail | None]:
        run_id = await testruns.start(database, project_id, workflow, wanted)
        return run_id, await end_of(database, project_id, run_id) if wait else None

    run_id, ended = ask(loaded, begin, project)
    if ended is not None:
        say_ended(ended, as_json)
        raise typer.Exit(0 if ended.status == "completed" else 1)
    if as_json:
        say_json({"run_id": run_id})
    else:
        typer.echo(f"{run_id} is started. See what becomes of it: meshhook runs show {run_id}")


def _pin(text: str) -> tuple[str, Pin]:
    node, equals, file = text.partition("=")
    node, _, port = node.partition(":")
    if not equals:
        raise ConfigError(f"--pin {text}: say which node gives the JSON of which file, as in charge=charged.json.")
    output = msgspec.json.decode(_json(Path(file)))
    return node, Pin(output=output, port=port) if port else Pin(output=output)


def _json(file: Path) -> msgspec.Raw:
    text = read_text(file).strip()
    try:
        msgspec.json.decode(text)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ConfigError(f"{file} is no JSON: {error}.") from None
    return msgspec.Raw(text)
