"""Ten steps, each on the output of the one before."""

from __future__ import annotations

import json
from typing import Any

from meshproof.draw import Draw
from meshproof.scenarios import Expected
from meshproof.words import NAMES, dump

STEPS = 10


def _step(number: int) -> dict[str, Any]:
    value = f"sum([input.value, `{number}`])"
    trail = f"join('>', [input.trail, '{number}'])"
    expression = f"{{value: {value}, trail: {trail}, label: trigger.body.label}}"
    return {"id": f"step_{number}", "type": "transform", "config": {"expression": expression}}


DEFINITION: dict[str, Any] = {
    "nodes": [_step(number) for number in range(1, STEPS + 1)],
    "edges": [
        {"from": "trigger" if number == 1 else f"step_{number - 1}", "to": f"step_{number}"}
        for number in range(1, STEPS + 1)
    ],
}


def payload(seed: int, index: int) -> bytes:
    """A number to count on from, a trail to lengthen, a label to carry."""
    draw = Draw(seed, "chain", index)
    return dump(
        draw,
        {
            "value": draw.between(-1_000_000_000_000, 1_000_000_000_000),
            "trail": draw.pick(NAMES),
            "label": draw.pick(NAMES),
        },
    )


def model(body: bytes) -> Expected:
    """Each step adds its number once, and in its turn."""
    sent = json.loads(body)
    numbers = range(1, STEPS + 1)
    return Expected(
        "completed",
        {
            "value": sent["value"] + sum(numbers),
            "trail": ">".join([sent["trail"], *map(str, numbers)]),
            "label": sent["label"],
        },
    )
