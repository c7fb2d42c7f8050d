"""The command line: every module of ``meshhook.commands`` adds its own; errors become one sentence and an exit code."""

from __future__ import annotations

import importlib
import pkgutil
import sys

import typer
from rich.console import Console
from rich.markup import escape

from meshhook import commands
from meshhook.errors import ConfigError, MeshHookError

EXIT_FAILED = 1
EXIT_USAGE = 2

app = typer.Typer(
    name="meshhook",
    help="A webhook-first, durable workflow engine on Postgres.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main() -> None:
    """Run one command. Exit codes: 0 done, 1 failed, 2 asked in a wrong way."""
    join_commands()
    try:
        app()
    except ConfigError as error:
        end(error, EXIT_USAGE)
    except MeshHookError as error:
        end(error, EXIT_FAILED)


def join_commands() -> None:
    """A module with ``app`` is a group named like the module; one with ``register(app)`` adds commands at the top."""
    for module_info in pkgutil.iter_modules(commands.__path__):
        module = importlib.import_module(f"{commands.__name__}.{module_info.name}")
        if hasattr(module, "register"):
            module.register(app)
        elif hasattr(module, "app"):
            app.add_typer(module.app, name=module_info.name)


def end(error: MeshHookError, code: int) -> None:
    Console(stderr=True, soft_wrap=True).print(f"[bold red]error:[/] {escape(str(error))}", highlight=False)
    sys.exit(code)
