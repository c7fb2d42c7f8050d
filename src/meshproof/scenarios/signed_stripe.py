"""What `signatures` is, signed as Stripe does."""

from __future__ import annotations

from meshproof.scenarios.signatures import DEFINITION, model
from meshproof.signing import STRIPE, Sender

__all__ = ["ACTS", "CONFIG", "DEFINITION", "headers", "model", "payload", "refusal"]

SENDER = Sender("signed_stripe", STRIPE)
CONFIG, ACTS = SENDER.config, SENDER.acts
payload, headers, refusal = SENDER.payload, SENDER.headers, SENDER.refusal
