"""``wait_event``: the run waits for an event of this name and correlation key. Its payload is the output."""

from __future__ import annotations

from typing import Any, Final

from meshhook.errors import ExpressionError
from meshhook.mapping import Faults, as_text, compile_template
from meshhook.model import DEFAULT_PORT, TIMEOUT_PORT, Await, Context, Work

_SECONDS_MAX: Final = 366 * 24 * 3600
_KEY_LENGTH_MAX: Final = 500

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "event": {
            "type": "string",
            "pattern": "^[A-Za-z0-9_.:-]{1,100}$",
            "description": "The name of the event, such as order.paid.",
        },
        "key": {
            "type": "string",
            "maxLength": 10_000,
            "default": "",
            "description": "A template that gives the correlation key: which order, which customer.",
        },
        "timeout_s": {
            "type": "number",
            "exclusiveMinimum": 0,
            "maximum": _SECONDS_MAX,
            "default": 7 * 24 * 3600,
            "description": "How long to wait. Then the run goes on by the port timeout, or fails where no edge leaves by it.",
        },
    },
    "required": ["event"],
    "additionalProperties": False,
}


def ports(config: dict[str, Any]) -> list[str]:
    return [DEFAULT_PORT, TIMEOUT_PORT]


def compile(config: dict[str, Any], faults: Faults) -> Work:
    name, timeout_s = config["event"], config.get("timeout_s", 7 * 24 * 3600)
    key = compile_template(config.get("key", ""), ".key", faults)

    def wait(context: Context) -> Await:
        text = as_text(key(context))
        if len(text) > _KEY_LENGTH_MAX or "\0" in text:
            raise ExpressionError("key", f"must be at most {_KEY_LENGTH_MAX} characters, without NUL")
        return Await(name, text, timeout_s)

    return wait
