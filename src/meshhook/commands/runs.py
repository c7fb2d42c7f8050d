"""``meshhook runs``: look at runs, and check all of them against their journals."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any, cast, get_args

import msgspec
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text

from meshhook import census, control, history, listing, replaying
from meshhook.commands.answers import DEFAULT, Project, ask, console, facts, pretty, say_json, shown, status, table
from meshhook.commands.bulk import group as bulk
from meshhook.commands.options import DATABASE, Json, with_settings
from meshhook.commands.watch import watch
from meshhook.commands.why import why
from meshhook.config import Loaded
from meshhook.control import Wish
from meshhook.db.connect import Database
from meshhook.definition import parse_text
from meshhook.errors import DefinitionError, JournalError
from meshhook.history import EventPage, Run
from meshhook.listing import ListedRun, RunFilter, RunPage
from meshhook.model import Definition, RunStatus
from meshhook.replay import divergence, is_repeatable
from meshhook.replaying import Begun, VersionWanted
from meshhook.verify import Difference, Record, differences

Id = Annotated[str, typer.Argument(help="Id of the run.")]

_KEPT_MAX = 1_000  # differences that are shown; all are counted
_DEFINITIONS_MAX = 1_000
_WHY_LENGTH_MAX = 80
STATUSES: tuple[str, ...] = get_args(RunStatus)

app = typer.Typer(help="Look at runs, and check all of them against their journals.", no_args_is_help=True)
app.command()(watch)
app.command()(why)
app.add_typer(bulk, name="bulk")


@app.command("list")
@with_settings(*DATABASE)
def list_(
    loaded: Loaded,
    status_: Annotated[
        list[str] | None,
        typer.Option("--status", help=f"Only runs that stand so; may be repeated: {', '.join(STATUSES)}."),
    ] = None,
    workflow: Annotated[
        list[str] | None, typer.Option(help="Only runs of this workflow; may be repeated.", show_default=False)
    ] = None,
    endpoint: Annotated[str | None, typer.Option(help="Only what came in here.", show_default=False)] = None,
    test: Annotated[
        bool | None, typer.Option("--test/--no-test", help="Only test runs, or only the others.", show_default=False)
    ] = None,
    since: Annotated[datetime | None, typer.Option(help="Only what is not older (UTC).", show_default=False)] = None,
    until: Annotated[datetime | None, typer.Option(help="Only what is older (UTC).", show_default=False)] = None,
    search: Annotated[
        str | None,
        typer.Option(
            "--search",
            help="A run id or its beginning, a dedupe key, or a text in what started a run or came of it.",
            show_default=False,
        ),
    ] = None,
    limit: Annotated[int, typer.Option(help="Runs to list, at most.", min=1)] = 50,
    cursor: Annotated[str | None, typer.Option(help="`next` of a list before.", show_default=False)] = None,
    project: Project = DEFAULT,
    as_json: Json = False,
) -> None:
    """List runs, newest first.

    Example: meshhook runs list --status failed --status cancelled --workflow orders --since 2026-11-01
    """
    wanted = RunFilter(
        statuses=[_checked(word) for word in status_ or []],
        workflows=workflow or [],
        endpoint=endpoint,
        test=test,
        since=since,
        until=until,
        q=search,
    )
    page = ask(loaded, lambda database, project_id: _read_list(database, project_id, wanted, cursor, limit), project)
    if as_json:
        say_json(page)
        return
    rows = (
        (it.id, _run_of(it), status(it.status), it.accepted_at, _took(it), _begun_by(it), _why(it)) for it in page.items
    )
    table("id", "workflow", "status", "accepted", "took", "begun by", "error", rows=rows, empty="No runs.")
    if page.next is not None:
        console().print(Text(f"\nThere are more: --cursor {page.next}", style="dim"))


async def _read_list(database: Database, project_id: int, wanted: RunFilter, cursor: str | None, limit: int) -> RunPage:
    """As many runs as asked for, page by page."""
    items: list[ListedRun] = []
    while True:
        page = await listing.runs(
            database, project_id, wanted, cursor=cursor, limit=min(limit - len(items), listing.PAGE_MAX)
        )
        items += page.items
        cursor = page.next
        if cursor is None or len(items) >= limit:
            return msgspec.structs.replace(page, items=items, cut_short=False)


def _checked(word: str) -> RunStatus:
    if word not in STATUSES:
        raise typer.BadParameter(f"{word!r} is none of {', '.join(STATUSES)}.", param_hint="--status")
    return cast(RunStatus, word)


def _run_of(run: Run) -> str:
    return f"{run.workflow} (test)" if run.version is None else f"{run.workflow} v{run.version}"


def _begun_by(run: ListedRun) -> str | None:
    """The endpoint of a webhook, else what it was."""
    return run.endpoint or (run.origin.kind if run.origin is not None else None)


def _why(run: ListedRun) -> str:
    text = "" if run.failure is None else f"{run.failure.type}: {run.failure.reason}"
    return text if len(text) <= _WHY_LENGTH_MAX else f"{text[: _WHY_LENGTH_MAX - 2]} …"


@app.command()
@with_settings(*DATABASE)
def show(loaded: Loaded, id: Id, project: Project = DEFAULT, as_json: Json = False) -> None:
    """Show where a run stands, what started it, and what came of it.

    Example: meshhook runs show 0192f0c1-…
    """
    run = ask(loaded, lambda database, project_id: history.run(database, project_id, id), project)
    if as_json:
        say_json(run)
        return
    facts(
        [
            ("run", run.id),
            ("workflow", _run_of(run)),
            *([("pinned", ", ".join(run.pinned))] if run.pinned else []),
            ("status", status(run.status)),
            ("endpoint", run.endpoint),
            ("key", run.delivery_key),
            ("epoch", run.epoch),
            ("accepted", run.accepted_at),
            ("finished", run.finished_at),
            ("took", _took(run)),
            ("trigger", pretty(run.trigger)),
            ("output", pretty(run.output)),
            ("error", pretty(run.error)),
        ]
    )


@app.command()
@with_settings(*DATABASE)
def events(loaded: Loaded, id: Id, project: Project = DEFAULT, as_json: Json = False) -> None:
    """Show what happened to a run, event by event.

    Example: meshhook runs events 0192f0c1-… --json | jq '.items[].type'
    """

    async def read(database: Database, project_id: int) -> EventPage:
        page = await history.events(database, project_id, id)
        items = page.items
        while page.next is not None:
            page = await history.events(database, project_id, id, after=page.next)
            items += page.items
        return EventPage(items=items, next=None)

    page = ask(loaded, read, project)
    if as_json:
        say_json(page)
        return
    rows = ((it["seq"], it["at"], it["epoch"], _word(it["type"]), _rest_of(it)) for it in page.items)
    table("seq", "at", "epoch", "event", "", rows=rows, empty="No events.")


@app.command()
@with_settings(*DATABASE)
def cancel(
    loaded: Loaded,
    id: Id,
    reason: Annotated[str | None, typer.Option(help="Why; it stands in the journal.", show_default=False)] = None,
    project: Project = DEFAULT,
    as_json: Json = False,
) -> None:
    """Cancel a run that is not finished, and the children it waits for.

    Example: meshhook runs cancel 0192f0c1-… --reason "wrong customer"
    """
    _tell(loaded, id, "cancel", project, as_json, reason)


@app.command()
@with_settings(*DATABASE)
def pause(loaded: Loaded, id: Id, project: Project = DEFAULT, as_json: Json = False) -> None:
    """Let no further step of a run begin until it is resumed.

    Example: meshhook runs pause 0192f0c1-…
    """
    _tell(loaded, id, "pause", project, as_json)


@app.command()
@with_settings(*DATABASE)
def resume(loaded: Loaded, id: Id, project: Project = DEFAULT, as_json: Json = False) -> None:
    """Let a paused run go on.

    Example: meshhook runs resume 0192f0c1-…
    """
    _tell(loaded, id, "resume", project, as_json)


@app.command()
@with_settings(*DATABASE)
def replay(
    loaded: Loaded,
    id: Id,
    same_version: Annotated[
        bool, typer.Option("--same-version", help="Of the version it had, not of that published.")
    ] = False,
    project: Project = DEFAULT,
    as_json: Json = False,
) -> None:
    """Begin a new run with what started a finished one.

    Example: meshhook runs replay 0192f0c1-…
    """
    version: VersionWanted = "same" if same_version else "published"
    begun = ask(
        loaded, lambda database, project_id: replaying.replay(database, project_id, id, version=version), project
    )
    _say_begun(begun, as_json)


@app.command("resume-from")
@with_settings(*DATABASE)
def resume_from(
    loaded: Loaded,
    id: Id,
    step: Annotated[str, typer.Argument(help="The node from which on everything is done again.")],
    project: Project = DEFAULT,
    as_json: Json = False,
) -> None:
    """Begin a new run that takes over what a finished one had done before a step, and goes on from there.

    Example: meshhook runs resume-from 0192f0c1-… charge
    """
    begun = ask(loaded, lambda database, project_id: replaying.resume_from(database, project_id, id, step), project)
    _say_begun(begun, as_json)


def _say_begun(begun: Begun, as_json: bool) -> None:
    if as_json:
        say_json(begun)
    else:
        typer.echo(f"{begun.run_id} is started. See what becomes of it: meshhook runs show {begun.run_id}")


def _tell(loaded: Loaded, id: str, wish: Wish, project: str, as_json: bool, reason: str | None = None) -> None:
    told = ask(loaded, lambda database, project_id: control.tell(database, project_id, id, wish, reason), project)
    if as_json:
        say_json(told)
    else:
        typer.echo(f"{told.run_id} was told: {wish}. See it done: meshhook runs events {told.run_id}")


@app.command()
@with_settings(*DATABASE)
def verify(loaded: Loaded, as_json: Json = False) -> None:
    """Fold the journal of every run, of all projects, and compare with what is stored; exit code 1 on a difference.

    May run while the system works. Memory stays the same however many runs there are.

    Example: meshhook runs verify
    """

    async def check(database: Database, record: Record, findings: Findings) -> None:
        for difference in differences(record):
            findings.add(difference)

    _check_all(loaded, check, as_json, "Every run is what its journal says.")


@app.command("replay-check")
@with_settings(*DATABASE)
def replay_check(loaded: Loaded, as_json: Json = False) -> None:
    """Repeat every run, of all projects, from its first event, and compare the events; exit code 1 on a difference.

    Nothing is executed again: the steps of a definition are pure, and only compared with what the journal holds.

    Example: meshhook runs replay-check --json
    """
    definitions: dict[int, Definition | str] = {}

    async def check(database: Database, record: Record, findings: Findings) -> None:
        if record.status is None or not record.journal:
            return  # `verify` tells of these
        if record.version_id not in definitions:
            if len(definitions) >= _DEFINITIONS_MAX:
                definitions.clear()
            definitions[record.version_id] = await _definition(database, record.version_id)
        definition = definitions[record.version_id]
        if isinstance(definition, str):
            findings.add(Difference(record.id, "a run has a definition", f"version {record.version_id}", definition))
            return
        if not is_repeatable(record):
            findings.skipped += 1
            return
        try:
            difference = divergence(record, definition)
        except JournalError as error:
            difference = Difference(record.id, "the journal folds", "a state", str(error))
        if difference is not None:
            findings.add(difference)

    _check_all(loaded, check, as_json, "Every run gives the same events again.")


# Checking all ---------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Findings:
    """What a check of all runs found. ``skipped``: runs that can't be checked so, for they ended by a fault of the engine."""

    runs: int = 0
    count: int = 0
    skipped: int = 0
    kept: list[Difference] = field(default_factory=list)

    def add(self, difference: Difference) -> None:
        self.count += 1
        if len(self.kept) < _KEPT_MAX:
            self.kept.append(difference)


