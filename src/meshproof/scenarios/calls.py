"""Five calls in a row, each answered at once, each with the receipt of the one before."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Any

from meshproof.draw import Draw
from meshproof.scenarios import SINK, Expected
from meshproof.words import dump

CALLS = 5


def _call(number: int) -> dict[str, Any]:
    before = "{{ input.token }}" if number == 1 else "{{ input.body.receipt }}"
    config = {"method": "POST", "url": f"{SINK}/calls/{number}", "text": f"{before} {number}"}
    return {"id": f"call_{number}", "type": "http_call", "config": config}


DEFINITION: dict[str, Any] = {
    "nodes": [
        *(_call(number) for number in range(1, CALLS + 1)),
        {"id": "last", "type": "transform", "config": {"expression": "input.body.receipt"}},
    ],
    "edges": [
        {"from": "trigger", "to": "call_1"},
        *({"from": f"call_{number}", "to": f"call_{number + 1}"} for number in range(1, CALLS)),
        {"from": f"call_{CALLS}", "to": "last"},
    ],
}


def payload(seed: int, index: int) -> bytes:
    """A token to begin with."""
    draw = Draw(seed, "calls", index)
    return dump(draw, {"token": f"{draw.bits(64):016x}", "number": index})


def model(body: bytes) -> Expected:
    """A chain of hashes: nothing in it can be left out or put elsewhere."""
    token = str(json.loads(body)["token"])
    for number in range(1, CALLS + 1):
        token = sha256(f"{token} {number}".encode()).hexdigest()
    return Expected("completed", token)
