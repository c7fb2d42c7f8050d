"""``terminate``: ends the whole run at once, completed or failed, with an output."""

from __future__ import annotations

from typing import Any

from meshhook.mapping import Faults, as_text, compile_template
from meshhook.model import Context, Ended, Work

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "status": {"enum": ["completed", "failed"], "default": "completed"},
        "output": {"description": "A template; the node's input when left out."},
        "reason": {
            "type": "string",
            "maxLength": 10_000,
            "description": "With status failed: a template that says why.",
        },
    },
    "additionalProperties": False,
}


def ports(config: dict[str, Any]) -> list[str]:
    return []


def compile(config: dict[str, Any], faults: Faults) -> Work:
    status = config.get("status", "completed")
    output = compile_template(config.get("output", "{{ input }}"), ".output", faults)
    reason = compile_template(config.get("reason"), ".reason", faults)

    def end(context: Context) -> Ended:
        why = reason(context)
        return Ended(status, output(context), None if why is None else as_text(why))

    return end
