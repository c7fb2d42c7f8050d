"""Callers who wait for what their run answers: most hear it in time, some are told where to look for it later."""

from __future__ import annotations

import json
from typing import Any

from meshproof.draw import Draw
from meshproof.scenarios import Expected, Reply
from meshproof.words import NAMES, dump

WAIT_S = 4
STATUS = 201
CONFIG = {"mode": "sync", "wait_s": WAIT_S}
# With thousands of callers none is to be told to look later only because so many wait.
ENGINE = {"sync_waiting_max": "20000"}

# Some are done in one go, some sleep, and one in eight for longer than its caller waits. A caller waits 1.7 seconds in the middle:
# at 1,000 a second 1,700 wait at once.
NAPS_S = (0, 0, 0.5, 1, 2, 3, 3, 1.5 * WAIT_S)

DEFINITION: dict[str, Any] = {
    "nodes": [
        {
            "id": "route",
            "type": "branch",
            "config": {"conditions": [{"port": "tired", "when": "input.nap_s > `0`"}], "default": "awake"},
        },
        {"id": "nap", "type": "delay", "config": {"seconds": "{{ input.nap_s }}"}},
        {"id": "awake", "type": "join", "config": {"mode": "any"}},
        {
            "id": "answer",
            "type": "transform",
            "config": {
                "expression": "{nonce: trigger.body.nonce, number: trigger.body.number, name: trigger.body.name}",
            },
        },
        {"id": "told", "type": "respond", "config": {"status": STATUS}},
    ],
    "edges": [
        {"from": "trigger", "to": "route"},
        {"from": "route", "port": "tired", "to": "nap"},
        {"from": "route", "port": "awake", "to": "awake"},
        {"from": "nap", "to": "awake"},
        {"from": "awake", "to": "answer"},
        {"from": "answer", "to": "told"},
    ],
}


def payload(seed: int, index: int) -> bytes:
    """A nonce, by which an answer can be told from everybody else's."""
    draw = Draw(seed, "sync_reply", index)
    sent = {"nonce": f"{draw.bits(64):016x}", "number": index, "name": draw.pick(NAMES), "nap_s": draw.pick(NAPS_S)}
    return dump(draw, sent)


def reply(body: bytes) -> Reply:
    """His own nonce."""
    return Reply(STATUS, model(body).output)


def model(body: bytes) -> Expected:
    """What was answered is what the run gives, whether anybody still waited or not."""
    sent = json.loads(body)
    return Expected("completed", {"nonce": sent["nonce"], "number": sent["number"], "name": sent["name"]})
