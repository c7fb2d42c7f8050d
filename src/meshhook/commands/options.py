"""What commands share: flags made from settings, finding the database, logging, and running until told to stop."""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import inspect
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Annotated, Any, Concatenate, ParamSpec, TypeVar

import structlog
import typer
import uvloop

from meshhook.config import FIELDS, Loaded, Settings, flag, load
from meshhook.db import embedded
from meshhook.errors import ConfigError
from meshhook.masking import mask_line

P = ParamSpec("P")
R = TypeVar("R")

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
StopWithStdin = Annotated[
    bool,
    typer.Option(
        "--stop-with-stdin",
        help="Stop when standard input closes: whoever holds the other end of that pipe is not outlived.",
    ),
]

DATABASE = ("database_url", "data_dir")
SECRETS = ("secrets_key_file", "secrets_key_env", "secrets_key_command")
LOGGING = ("log_format", "log_level")


def with_settings(*names: str) -> Callable[[Callable[Concatenate[Loaded, P], R]], Callable[..., R]]:
    """Give a command the settings in force as its first argument, and a flag for ``--config`` and each of ``names``."""

    def decorate(command: Callable[Concatenate[Loaded, P], R]) -> Callable[..., R]:
        @functools.wraps(command)
        def run(*args: Any, config: Path | None = None, **given: Any) -> R:
            flags = {name: given.pop(name) for name in names}
            return command(load(flags, config=config), *args, **given)

        own = list(inspect.signature(command, eval_str=True).parameters.values())[1:]
        parameters = [*own, *(setting_parameter(name) for name in names), config_parameter()]
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        return run

    return decorate


def setting_parameter(name: str) -> inspect.Parameter:
    # Taken as text: config checks it, so that a wrong value is reported alike wherever it was set.
    option = typer.Option(
        flag(name),
        help=FIELDS[name].metadata["help"],
        metavar=str(FIELDS[name].type).upper().replace("STR", "TEXT"),
        show_default=False,
        rich_help_panel="Settings",
    )
    annotation = Annotated[str | None, option]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)


def config_parameter() -> inspect.Parameter:
    option = typer.Option("--config", help="File with settings.", show_default=False, rich_help_panel="Settings")
    annotation = Annotated[Path | None, option]
    return inspect.Parameter("config", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)


def with_database(settings: Settings) -> Settings:
    """The settings with the database that is meant: the one that is named, or the embedded one that runs.

    Raises ConfigError: none is named, and none runs.
    """
    if settings.database_url:
        return settings
    found = embedded.running(settings.data_dir)
    if found is None:
        raise ConfigError(
            f"There is no database: database_url is not set, and no embedded Postgres runs on {settings.data_dir}. "
            "Start one with `meshhook up`, or set MESHHOOK_DATABASE_URL."
        )
    return dataclasses.replace(settings, database_url=found["dsn"])


def configure_logging(settings: Settings) -> None:
    """Logs go to standard error; standard output belongs to what a command answers."""
    render: Any = structlog.processors.JSONRenderer()
    if settings.log_format == "console":
        # Plain, because rich tracebacks show local variables, and those hold what is nobody else's business.
        plain = structlog.dev.plain_traceback
        render = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=plain)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.StackInfoRenderer(),
            *([structlog.processors.format_exc_info] if settings.log_format == "json" else []),
            render,
            mask_line,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[settings.log_level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )


def run(work: Coroutine[Any, Any, R]) -> R:
    """Run to the end on a fast event loop."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)


def stop_when_stdin_closes(grace_s: float) -> None:
    """Treat the end of standard input as SIGTERM; after ``grace_s`` as SIGKILL.

    This is how a process notices, on any system, that whoever started it is gone.
    """

    def watch() -> None:
        while os.read(0, 4096):
            pass
        os.kill(os.getpid(), signal.SIGTERM)
        threading.Event().wait(grace_s)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, name="lifeline", daemon=True).start()


def stop_on_signal() -> asyncio.Event:
    """An event that SIGTERM and SIGINT set."""
    stop = asyncio.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signum, stop.set)
    return stop


async def first_of(*waits: Coroutine[Any, Any, Any]) -> int:
    """Wait for whichever ends first, cancel the others; its place in the arguments, or its error."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        ended = next(task for task in tasks if task.done())
        ended.result()
        return tasks.index(ended)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
