"""``meshhook event``: tell runs that wait what has happened."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from meshhook import control
from meshhook.commands.answers import DEFAULT, Project, ask, read_text, say_json
from meshhook.commands.options import DATABASE, Json, with_settings
from meshhook.config import Loaded

app = typer.Typer(help="Send events to runs that wait for them.", no_args_is_help=True)


@app.command()
@with_settings(*DATABASE, "event_hours")
def send(
    loaded: Loaded,
    name: Annotated[str, typer.Argument(help="Name of the event, such as order.paid.")],
    key: Annotated[str, typer.Option(help="Correlation key: which order, which customer.")] = "",
    payload: Annotated[
        Path | None, typer.Option(help="File with the payload, as JSON; - is standard input.", show_default=False)
    ] = None,
    id: Annotated[
        str | None, typer.Option(help="The same id counts once, however often it is sent.", show_default=False)
    ] = None,
    run: Annotated[str | None, typer.Option(help="For this run alone, whatever its key.", show_default=False)] = None,
    project: Project = DEFAULT,
    as_json: Json = False,
) -> None:
    """Send an event to every run that waits for its name and key, now or later.

    Example: echo '{"amount": 7}' | meshhook event send order.paid --key 4711 --payload -
    """
    body = b"null" if payload is None else read_text(payload).encode()
    keep = timedelta(hours=loaded.settings.event_hours)
    sent = ask(
        loaded,
        lambda database, project_id: control.send_event(
            database, project_id, name=name, key=key, payload=body, id=id, to=run, keep=keep
        ),
        project,
    )
    if as_json:
        say_json(sent)
    elif sent.runs:
        typer.echo(f"{sent.id} reached {', '.join(sent.runs)}.")
    else:
        typer.echo(f"{sent.id} is kept; no run waits for it now.")
