"""What the commands of the suite share: their options, how a story is told to its end, and the exit code it ends with."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import threading
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Final, NoReturn, TypeVar

import typer
from rich.console import Console
from rich.text import Text

from meshproof import evidence, scenario_file, scenarios
from meshproof.display import Display
from meshproof.judge.verdicts import Verdict, worst
from meshproof.live.events import EVENTS, STDOUT, Events, EventsError
from meshproof.live.exporter import HOST, Exporter, ExporterError
from meshproof.live.option import PORT, STDIN
from meshproof.load.backlog import BacklogError
from meshproof.load.generator import GeneratorError
from meshproof.measure import history, recording, rounds, thresholds
from meshproof.measure.junit import Told
from meshproof.ownership import FLAG
from meshproof.profiles.session import Result
from meshproof.profiles.settings import RunSettings
from meshproof.reaper import Reaper
from meshproof.rest import ApiError
from meshproof.supervise import ProcessError
from meshproof.target import Remote, TargetError
from meshproof.verdict_table import show

PASS, VIOLATED, USAGE, UNKNOWN = 0, 1, 2, 3
EXIT_CODES: Final = {
    Verdict.PASS: PASS,
    Verdict.FAIL: VIOLATED,
    Verdict.INVALID: UNKNOWN,
    Verdict.UNKNOWN: UNKNOWN,
}
WIDTH: Final = 140
T = TypeVar("T")


def _named(scenario: str) -> str:
    try:
        return scenario_file.named(scenario)
    except scenario_file.ScenarioFileError as error:
        fail(USAGE, str(error))


Scenario = Annotated[
    str,
    typer.Option(
        callback=_named,
        help="What to send: one of `meshproof scenarios`, or a file of your own, such as my_scenario.py.",
    ),
]
Seed = Annotated[int, typer.Option(help="The same seed makes the same plan, byte for byte.")]
Target = Annotated[
    str, typer.Option(help="`embedded`, or the address of an engine that runs already, such as http://127.0.0.1:8080.")
]
Owned = Annotated[
    str | None,
    typer.Option(FLAG, metavar="HOST", help="The host of a target beyond this machine. Without it there is none."),
]
Database = Annotated[str | None, typer.Option(help="Postgres of an engine given by its address; it is only read.")]
Workers = Annotated[int, typer.Option(min=1, max=64, help="Worker processes of the embedded engine.")]
Out = Annotated[Path, typer.Option(help="Folder for evidence, summary.json and report.html.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print summary.json, and nothing else.")]


def checked(settings: RunSettings) -> RunSettings:
    """The settings, once everything that can be wrong with them is ruled out and the folder is empty."""
    try:
        scenarios.load(settings.scenario)
        if settings.backlog is not None and scenarios.load(settings.scenario).backlog is None:
            fail(USAGE, f"--backlog: the scenario {settings.scenario} has none. Take noisy_neighbour.")
        if not settings.embedded and not settings.database:
            fail(USAGE, "An engine given by its address needs --database: the proof reads what is stored by itself.")
        if not settings.embedded and scenarios.load(settings.scenario).backlog is not None:
            fail(
                USAGE, f"The backlog of {settings.scenario} is written into the database; of a target it is only read."
            )
        if not settings.embedded and (secret := first_secret(settings)):
            fail(
                USAGE,
                f"The scenario sets the secret {secret}, which may be somebody's on a target: take --target embedded.",
            )
        if not settings.embedded:
            Remote(settings.target, settings.database or "", owned=settings.owned)
        evidence.prepare(settings.out)
    except (scenarios.UnknownScenarioError, evidence.EvidenceError, TargetError) as error:
        fail(USAGE, str(error))
    return settings


def first_secret(settings: RunSettings) -> str | None:
    """A secret the scenario would set: their names carry no namespace, so one of somebody else could be overwritten."""
    paths = (act.path for name in settings.members for act in scenarios.load(name).acts)
    return next((path.rpartition("/")[2] for path in paths if path.startswith("/api/v1/secrets/")), None)


def finish(run: Callable[[Display, Reaper], Awaitable[Result]], *, as_json: bool) -> NoReturn:
    """Run, show what came of it, and exit with the code that says so."""
    result = tell(run, as_json=as_json)
    if as_json:
        typer.echo(json.dumps(result.summary, indent=2))
    else:
        show(console(), result)
    told = Told(rounds.whole(result.summary, result.folder), result.verdicts)
    bounds = keep([told], as_json=as_json)
    raise SystemExit(EXIT_CODES[worst([result.verdicts.verdict, bounds])])


def keep(told: Sequence[Told], *, as_json: bool) -> Verdict:
    """Do with runs what `--thresholds`, `--junit` and `--history` ask for; the verdict is that of the thresholds."""
    try:
        kept = recording.keep(told)
    except (thresholds.ThresholdError, history.HistoryError) as error:
        fail(USAGE, str(error))
    said = console(stderr=as_json)
    if kept.held:
        said.print()
        said.print(thresholds.table(kept.held))
    for line in kept.said:
        said.print(line, highlight=False, soft_wrap=True)
    return thresholds.verdict(kept.held)


def tell(story: Callable[[Display, Reaper], Awaitable[T]], *, as_json: bool) -> T:
    """Run a story to its end; whatever comes between is said on standard error, with an exit code.

    With `--metrics-port`, what the display knows of a run is served there for Prometheus meanwhile; with `--events`, it is told in
    lines of JSON, the last of which says how it ended.
    """
    if as_json and EVENTS.get() == STDOUT:
        fail(USAGE, "--json and --events - would both speak on standard output: give --events a file.")
    try:
        with Events(EVENTS.get()) as events:
            return _told_to_its_end(story, events, as_json=as_json)
    except EventsError as error:
        fail(USAGE, str(error))


def _told_to_its_end(story: Callable[[Display, Reaper], Awaitable[T]], events: Events, *, as_json: bool) -> T:
    def broken_off(code: int, message: str, *, interrupted: bool = False) -> NoReturn:
        verdict = Verdict.UNKNOWN if code == UNKNOWN else None
        events.tell("ended", verdict=verdict, reason=message, interrupted=interrupted)
        fail(code, message)

    try:
        told = asyncio.run(_interruptible(story, console(stderr=as_json), as_json, events))
    except (ExporterError, TargetError, scenario_file.ScenarioFileError) as error:
        broken_off(USAGE, str(error))
    except (ApiError, BacklogError, ProcessError, GeneratorError) as error:
        broken_off(UNKNOWN, f"The run did not come to its end, so nothing is proved. {error}")
    except asyncio.CancelledError:
        broken_off(UNKNOWN, "Interrupted, so nothing is proved.", interrupted=True)
    except Exception as error:
        # A fault of the suite itself: its trace follows on standard error, and who only reads the events is told as well.
        events.tell(
            "ended", verdict=None, reason=f"The suite failed: {type(error).__name__}: {error}", interrupted=False
        )
        raise
    if isinstance(told, Result):
        events.tell("ended", verdict=told.verdicts.verdict, reason=told.verdicts.reason, interrupted=False)
    elif isinstance(told, dict) and "verdict" in told:
        events.tell("ended", verdict=told["verdict"], reason="", interrupted=False)
    return told


async def _interruptible(
    story: Callable[[Display, Reaper], Awaitable[T]], shown_on: Console, quiet: bool, events: Events
) -> T:
    task = asyncio.current_task()
    assert task is not None
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, _interrupt, task)
    if STDIN.get():
        threading.Thread(target=_wait_for_stdin, args=(loop, task), daemon=True).start()
    with Reaper() as reaper, Display(shown_on, quiet=quiet, events=events) as display:
        if (port := PORT.get()) is None:
            return await story(display, reaper)
        async with Exporter(display.live, port) as exporter:
            display.say(Text(f"Figures of this run: http://{HOST}:{exporter.port}/metrics", "dim"))
            return await story(display, reaper)


def _wait_for_stdin(loop: asyncio.AbstractEventLoop, task: asyncio.Task[Any]) -> None:
    with suppress(OSError, RuntimeError):  # the loop may be closed by then
        while os.read(0, 65_536):
            pass
        loop.call_soon_threadsafe(lambda: task.cancelling() or task.cancel())


def _interrupt(task: asyncio.Task[Any]) -> None:
    if task.cancelling():
        # Asked twice: leave at once. The reaper ends what is left.
        os._exit(UNKNOWN)
    task.cancel()


def console(*, stderr: bool = False) -> Console:
    """A console; where there is no terminal, one that is wide enough for every table."""
    stderr = stderr or EVENTS.get() == STDOUT
    found = Console(stderr=stderr)
    return found if found.is_terminal else Console(stderr=stderr, width=WIDTH)


def fail(code: int, message: str) -> NoReturn:
    """Say what is wrong, and exit."""
    said = console(stderr=True)
    said.print(Text("meshproof: ", "bold red") + Text(message), soft_wrap=True)
    raise SystemExit(code)
