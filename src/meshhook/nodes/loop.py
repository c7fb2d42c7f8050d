"""``loop``: a fragment of workflow, its ``body``, once for each item of a list. The output is the list of what each gave."""

from __future__ import annotations

from typing import Any, Final

from meshhook.errors import ExpressionError
from meshhook.mapping import Faults, compile_expression
from meshhook.model import DEFAULT_PORT, Context, Definition, Each, Work

ITEMS_MAX: Final = 10_000

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "items": {"type": "string", "minLength": 1, "description": "JMESPath that gives the list."},
        "body": {"$ref": "#/$defs/fragment", "description": "What is done for each item: its trigger gives the item."},
        "concurrency": {
            "type": "integer",
            "minimum": 1,
            "maximum": 1_000,
            "default": 10,
            "description": "How many items are under way at once. Their outputs are in the order of the items, whatever it is.",
        },
        "items_max": {
            "type": "integer",
            "minimum": 1,
            "maximum": ITEMS_MAX,
            "default": ITEMS_MAX,
            "description": "A longer list fails the step.",
        },
        "on_error": {
            "enum": ["stop", "continue"],
            "default": "stop",
            "description": "What a failed item does: it fails the loop, or leaves {error} as its output.",
        },
    },
    "required": ["items", "body"],
    "additionalProperties": False,
}


def ports(config: dict[str, Any]) -> list[str]:
    return [DEFAULT_PORT]


def compile(config: dict[str, Any], faults: Faults, body: Definition) -> Work:
    items = compile_expression(config["items"], ".items", faults)
    items_max = config.get("items_max", ITEMS_MAX)
    concurrency, on_error = config.get("concurrency", 10), config.get("on_error", "stop")

    def each(context: Context) -> Each:
        found = items(context)
        if not isinstance(found, list):
            raise ExpressionError(config["items"], f"must give a list to loop over, not {type(found).__name__}")
        if len(found) > items_max:
            raise ExpressionError(config["items"], f"gives {len(found)} items; this loop takes at most {items_max}")
        return Each(found, body, concurrency, on_error)

    return each
