"""Everything that arrives waits for the same moment, and then wakes at once."""

from __future__ import annotations

import json
from typing import Any

from meshproof.draw import Draw
from meshproof.scenarios import Expected
from meshproof.words import NAMES, dump

# Deliveries that arrive later than that do not wait at all.
DEFINITION: dict[str, Any] = {
    "nodes": [
        {"id": "bell", "type": "delay", "config": {"until": "@in:20s"}},
        {"id": "awake", "type": "transform", "config": {"expression": "{name: input.name, number: input.number}"}},
    ],
    "edges": [{"from": "trigger", "to": "bell"}, {"from": "bell", "to": "awake"}],
}


def payload(seed: int, index: int) -> bytes:
    """A name and a number."""
    draw = Draw(seed, "timer_herd", index)
    return dump(draw, {"name": draw.pick(NAMES), "number": index, "seed": seed})


def model(body: bytes) -> Expected:
    """Waiting changes nothing."""
    sent = json.loads(body)
    return Expected("completed", {"name": sent["name"], "number": sent["number"]})
