"""``up``: everything on this machine — Postgres, `serve`, `work` and a sample workflow — until Ctrl-C.

    up ──► embedded Postgres (unless database_url names another)
       ──► migrate; a key to keep secrets under
       ──► serve, work      children in sessions of their own; a pipe to each tells them when `up` is gone
       ──► hello            the sample workflow, published over HTTP like anybody's

Stopping goes the other way round: the door first, then the workers, then the database.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import http.client
import json
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import typer
from rich.console import Console

from meshhook.commands.options import (
    DATABASE,
    LOGGING,
    SECRETS,
    StopWithStdin,
    configure_logging,
    first_of,
    run,
    stop_on_signal,
    stop_when_stdin_closes,
    with_settings,
)
from meshhook.commands.postgres import STDIN_GRACE_S
from meshhook.config import FIELDS, PREFIX, Loaded, Settings
from meshhook.db.embedded import EmbeddedPostgres
from meshhook.errors import ConfigError, EmbeddedPostgresError, MeshHookError

LOOPBACK = "127.0.0.0/8, ::1, localhost"
READY_S_MAX = 30.0
REQUEST_S_MAX = 10.0
BACKOFF_S = 0.5
BACKOFF_S_MAX = 30.0
STEADY_S = 60.0  # a child that ran this long starts its backoff anew
KILL_AFTER_S = 5.0  # beyond shutdown_s

HELLO = {
    "nodes": [
        {
            "id": "greet",
            "type": "transform",
            "config": {"template": {"greeting": "Hello, {{ input.name || 'world' }}!"}},
        }
    ],
    "edges": [{"from": "trigger", "to": "greet"}],
}

console = Console(soft_wrap=True, highlight=False)


def register(app: typer.Typer) -> None:
    app.command()(up)


@with_settings(*DATABASE, *SECRETS, "host", "port", "shards", "lab", *LOGGING)
def up(loaded: Loaded, stop_with_stdin: StopWithStdin = False) -> None:
    """Start everything on this machine, with a sample workflow to try, until Ctrl-C."""
    settings = loaded.settings
    if "outbound_allow" not in loaded.sources:
        # What runs beside it on one's own machine is what one tries it with.
        settings = dataclasses.replace(settings, outbound_allow=LOOPBACK)
    if "lab" not in loaded.sources:
        settings = dataclasses.replace(settings, lab=settings.is_loopback)
    configure_logging(settings)
    refuse_port_in_use(settings)
    if stop_with_stdin:
        stop_when_stdin_closes(2 * (settings.shutdown_s + KILL_AFTER_S) + STDIN_GRACE_S)
    run(run_everything(settings))


async def run_everything(settings: Settings) -> None:
    from meshhook.app import make_key_file, migrate

    stop = stop_on_signal()
    async with database(settings) as (settings, server):
        await migrate(settings)
        await make_key_file(settings)
        async with child("work", settings) as work, child("serve", settings) as serve:
            ended = await first_of(
                stop.wait(),
                server_ended(server),
                serve.keep_running(),
                work.keep_running(),
                say_ready(settings, server),
            )
    if ended == 1:
        raise EmbeddedPostgresError(f"Postgres ended by itself, so everything was stopped. See {settings.data_dir}.")
    console.print("MeshHook has stopped.")


@contextlib.asynccontextmanager
async def database(settings: Settings) -> AsyncIterator[tuple[Settings, EmbeddedPostgres | None]]:
    """The database that is named, or else the embedded one for as long as the block lasts."""
    if settings.database_url:
        yield settings, None
        return
    async with EmbeddedPostgres(settings.data_dir) as server:
        yield dataclasses.replace(settings, database_url=server.dsn), server


async def server_ended(server: EmbeddedPostgres | None) -> None:
    await (server.ended() if server else asyncio.Event().wait())


# Children ------------------------------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def child(command: str, settings: Settings) -> AsyncIterator[Child]:
    """A process that runs while the block does, and is stopped at its end."""
    made = Child(command, settings)
    await made.start()
    try:
        yield made
    finally:
        await made.stop()


@dataclass
class Child:
    """One `meshhook` process of ours. It watches its standard input, which closes when we are gone, however we went."""

    command: str
    settings: Settings
    process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        self.process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "meshhook", self.command, "--stop-with-stdin"),
            stdin=asyncio.subprocess.PIPE,
            env=environment(self.settings),
            start_new_session=True,  # Ctrl-C reaches us alone, and we stop them in order
        )

    async def keep_running(self) -> None:
        """Start it again, a little later each time, whenever it ends."""
        backoff_s = BACKOFF_S
        while True:
            assert self.process is not None
            started = time.monotonic()
            code = await self.process.wait()
            backoff_s = BACKOFF_S if time.monotonic() - started > STEADY_S else backoff_s
            console.print(f"[yellow]{self.command} ended with {code}; starting it again in {backoff_s:g} s.[/]")
            await asyncio.sleep(backoff_s)
            backoff_s = min(2 * backoff_s, BACKOFF_S_MAX)
            await self.start()

    async def stop(self) -> None:
        if self.process is None or self.process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(self.process.wait(), self.settings.shutdown_s + KILL_AFTER_S)
        except TimeoutError:
            console.print(f"[yellow]{self.command} did not stop in time, so it was killed.[/]")
            self.process.kill()
            await self.process.wait()


def environment(settings: Settings) -> dict[str, str]:
    """Ours, with every setting spelled out: what was a flag or a default here is no choice there."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    return ours | {PREFIX + name.upper(): str(getattr(settings, name)) for name in FIELDS}


