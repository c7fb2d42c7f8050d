"""``meshhook audit``: who changed what, and used which secret."""

from __future__ import annotations

from typing import Annotated

import msgspec
import typer

from meshhook import audit as log
from meshhook.commands.answers import DEFAULT, Project, ask, say_json, table
from meshhook.commands.options import DATABASE, Json, with_settings
from meshhook.config import Loaded


def register(app: typer.Typer) -> None:
    app.command()(audit)


@with_settings(*DATABASE)
def audit(
    loaded: Loaded,
    action: Annotated[str | None, typer.Option(help="Only this action, or a group of them, such as secret.")] = None,
    subject: Annotated[str | None, typer.Option(help="Only what was done to this.")] = None,
    before: Annotated[int | None, typer.Option(help="Only what is older than the entry of this number.")] = None,
    limit: Annotated[int, typer.Option(help="Entries, at most.")] = 50,
    project: Project = DEFAULT,
    as_json: Json = False,
) -> None:
    """Show the audit log of a project, newest first, with what concerns the whole installation.

    Example: meshhook audit --action secret
    """
    page = ask(
        loaded,
        lambda database, project_id: log.entries(
            database, project_id, action=action, subject=subject, before=before, limit=limit
        ),
        project,
    )
    if as_json:
        say_json(page)
        return
    rows = ((it.id, it.at, it.actor, it.action, it.subject, _detail(it)) for it in page.items)
    table("no.", "when", "who", "what", "to", "", rows=rows, empty="Nothing was recorded.")


def _detail(entry: log.Entry) -> str:
    return msgspec.json.encode(entry.detail).decode() if entry.detail else ""
