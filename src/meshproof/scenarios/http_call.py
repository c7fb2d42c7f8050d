"""One call to a server that is slow, refuses, breaks off or says nothing; some calls fail for good."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Any

from meshproof.draw import Draw
from meshproof.scenarios import SINK, Expected
from meshproof.words import TEXTS, dump

ATTEMPTS = 8

# One attempt may hang for this long; few do, since a run of theirs takes as long.
TIMEOUT_S = 4

DEFINITION: dict[str, Any] = {
    "nodes": [
        {
            "id": "charge",
            "type": "http_call",
            "config": {
                "method": "POST",
                "url": f"{SINK}/charges/{{{{ input.id }}}}",
                "headers": {"sink-script": "{{ input.script }}"},
                "text": "{{ input.message }}",
                "timeout_s": TIMEOUT_S,
                "retry": {"attempts": ATTEMPTS, "backoff_s": 0.05, "backoff_max_s": 1},
            },
        },
        {
            "id": "result",
            "type": "transform",
            "config": {"expression": "{id: trigger.body.id, status: input.status, receipt: input.body.receipt}"},
        },
    ],
    "edges": [{"from": "trigger", "to": "charge"}, {"from": "charge", "to": "result"}],
}

# What goes wrong before a call succeeds, at most three times: the attempts left over are for workers that are killed.
TROUBLES = ("503", "503;after=1", "429;after=1", "500", "502;ms=20", "reset", "reset;ms=5", "cut", "408", "425")
# What cannot be mended by trying again: refusals of this one request, and a server that never recovers.
FOR_GOOD = ("422", "404", "400;ms=10", "503", "reset")


def payload(seed: int, index: int) -> bytes:
    """A message, and what the other side makes of it."""
    draw = Draw(seed, "http_call", index)
    words = [draw.pick(TROUBLES) for _ in range(max(0, draw.between(-6, 3)))]
    fate = draw.below(100)
    if fate < 2:
        words.append("hang")
    words.append(draw.pick(FOR_GOOD) if fate >= 95 else _success(draw))
    message = f"{draw.pick(TEXTS)} {index}"
    return dump(draw, {"id": index, "message": message, "script": " ".join(words), "seed": seed})


def _success(draw: Draw) -> str:
    latency_ms = draw.pick((0, 0, 0, 1, 5, 20, 80, 250))
    return f"{draw.pick((200, 200, 201))};ms={latency_ms}" + (";slow=40" if draw.chance(0.05) else "")


def model(body: bytes) -> Expected:
    """What the last word of the script says; everything before it is worth another attempt."""
    sent = json.loads(body)
    last = sent["script"].split()[-1].partition(";")[0]
    if last not in ("200", "201"):
        return Expected("failed", None)
    receipt = sha256(sent["message"].encode()).hexdigest()
    return Expected("completed", {"id": sent["id"], "status": int(last), "receipt": receipt})
