"""Fifty parallel steps, joined."""

from __future__ import annotations

import json
from typing import Any

from meshproof.draw import Draw
from meshproof.scenarios import Expected
from meshproof.words import NAMES, dump

WIDTH = 50
IDS = [f"part_{number:02d}" for number in range(WIDTH)]

DEFINITION: dict[str, Any] = {
    "nodes": [
        *(
            {
                "id": IDS[number],
                "type": "transform",
                "config": {
                    "expression": (
                        f"{{part: `{number}`, value: sum([input.base, `{number}`]), row: input.rows[{number}]}}"
                    )
                },
            }
            for number in range(WIDTH)
        ),
        {"id": "all", "type": "join", "config": {"mode": "all"}},
    ],
    "edges": [
        *({"from": "trigger", "to": node} for node in IDS),
        *({"from": node, "to": "all"} for node in IDS),
    ],
}


def payload(seed: int, index: int) -> bytes:
    """A base number, and rows for some of the parts only."""
    draw = Draw(seed, "wide", index)
    return dump(
        draw,
        {"base": draw.between(-1_000_000, 1_000_000), "rows": [draw.pick(NAMES) for _ in range(draw.below(WIDTH + 1))]},
    )


def model(body: bytes) -> Expected:
    """Every part once, under its own name; a part beyond the last row has none."""
    sent = json.loads(body)
    rows = sent["rows"]
    return Expected(
        "completed",
        {
            node: {"part": number, "value": sent["base"] + number, "row": rows[number] if number < len(rows) else None}
            for number, node in enumerate(IDS)
        },
    )
