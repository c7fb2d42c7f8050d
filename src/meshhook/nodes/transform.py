"""``transform``: the result of a JMESPath expression, or of a template."""

from __future__ import annotations

from typing import Any

from meshhook.mapping import Faults, compile_expression, compile_template
from meshhook.model import DEFAULT_PORT, Completed, Work

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "expression": {
            "type": "string",
            "minLength": 1,
            "description": "A JMESPath expression; its value is the output.",
        },
        "template": {"description": "Any JSON value; {{ expressions }} in its strings are replaced."},
    },
    "minProperties": 1,
    "maxProperties": 1,
    "additionalProperties": False,
}


def ports(config: dict[str, Any]) -> list[str]:
    return [DEFAULT_PORT]


def compile(config: dict[str, Any], faults: Faults) -> Work:
    if "expression" in config:
        render = compile_expression(config["expression"], ".expression", faults)
    else:
        render = compile_template(config["template"], ".template", faults)
    return lambda context: Completed(render(context))
