"""Runs that wait for an event of their own: it comes early, late, twice or never, or the run is cancelled instead."""

from __future__ import annotations

import json
from typing import Any

from meshproof.draw import Draw
from meshproof.scenarios import Expected, Signal
from meshproof.words import NAMES, dump

EVENT = "parcel.arrived"
NAP_S, SHORT_S, LONG_S = 0.5, 1, 300

# What becomes of a run. `early` comes while it sleeps still, before it waits.
FATES = ("early", "late", "late", "twice", "never", "cancelled")
LATE_S = 1.0

DEFINITION: dict[str, Any] = {
    "nodes": [
        {"id": "nap", "type": "delay", "config": {"seconds": NAP_S}},
        {
            "id": "route",
            "type": "branch",
            "config": {"conditions": [{"port": "short", "when": "input.fate == 'never'"}], "default": "long"},
        },
        {
            "id": "wait",
            "type": "wait_event",
            "config": {"event": EVENT, "key": "{{ input.key }}", "timeout_s": LONG_S},
        },
        {
            "id": "glance",
            "type": "wait_event",
            "config": {"event": EVENT, "key": "{{ input.key }}", "timeout_s": SHORT_S},
        },
        {"id": "told", "type": "transform", "config": {"expression": "{key: trigger.body.key, parcel: input}"}},
        {"id": "silence", "type": "transform", "config": {"expression": "{key: input.key, parcel: `null`}"}},
    ],
    "edges": [
        {"from": "trigger", "to": "nap"},
        {"from": "nap", "to": "route"},
        {"from": "route", "port": "long", "to": "wait"},
        {"from": "route", "port": "short", "to": "glance"},
        {"from": "wait", "to": "told"},
        {"from": "glance", "port": "timeout", "to": "silence"},
    ],
}


def payload(seed: int, index: int) -> bytes:
    """What becomes of the run, and what its event will tell."""
    draw = Draw(seed, "signals", index)
    parcel = {"to": draw.pick(NAMES), "grams": draw.below(100_000)}
    return dump(draw, {"key": f"{seed}-{index}", "fate": draw.pick(FATES), "parcel": parcel})


def signals(body: bytes) -> tuple[Signal, ...]:
    """What is sent to the run of a body, once it is stored."""
    sent = json.loads(body)
    event = Signal(0.0, "event", EVENT, sent["key"], sent["parcel"])
    match sent["fate"]:
        case "early":
            return (event,)
        case "late":
            return (event._replace(after_s=LATE_S),)
        case "twice":
            return (event._replace(after_s=LATE_S), event._replace(after_s=LATE_S))
        case "cancelled":
            # What comes after its end must not wake it.
            return (Signal(LATE_S, "cancel"), event._replace(after_s=2 * LATE_S))
    return ()


def model(body: bytes) -> Expected:
    """It does not matter when an event comes, nor how often it is sent."""
    sent = json.loads(body)
    match sent["fate"]:
        case "cancelled":
            return Expected("cancelled", None)
        case "never":
            return Expected("completed", {"key": sent["key"], "parcel": None})
    return Expected("completed", {"key": sent["key"], "parcel": sent["parcel"]})
