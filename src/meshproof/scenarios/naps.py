"""Runs that sleep twice for less than a second or two: what timers do, without waiting long for it."""

from __future__ import annotations

import json
from typing import Any

from meshproof.draw import Draw
from meshproof.scenarios import Expected
from meshproof.words import NAMES, dump

DEFINITION: dict[str, Any] = {
    "nodes": [
        {"id": "nap", "type": "delay", "config": {"seconds": 0.4}},
        {"id": "doze", "type": "delay", "config": {"seconds": "{{ input.seconds }}"}},
        {"id": "awake", "type": "transform", "config": {"expression": "{name: input.name, slept: input.seconds}"}},
    ],
    "edges": [
        {"from": "trigger", "to": "nap"},
        {"from": "nap", "to": "doze"},
        {"from": "doze", "to": "awake"},
    ],
}


def payload(seed: int, index: int) -> bytes:
    """How long to doze, in seconds."""
    draw = Draw(seed, "naps", index)
    seconds = draw.pick((0.2, 0.5, 1, 1.5))
    return dump(draw, {"name": draw.pick(NAMES), "seconds": seconds, "number": index, "seed": seed})


def model(body: bytes) -> Expected:
    """Waiting changes nothing."""
    sent = json.loads(body)
    return Expected("completed", {"name": sent["name"], "slept": sent["seconds"]})
