"""``meshhook workflow``: check, save, publish and read workflows."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.text import Text

from meshhook import catalog, drafts, linting, shelf
from meshhook.catalog import Version, Workflow, WorkflowDetail
from meshhook.commands import testrun
from meshhook.commands.answers import (
    DEFAULT,
    Project,
    ask,
    console,
    facts,
    read_text,
    say_json,
    say_pretty,
    shown,
    table,
)
from meshhook.commands.options import DATABASE, Json, with_settings
from meshhook.config import Loaded
from meshhook.db.connect import Database
from meshhook.definition import SCHEMA, parse_text
from meshhook.errors import ConfigError, DefinitionError, Fault
from meshhook.jsonplace import Span, find, span
from meshhook.lint import Advice, lint

File = Annotated[Path, typer.Argument(help="File with the definition; - is standard input.")]
Name = Annotated[str, typer.Argument(help="Name of the workflow.")]

_WINDOW = 100  # letters of a line that are shown

app = typer.Typer(help="Check, save, publish and read workflows.", no_args_is_help=True)


testrun.register(app)


@app.command()
def validate(file: File, as_json: Json = False) -> None:
    """Check a definition without saving it; exit code 1 when it has faults. What may be a mistake is only told.

    Example: meshhook workflow validate orders.json
    """
    text = read_text(file)
    faults = _faults_in(text)
    warnings = [] if faults else lint(msgspec.json.decode(text))
    if as_json:
        say_json({"valid": not faults, "errors": faults, "warnings": warnings})
    elif faults:
        _show_faults(file, text, faults)
    else:
        typer.echo(f"{file} is valid.")
        _show_warnings(warnings, text)
    raise typer.Exit(1 if faults else 0)


@app.command()
@with_settings(*DATABASE)
def apply(
    loaded: Loaded,
    name: Name,
    file: File,
    publish: Annotated[bool, typer.Option("--publish", help="Publish it too, when it is new.")] = False,
    project: Project = DEFAULT,
    as_json: Json = False,
) -> None:
    """Save a definition as the draft of a workflow.

    Example: meshhook workflow apply orders orders.json --publish
    """
    text = read_text(file)
    if faults := _faults_in(text):
        _show_faults(file, text, faults)
        raise typer.Exit(1)

    async def save(database: Database, project_id: int) -> tuple[Workflow, Version | None, list[Advice]]:
        saved = (await drafts.save(database, project_id, name, text)).workflow
        version = (await catalog.publish(database, project_id, name))[0] if publish else None
        return saved, version, await linting.advice(database, project_id, name, text)

    saved, version, warnings = ask(loaded, save, project)
    if as_json:
        say_json(msgspec.structs.asdict(saved if version is None else version) | {"warnings": warnings})
        return
    if version is None:
        typer.echo(f"Saved the draft of {name}. `meshhook workflow publish {name}` lets runs have it.")
    else:
        typer.echo(f"Version {version.version} of {name} is published.")
    _show_warnings(warnings, text)


@app.command()
@with_settings(*DATABASE)
def publish(
    loaded: Loaded,
    name: Name,
    note: Annotated[str | None, typer.Option(help="A word about the new version.", show_default=False)] = None,
    project: Project = DEFAULT,
    as_json: Json = False,
) -> None:
    """Make the draft the next version, which runs accepted from now on get.

    When the draft is what is published already, nothing changes.

    Example: meshhook workflow publish orders --note "Refunds are paid twice no more"
    """

    async def act(database: Database, project_id: int) -> tuple[Version, bool, list[Advice]]:
        version, is_new = await catalog.publish(database, project_id, name, note)
        return version, is_new, await linting.advice(database, project_id, name)

    version, is_new, warnings = ask(loaded, act, project)
    if as_json:
        say_json(msgspec.structs.asdict(version) | {"warnings": warnings})
    else:
        typer.echo(f"Version {version.version} of {name} {'is' if is_new else 'was already'} published.")
        _show_warnings(warnings)


@app.command("list")
@with_settings(*DATABASE)
def list_(
    loaded: Loaded,
    tag: Annotated[str | None, typer.Option(help="Only those with this tag.", show_default=False)] = None,
    deleted: Annotated[bool, typer.Option("--deleted", help="Those that are deleted instead.")] = False,
    project: Project = DEFAULT,
    as_json: Json = False,
) -> None:
    """List the workflows of a project.

    Example: meshhook workflow list --json | jq '.items[].name'
    """
    found = ask(
        loaded, lambda database, project_id: catalog.workflows(database, project_id, tag=tag, deleted=deleted), project
    )
    if as_json:
        say_json({"items": found})
        return
    rows = ((it.name, it.published, it.deleted_at if deleted else it.updated_at, ", ".join(it.tags)) for it in found)
    empty = "No workflows yet. Save one: meshhook workflow apply NAME FILE" if tag is None and not deleted else "None."
    table("name", "published", "deleted" if deleted else "draft saved", "tags", rows=rows, empty=empty)


@app.command("tag")
@with_settings(*DATABASE)
def tag_(
    loaded: Loaded,
    name: Name,
    tags: Annotated[list[str] | None, typer.Argument(help="All its tags; none takes them away.")] = None,
    project: Project = DEFAULT,
    as_json: Json = False,
) -> None:
    """Give a workflow these tags, and no others.

    Example: meshhook workflow tag orders shop billing
    """
    tagged = ask(loaded, lambda database, project_id: shelf.tag(database, project_id, name, tags or []), project)
    if as_json:
        say_json(tagged)
    else:
        typer.echo(f"{name} is tagged {', '.join(tagged.tags)}." if tagged.tags else f"{name} has no tags.")


@app.command()
@with_settings(*DATABASE)
def delete(loaded: Loaded, name: Name, project: Project = DEFAULT) -> None:
    """Put a workflow away: nothing starts it any more. Its runs stay, and those that live go on.

    Example: meshhook workflow delete orders
    """
    ask(loaded, lambda database, project_id: shelf.delete(database, project_id, name), project)
    typer.echo(f"{name} is deleted. `meshhook workflow restore {name}` takes it back.")


@app.command()
@with_settings(*DATABASE)
def restore(loaded: Loaded, name: Name, project: Project = DEFAULT) -> None:
    """Take a deleted workflow back as it was.

    Example: meshhook workflow restore orders
    """
    restored = ask(loaded, lambda database, project_id: shelf.restore(database, project_id, name), project)
    version = f"Version {restored.published} of it" if restored.published else "None of its versions"
    typer.echo(f"{name} is back. {version} is published.")


@app.command()
@with_settings(*DATABASE)
def show(loaded: Loaded, name: Name, project: Project = DEFAULT, as_json: Json = False) -> None:
    """Show a workflow, its nodes and its versions.

    Example: meshhook workflow show orders
    """

    async def read(database: Database, project_id: int) -> tuple[WorkflowDetail, list[Version]]:
        detail = await catalog.workflow(database, project_id, name)
        return detail, await catalog.versions(database, project_id, name)

    detail, versions = ask(loaded, read, project)
    if as_json:
        say_json({**msgspec.structs.asdict(detail), "versions": versions})
        return
    facts(
        [
            ("workflow", detail.name),
            ("tags", ", ".join(detail.tags) or None),
            ("published", f"version {detail.published}" if detail.published else None),
            ("draft", "differs from what is published" if detail.changed else "is what is published"),
            ("saved", detail.updated_at),
        ]
    )
    console().print()
    nodes = ((node.get("id"), node.get("type"), node.get("name")) for node in _nodes_of(detail.draft))
    table("node", "type", "name", rows=nodes, empty="")
    console().print()
    told = ((it.version, it.created_at, it.published_by, it.note) for it in versions)
    table("version", "published", "by", "note", rows=told, empty="No version yet.")


def _nodes_of(draft: dict[str, Any]) -> list[dict[str, Any]]:
    """What can be shown of the nodes of a draft, which may be unfinished."""
    nodes = draft.get("nodes")
    return [node for node in nodes if isinstance(node, dict)] if isinstance(nodes, list) else []


@app.command()
@with_settings(*DATABASE)
def export(
    loaded: Loaded,
    name: Name,
    version: Annotated[int | None, typer.Option(help="Number of a version; the published one if left out.")] = None,
    draft: Annotated[bool, typer.Option("--draft", help="The draft instead.")] = False,
    project: Project = DEFAULT,
) -> None:
    """Print the definition of a workflow, as `apply` takes it.

    Example: meshhook workflow export orders > orders.json
    """
    if draft and version is not None:
        raise ConfigError("--draft and --version can't both be meant; leave one out.")

    async def read(database: Database, project_id: int) -> dict[str, object]:
        detail = await catalog.workflow(database, project_id, name)
        number = version or detail.published
        if draft or number is None:
            return detail.draft
        return (await catalog.version(database, project_id, name, number)).definition

    say_pretty(ask(loaded, read, project))


@app.command()
def schema() -> None:
    """Print the JSON Schema of definitions, for editors and other tools.

    Example: meshhook workflow schema > definition.schema.json
    """
    say_pretty(SCHEMA)


# Showing faults in the text -------------------------------------------------------------------------------------------


def _faults_in(text: str) -> list[Fault]:
    try:
        parse_text(text)
    except DefinitionError as error:
        return error.faults
    return []


def _show_faults(file: Path, text: str, faults: list[Fault]) -> None:
    out = console()
    out.print(Text(f"{file} has {len(faults)} fault{'s' if len(faults) > 1 else ''}:", style="bold red"))
    for fault in faults:
        out.print()
        out.print(Text.assemble((f"{fault.path}", "bold"), "  ", (fault.code, "yellow")))
        if (place := _place_of(text, fault)) is not None:
            _show_place(place)
        out.print(Text(f"  {shown(fault.message)}"))


def _show_warnings(warnings: list[Advice], text: str | None = None) -> None:
    """What may be a mistake, on standard error: nothing was refused for it."""
    out = Console(stderr=True, highlight=False, soft_wrap=True)
    for warning in warnings:
        out.print()
        out.print(Text.assemble(("warning  ", "yellow"), (warning.path, "bold"), "  ", (warning.code, "yellow")))
        if text is not None and (place := find(text, warning.path)) is not None:
            out.print(Text(f"  line {place.line}, column {place.column}", style="dim"))
        out.print(Text(f"  {shown(warning.message)}"))


def _place_of(text: str, fault: Fault) -> Span | None:
    if fault.code != "no-json":
        return find(text, fault.path) if fault.code not in ("too-large", "too-deep") else None
    at = re.search(r"\(byte (\d+)\)", fault.message)
    if at is None:
        return span(text, len(text), len(text)) if text else None
    offset = len(text.encode()[: int(at[1])].decode(errors="ignore"))
    return span(text, offset, offset + 1)


def _show_place(place: Span) -> None:
    """The line, as much of it as fits, with carets under the part that is meant."""
    begin = max(0, place.column - 1 - _WINDOW // 2) if len(place.text) > _WINDOW else 0
    line = shown(place.text[begin : begin + _WINDOW].replace("\t", " "))
    margin = f"  line {place.line}, column {place.column} │ "
    carets = "^" * max(1, min(place.length, _WINDOW - (place.column - 1 - begin)))
    out = console()
    out.print(Text.assemble((margin, "dim"), line), overflow="crop", no_wrap=True)
    out.print(Text(" " * (len(margin) + place.column - 1 - begin) + carets, style="red"), overflow="crop", no_wrap=True)
