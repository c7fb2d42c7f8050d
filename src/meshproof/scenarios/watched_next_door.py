"""What `watchers` is, in a project of its own."""

from __future__ import annotations

from meshproof.scenarios.watchers import DEFINITION, model
from meshproof.scenarios.watchers import payload as payload_of

__all__ = ["DEFINITION", "PROJECT", "model", "payload"]

PROJECT = "next-door"


def payload(seed: int, index: int) -> bytes:
    """A canary of this project."""
    return payload_of(seed, index, PROJECT)
