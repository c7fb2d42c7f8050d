"""Two steps, one run of a key at a time, strictly in the order of acceptance."""

from __future__ import annotations

import json
from typing import Any

from meshproof.draw import Draw
from meshproof.scenarios import Expected
from meshproof.words import NAMES, dump

KEYS = 8

# What the judge holds the limits against: so many runs of a lane at once. At one, their order counts as well.
SLOTS = 1

DEFINITION: dict[str, Any] = {
    "nodes": [
        {"id": "payment", "type": "transform", "config": {"expression": "{account: input.account, name: input.name}"}},
        {
            "id": "receipt",
            "type": "transform",
            "config": {"expression": "{account: input.account, name: input.name, number: trigger.body.number}"},
        },
    ],
    "edges": [{"from": "trigger", "to": "payment"}, {"from": "payment", "to": "receipt"}],
    "settings": {"concurrency": {"limit": SLOTS, "key": "input.account"}},
}


def payload(seed: int, index: int) -> bytes:
    """One of a few accounts, and what happened on it."""
    draw = Draw(seed, "ordered_keys", index)
    account = f"account {draw.below(KEYS)}"
    return dump(draw, {"account": account, "name": draw.pick(NAMES), "number": index, "seed": seed})


def lane(body: bytes) -> str:
    """Runs of one account share a lane."""
    account: str = json.loads(body)["account"]
    return account


def model(body: bytes) -> Expected:
    """Waiting in line changes nothing."""
    sent = json.loads(body)
    return Expected("completed", {"account": sent["account"], "name": sent["name"], "number": sent["number"]})
