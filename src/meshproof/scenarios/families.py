"""A run that starts another one, waits for its end, and goes on with its output."""

from __future__ import annotations

import json
from typing import Any

from meshproof import scenarios
from meshproof.scenarios import Expected
from meshproof.words import TEXTS

CHILD = "pipeline"
# The child's workflow has deliveries of its own as well.
BLEND = {"families": 3, CHILD: 1}

DEFINITION: dict[str, Any] = {
    "nodes": [
        {
            "id": "ask",
            "type": "sub_workflow",
            "config": {"workflow": f"@workflow:{CHILD}", "input": "{{ input.order }}"},
        },
        {"id": "both", "type": "transform", "config": {"expression": "{note: trigger.body.note, order: input}"}},
    ],
    "edges": [{"from": "trigger", "to": "ask"}, {"from": "ask", "to": "both"}],
}


def payload(seed: int, index: int) -> bytes:
    """An order for the child, and a note that stays with the parent."""
    order = json.loads(scenarios.load(CHILD).payload(seed, index))
    return json.dumps({"order": order, "note": TEXTS[index % len(TEXTS)], "number": index}).encode()


def model(body: bytes) -> Expected:
    """What the child gives, beside the note."""
    sent = json.loads(body)
    child = scenarios.load(CHILD).model(json.dumps(sent["order"]).encode())
    return Expected("completed", {"note": sent["note"], "order": child.output})
