"""A payload of 200 kB, of which the run keeps a digest."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

from meshproof.draw import Draw
from meshproof.scenarios import Expected
from meshproof.words import NAMES, NUMBERS, TEXTS

BYTES = 200_000
BLOCKS = 64

DEFINITION: dict[str, Any] = {
    "nodes": [
        {
            "id": "digest",
            "type": "transform",
            "config": {
                "expression": (
                    "{id: input.id, count: length(input.rows), first: input.rows[0], last: input.rows[-1],"
                    " total: sum(input.rows[].cents), padding: length(input.padding)}"
                )
            },
        }
    ],
    "edges": [{"from": "trigger", "to": "digest"}],
}


@lru_cache(maxsize=BLOCKS)
def _block(seed: int, number: int) -> str:
    """Ten rows as JSON text, without brackets.

    Payloads are put together out of these, or making one would take longer than the engine takes to run it.
    """
    draw = Draw(seed, "large", "block", number)
    rows = [
        {
            "row": f"{number}-{row}",
            "name": draw.pick(NAMES),
            "text": draw.pick(TEXTS),
            "cents": draw.below(1_000_000),
            "number": draw.pick(NUMBERS),
            "tags": [None, [], {}],
        }
        for row in range(10)
    ]
    return json.dumps(rows, ensure_ascii=number % 2 == 0)[1:-1]


def payload(seed: int, index: int) -> bytes:
    """Rows up to the size, then padding to it exactly."""
    draw = Draw(seed, "large", index)
    blocks: list[str] = []
    size = 0
    while size < BYTES - 8_000:
        block = _block(seed, draw.below(BLOCKS))
        blocks.append(block)
        size += len(block.encode()) + 2
    head = f'{{"id": {index}, "rows": [{", ".join(blocks)}], "padding": "'.encode()
    return head + b"p" * (BYTES - len(head) - 2) + b'"}'


def model(body: bytes) -> Expected:
    """The digest of the rows."""
    sent = json.loads(body)
    rows = sent["rows"]
    return Expected(
        "completed",
        {
            "id": sent["id"],
            "count": len(rows),
            "first": rows[0],
            "last": rows[-1],
            "total": sum(row["cents"] for row in rows),
            "padding": len(sent["padding"]),
        },
    )
