"""One transform: a greeting out of whatever a sender sends."""

from __future__ import annotations

import json
from typing import Any

from meshproof.draw import Draw
from meshproof.scenarios import Expected
from meshproof.words import NAMES, NOTHINGS, NUMBERS, TEXTS, dump

DEFINITION: dict[str, Any] = {
    "nodes": [
        {
            "id": "greet",
            "type": "transform",
            "config": {
                "template": {
                    "id": "{{ input.id }}",
                    "greeting": "Hello {{ input.name }}, you have {{ length(input.tags) }} tags",
                    "letters": "{{ length(input.note) }}",
                    "note": "{{ input.note }}",
                    "value": "{{ input.value }}",
                    "absent": "{{ input.no.such.path }}",
                    "kept": ["as it is", 1, None],
                }
            },
        }
    ],
    "edges": [{"from": "trigger", "to": "greet"}],
}


def payload(seed: int, index: int) -> bytes:
    """An id, a name (sometimes null), a note, tags (often none) and a value of any kind."""
    draw = Draw(seed, "simple", index)
    # One in fifty carries a NUL, which JSON allows and Postgres does not.
    note = "nul\u0000byte" if draw.chance(0.02) else draw.pick(TEXTS)
    return dump(
        draw,
        {
            "id": index,
            "name": draw.pick((*NAMES, None)),
            "note": note,
            "tags": [draw.pick(TEXTS) for _ in range(draw.below(4))],
            "value": draw.pick((*NUMBERS, *NOTHINGS, {"nested": [1, [2, {"deep": None}]]})),
        },
    )


def model(body: bytes) -> Expected:
    """The greeting: `null` becomes no text at all, lengths count characters and not bytes."""
    sent = json.loads(body)
    return Expected(
        "completed",
        {
            "id": sent["id"],
            "greeting": f"Hello {sent['name'] or ''}, you have {len(sent['tags'])} tags",
            "letters": len(sent["note"]),
            "note": sent["note"],
            "value": sent["value"],
            "absent": None,
            "kept": ["as it is", 1, None],
        },
    )
