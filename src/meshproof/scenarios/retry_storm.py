"""Every call is refused two to four times, and asked to come back at the same time as all the others."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Any

from meshproof.draw import Draw
from meshproof.scenarios import SINK, Expected
from meshproof.words import NAMES, dump

DRAIN_S = 90.0
ATTEMPTS = 10

DEFINITION: dict[str, Any] = {
    "nodes": [
        {
            "id": "push",
            "type": "http_call",
            "config": {
                "method": "PUT",
                "url": f"{SINK}/storm",
                "query": {"id": "{{ input.id }}"},
                "headers": {"sink-script": "{{ input.script }}"},
                "text": "{{ input.name }} {{ input.id }}",
                "retry": {"attempts": ATTEMPTS, "backoff_s": 0.2, "backoff_max_s": 5},
            },
        },
        {"id": "proof", "type": "transform", "config": {"expression": "input.body"}},
    ],
    "edges": [{"from": "trigger", "to": "push"}, {"from": "push", "to": "proof"}],
}


def payload(seed: int, index: int) -> bytes:
    """Refusals that all ask for the same pause, then success."""
    draw = Draw(seed, "retry_storm", index)
    refusals = [draw.pick(("503;after=2", "429;after=2", "503", "reset")) for _ in range(draw.between(2, 4))]
    return dump(draw, {"id": index, "seed": seed, "name": draw.pick(NAMES), "script": " ".join([*refusals, "200"])})


def model(body: bytes) -> Expected:
    """Nobody gives up: a refusal is worth another attempt, and there are more attempts than refusals."""
    sent = json.loads(body)
    return Expected("completed", {"receipt": sha256(f"{sent['name']} {sent['id']}".encode()).hexdigest()})
