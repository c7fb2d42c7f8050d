"""One call to a slow server, three of a customer at once."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Any

from meshproof.draw import Draw
from meshproof.scenarios import SINK, Expected
from meshproof.words import NAMES, dump

KEYS = 12
SLOTS = 3
DRAIN_S = 120.0

DEFINITION: dict[str, Any] = {
    "nodes": [
        {
            "id": "charge",
            "type": "http_call",
            "config": {
                "method": "POST",
                "url": f"{SINK}/charges/{{{{ input.number }}}}",
                "headers": {"sink-script": "{{ input.script }}"},
                "text": "{{ input.name }} {{ input.number }}",
                "timeout_s": 10,
                "retry": {"attempts": 8, "backoff_s": 0.05, "backoff_max_s": 1},
            },
        },
        {
            "id": "result",
            "type": "transform",
            "config": {
                "expression": "{number: trigger.body.number, status: input.status, receipt: input.body.receipt}"
            },
        },
    ],
    "edges": [{"from": "trigger", "to": "charge"}, {"from": "charge", "to": "result"}],
    "settings": {"concurrency": {"limit": SLOTS, "key": "input.customer"}},
}


def payload(seed: int, index: int) -> bytes:
    """A customer, and a call that takes a moment; one in four is refused once, and gives its slot back until it is tried again."""
    draw = Draw(seed, "key_limits", index)
    words = ["503"] if draw.chance(0.25) else []
    words.append(f"200;ms={draw.pick((0, 5, 20, 60))}")
    sent = {"customer": draw.below(KEYS), "name": draw.pick(NAMES), "number": index, "script": " ".join(words)}
    return dump(draw, sent | {"seed": seed})


def lane(body: bytes) -> str:
    """Runs of one customer share a lane."""
    return str(json.loads(body)["customer"])


def model(body: bytes) -> Expected:
    """The receipt of the message; whoever waited in line gets the same."""
    sent = json.loads(body)
    receipt = sha256(f"{sent['name']} {sent['number']}".encode()).hexdigest()
    return Expected("completed", {"number": sent["number"], "status": 200, "receipt": receipt})
