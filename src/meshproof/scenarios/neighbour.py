"""What `tenants` is, in a project of its own."""

from __future__ import annotations

from meshproof.scenarios.tenants import DEFINITION, model, signals
from meshproof.scenarios.tenants import payload as payload_of

__all__ = ["DEFINITION", "PROJECT", "model", "payload", "signals"]

PROJECT = "neighbour"


def payload(seed: int, index: int) -> bytes:
    """A canary of this project."""
    return payload_of(seed, index, PROJECT)
