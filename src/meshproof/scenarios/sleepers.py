"""Runs that sleep for most of a minute: all that arrive within 40 seconds are asleep at once."""

from __future__ import annotations

import json
from typing import Any

from meshproof.draw import Draw
from meshproof.scenarios import Expected
from meshproof.words import NAMES, dump

# At 2,500 a second for 40 seconds, 100,000 sleep at once.
SHORTEST_S, LONGEST_S = 40, 60
DRAIN_S = LONGEST_S + 60.0

DEFINITION: dict[str, Any] = {
    "nodes": [
        {"id": "nap", "type": "delay", "config": {"seconds": 1}},
        {"id": "sleep", "type": "delay", "config": {"seconds": "{{ input.seconds }}"}},
        {"id": "awake", "type": "transform", "config": {"expression": "{name: input.name, slept: input.seconds}"}},
    ],
    "edges": [
        {"from": "trigger", "to": "nap"},
        {"from": "nap", "to": "sleep"},
        {"from": "sleep", "to": "awake"},
    ],
}


def payload(seed: int, index: int) -> bytes:
    """How long to sleep, in whole seconds."""
    draw = Draw(seed, "sleepers", index)
    seconds = draw.between(SHORTEST_S, LONGEST_S)
    return dump(draw, {"name": draw.pick(NAMES), "seconds": seconds, "number": index, "seed": seed})


def model(body: bytes) -> Expected:
    """Waiting changes nothing."""
    sent = json.loads(body)
    return Expected("completed", {"name": sent["name"], "slept": sent["seconds"]})
