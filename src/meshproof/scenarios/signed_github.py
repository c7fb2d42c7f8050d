"""What `signatures` is, signed as GitHub does: the body alone, without a time."""

from __future__ import annotations

from meshproof.scenarios.signatures import DEFINITION, model
from meshproof.signing import GITHUB, Sender

__all__ = ["ACTS", "CONFIG", "DEFINITION", "headers", "model", "payload", "refusal"]

SENDER = Sender("signed_github", GITHUB)
CONFIG, ACTS = SENDER.config, SENDER.acts
payload, headers, refusal = SENDER.payload, SENDER.headers, SENDER.refusal
