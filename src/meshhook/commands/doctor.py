"""``doctor``: look at everything an installation needs, and say what to do about what is wrong."""

from __future__ import annotations

import shutil
import sys

import typer
from rich.console import Console
from rich.table import Table

from meshhook.checkup import Check, judge, judge_disk
from meshhook.commands.answers import say_json
from meshhook.commands.options import DATABASE, Json, run, with_database, with_settings
from meshhook.config import Loaded
from meshhook.db.health import look
from meshhook.errors import ConfigError, DatabaseError

MARKS = {"ok": "[green]ok[/]", "warn": "[yellow]warn[/]", "fail": "[red]fail[/]"}


def register(app: typer.Typer) -> None:
    app.command()(doctor)


@with_settings(*DATABASE)
def doctor(loaded: Loaded, as_json: Json = False) -> None:
    """Check this installation; exit code 1 when something fails."""
    checks = run(examine(loaded))
    if as_json:
        say_json(checks)
    else:
        show(checks)
    raise typer.Exit(any(check.status == "fail" for check in checks))


async def examine(loaded: Loaded) -> list[Check]:
    checks = [check_python(), check_settings(loaded), check_disk(loaded)]
    try:
        health = await look(with_database(loaded.settings).database_url, loaded.settings.retention_days)
    except (ConfigError, DatabaseError) as error:
        return [*checks, Check("database", "fail", str(error), "Start it, or correct database_url.")]
    return [*checks, *judge(health, loaded.settings.backlog_max, loaded.settings.retention_days)]


def check_python() -> Check:
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info < (3, 11):  # noqa: UP036 - the point of the check
        return Check("python", "fail", version, "Use Python 3.11 or newer.")
    return Check("python", "ok", version, "")


def check_settings(loaded: Loaded) -> Check:
    """They are valid, or we would not be here; say what was set, and where, but no password."""
    shown = {"database_url": "…"}
    found = ", ".join(
        f"{name}={shown.get(name, getattr(loaded.settings, name))} ({source})"
        for name, source in loaded.sources.items()
    )
    return Check("settings", "ok", found or "all at their defaults", "")


def check_disk(loaded: Loaded) -> Check:
    if loaded.settings.database_url:
        return Check("disk", "ok", "not looked at: the database is not the embedded one", "")
    folder = next(path for path in (loaded.settings.data_dir, *loaded.settings.data_dir.parents) if path.exists())
    return judge_disk(folder, shutil.disk_usage(folder).free)


def show(checks: list[Check]) -> None:
    table = Table(box=None, pad_edge=False, show_header=False)
    for check in checks:
        table.add_row(
            MARKS[check.status], check.name, f"{check.found}\n[bold]{check.advice}[/]".removesuffix("\n[bold][/]")
        )
    Console(highlight=False).print(table)
