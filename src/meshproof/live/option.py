"""Options of every command of an app that drives a run: none of them need know of them."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from contextvars import ContextVar
from typing import Annotated, Any, Final

import typer

from meshproof.live.events import EVENTS

PORT: Final[ContextVar[int | None]] = ContextVar("metrics_port", default=None)
"""Where the figures of the command under way are served; `None`: nowhere."""

STDIN: Final[ContextVar[bool]] = ContextVar("stop_with_stdin", default=False)
"""Whether the command under way is broken off when its standard input ends."""

_PORT: Final = typer.Option(
    min=0, max=65_535, help="Serve the figures of the run for Prometheus on this port of 127.0.0.1; 0 takes any."
)
_EVENTS: Final = typer.Option(
    metavar="FILE", help="Tell the run in lines of JSON while it goes on; `-` is standard output."
)
_STDIN: Final = typer.Option(
    "--stop-with-stdin", help="Break the run off when standard input ends: with whatever started it."
)


def add_live_options(app: typer.Typer) -> None:
    """Give every command that is registered by now the options `--metrics-port`, `--events` and `--stop-with-stdin`."""
    for registered in app.registered_commands:
        if registered.callback is not None:
            registered.callback = _with_options(registered.callback)


def _with_options(command: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(command)
    def run(
        *, metrics_port: int | None = None, events: str | None = None, stop_with_stdin: bool = False, **options: Any
    ) -> Any:
        PORT.set(metrics_port)
        EVENTS.set(events)
        STDIN.set(stop_with_stdin)
        return command(**options)

    signature = inspect.signature(command, eval_str=True)
    kind = inspect.Parameter.KEYWORD_ONLY
    parameters = [
        *signature.parameters.values(),
        inspect.Parameter("metrics_port", kind, default=None, annotation=Annotated[int | None, _PORT]),
        inspect.Parameter("events", kind, default=None, annotation=Annotated[str | None, _EVENTS]),
        inspect.Parameter("stop_with_stdin", kind, default=False, annotation=Annotated[bool, _STDIN]),
    ]
    run.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return run
