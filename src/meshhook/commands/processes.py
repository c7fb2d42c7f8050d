"""``serve``, ``work``, ``migrate`` and ``version``: the processes of an installation, started one by one."""

from __future__ import annotations

import json
import platform
from collections.abc import Callable, Coroutine
from typing import Any

import typer

from meshhook import __version__
from meshhook.commands.options import (
    DATABASE,
    LOGGING,
    SECRETS,
    Json,
    StopWithStdin,
    configure_logging,
    run,
    stop_when_stdin_closes,
    with_database,
    with_settings,
)
from meshhook.config import Loaded, Settings

SERVE = (
    "host",
    "port",
    "require_key",
    "body_limit_bytes",
    "accept_batch_max",
    "accept_buffer_max",
    "accept_linger_ms",
    "dedupe_hours",
    "event_hours",
    "trusted_proxies",
    "schema_check_ms",
    "sync_waiting_max",
    "watchers_max",
    "watcher_buffer_bytes",
    "heartbeat_s",
    "lab",
    "lab_keep",
)
DOOR = ("backlog_max", "lag_max_ms")
WORK = (
    "claim_batch_max",
    "batch_hold_ms",
    "lease_s",
    "calls_max",
    "calls_per_host_max",
    "calls_per_host_per_s",
    "circuit_failures",
    "circuit_pause_s",
    "outbound_allow",
    "retention_days",
    "payload_days",
    "audit_days",
    "feed_hours",
    "metrics_port",
)
BOTH = ("poll_ms", "database_connections", "shutdown_s")

STDIN_GRACE_S = 5.0  # beyond shutdown_s, for what is not work: closing sockets and connections


def register(app: typer.Typer) -> None:
    app.command()(serve)
    app.command()(work)
    app.command()(migrate)
    app.command()(version)


@with_settings(*DATABASE, *SECRETS, *SERVE, *DOOR, *BOTH, *LOGGING)
def serve(loaded: Loaded, stop_with_stdin: StopWithStdin = False) -> None:
    """Take webhooks and answer the API, until SIGTERM."""
    from meshhook.app import serve as serve_until_stopped

    keep_running(serve_until_stopped, loaded.settings, stop_with_stdin)


@with_settings(*DATABASE, *SECRETS, *WORK, *BOTH, "host", *LOGGING)
def work(loaded: Loaded, stop_with_stdin: StopWithStdin = False) -> None:
    """Execute runs, until SIGTERM."""
    from meshhook.app import work as work_until_stopped

    keep_running(work_until_stopped, loaded.settings, stop_with_stdin)


def keep_running(
    process: Callable[[Settings], Coroutine[Any, Any, int]], settings: Settings, stop_with_stdin: bool
) -> None:
    configure_logging(settings)
    settings = with_database(settings)
    if stop_with_stdin:
        stop_when_stdin_closes(settings.shutdown_s + STDIN_GRACE_S)
    raise typer.Exit(run(process(settings)))


@with_settings(*DATABASE, "shards", *LOGGING)
def migrate(loaded: Loaded, as_json: Json = False) -> None:
    """Bring the schema of the database up to date. Any number of these may run at once."""
    from meshhook.app import migrate as bring_up_to_date

    configure_logging(loaded.settings)
    done = run(bring_up_to_date(with_database(loaded.settings)))
    if as_json:
        facts = {"applied": done.applied, "functions_replaced": done.functions_replaced}
        typer.echo(json.dumps(facts | {"partitions_made": done.partitions_made}))
    elif done.applied:
        typer.echo(f"Applied {', '.join(done.applied)}.")
    else:
        typer.echo("The schema was up to date.")


def version(as_json: Json = False) -> None:
    """Print the version."""
    facts = {"meshhook": __version__, "python": platform.python_version(), "platform": platform.platform()}
    typer.echo(json.dumps(facts) if as_json else f"meshhook {__version__} (Python {facts['python']})")
