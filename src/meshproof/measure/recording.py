"""What may be done with every run once it is judged: hold it against thresholds, write JUnit XML, put it into the history.

The options are offered to every command of `run` in one place, `offer`, so that a profile that comes has them too.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, replace
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from meshproof.measure import history, junit, thresholds
from meshproof.measure.junit import Told
from meshproof.measure.thresholds import Held, Threshold

OPTIONS: Final[dict[str, Any]] = {
    "thresholds": Annotated[
        Path | None, typer.Option("--thresholds", help="TOML with bounds of figures; a broken one is exit code 1.")
    ],
    "junit": Annotated[Path | None, typer.Option("--junit", help="Write the verdict as JUnit XML, for CI.")],
    "history": Annotated[Path | None, typer.Option("--history", help="DuckDB file this run is added to.")],
}


@dataclass(frozen=True)
class Recording:
    """What is to be done with a run."""

    thresholds: tuple[Threshold, ...] = ()
    junit: Path | None = None
    history: Path | None = None


@dataclass(frozen=True)
class Kept:
    """What came of it."""

    held: Sequence[Held] = ()
    said: Sequence[str] = ()


_asked: ContextVar[Recording] = ContextVar("recording", default=Recording())  # noqa: B039 - it is frozen


def offer(app: typer.Typer) -> None:
    """Offer the options to every command of this app."""
    for command in app.registered_commands:
        assert command.callback is not None
        command.callback = offered(command.callback)


def offered(command: Callable[..., Any], names: Sequence[str] = tuple(OPTIONS)) -> Callable[..., Any]:
    """A command that takes these options as well; `keep` finds what they say. A file that is wrong is told before it begins."""
    own = inspect.signature(command, eval_str=True)
    more = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=OPTIONS[name])
        for name in names
    ]

    @wraps(command)
    def wrapped(**values: Any) -> Any:
        paths = {name: values.pop(name) for name in names}
        try:
            bounds = thresholds.read(paths["thresholds"]) if paths.get("thresholds") else []
        except thresholds.ThresholdError as error:
            raise typer.BadParameter(str(error), param_hint="--thresholds") from None
        _asked.set(Recording(tuple(bounds), paths.get("junit"), paths.get("history")))
        return command(**values)

    wrapped.__signature__ = own.replace(parameters=[*own.parameters.values(), *more])  # type: ignore[attr-defined]
    return wrapped


def keep(told: Sequence[Told]) -> Kept:
    """Do what was asked for with one run, or with those of a series."""
    asked = _asked.get()
    runs = [replace(one, held=thresholds.hold(asked.thresholds, one.document)) for one in told]
    said = []
    if asked.junit is not None:
        junit.write(asked.junit, runs)
        said.append(f"{asked.junit}")
    if asked.history is not None:
        with history.opened(asked.history) as store:
            added = sum(store.add(one.document) for one in runs)
        said.append(f"{asked.history}: {added} {'run' if added == 1 else 'runs'} added")
    return Kept([held for one in runs for held in one.held], said)
