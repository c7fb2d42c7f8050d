"""The command line as a whole: errors are one sentence and an exit code; every command explains itself."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from meshhook import __version__, cli
from meshhook.config import FIELDS, flag


def meshhook(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "meshhook", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_a_wrong_setting_ends_with_one_sentence_and_exit_code_2() -> None:
    done = meshhook("serve", "--port", "http")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: port is 'http' (set by --port); it must be a whole number from 1 to 65,535.\n"


@pytest.mark.parametrize("command", ["serve", "work", "migrate"])
def test_without_a_database_it_says_how_to_get_one(command: str, tmp_path: Path) -> None:
    done = meshhook(command, "--data-dir", str(tmp_path))
    assert done.returncode == 2
    assert "Start one with `meshhook up`, or set MESHHOOK_DATABASE_URL." in done.stderr


def test_migrate_does_it_once(dsn: str) -> None:
    first = json.loads(meshhook("migrate", "--database-url", dsn, "--json").stdout)
    assert first["applied"]
    assert meshhook("migrate", "--database-url", dsn).stdout == "The schema was up to date.\n"


def test_version() -> None:
    assert json.loads(meshhook("version", "--json").stdout)["meshhook"] == __version__


def test_postgres_refuses_what_cannot_be_meant(tmp_path: Path) -> None:
    assert "NAME=VALUE" in meshhook("postgres", "--data", str(tmp_path), "--set", "fsync").stderr
    assert "leave --data out" in meshhook("postgres", "--data", str(tmp_path), "--temporary").stderr


def test_every_command_and_option_says_what_it_does() -> None:
    cli.join_commands()
    silent = list(undocumented(typer.main.get_command(cli.app), "meshhook"))
    assert silent == []


def undocumented(command: object, path: str) -> list[str]:
    silent = [] if getattr(command, "help", None) else [path]
    silent += [
        f"{path} {parameter.name}"
        for parameter in getattr(command, "params", [])
        if getattr(parameter, "opts", [""])[0].startswith("-") and not getattr(parameter, "help", None)
    ]
    for name, below in getattr(command, "commands", {}).items():
        silent += undocumented(below, f"{path} {name}")
    return silent


def test_every_setting_is_a_flag_of_some_command() -> None:
    cli.join_commands()
    group = typer.main.get_command(cli.app)
    flags = {option for command in group.commands.values() for parameter in command.params for option in parameter.opts}  # type: ignore[attr-defined]
    assert {flag(name) for name in FIELDS} <= flags
