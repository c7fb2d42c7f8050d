"""The file a workflow under test is kept in: `NAME.json`, named after the scenario it becomes."""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from meshproof.own.template import TemplateError, check
from meshproof.sink.script import ScriptError, parse

SUFFIX: Final = ".json"
DEFAULT_PAYLOAD: Final = {"id": "{{ index }}", "name": "{{ name }}", "amount": "{{ int 1 1000 }}"}
DEFAULT_CALLS: Final = "200"


class OwnWorkflow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A workflow, what is sent to it, and how its calls are answered."""

    workflow: str
    """Its name, for people."""
    definition: dict[str, Any]
    payload: Any = msgspec.UNSET
    """What is sent as it stands;"""
    template: Any = msgspec.UNSET
    """or what payloads are made of (template.py). Without either, of `DEFAULT_PAYLOAD`."""
    calls: str = DEFAULT_CALLS
    """What each call is answered, as a script of the sink: `503 200` fails once and then succeeds."""

    @property
    def is_sample(self) -> bool:
        """Whether every delivery has the same body."""
        return self.payload is not msgspec.UNSET


class DocumentError(ValueError):
    """The file is no workflow under test; the message says why."""


def read(data: bytes) -> OwnWorkflow:
    """The document in a file. Raises DocumentError."""
    try:
        made = msgspec.json.decode(data, type=OwnWorkflow)
        if made.template is not msgspec.UNSET:
            check(made.template)
        parse(made.calls)
    except (msgspec.MsgspecError, TemplateError, ScriptError) as error:
        raise DocumentError(str(error)) from error
    return made


def scenario_name(workflow: str, taken: list[str]) -> str:
    """The name of the scenario a workflow becomes: in lower case, and none of those that are taken."""
    plain = re.sub(r"[^a-z0-9]+", "_", workflow.lower()).strip("_")
    name = plain if plain[:1].isalpha() else f"own_{plain}".rstrip("_")
    return (f"own_{name}" if name in taken else name)[:40].rstrip("_")
