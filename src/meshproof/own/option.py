"""`--workflow`, for every command of an app that takes a scenario: none of them need know of it."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import typer

from meshproof.own.document import DEFAULT_CALLS, OwnWorkflow
from meshproof.own.template import WORDS

Adopt = Callable[[bytes, str, Path], str]
Fail = Callable[[str], None]

_FILE: Final[dict[str, Any]] = {"exists": True, "dir_okay": False}
_WORKFLOW: Final = typer.Option(
    metavar="FILE", **_FILE, help="Test this workflow definition as it is, in place of a scenario."
)
_PAYLOAD: Final = typer.Option(metavar="FILE", **_FILE, help="JSON that is sent to it, always the same.")
_TEMPLATE: Final = typer.Option(
    metavar="FILE", **_FILE, help=f"JSON that payloads are made of; {{{{ }}}} may hold {', '.join(WORDS)}."
)
_CALLS: Final = typer.Option(
    metavar="SCRIPT", help="What each of its calls is answered: `200`, or `503 200` to fail once before that."
)


def add_workflow_option(app: typer.Typer, adopt: Adopt, fail: Fail) -> None:
    """Give every command that takes a scenario and a folder the options.

    `adopt` makes a scenario of a document, a name and the folder, and gives its name; `fail` ends the command.
    """
    for registered in app.registered_commands:
        command = registered.callback
        if command is not None and {"scenario", "out"} <= inspect.signature(command).parameters.keys():
            registered.callback = _with_workflow(command, adopt, fail)


def _with_workflow(command: Callable[..., Any], adopt: Adopt, fail: Fail) -> Callable[..., Any]:
    @functools.wraps(command)
    def run(
        *,
        workflow: Path | None = None,
        payload: Path | None = None,
        payload_template: Path | None = None,
        calls: str | None = None,
        **options: Any,
    ) -> Any:
        if workflow is not None:
            try:
                document = document_of(workflow, payload, payload_template, calls)
                options["scenario"] = adopt(msgspec.json.encode(document), workflow.stem, options["out"])
            except ValueError as error:
                fail(str(error))
        elif payload or payload_template or calls:
            fail("--payload, --payload-template and --calls go with --workflow.")
        return command(**options)

    signature = inspect.signature(command, eval_str=True)
    kind = inspect.Parameter.KEYWORD_ONLY
    further = {
        "workflow": Annotated[Path | None, _WORKFLOW],
        "payload": Annotated[Path | None, _PAYLOAD],
        "payload_template": Annotated[Path | None, _TEMPLATE],
        "calls": Annotated[str | None, _CALLS],
    }
    parameters = [
        *signature.parameters.values(),
        *(inspect.Parameter(name, kind, default=None, annotation=type) for name, type in further.items()),
    ]
    run.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return run


def document_of(workflow: Path, payload: Path | None, template: Path | None, calls: str | None) -> OwnWorkflow:
    """The document of these files. Raises ValueError, which says what is wrong."""
    if payload is not None and template is not None:
        raise ValueError("Give --payload or --payload-template, not both.")
    return OwnWorkflow(
        workflow=workflow.stem,
        definition=_json(workflow),
        payload=msgspec.UNSET if payload is None else _json(payload),
        template=msgspec.UNSET if template is None else _json(template),
        calls=calls or DEFAULT_CALLS,
    )


def _json(file: Path) -> Any:
    try:
        return msgspec.json.decode(file.read_bytes())
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ValueError(f"{file} cannot be read as JSON: {error}.") from error
