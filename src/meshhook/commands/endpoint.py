"""``meshhook endpoint``: where webhooks come in."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, cast

import typer

from meshhook import catalog, endpoint_config
from meshhook import deliveries as log
from meshhook.audit import cli_actor
from meshhook.catalog import Endpoint
from meshhook.commands.answers import DEFAULT, Project, ask, facts, read_text, say_json, say_pretty, table
from meshhook.commands.options import DATABASE, Json, with_settings
from meshhook.config import Loaded
from meshhook.data_keys import Keychain
from meshhook.db.connect import Database
from meshhook.deliveries import PAGE_MAX, Outcome
from meshhook.errors import ConfigError, EndpointConfigError
from meshhook.key_source import KeySource
from meshhook.trial import Trial, Trials, server_url
from meshhook.vault import Vault

app = typer.Typer(help="Make, change and list endpoints: where webhooks come in.", no_args_is_help=True)

Path_ = Annotated[str, typer.Argument(metavar="PATH", help="Path below /hooks/.")]
Methods = Annotated[list[str] | None, typer.Option("--method", help="Method it takes; may be repeated.")]
Rules = Annotated[
    Path | None,
    typer.Option("--rules", metavar="FILE", help="What it asks of a delivery (JSON): signature and so on; - is input."),
]


@app.command()
@with_settings(*DATABASE)
def create(
    loaded: Loaded,
    path: Path_,
    workflow: Annotated[str, typer.Argument(help="Workflow whose published version runs.")],
    method: Methods = None,
    rules: Rules = None,
    project: Project = DEFAULT,
    as_json: Json = False,
) -> None:
    """Make an endpoint, or lead it to another workflow.

    Example: meshhook endpoint create shop/orders orders --method POST --method PUT
    """
    config = _read(rules)
    saved = ask(
        loaded,
        lambda database, project_id: catalog.save_endpoint(
            database, project_id, _below_hooks(path), workflow, method or ["POST"], config
        ),
        project,
    )
    _say_saved(saved, as_json=as_json)


@app.command()
@with_settings(*DATABASE)
def update(
    loaded: Loaded,
    path: Path_,
    workflow: Annotated[str | None, typer.Option(help="Workflow whose published version runs.")] = None,
    method: Methods = None,
    rules: Rules = None,
    project: Project = DEFAULT,
    as_json: Json = False,
) -> None:
    """Change an endpoint; what is not named stays as it is.

    Example: meshhook endpoint update shop/orders --rules stripe.json
    """
    config = _read(rules)

    async def change(database: Database, project_id: int) -> Endpoint:
        before = await catalog.endpoint(database, project_id, _below_hooks(path))
        return await catalog.save_endpoint(
            database, project_id, before.path, workflow or before.workflow, method or before.methods, config
        )

    _say_saved(ask(loaded, change, project), as_json=as_json)


@app.command()
@with_settings(*DATABASE)
def show(loaded: Loaded, path: Path_, project: Project = DEFAULT, as_json: Json = False) -> None:
    """Show an endpoint and what it asks of a delivery.

    Example: meshhook endpoint show shop/orders
    """
    found = ask(
        loaded, lambda database, project_id: catalog.endpoint(database, project_id, _below_hooks(path)), project
    )
    if as_json:
        say_json(found)
        return
    facts(
        [
            ("path", f"/hooks/{found.path}"),
            ("workflow", found.workflow),
            ("methods", ", ".join(found.methods)),
            ("made", found.created_at),
        ]
    )
    say_pretty(found.config)


@app.command("list")
@with_settings(*DATABASE)
def list_(loaded: Loaded, project: Project = DEFAULT, as_json: Json = False) -> None:
    """List the endpoints of a project.

    Example: meshhook endpoint list
    """
    found = ask(loaded, catalog.endpoints, project)
    if as_json:
        say_json({"items": found})
        return
    rows = ((f"/hooks/{it.path}", it.workflow, ", ".join(it.methods), _proof(it), it.created_at) for it in found)
    empty = "No endpoints yet. Make one: meshhook endpoint create PATH WORKFLOW"
    table("path", "workflow", "methods", "signature", "made", rows=rows, empty=empty)


@app.command()
@with_settings(*DATABASE)
def delete(loaded: Loaded, path: Path_, project: Project = DEFAULT) -> None:
    """Take an endpoint away. Its runs stay.

    Example: meshhook endpoint delete shop/orders
    """
    ask(loaded, lambda database, project_id: catalog.delete_endpoint(database, project_id, _below_hooks(path)), project)
    typer.echo(f"/hooks/{_below_hooks(path)} takes nothing any more.")


@app.command()
@with_settings(*DATABASE)
def deliveries(
    loaded: Loaded,
    path: Path_,
    outcome: Annotated[str | None, typer.Option(help="Only `accepted`, or only `refused`.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=PAGE_MAX, help="Lines, at most.")] = 50,
    project: Project = DEFAULT,
    as_json: Json = False,
) -> None:
    """List what came in at an endpoint, newest first: accepted with its run, refused with the reason.

    Example: meshhook endpoint deliveries shop/orders --outcome refused
    """
    if outcome not in (None, "accepted", "refused"):
        raise ConfigError(f"--outcome is accepted or refused, not {outcome!r}")
    page = ask(
        loaded,
        lambda database, project_id: log.deliveries(
            database, project_id, _below_hooks(path), outcome=cast(Outcome | None, outcome), limit=limit
        ),
        project,
    )
    if as_json:
        say_json(page)
        return
    rows = (
        (it.at, it.outcome, it.run_id or f"{it.status} {it.problem}", it.remote, it.delivery_key, _told(it))
        for it in page.items
    )
    table("at", "outcome", "run or problem", "from", "key", "", rows=rows, empty="Nothing came in here yet.")
    if page.refused:
        counts = ", ".join(f"{count} {problem}" for problem, count in page.refused.items())
        typer.echo(f"Refused in the last day: {counts}.")


@app.command("test")
@with_settings(*DATABASE, "host", "port")
def try_(
    loaded: Loaded,
    path: Path_,
    body: Annotated[
        Path | None,
        typer.Option("--body", metavar="FILE", help="What to send; - is input. A small document without it."),
    ] = None,
    content_type: Annotated[str, typer.Option(help="Content type of the body.")] = "application/json",
    url: Annotated[str | None, typer.Option(help="Where the server answers; as the settings say without it.")] = None,
    project: Project = DEFAULT,
    as_json: Json = False,
) -> None:
    """Send a test delivery, signed as the sender would, and show what was answered; exit code 1 when it was refused.

    Example: meshhook endpoint test shop/orders --body order.json
    """
    data = None if body is None else read_text(body).encode()
    settings = loaded.settings

    async def send(database: Database, project_id: int) -> Trial:
        vault = Vault(database, Keychain(KeySource.of(settings)), actor=cli_actor())
        trials = Trials(database, vault, url or server_url(settings.host, settings.port))
        return await trials.send(project_id, _below_hooks(path), data, content_type)

    trial = ask(loaded, send, project)
    if as_json:
        say_json(trial)
    else:
        _show(trial)
    raise typer.Exit(0 if trial.answered.status < 400 else 1)


def _show(trial: Trial) -> None:
    sent, answered = trial.sent, trial.answered
    typer.echo(f"{sent.method} {sent.url}")
    facts([*sent.headers.items(), ("", sent.body)])
    typer.echo(f"\n{answered.status}")
    facts([*answered.headers.items(), ("", answered.body)])


def _told(delivery: log.Delivery) -> str:
    if delivery.outcome == "accepted":
        return delivery.run_status or ""
    more = f" (and {delivery.unwritten} alike before it)" if delivery.unwritten else ""
    return f"{delivery.detail}{more}"


def _below_hooks(path: str) -> str:
    return path.removeprefix("/hooks/").removeprefix("/")


def _read(rules: Path | None) -> str | None:
    """The text of a file of settings, checked before the database is asked for anything.

    Raises:
        EndpointConfigError: with every fault that was found; the message names the file.
    """
    if rules is None:
        return None
    text = read_text(rules)
    try:
        endpoint_config.parse(text)
    except EndpointConfigError as error:
        for fault in error.faults:
            typer.secho(f"{rules}: {fault.path}: {fault.message} [{fault.code}]", err=True, fg=typer.colors.RED)
        raise typer.Exit(1) from None
    return text


def _proof(endpoint: Endpoint) -> str | None:
    signature = endpoint.config.get("signature")
    return signature["scheme"] if isinstance(signature, dict) else None


def _say_saved(saved: Endpoint, *, as_json: bool) -> None:
    if as_json:
        say_json(saved)
    else:
        typer.echo(f"{', '.join(saved.methods)} /hooks/{saved.path} now starts {saved.workflow}.")
