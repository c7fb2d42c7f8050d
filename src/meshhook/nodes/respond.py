"""``respond``: answers the caller who waits at a sync endpoint. The input passes through; only the first answer counts."""

from __future__ import annotations

import re
from typing import Any, Final

from meshhook.errors import ExpressionError
from meshhook.mapping import Faults, as_text, compile_template
from meshhook.model import DEFAULT_PORT, Context, Respond, Work

_HEADER_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}")
_RESERVED: Final = frozenset({"content-length", "transfer-encoding", "connection", "date", "set-cookie"})

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "status": {"type": "integer", "minimum": 200, "maximum": 599, "default": 200},
        "headers": {
            "type": "object",
            "maxProperties": 50,
            "additionalProperties": {"type": ["string", "number", "boolean"]},
            "description": "Templates by header name.",
        },
        "body": {"description": "A template: text is sent as text, anything else as JSON. The input when left out."},
    },
    "additionalProperties": False,
}


def ports(config: dict[str, Any]) -> list[str]:
    return [DEFAULT_PORT]


def compile(config: dict[str, Any], faults: Faults) -> Work:
    status = config.get("status", 200)
    headers = compile_template(config.get("headers", {}), ".headers", faults)
    body = compile_template(config.get("body", "{{ input }}"), ".body", faults)
    for name in config.get("headers", {}):
        if not _HEADER_NAME.fullmatch(name) or name.lower() in _RESERVED:
            faults.append((f".headers.{name}", ExpressionError(name, "is no header that can be set here")))

    def respond(context: Context) -> Respond:
        return Respond(status, _checked(headers(context)), body(context))

    return respond


def _checked(headers: dict[str, Any]) -> dict[str, str]:
    texts = {name.lower(): as_text(value) for name, value in headers.items()}
    for name, text in texts.items():
        if any(ord(letter) < 32 or ord(letter) > 126 for letter in text):
            raise ExpressionError(f"headers.{name}", "the value holds a character no header can carry")
    return texts
