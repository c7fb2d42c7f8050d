"""``sub_workflow``: a run of another workflow of the same project, with the version published when it starts."""

from __future__ import annotations

from typing import Any

from meshhook.mapping import Faults, compile_template
from meshhook.model import DEFAULT_PORT, Child, Work
from meshhook.naming import NAME_PATTERN

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "workflow": {"type": "string", "pattern": NAME_PATTERN, "description": "The name of the workflow to start."},
        "input": {"description": "A template: the body of its trigger. The node's input when left out."},
        "wait": {
            "type": "boolean",
            "default": True,
            "description": "Wait for its end, and take its output; or go on at once with {run_id}.",
        },
    },
    "required": ["workflow"],
    "additionalProperties": False,
}


def ports(config: dict[str, Any]) -> list[str]:
    return [DEFAULT_PORT]


def compile(config: dict[str, Any], faults: Faults) -> Work:
    workflow, wait = config["workflow"], config.get("wait", True)
    input = compile_template(config.get("input", "{{ input }}"), ".input", faults)
    return lambda context: Child(workflow, input(context), wait)
