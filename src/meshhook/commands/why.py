"""``meshhook runs why``: why a run is not running."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.text import Text

from meshhook.commands.answers import DEFAULT, Project, ask, console, say_json, shown, status
from meshhook.commands.options import DATABASE, Json, with_settings
from meshhook.config import Loaded
from meshhook.why import why as reasons_of


@with_settings(*DATABASE)
def why(
    loaded: Loaded,
    id: Annotated[str, typer.Argument(help="Id of the run.")],
    project: Project = DEFAULT,
    as_json: Json = False,
) -> None:
    """Say why a run is not running, and what to do about it.

    Example: meshhook runs why 0192f0c1-…
    """
    found = ask(loaded, lambda database, project_id: reasons_of(database, project_id, id), project)
    if as_json:
        say_json(found)
        return
    out = console()
    out.print(Text.assemble(f"{found.run_id} is ", status(found.status), "."))
    for reason in found.reasons:
        out.print()
        out.print(Text(shown(reason.text), style="bold"))
        if reason.estimate_s is not None:
            out.print(Text(f"  That may take about {reason.estimate_s:,.0f} s."))
        if reason.run_ids and reason.kind == "limit":
            out.print(Text(f"  Who has the slots: {', '.join(map(str, reason.run_ids))}"))
        out.print(Text(f"  {shown(reason.next)}", style="dim"))
