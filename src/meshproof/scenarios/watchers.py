"""Two hundred subscribers of live streams in two projects, some slow, some breaking off, and an API that is restarted."""

from __future__ import annotations

import json
from typing import Any

from meshproof.draw import Draw
from meshproof.scenarios import HOME, RESTART, Act, Audience, Expected, canary
from meshproof.words import NAMES, dump

# The other is the same in a project of its own: nothing of it may be told here.
BLEND = {"watchers": 1, "watched_next_door": 1}
NAP_S = 0.2
AUDIENCE = Audience(
    of_workflows=160, of_runs=40, quitting_share=0.25, slow_share=0.05, stay_s=1.0, stay_in_run_s=NAP_S / 2
)

# Who watched must find the place where he was, in a process that knows nothing of him.
ACTS = (Act("restart the API", 0.5, RESTART, "api"),)

DEFINITION: dict[str, Any] = {
    "nodes": [
        {"id": "seen", "type": "transform", "config": {"expression": "{name: input.name, canary: input.canary}"}},
        {"id": "nap", "type": "delay", "config": {"seconds": NAP_S}},
        {
            "id": "told",
            "type": "transform",
            "config": {"expression": "{name: input.name, canary: trigger.body.canary}"},
        },
    ],
    "edges": [{"from": "trigger", "to": "seen"}, {"from": "seen", "to": "nap"}, {"from": "nap", "to": "told"}],
}


def payload(seed: int, index: int, project: str = HOME) -> bytes:
    """A name, and a canary of its project."""
    draw = Draw(seed, "watchers", project, index)
    song = canary(project, f"{draw.bits(64):016x}")
    return dump(draw, {"name": draw.pick(NAMES), "number": index, "canary": song})


def model(body: bytes) -> Expected:
    """Being watched changes nothing."""
    sent = json.loads(body)
    return Expected("completed", {"name": sent["name"], "canary": sent["canary"]})
