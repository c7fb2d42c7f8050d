"""Deliveries gathered by a key: several become one run, in batches here, and the last of several in `debounces`."""

from __future__ import annotations

import json
from typing import Any

from meshproof.draw import Draw
from meshproof.scenarios import Expected, Gather
from meshproof.words import NAMES, dump

BLEND = {"gatherings": 1, "debounces": 1}
REDELIVERED = 0.05
CUSTOMERS = 6

# At six or more deliveries of a customer a second some batches are full, and others end because their time is over.
GATHER = Gather("batch", wait_s=0.6, longest_s=0.6, size_max=5)
CONFIG = {"batch": {"key": "input.customer", "size_max": GATHER.size_max, "wait_s": GATHER.wait_s}}

DEFINITION: dict[str, Any] = {
    "nodes": [
        {
            "id": "all",
            "type": "transform",
            "config": {"expression": "{customer: input[0].customer, numbers: input[].number, names: input[].name}"},
        },
    ],
    "edges": [{"from": "trigger", "to": "all"}],
}


def payload(seed: int, index: int) -> bytes:
    """What somebody has ordered, one of many."""
    draw = Draw(seed, "gatherings", index)
    return dump(
        draw, {"customer": f"c{draw.below(CUSTOMERS)}", "number": index, "name": draw.pick(NAMES), "seed": seed}
    )


def gathered_by(body: bytes) -> str:
    """Deliveries of one customer come together."""
    return str(json.loads(body)["customer"])


def model(body: bytes) -> Expected:
    """All that came together, in order; `body` is the list of it, or the only one."""
    sent = json.loads(body)
    all = sent if isinstance(sent, list) else [sent]
    numbers, names = ([one[member] for one in all] for member in ("number", "name"))
    return Expected("completed", {"customer": all[0]["customer"], "numbers": numbers, "names": names})
