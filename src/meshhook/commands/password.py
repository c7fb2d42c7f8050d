"""``meshhook password``: what whoever works alone signs in with in a browser."""

from __future__ import annotations

import getpass
import sys

import typer

from meshhook import keys, passwords, sessions
from meshhook.commands.answers import ask
from meshhook.commands.options import DATABASE, with_settings
from meshhook.config import Loaded
from meshhook.db.connect import Database
from meshhook.errors import ConfigError, MeshHookError, Refusal

app = typer.Typer(help="Set or remove the password for the browser.", no_args_is_help=True)


@app.command("set")
@with_settings(*DATABASE)
def set_(loaded: Loaded) -> None:
    """Set the password to the line on standard input, or to what is typed at a hidden prompt. All sessions end.

    The old one is not asked for: who reaches the database can do anything anyway.

    Example: meshhook password set
    """
    password = _password()
    try:
        passwords.check_password(password)
    except Refusal as refusal:
        raise ConfigError(refusal.detail) from refusal
    hash = passwords.hash_password(password)
    ask(loaded, lambda database, _: sessions.set_password(database, keys.DEFAULT_PROJECT, hash))
    typer.echo("The password is set, and everybody has to sign in again.")


@app.command()
@with_settings(*DATABASE)
def remove(loaded: Loaded) -> None:
    """Let nobody sign in with a password any more, only with API keys. All sessions end.

    Example: meshhook password remove
    """

    async def take_away(database: Database, _: int) -> bool:
        return await sessions.remove_password(database, keys.DEFAULT_PROJECT)

    if not ask(loaded, take_away):
        raise MeshHookError("There is no password. Set one: meshhook password set")
    typer.echo("The password is removed. Sign in with an API key: meshhook key create NAME")


def _password() -> str:
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    password = getpass.getpass("New password (not shown): ")
    if getpass.getpass("Again: ") != password:
        raise ConfigError("The two are not the same. Nothing was changed.")
    return password
