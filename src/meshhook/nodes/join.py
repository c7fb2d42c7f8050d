"""``join``: brings parallel paths together. What it waits for is decided by the machine, see ``Node.merges``."""

from __future__ import annotations

from typing import Any

from meshhook.mapping import Faults
from meshhook.model import DEFAULT_PORT, Completed, Work

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "mode": {
            "enum": ["all", "any"],
            "default": "all",
            "description": "all: when every live predecessor is done; any: at the first one.",
        }
    },
    "additionalProperties": False,
}


def ports(config: dict[str, Any]) -> list[str]:
    return [DEFAULT_PORT]


def compile(config: dict[str, Any], faults: Faults) -> Work:
    return lambda context: Completed(context["input"])
