"""A branch of three ways beside two parallel steps, joined: dead paths must not hold the join up."""

from __future__ import annotations

import json
from typing import Any

from meshproof.draw import Draw
from meshproof.scenarios import Expected
from meshproof.words import NAMES, dump

DEFINITION: dict[str, Any] = {
    "nodes": [
        {
            "id": "order",
            "type": "transform",
            "config": {
                "expression": (
                    "{id: input.id, to: input.to, weight: sum(input.parcels[].grams), parcels: length(input.parcels)}"
                )
            },
        },
        {
            "id": "route",
            "type": "branch",
            "config": {
                "conditions": [
                    {"port": "freight", "when": "input.weight > `30000`"},
                    {"port": "courier", "when": "input.weight > `2000` || input.to.express"},
                ],
                "default": "letter",
            },
        },
        {"id": "freight", "type": "transform", "config": {"expression": "{by: 'freight', days: `5`}"}},
        {"id": "courier", "type": "transform", "config": {"expression": "{by: 'courier', days: `1`}"}},
        {"id": "letter", "type": "transform", "config": {"expression": "{by: 'letter', days: `3`}"}},
        {
            "id": "tracked",
            "type": "transform",
            "config": {"template": {"code": "MH-{{ input.id }}-{{ input.parcels }}"}},
        },
        {"id": "address", "type": "transform", "config": {"template": "{{ input.to.name }}, {{ input.to.city }}"}},
        {"id": "way", "type": "join", "config": {"mode": "any"}},
        {"id": "together", "type": "join", "config": {"mode": "all"}},
        {
            "id": "label",
            "type": "transform",
            "config": {
                "expression": (
                    "{address: input.address, code: input.tracked.code, by: input.way.by, days: input.way.days}"
                )
            },
        },
    ],
    "edges": [
        {"from": "trigger", "to": "order"},
        {"from": "order", "to": "route"},
        {"from": "route", "port": "freight", "to": "freight"},
        {"from": "route", "port": "courier", "to": "courier"},
        {"from": "route", "port": "letter", "to": "letter"},
        {"from": "freight", "to": "way"},
        {"from": "courier", "to": "way"},
        {"from": "letter", "to": "way"},
        {"from": "order", "to": "tracked"},
        {"from": "order", "to": "address"},
        {"from": "way", "to": "together"},
        {"from": "tracked", "to": "together"},
        {"from": "address", "to": "together"},
        {"from": "together", "to": "label"},
    ],
}


def payload(seed: int, index: int) -> bytes:
    """Parcels of any weight (also none at all) to somebody, some of them express."""
    draw = Draw(seed, "diamond", index)
    heaviest = draw.pick((500, 5_000, 50_000))
    return dump(
        draw,
        {
            "id": index,
            "parcels": [{"grams": draw.between(1, heaviest)} for _ in range(draw.below(4))],
            "to": {
                "name": draw.pick(NAMES),
                "city": draw.pick(("Kraków", "東京", "São Paulo")),
                "express": draw.chance(0.3),
            },
        },
    )


def model(body: bytes) -> Expected:
    """The first way whose condition holds; the two other steps always."""
    sent = json.loads(body)
    weight = sum(parcel["grams"] for parcel in sent["parcels"])
    if weight > 30_000:
        by, days = "freight", 5
    elif weight > 2_000 or sent["to"]["express"]:
        by, days = "courier", 1
    else:
        by, days = "letter", 3
    return Expected(
        "completed",
        {
            "address": f"{sent['to']['name']}, {sent['to']['city']}",
            "code": f"MH-{sent['id']}-{len(sent['parcels'])}",
            "by": by,
            "days": days,
        },
    )
