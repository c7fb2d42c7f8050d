"""``branch``: the port of the first condition that is true, else the default port. The input passes through unchanged."""

from __future__ import annotations

from typing import Any

from meshhook.budget import one_budget
from meshhook.mapping import Faults, compile_expression, is_true
from meshhook.model import Completed, Context, Work

_PORT = {"type": "string", "pattern": "^[A-Za-z_][A-Za-z0-9_]{0,63}$"}

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "conditions": {
            "type": "array",
            "minItems": 1,
            "maxItems": 100,
            "description": "Tried in order; the first that is true chooses its port.",
            "items": {
                "type": "object",
                "properties": {"port": _PORT, "when": {"type": "string", "minLength": 1}},
                "required": ["port", "when"],
                "additionalProperties": False,
            },
        },
        "default": {**_PORT, "default": "default", "description": "The port when no condition is true."},
    },
    "required": ["conditions"],
    "additionalProperties": False,
}


def ports(config: dict[str, Any]) -> list[str]:
    return [*(condition["port"] for condition in config["conditions"]), config.get("default", "default")]


def compile(config: dict[str, Any], faults: Faults) -> Work:
    conditions = [
        (compile_expression(condition["when"], f".conditions[{index}].when", faults), condition["port"])
        for index, condition in enumerate(config["conditions"])
    ]
    default = config.get("default", "default")

    def choose(context: Context) -> Completed:
        port = next((port for when, port in conditions if is_true(when(context))), default)
        return Completed(context["input"], port)

    return one_budget(choose)
