"""Three transforms on an order: totals, flag, result. The reference work for comparisons."""

from __future__ import annotations

import json
from typing import Any

from meshproof.draw import Draw
from meshproof.scenarios import Expected
from meshproof.words import NAMES, email

LARGE_CENTS = 20_000

DEFINITION: dict[str, Any] = {
    "nodes": [
        {
            "id": "totals",
            "type": "transform",
            "config": {
                "expression": (
                    "{name: input.user.name, email: input.user.email, type: input.type, at: input.ts,"
                    " count: length(input.items), total: sum(input.items[].price)}"
                )
            },
        },
        {
            "id": "flag",
            "type": "transform",
            "config": {
                "expression": (
                    "{name: input.name, email: input.email, type: input.type, count: input.count,"
                    f" total: input.total, large: input.total >= `{LARGE_CENTS}`}}"
                )
            },
        },
        {
            "id": "result",
            "type": "transform",
            "config": {
                "expression": (
                    "{customer: input.name, email: input.email, event: input.type, at: steps.totals.at,"
                    " total: input.total, count: input.count, large: input.large}"
                )
            },
        },
    ],
    "edges": [
        {"from": "trigger", "to": "totals"},
        {"from": "totals", "to": "flag"},
        {"from": "flag", "to": "result"},
    ],
}


def payload(seed: int, index: int) -> bytes:
    """An order with 0 to 8 items; prices are whole cents, so every sum is exact."""
    draw = Draw(seed, "pipeline", index)
    order = {
        "user": {"name": draw.pick(NAMES), "email": email(draw)},
        "items": [
            {"sku": f"SKU-{draw.below(10_000):04d}", "price": draw.between(1, 9_999)} for _ in range(draw.below(9))
        ],
        "ts": 1_767_225_600 + index,
        "type": draw.pick(("order.created", "order.updated", "order.paid")),
    }
    return json.dumps(order, ensure_ascii=False, separators=(",", ":")).encode()


def model(body: bytes) -> Expected:
    """What the three steps make of it."""
    order = json.loads(body)
    total = sum(item["price"] for item in order["items"])
    return Expected(
        "completed",
        {
            "customer": order["user"]["name"],
            "email": order["user"]["email"],
            "event": order["type"],
            "at": order["ts"],
            "total": total,
            "count": len(order["items"]),
            "large": total >= LARGE_CENTS,
        },
    )
