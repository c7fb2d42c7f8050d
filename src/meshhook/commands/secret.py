"""``meshhook secret``: values of secrets go in by standard input, a hidden prompt or the environment, never as an argument."""

from __future__ import annotations

import getpass
import os
import sys
from datetime import timedelta
from typing import Annotated

import typer

from meshhook import key_rotation, secret_catalog
from meshhook.commands.answers import DEFAULT, Project, ask, say_json, table
from meshhook.commands.options import DATABASE, SECRETS, Json, with_settings
from meshhook.config import Loaded
from meshhook.data_keys import Keychain
from meshhook.errors import ConfigError
from meshhook.key_rotation import Rotated
from meshhook.key_source import KeySource
from meshhook.secret_catalog import OVERLAP_HOURS, VALUE_BYTES_MAX

app = typer.Typer(help="Set, list and delete secrets; rotate the keys they are kept under.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="What the secret is called: letters, digits and _.")]


@app.command("set")
@with_settings(*DATABASE, *SECRETS)
def set_(
    loaded: Loaded,
    name: Name,
    from_env: Annotated[
        str | None, typer.Option("--from-env", metavar="NAME", help="Take the value from this variable.")
    ] = None,
    overlap_hours: Annotated[
        float, typer.Option(help="How long the value before still verifies signatures.")
    ] = OVERLAP_HOURS,
    project: Project = DEFAULT,
    as_json: Json = False,
) -> None:
    """Set a secret to what standard input holds, or to what is typed at a hidden prompt. It is never shown again.

    Example: printf %s "$TOKEN" | meshhook secret set API_TOKEN
    """
    keychain = _keychain(loaded)
    value = _value(from_env)
    saved = ask(
        loaded,
        lambda database, project_id: secret_catalog.set_secret(
            database, keychain, project_id, name, value, overlap=_hours(overlap_hours)
        ),
        project,
    )
    if as_json:
        say_json(saved)
    elif saved.previous_until:
        until = f"{saved.previous_until:%Y-%m-%d %H:%M} UTC"
        typer.echo(f"{name} is set (version {saved.version}); the value before verifies signatures until {until}.")
    else:
        typer.echo(f"{name} is set (version {saved.version}).")


@app.command("list")
@with_settings(*DATABASE)
def list_(loaded: Loaded, project: Project = DEFAULT, as_json: Json = False) -> None:
    """List the secrets of a project; never their values.

    Example: meshhook secret list
    """
    found = ask(loaded, secret_catalog.secrets, project)
    if as_json:
        say_json({"items": found})
        return
    rows = ((it.name, it.version, it.created_at, it.previous_until, it.last_used_at) for it in found)
    empty = "No secrets yet. Set one: meshhook secret set NAME"
    table("name", "version", "set", "version before valid until", "last used", rows=rows, empty=empty)


@app.command()
@with_settings(*DATABASE)
def delete(loaded: Loaded, name: Name, project: Project = DEFAULT) -> None:
    """Delete a secret with all its values. What uses it fails from now on.

    Example: meshhook secret delete API_TOKEN
    """
    ask(loaded, lambda database, project_id: secret_catalog.delete_secret(database, project_id, name), project)
    typer.echo(f"{name} is deleted.")


@app.command("rotate-key")
@with_settings(*DATABASE, *SECRETS)
def rotate_key(
    loaded: Loaded,
    data_key: Annotated[
        bool, typer.Option("--data-key", help="Replace the data key of the project: every secret is sealed anew.")
    ] = False,
    drop_old: Annotated[
        bool,
        typer.Option("--drop-old", help="Take the old keys out of the key file: nothing is kept under them any more."),
    ] = False,
    project: Project = DEFAULT,
    as_json: Json = False,
) -> None:
    """Keep every secret under a new key, while everything goes on. May be stopped and repeated.

    A key file gets a new key; of a variable or a command the first key is taken, so put the new one there before, and let every
    process read both.

    Example: meshhook secret rotate-key && meshhook secret rotate-key --drop-old
    """
    if data_key and drop_old:
        raise ConfigError("--data-key and --drop-old are two things: call it twice.")
    keychain = _keychain(loaded)
    if drop_old:
        dropped = ask(loaded, lambda database, _: key_rotation.drop_old_keks(database, keychain), project)
        _say(as_json, {"dropped": dropped}, f"{len(dropped)} old keys are gone from {keychain.source.words}.")
    elif data_key:
        done = ask(
            loaded, lambda database, project_id: key_rotation.rotate_data_key(database, keychain, project_id), project
        )
        _say(as_json, done, f"{done.moved} values are sealed by data key {done.key} of the project {project}.")
    else:
        done = ask(loaded, lambda database, _: key_rotation.rotate_kek(database, keychain), project)
        _say(as_json, done, _moved(done, keychain))


def _moved(done: Rotated, keychain: Keychain) -> str:
    made = f"A new key was put into {keychain.source.words}. " if done.new_key else ""
    return f"{made}{done.moved} data keys are wrapped by the key {done.key} now."


def _say(as_json: bool, value: object, words: str) -> None:
    if as_json:
        say_json(value)
    else:
        typer.echo(words)


def _keychain(loaded: Loaded) -> Keychain:
    return Keychain(KeySource.of(loaded.settings))


def _value(from_env: str | None) -> bytes:
    """The value, without the line end that ``echo`` and files put behind it.

    Raises:
        ConfigError: there is no such variable.
    """
    if from_env is not None:
        value = os.environb.get(from_env.encode())
        if value is None:
            raise ConfigError(f"--from-env {from_env}: there is no such variable in the environment.")
        return value
    if sys.stdin.isatty():
        return _typed()
    given = sys.stdin.buffer.read(VALUE_BYTES_MAX + 3)
    return given.removesuffix(b"\n").removesuffix(b"\r")


def _typed() -> bytes:
    """What is typed twice. ``getpass`` asks when the terminal shows nothing any more; typer would ask a moment before.

    Raises:
        ConfigError: the two differ.
    """
    value = getpass.getpass("Value (not shown): ")
    if getpass.getpass("Once more: ") != value:
        raise ConfigError("The two values differ; nothing was set.")
    return value.encode()


def _hours(hours: float) -> timedelta:
    if not 0 <= hours <= secret_catalog.OVERLAP_HOURS_MAX:
        raise ConfigError(f"--overlap-hours is {hours:g}; it must be 0 to {secret_catalog.OVERLAP_HOURS_MAX:g}.")
    return timedelta(hours=hours)
