"""Schedules tick while deliveries arrive: by interval and by cron, some with runs that last longer than from tick to tick."""

from __future__ import annotations

import json
from typing import Any

from meshproof.draw import Draw
from meshproof.placing import HERE
from meshproof.scenarios import Act, Expected, Schedule
from meshproof.words import NAMES, dump

LONG_NAP_S = 1.6
SECOND_US = 1_000_000


def _schedule(name: str, nap_s: float, **times: Any) -> dict[str, Any]:
    told = {"schedule": name, "tick": "{{ trigger.tick }}", "nap_s": nap_s}
    return {"workflow": HERE, "input": told, **times}


# A run that naps for longer than a second meets the next ticks of its schedule.
DOCUMENTS = {
    "interval": _schedule("interval", 0, every_s=1),
    "cron": _schedule("cron", 0, cron="*/2 * * * * *"),
    "skipping": _schedule("skipping", LONG_NAP_S, every_s=1, overlap="skip"),
    "queueing": _schedule("queueing", LONG_NAP_S, every_s=1, overlap="queue"),
    "making-up": _schedule("making-up", 0, every_s=1, missed="all", grace_s=1),
    "letting-go": _schedule("letting-go", 0, every_s=1, missed="skip", grace_s=1),
}

SCHEDULES = {
    name: Schedule(
        every_us=2 * SECOND_US if name == "cron" else SECOND_US,
        overlap=document.get("overlap", "allow"),
        missed=document.get("missed", "once"),
        grace_s=document.get("grace_s", 60),
    )
    for name, document in DOCUMENTS.items()
}

# They are paused before the sending ends, so that the last run comes to an end too.
ACTS = (
    *(
        Act(f"begin {name}", 0.0, "PUT", f"/api/v1/schedules/{HERE}-{name}", document)
        for name, document in DOCUMENTS.items()
    ),
    *(Act(f"pause {name}", 0.95, "POST", f"/api/v1/schedules/{HERE}-{name}/pause") for name in DOCUMENTS),
)

DEFINITION: dict[str, Any] = {
    "nodes": [
        {
            "id": "route",
            "type": "branch",
            "config": {"conditions": [{"port": "long", "when": "input.nap_s > `0`"}], "default": "short"},
        },
        {"id": "nap", "type": "delay", "config": {"seconds": "{{ input.nap_s }}"}},
        {"id": "both", "type": "join", "config": {"mode": "any"}},
        {
            "id": "told",
            "type": "transform",
            "config": {"expression": "{schedule: trigger.body.schedule, tick: trigger.body.tick}"},
        },
    ],
    "edges": [
        {"from": "trigger", "to": "route"},
        {"from": "route", "port": "long", "to": "nap"},
        {"from": "route", "port": "short", "to": "both"},
        {"from": "nap", "to": "both"},
        {"from": "both", "to": "told"},
    ],
}


def payload(seed: int, index: int) -> bytes:
    """A delivery to the same workflow: what a schedule gives its runs, given by hand."""
    draw = Draw(seed, "schedules", index)
    return dump(draw, {"schedule": draw.pick(NAMES), "tick": f"none {index}", "nap_s": 0, "seed": seed})


def model(body: bytes) -> Expected:
    """What it was told."""
    sent = json.loads(body)
    return Expected("completed", {"schedule": sent["schedule"], "tick": sent["tick"]})
