"""Five in a hundred attempts are redeliveries, one in a hundred reuses an id with another body."""

from __future__ import annotations

import json
from typing import Any

from meshproof.draw import Draw
from meshproof.scenarios import Expected
from meshproof.words import NAMES, dump

REDELIVERED = 0.05
CONFLICTED = 0.01

DEFINITION: dict[str, Any] = {
    "nodes": [
        {
            "id": "payment",
            "type": "transform",
            "config": {"expression": "{id: input.id, payer: input.payer, cents: input.cents, paid: input.cents > `0`}"},
        },
        {
            "id": "receipt",
            "type": "transform",
            "config": {"template": {"text": "{{ input.payer }} paid {{ input.cents }}", "paid": "{{ input.paid }}"}},
        },
    ],
    "edges": [{"from": "trigger", "to": "payment"}, {"from": "payment", "to": "receipt"}],
}


def payload(seed: int, index: int) -> bytes:
    """A payment; no two indexes have the same body, so another index is always another body."""
    draw = Draw(seed, "duplicates", index)
    return dump(draw, {"id": index, "payer": draw.pick(NAMES), "cents": draw.below(100_000)})


def model(body: bytes) -> Expected:
    """One receipt."""
    sent = json.loads(body)
    return Expected("completed", {"text": f"{sent['payer']} paid {sent['cents']}", "paid": sent["cents"] > 0})
