"""Two projects with the same workflow, waiting for events of the same names and keys: nothing of one may be seen in the other."""

from __future__ import annotations

import json
from typing import Any

from meshproof.draw import Draw
from meshproof.scenarios import HOME, Expected, Signal, canary
from meshproof.words import NAMES, dump

# `neighbour` is the same in a project of its own.
BLEND = {"tenants": 1, "neighbour": 1}
EVENT = "song"
LONG_S = 300

DEFINITION: dict[str, Any] = {
    "nodes": [
        {
            "id": "listen",
            "type": "wait_event",
            "config": {"event": EVENT, "key": "bird {{ input.number }}", "timeout_s": LONG_S},
        },
        {"id": "heard", "type": "transform", "config": {"expression": "{canary: trigger.body.canary, heard: input}"}},
    ],
    "edges": [{"from": "trigger", "to": "listen"}, {"from": "listen", "to": "heard"}],
}


def payload(seed: int, index: int, project: str = HOME) -> bytes:
    """A canary of its project. The number, and so the key, occurs in both projects."""
    draw = Draw(seed, "tenants", project, index)
    song = canary(project, f"{draw.bits(64):016x}")
    return dump(draw, {"canary": song, "number": index, "name": draw.pick(NAMES)})


def signals(body: bytes) -> tuple[Signal, ...]:
    """The song of its own canary."""
    sent = json.loads(body)
    return (Signal(0.3, "event", EVENT, f"bird {sent['number']}", sent["canary"]),)


def model(body: bytes) -> Expected:
    """It hears its own."""
    song = json.loads(body)["canary"]
    return Expected("completed", {"canary": song, "heard": song})
