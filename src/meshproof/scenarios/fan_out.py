"""A loop over a list, each item a call, many at once; some items are refused for good, and the others do not mind."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Any

from meshproof.draw import Draw
from meshproof.scenarios import SINK, Expected
from meshproof.words import dump

CONCURRENCY = 20
ATTEMPTS = 8

DEFINITION: dict[str, Any] = {
    "nodes": [
        {
            "id": "each",
            "type": "loop",
            "config": {
                "items": "input.items",
                "concurrency": CONCURRENCY,
                "body": {
                    "nodes": [
                        {
                            "id": "ask",
                            "type": "http_call",
                            "on_error": "port",
                            "config": {
                                "method": "POST",
                                "url": f"{SINK}/items/{{{{ loop.index }}}}",
                                "headers": {"sink-script": "{{ input.script }}"},
                                "text": "{{ input.token }}",
                                "retry": {"attempts": ATTEMPTS, "backoff_s": 0.05, "backoff_max_s": 1},
                            },
                        },
                        {"id": "kept", "type": "transform", "config": {"expression": "input.body.receipt"}},
                        {"id": "refused", "type": "transform", "config": {"template": "refused {{ loop.index }}"}},
                    ],
                    "edges": [
                        {"from": "trigger", "to": "ask"},
                        {"from": "ask", "to": "kept"},
                        {"from": "ask", "port": "error", "to": "refused"},
                    ],
                },
            },
        },
        {"id": "all", "type": "transform", "config": {"expression": "{count: length(input), receipts: input}"}},
    ],
    "edges": [{"from": "trigger", "to": "each"}, {"from": "each", "to": "all"}],
}

TROUBLES = ("503", "500", "reset", "429;after=1")


def payload(seed: int, index: int) -> bytes:
    """Mostly a few items, sometimes none, and one list in fifty is long."""
    draw = Draw(seed, "fan_out", index)
    count = draw.between(200, 400) if draw.below(50) == 0 else draw.between(0, 12)
    return dump(draw, {"number": index, "seed": seed, "items": [_item(draw) for _ in range(count)]})


def _item(draw: Draw) -> dict[str, str]:
    words = [draw.pick(TROUBLES) for _ in range(max(0, draw.between(-8, 2)))]
    words.append("422" if draw.chance(0.04) else f"200;ms={draw.pick((0, 0, 1, 5, 30))}")
    return {"token": f"{draw.bits(64):016x}", "script": " ".join(words)}


def model(body: bytes) -> Expected:
    """What each item gave, in the order of the items."""
    items = json.loads(body)["items"]
    receipts = [
        f"refused {index}" if item["script"].endswith("422") else sha256(item["token"].encode()).hexdigest()
        for index, item in enumerate(items)
    ]
    return Expected("completed", {"count": len(items), "receipts": receipts})
