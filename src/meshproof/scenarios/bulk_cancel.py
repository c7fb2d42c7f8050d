"""Many runs are cancelled, and failed ones begun again, by operations while runs wait, sleep and call."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Any

from meshproof.draw import Draw
from meshproof.placing import HERE
from meshproof.scenarios import SINK, Act, Expected
from meshproof.words import NAMES, dump

# A run that waits is ended by a cancellation alone; one that sleeps or calls may be faster; one that fails is begun again.
FATES = ("waits", "waits", "sleeps", "calls", "calls", "fails")
CANCELLABLE = True
LONG_S, NAP_S, CALL_MS = 600, 1.0, 700

CANCEL, REPLAY = "cancel", "replay"


def _operation(kind: str, at: float) -> Act:
    document = {"kind": kind, "filter": {"workflow": HERE}}
    return Act(kind, at, "POST", "/api/v1/operations", document, followed=True)


# The last one comes when all has been sent: after it nobody waits any more.
ACTS = (
    _operation(CANCEL, 0.3),
    _operation(REPLAY, 0.5),
    _operation(CANCEL, 0.7),
    _operation(REPLAY, 0.9),
    _operation(CANCEL, 1.1),
)

DEFINITION: dict[str, Any] = {
    "nodes": [
        {
            "id": "route",
            "type": "branch",
            "config": {
                "conditions": [
                    {"port": fate, "when": f"input.fate == '{fate}'"} for fate in ("waits", "sleeps", "calls")
                ],
                "default": "fails",
            },
        },
        {
            "id": "wait",
            "type": "wait_event",
            "config": {"event": "never", "key": "{{ input.number }}", "timeout_s": LONG_S},
        },
        {"id": "nap", "type": "delay", "config": {"seconds": NAP_S}},
        {
            "id": "call",
            "type": "http_call",
            "config": {
                "method": "POST",
                "url": f"{SINK}/calls/{{{{ input.number }}}}",
                "headers": {"sink-script": "{{ input.script }}"},
                "text": "{{ input.name }} {{ input.number }}",
                "timeout_s": 10,
                "retry": {"attempts": 8, "backoff_s": 0.05, "backoff_max_s": 1},
            },
        },
        {"id": "give_up", "type": "terminate", "config": {"status": "failed", "output": "{{ input.number }}"}},
        {"id": "slept", "type": "transform", "config": {"expression": "trigger.body.name"}},
        {"id": "receipt", "type": "transform", "config": {"expression": "input.body.receipt"}},
    ],
    "edges": [
        {"from": "trigger", "to": "route"},
        {"from": "route", "port": "waits", "to": "wait"},
        {"from": "route", "port": "sleeps", "to": "nap"},
        {"from": "route", "port": "calls", "to": "call"},
        {"from": "route", "port": "fails", "to": "give_up"},
        {"from": "nap", "to": "slept"},
        {"from": "call", "to": "receipt"},
    ],
}


def payload(seed: int, index: int) -> bytes:
    """What a run is at when it may be cancelled; one call in three is refused once before."""
    draw = Draw(seed, "bulk_cancel", index)
    script = ("503 " if draw.chance(0.33) else "") + f"200;ms={draw.pick((1, CALL_MS))}"
    sent = {"fate": draw.pick(FATES), "name": draw.pick(NAMES), "number": index, "script": script}
    return dump(draw, sent | {"seed": seed})


def model(body: bytes) -> Expected:
    """How it ends when nobody cancels it; who waits is always cancelled."""
    sent = json.loads(body)
    match sent["fate"]:
        case "waits":
            return Expected("cancelled", None)
        case "sleeps":
            return Expected("completed", sent["name"])
        case "calls":
            return Expected("completed", sha256(f"{sent['name']} {sent['number']}".encode()).hexdigest())
    return Expected("failed", sent["number"])
