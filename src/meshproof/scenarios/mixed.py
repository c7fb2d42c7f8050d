"""A realistic blend of all kinds, with runs that fail as they must."""

from __future__ import annotations

import json
from typing import Any

from meshproof.draw import Draw
from meshproof.scenarios import Expected
from meshproof.words import NAMES, NOTHINGS, TEXTS, dump

# Mostly small work, some duplicates, few of the heavy kinds: one attempt in 200 is a payload of 200 kB.
BLEND = {"mixed": 60, "pipeline": 50, "simple": 40, "diamond": 20, "duplicates": 20, "chain": 7, "wide": 2, "large": 1}

# An order intake: an empty order is refused by the workflow, a refund ends early, and a sender's mistake (a price that
# is text, no items at all) makes an expression fail.
DEFINITION: dict[str, Any] = {
    "nodes": [
        {
            "id": "kind",
            "type": "branch",
            "config": {
                "conditions": [
                    {"port": "refund", "when": "input.kind == 'refund'"},
                    {"port": "empty", "when": "length(input.items) == `0`"},
                ],
                "default": "order",
            },
        },
        {
            "id": "refunded",
            "type": "terminate",
            "config": {
                "status": "completed",
                "output": {"order": "{{ input.id }}", "refunded": True, "note": "{{ input.note }}"},
            },
        },
        {
            "id": "refused",
            "type": "terminate",
            "config": {
                "status": "failed",
                "reason": "order {{ input.id }} has no items",
                "output": {"order": "{{ input.id }}", "refused": "empty"},
            },
        },
        {
            "id": "price",
            "type": "transform",
            "config": {"expression": "{cents: sum(input.items[].cents), lines: length(input.items)}"},
        },
        {"id": "thanks", "type": "transform", "config": {"template": "Thank you, {{ input.customer.name }}!"}},
        {"id": "skus", "type": "transform", "config": {"expression": "input.items[?cents > `1000`].sku"}},
    ],
    "edges": [
        {"from": "trigger", "to": "kind"},
        {"from": "kind", "port": "refund", "to": "refunded"},
        {"from": "kind", "port": "empty", "to": "refused"},
        {"from": "kind", "port": "order", "to": "price"},
        {"from": "kind", "port": "order", "to": "thanks"},
        {"from": "kind", "port": "order", "to": "skus"},
    ],
}


def payload(seed: int, index: int) -> bytes:
    """An order, a refund, an empty order, or a mistake of the sender."""
    draw = Draw(seed, "mixed", index)
    order: dict[str, Any] = {
        "id": f"ord_{index}",
        "kind": "order",
        "customer": {"name": draw.pick(NAMES)},
        "note": draw.pick((*TEXTS, *NOTHINGS)),
        "items": [
            {"sku": f"S{draw.below(1000)}", "cents": draw.between(1, 5_000), "gift": draw.pick(NOTHINGS)}
            for _ in range(draw.between(1, 5))
        ],
    }
    match draw.below(20):
        case 0 | 1:
            order["kind"] = "refund"
        case 2:
            order["items"] = []
        case 3:
            del order["items"]
        case 4:
            order["items"][0]["cents"] = "12.50"
        case 5:
            order["items"][0]["cents"] = None
        case _:
            pass
    return dump(draw, order)


def model(body: bytes) -> Expected:
    """A refund ends first; then the orders that cannot be priced fail; a price of null counts as none."""
    order = json.loads(body)
    if order["kind"] == "refund":
        return Expected("completed", {"order": order["id"], "refunded": True, "note": order["note"]})
    if "items" not in order:
        return Expected("failed", None)
    if not order["items"]:
        return Expected("failed", {"order": order["id"], "refused": "empty"})
    cents = [item["cents"] for item in order["items"] if item["cents"] is not None]
    if any(isinstance(price, str) for price in cents):
        return Expected("failed", None)
    return Expected(
        "completed",
        {
            "price": {"cents": sum(cents), "lines": len(order["items"])},
            "thanks": f"Thank you, {order['customer']['name']}!",
            "skus": [item["sku"] for item in order["items"] if item["cents"] is not None and item["cents"] > 1000],
        },
    )
