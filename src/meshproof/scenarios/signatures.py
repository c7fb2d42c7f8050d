"""Signed deliveries of four schemes: good, forged, stale, unsigned, or signed with a secret that is withdrawn in mid-run."""

from __future__ import annotations

import json
from typing import Any

from meshproof.scenarios import Expected
from meshproof.signing import STANDARD_WEBHOOKS, Sender

# This one signs as Standard Webhooks say; the others are the same by other schemes.
BLEND = {"signatures": 1, "signed_github": 1, "signed_stripe": 1, "signed_hmac": 1}

SENDER = Sender("signatures", STANDARD_WEBHOOKS)
CONFIG, ACTS = SENDER.config, SENDER.acts
payload, headers, refusal = SENDER.payload, SENDER.headers, SENDER.refusal

DEFINITION: dict[str, Any] = {
    "nodes": [
        {"id": "proved", "type": "transform", "config": {"expression": "{number: input.number, fate: input.fate}"}},
        {"id": "receipt", "type": "transform", "config": {"expression": "{number: input.number, fate: input.fate}"}},
    ],
    "edges": [{"from": "trigger", "to": "proved"}, {"from": "proved", "to": "receipt"}],
}


def model(body: bytes) -> Expected:
    """What came through."""
    sent = json.loads(body)
    return Expected("completed", {"number": sent["number"], "fate": sent["fate"]})
