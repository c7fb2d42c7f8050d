"""`--metrics-port`, for every command of an app: none of them need know of it."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from contextvars import ContextVar
from typing import Annotated, Any, Final

import typer

PORT: Final[ContextVar[int | None]] = ContextVar("metrics_port", default=None)
"""Where the figures of the command under way are served; `None`: nowhere."""

_OPTION: Final = typer.Option(
    min=0, max=65_535, help="Serve the figures of the run for Prometheus on this port of 127.0.0.1; 0 takes any."
)


def add_metrics_port(app: typer.Typer) -> None:
    """Give every command that is registered by now one option more."""
    for registered in app.registered_commands:
        if registered.callback is not None:
            registered.callback = _with_port(registered.callback)


def _with_port(command: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(command)
    def run(*, metrics_port: int | None = None, **options: Any) -> Any:
        PORT.set(metrics_port)
        return command(**options)

    signature = inspect.signature(command, eval_str=True)
    port = inspect.Parameter(
        "metrics_port", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[int | None, _OPTION]
    )
    parameters = [*signature.parameters.values(), port]
    run.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return run
