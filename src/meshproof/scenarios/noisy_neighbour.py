"""A quiet project, first alone, then beside another that holds a backlog of 100,000 runs."""

from __future__ import annotations

import json
from typing import Any

from meshproof.draw import Draw
from meshproof.scenarios import Backlog, Expected, canary
from meshproof.words import NAMES, dump

PROJECT = "quiet"
BACKLOG = Backlog("noise", 100_000)

DEFINITION: dict[str, Any] = {
    "nodes": [
        {"id": "payment", "type": "transform", "config": {"template": "{{ input.name }} has paid"}},
        {"id": "receipt", "type": "transform", "config": {"expression": "{number: trigger.body.number, said: input}"}},
    ],
    "edges": [{"from": "trigger", "to": "payment"}, {"from": "payment", "to": "receipt"}],
}


def payload(seed: int, index: int) -> bytes:
    """Somebody's name, a number, and a canary of its project."""
    draw = Draw(seed, "noisy_neighbour", index)
    song = canary(PROJECT, f"{draw.bits(64):016x}")
    return dump(draw, {"name": draw.pick(NAMES), "number": index, "canary": song})


def model(body: bytes) -> Expected:
    """A receipt, whoever else is busy."""
    sent = json.loads(body)
    return Expected("completed", {"number": sent["number"], "said": f"{sent['name']} has paid"})