# Talking to it -------------------------------------------------------------------------------------------------------


async def say_ready(settings: Settings, server: EmbeddedPostgres | None) -> None:
    """Once the door is open: publish the sample workflow if there is none, say where everything is, and stay."""
    if await is_ready(settings):
        to_try = await asyncio.to_thread(what_to_try, settings)
        place = f"embedded Postgres in {settings.data_dir}" if server else "the Postgres of database_url"
        console.print(f"\n[bold green]MeshHook is up:[/] {settings.url}   (data: {place})")
        console.print(to_try, markup=False)
        console.print("Ctrl-C stops it.\n")
    else:
        console.print(f"[yellow]MeshHook does not answer at {settings.url}/readyz after {READY_S_MAX:g} s.[/]")
    await asyncio.Event().wait()


async def is_ready(settings: Settings) -> bool:
    deadline = time.monotonic() + READY_S_MAX
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError, http.client.HTTPException):
            status, _ = await asyncio.to_thread(ask, settings, "GET", "/readyz")
            if status == 200:
                return True
        await asyncio.sleep(0.05)
    return False


def what_to_try(settings: Settings) -> str:
    status, found = ask(settings, "GET", "/api/v1/endpoints")
    if status == 401:
        return f"Its API asks for a key, its pages for a key or the password; webhooks go to {settings.url}/hooks/…"
    try:
        if not any(endpoint["path"].strip("/") == "hello" for endpoint in found["items"]):
            publish_hello(settings)
    except MeshHookError as error:
        return str(error)
    return (
        f"Open it in a browser, or try it here:\n  curl -i {settings.url}/hooks/hello -H 'content-type: application/json' "
        """-d '{"name": "Ada"}'\n"""
        f"and see the result at the status_url it answers with, or all of them:\n  curl {settings.url}/api/v1/runs"
    )


def publish_hello(settings: Settings) -> None:
    expect(settings, "PUT", "/api/v1/workflows/hello", HELLO)
    expect(settings, "POST", "/api/v1/workflows/hello/versions")
    expect(settings, "PUT", "/api/v1/endpoints/hello", {"workflow": "hello", "methods": ["POST"]})


def expect(settings: Settings, method: str, path: str, body: Any = None) -> None:
    status, answer = ask(settings, method, path, body)
    if status >= 300:
        raise MeshHookError(f"The sample workflow could not be published: {method} {path} answered {status}: {answer}")


def ask(settings: Settings, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    """One request to our own API."""
    address = urlsplit(settings.url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=REQUEST_S_MAX)
    try:
        headers = {"content-type": "application/json"} if body is not None else {}
        connection.request(method, path, json.dumps(body) if body is not None else None, headers)
        answer = connection.getresponse()
        text = answer.read().decode()
    finally:
        connection.close()
    is_json = "json" in (answer.getheader("content-type") or "")
    return answer.status, json.loads(text) if is_json and text else text


def refuse_port_in_use(settings: Settings) -> None:
    """Said now and once, instead of by a child that can never start."""
    host = settings.host.strip("[]")
    try:
        family = socket.getaddrinfo(host, settings.port, type=socket.SOCK_STREAM)[0][0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, settings.port))
    except OSError as error:
        raise ConfigError(
            f"host and port: {settings.host}:{settings.port} cannot be listened on ({error.strerror}). "
            "Stop what uses it, or choose another with --port."
        ) from error
