"""New versions are published while deliveries arrive and runs are under way: each run keeps to the version it began with."""

from __future__ import annotations

import json
from typing import Any

from meshproof.draw import Draw
from meshproof.placing import HERE
from meshproof.scenarios import Act, Expected
from meshproof.words import NAMES, dump

REVISIONS = 5
NAP_S = 0.4


def definition(revision: int) -> dict[str, Any]:
    """Both steps tell which revision they are of; a run sleeps in between, so that others are published meanwhile."""
    return {
        "nodes": [
            {
                "id": "first",
                "type": "transform",
                "config": {"expression": f"{{revision: `{revision}`, name: input.name}}"},
            },
            {"id": "nap", "type": "delay", "config": {"seconds": NAP_S}},
            {
                "id": "second",
                "type": "transform",
                "config": {
                    "expression": f"{{name: steps.first.name, began: steps.first.revision, ended: `{revision}`}}"
                },
            },
        ],
        "edges": [
            {"from": "trigger", "to": "first"},
            {"from": "first", "to": "nap"},
            {"from": "nap", "to": "second"},
        ],
    }


DEFINITION: dict[str, Any] = definition(1)

PUBLISH = "publish"
ACTS = tuple(
    act
    for revision in range(2, REVISIONS + 1)
    for act in (
        Act(f"draft {revision}", (revision - 1) / REVISIONS, "PUT", f"/api/v1/workflows/{HERE}", definition(revision)),
        Act(PUBLISH, (revision - 1) / REVISIONS, "POST", f"/api/v1/workflows/{HERE}/versions"),
    )
)


def payload(seed: int, index: int) -> bytes:
    """A name."""
    draw = Draw(seed, "publish_under_load", index)
    return dump(draw, {"name": draw.pick(NAMES), "number": index, "seed": seed})


def model_of(body: bytes, version: int) -> Expected:
    """All of it as that version says."""
    return Expected("completed", {"name": json.loads(body)["name"], "began": version, "ended": version})


def model(body: bytes) -> Expected:
    """What the first version gives."""
    return model_of(body, 1)