Check = Callable[[Database, Record, Findings], Coroutine[Any, Any, None]]


def _check_all(loaded: Loaded, check: Check, as_json: bool, all_well: str) -> None:
    async def look(database: Database, _: int) -> Findings:
        findings = Findings()
        with _progress(as_json) as progress:
            task = progress.add_task("runs", total=await census.count(database) or None)
            async with aclosing(census.records(database)) as records:
                async for record in _shown(records, progress, task):
                    findings.runs += record.status is not None
                    await check(database, record, findings)
        return findings

    began = time.monotonic()
    findings = ask(loaded, look)
    seconds = time.monotonic() - began
    if as_json:
        rows = [
            {"run": it.id, "rule": it.rule, "expected": str(it.expected), "found": str(it.found)}
            for it in findings.kept
        ]
        told = {"runs": findings.runs, "differences": findings.count, "skipped": findings.skipped, "items": rows}
        say_json(told)
    else:
        _say(findings, seconds, all_well)
    raise typer.Exit(1 if findings.count else 0)


def _say(findings: Findings, seconds: float, all_well: str) -> None:
    if findings.kept:
        rows = ((it.id, it.rule, it.expected, it.found) for it in findings.kept)
        table("run", "rule", "the journal says", "but found", rows=rows, empty="")
        console().print()
    what = f"{findings.runs:,} runs in {seconds:.1f} s"
    if findings.skipped:
        what += f", {findings.skipped:,} of them not checked: they ended by a fault of the engine"
    if not findings.count:
        console().print(Text.assemble((all_well, "green"), f" {what}."))
        return
    more = f", the first {len(findings.kept):,} shown" if findings.count > len(findings.kept) else ""
    console().print(Text.assemble((f"{findings.count:,} differences{more}.", "bold red"), f" {what}."))


