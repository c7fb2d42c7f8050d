"""One call that is answered at once."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Any

from meshproof.draw import Draw
from meshproof.scenarios import SINK, Expected
from meshproof.words import dump

DEFINITION: dict[str, Any] = {
    "nodes": [
        {
            "id": "call",
            "type": "http_call",
            "config": {"method": "POST", "url": f"{SINK}/call", "text": "{{ input.token }}"},
        },
        {"id": "receipt", "type": "transform", "config": {"expression": "input.body.receipt"}},
    ],
    "edges": [{"from": "trigger", "to": "call"}, {"from": "call", "to": "receipt"}],
}


def payload(seed: int, index: int) -> bytes:
    """A token."""
    draw = Draw(seed, "call", index)
    return dump(draw, {"token": f"{draw.bits(64):016x}", "number": index})


def model(body: bytes) -> Expected:
    """The receipt is of what was sent."""
    return Expected("completed", sha256(str(json.loads(body)["token"]).encode()).hexdigest())
