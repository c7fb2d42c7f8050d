"""What `signatures` is, signed by a template of its own."""

from __future__ import annotations

from meshproof.scenarios.signatures import DEFINITION, model
from meshproof.signing import HMAC, Sender

__all__ = ["ACTS", "CONFIG", "DEFINITION", "headers", "model", "payload", "refusal"]

SENDER = Sender("signed_hmac", HMAC)
CONFIG, ACTS = SENDER.config, SENDER.acts
payload, headers, refusal = SENDER.payload, SENDER.headers, SENDER.refusal
