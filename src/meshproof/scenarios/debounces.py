"""Deliveries of one key in quick succession: a run starts when it has been quiet for a while, with the last of them."""

from __future__ import annotations

import json
from typing import Any

from meshproof.draw import Draw
from meshproof.scenarios import Expected, Gather
from meshproof.words import NAMES, dump

REDELIVERED = 0.05
ORDERS = 12

# Some orders are quiet for so long now and then; those that never are start all the same when the longest is over.
GATHER = Gather("debounce", wait_s=0.4, longest_s=1.5, size_max=10_000)
CONFIG = {"debounce": {"key": "input.order", "wait_s": GATHER.wait_s, "max_wait_s": GATHER.longest_s}}

DEFINITION: dict[str, Any] = {
    "nodes": [
        {
            "id": "last",
            "type": "transform",
            "config": {"expression": "{order: input.order, number: input.number, name: trigger.body.name}"},
        },
    ],
    "edges": [{"from": "trigger", "to": "last"}],
}


def payload(seed: int, index: int) -> bytes:
    """Another state of an order."""
    draw = Draw(seed, "debounces", index)
    return dump(draw, {"order": f"o{draw.below(ORDERS)}", "number": index, "name": draw.pick(NAMES), "seed": seed})


def gathered_by(body: bytes) -> str:
    """The states of one order come together."""
    return str(json.loads(body)["order"])


def model(body: bytes) -> Expected:
    """The last state."""
    sent = json.loads(body)
    return Expected("completed", {"order": sent["order"], "number": sent["number"], "name": sent["name"]})