def _progress(as_json: bool) -> Progress:
    """On standard error, and only where somebody looks."""
    screen = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=screen, disable=as_json or not screen.is_terminal, transient=True)


async def _shown(records: AsyncIterator[Record], progress: Progress, task: TaskID) -> AsyncIterator[Record]:
    count = 0
    async for record in records:
        yield record
        count += 1
        if count % 1_000 == 0:
            total = progress.tasks[0].total
            progress.update(task, completed=count, total=None if total is None else max(total, count))


async def _definition(database: Database, version_id: int) -> Definition | str:
    text = await census.definition(database, version_id)
    if text is None:
        return "no such version"
    try:
        return parse_text(text)
    except DefinitionError as error:
        return f"not valid: {error}"


# Showing one ----------------------------------------------------------------------------------------------------------


def _took(run: Run) -> str | None:
    seconds = run.duration_s
    if seconds is None:
        return None
    return f"{seconds * 1000:,.0f} ms" if seconds < 10 else f"{seconds:,.1f} s"


def _word(value: Any) -> str:
    return str(msgspec.json.decode(msgspec.json.encode(value)))


def _rest_of(event: dict[str, Any]) -> str:
    members = {name: value for name, value in event.items() if name not in ("seq", "at", "epoch", "type")}
    text = msgspec.json.encode(members).decode()
    return text if len(text) <= 300 else shown(text[:300]) + " …"
